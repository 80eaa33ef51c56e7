"""``protvec log``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from protvec.cli import console
from protvec.cli.console import duration, plural
from protvec.cli.options import DEFAULT_DB, Db, Json, open_store
from protvec.words import size, some

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protvec.store import LogEntry

SHOWN = 20  # runs
_COLUMNS = ("run", "state", "command", "rows", "skipped", "time", "what")
_NUMBERS = ("rows", "skipped", "time")


def log(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", help="Show this one with the records that it skipped or cleaned.", show_default=False
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many runs to list, the newest first.")] = SHOWN,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
) -> None:
    """Show what was done to a database: every ingest, deletion and repair."""
    from protvec.database import Database

    database = Database(open_store(db))
    if run is not None:
        entry = database.log_entry(run)
        print(
            json.dumps(entry.to_dict(), ensure_ascii=False, indent=1) if as_json else _card(entry), end="\n" * as_json
        )
        return
    entries = database.log(n)
    if as_json:
        print(json.dumps([entry.to_dict() for entry in entries], ensure_ascii=False, indent=1))
    elif sys.stdout.isatty():
        _table(entries)
    else:
        _tsv(entries)
    if not entries:
        why = "it was made before there was one" if database.store.schema_version < 2 else "nothing was done to it yet"
        console.note(f"{db}: nothing in its log; {why}")


def _row(entry: LogEntry) -> list[str]:
    """A run in the columns of the list."""
    skipped = entry.counts.get("skipped", 0)
    return [
        entry.run,
        entry.state,
        entry.command,
        f"{entry.gained:+,}",
        f"{skipped:,}" if skipped else "",
        duration((entry.ended - entry.started).total_seconds()) if entry.ended else "",
        _what(entry),
    ]


def _what(entry: LogEntry) -> str:
    """Which files, or else which options, in a few words."""
    named = ", ".join(file.name for file in entry.files)
    return named or ", ".join(f"{name} {_short(value)}" for name, value in entry.options.items() if _said(value))


def _said(value: object) -> bool:
    return value not in (None, False, "", []) and value != {}


def _short(value: object) -> str:
    if isinstance(value, list):
        return some(value, 3)
    return " ".join(str(value).split())


def _tsv(entries: Iterable[LogEntry]) -> None:
    print(*_COLUMNS, sep="\t")
    for entry in entries:
        print(*(" ".join(cell.split()) for cell in _row(entry)), sep="\t")


def _table(entries: Iterable[LogEntry]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        last = name == _COLUMNS[-1]  # it gives way on a narrow terminal
        table.add_column(
            name,
            justify="right" if name in _NUMBERS else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if last else None,
        )
    for entry in entries:
        table.add_row(*map(Text, _row(entry)))
    Console(file=sys.stdout).print(table)


def _card(entry: LogEntry) -> str:
    """All that is known of a run, a line each."""
    facts = {
        "Run": entry.run,
        "Command": entry.command,
        "State": entry.state + (f": {entry.error}" if entry.error else ""),
        "Started": f"{entry.started:%Y-%m-%d %H:%M:%S} UTC",
        "Ended": f"{entry.ended:%Y-%m-%d %H:%M:%S} UTC" if entry.ended else "",
        "By": f"protvec {entry.version}, process {entry.pid} on {entry.host}",
        "Model": f"{entry.model} (weights {(entry.weights or '')[:8]})",
        "Engine": f"{entry.engine} in {entry.precision}" if entry.engine else "",
        "Options": ", ".join(f"{name} {_short(value)}" for name, value in entry.options.items() if _said(value)),
        "Rows": f"{entry.gained:+,}",
        "Counts": ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in entry.counts.items() if count),
    }
    lines = [f"{name:<12}{value}" for name, value in facts.items() if value]
    lines += [f"{'File':<12}{file.name} ({size(file.bytes or 0)}, SHA-256 {file.sha256})" for file in entry.files]
    if entry.skipped:
        lines += ["", f"{plural(len(entry.skipped), 'record')} skipped:", *(f"  {item}" for item in entry.skipped)]
    if entry.changed:
        lines += ["", f"{plural(len(entry.changed), 'record')} cleaned:"]
        lines += [f"  {item.file}:{item.line}: {item.id}: {', '.join(item.changes)}" for item in entry.changed]
    return "\n".join(lines) + "\n"
