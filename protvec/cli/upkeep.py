"""``protvec compact`` and ``protvec recode``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protvec.cli import console
from protvec.cli.console import plural
from protvec.cli.options import DEFAULT_DB, Db, Json, ResidueCodec, Yes, confirm, open_store
from protvec.words import size

if TYPE_CHECKING:
    from protvec.store import Store

Now = Annotated[
    bool,
    typer.Option(
        "--now", help="Remove older versions at once, not after an hour: a long read in another process may fail."
    ),
]


def compact(db: Db = DEFAULT_DB, now: Now = False, as_json: Json = False) -> None:
    """Join what many small ingests left, drop deleted rows and remove old versions. Ingest does it by itself."""
    store = open_store(db)
    before = _bytes(store)
    store.compact(keep_seconds=_keep(now))
    after = _bytes(store)
    if as_json:
        print(json.dumps({"before": before, "after": after, "snapshots": store.snapshot_names}))
        return
    console.note(f"{db}: {size(sum(before.values()))} on disk, now {size(sum(after.values()))}{_left(store, after)}")


def recode(
    codec: Annotated[ResidueCodec, typer.Argument(metavar="CODEC", help="int8, int4, float16 or none.")],
    db: Db = DEFAULT_DB,
    yes: Yes = False,
    now: Now = False,
    as_json: Json = False,
) -> None:
    """Change how a database keeps residue arrays: those it has, and those to come.

    It may be stopped, or killed, at any moment, and goes on when it is started again; searches, reads and
    ingests go on meanwhile. Arrays of a finer codec become no better than they were; none removes them.
    """
    store = open_store(db)
    before = _bytes(store)
    question = _question(store, codec.value)
    if question and not yes:
        confirm(f"{question} in {db}")
    with console.progress() as shown:
        task = shown.add_task("Recoding", total=None, rate="")

        def progress(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total, rate=f"{done:,} of {plural(total, 'array')}")

        changed = store.recode(codec.value, keep_seconds=_keep(now), progress=progress)
    after = _bytes(store)
    if as_json:
        print(json.dumps({"codec": store.codec, "changed": changed, "before": before, "after": after}))
        return
    console.note(f"{db}: {plural(changed, 'residue array')} {'removed' if codec == 'none' else f'now {codec.value}'}")
    console.note(f"{size(sum(before.values()))} on disk, now {size(sum(after.values()))}{_left(store, after)}")


def _keep(now: bool) -> float:
    from protvec.store import KEEP_SECONDS

    return 0.0 if now else KEEP_SECONDS


def _bytes(store: Store) -> dict[str, int]:
    """Bytes on disk: of the present version, and of older ones."""
    tables = store.info()["bytes"].values()
    old = sum(table["old"] for table in tables)
    return {"present": sum(table["total"] for table in tables) - old, "older": old}


def _left(store: Store, after: dict[str, int]) -> str:
    """What of it is older versions, and why."""
    if after["older"] < 0.02 * after["present"]:
        return ""
    names = store.snapshot_names
    why = f"snapshots ({', '.join(names)})" if names else ""
    younger = "versions of the last hour, which `protvec compact --now` removes"
    return f", of that {size(after['older'])} of {' and of '.join(filter(None, [why, younger]))}"


def _question(store: Store, codec: str) -> str | None:
    """What somebody should know before it is done; None where nothing is lost that is not asked for."""
    from protvec.store import is_finer

    facts: dict[str, Any] = store.info()
    count = facts["residue_arrays"]
    if not count or (codec == store.codec and not facts["other_codecs"]):
        return None
    if codec == "none":
        return f"remove {plural(count, 'residue array')}, which only embedding brings back,"
    if is_finer(codec, store.codec):
        return f"make {plural(count, 'residue array')} larger and no better: what {store.codec} lost is not regained,"
    return None
