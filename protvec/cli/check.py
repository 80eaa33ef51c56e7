"""``protvec check``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from protvec.cli import console
from protvec.cli.console import note, plural
from protvec.cli.options import DEFAULT_DB, Db, Json, Offline, open_store

if TYPE_CHECKING:
    from protvec.store.check import CheckResult

SHOWN = 10  # lost ids that are printed; --json has all


def check(
    db: Db = DEFAULT_DB,
    full: Annotated[
        bool, typer.Option("--full", help="Compare every residue array with its vectors, not a sample of 256.")
    ] = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Mend what can be mended, and say what is lost. May load the model."),
    ] = False,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Look for damage in a database: rows, residue arrays, indexes, log. Exits with 1 if there is any."""
    from protvec.database import Database, Settings

    database = Database(open_store(db), Settings(offline=offline, notify=note))
    with console.progress() as shown:
        task = shown.add_task("Checking", total=None, rate="")

        def progress(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        result = database.check(full=full, repair=repair, progress=progress)
    if as_json:
        print(json.dumps(result.to_dict(), ensure_ascii=False, indent=1))
    else:
        _show(result)
    if not result.ok:
        raise console.Stop(1)


def _show(result: CheckResult) -> None:
    """Repairs and findings on standard output, a line each; the sum on standard error."""
    for repair in result.repairs:
        print(f"repaired\t{repair.code}\t{repair.table}: {repair.message}")
        for key in repair.lost[:SHOWN]:
            print(f"lost\t{repair.code}\t{key}")
        if len(repair.lost) > SHOWN:
            print(f"lost\t{repair.code}\tand {len(repair.lost) - SHOWN:,} more; --json or `protvec log` has all")
    for finding in result.findings:
        print(f"{finding.level}\t{finding.code}\t{finding}")
    for text in result.notes:
        console.warn(text)
    seen = f"{plural(result.proteins, 'protein')}, {plural(result.residues, 'residue array')}"
    note(f"{result.database}: {_verdict(result)} ({seen}, {result.compared:,} compared)")


def _verdict(result: CheckResult) -> str:
    if result.ok:
        return "nothing is damaged"
    if result.repairs or result.notes:
        return "some damage could not be repaired"
    mendable = any(finding.repairable and finding.level == "damage" for finding in result.findings)
    return "damaged" + ("; `protvec check --repair` mends what can be mended" if mendable else "")
