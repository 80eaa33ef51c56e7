"""A run as the ledger has it, and as a row of its table."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from protvec.store.schema import ledger_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

State: TypeAlias = Literal["running", "done", "interrupted", "failed", "killed"]

_SILENT = timedelta(hours=6)  # a run on another machine that has said nothing for so long is taken for dead
_CLOCK_SET = timedelta(seconds=5)  # by how much a clock may be set right while a run is under way


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that was not stored, and why."""

    id: str
    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.id or '(no id)'}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Changed:
    """A record whose sequence was cleaned, and how."""

    id: str
    file: str
    line: int
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that a run read.

    Attributes:
        name: As the user named it; ``<stdin>`` for standard input.
        sha256: Digest of its bytes as they were read (of a .gz file: compressed), in hexadecimal.
        bytes: How many these were.
    """

    name: str
    sha256: str | None
    bytes: int | None


@dataclass(kw_only=True)
class LogEntry:
    """A run, as the ledger has it.

    Attributes:
        run: Its name: when it started (UTC), and six random letters. Those made at the same time differ.
        command: What was done: ``ingest``, ``delete``, …
        state: ``running``, ``done``, ``interrupted`` (stopped on request), ``failed``, or ``killed``: it left
            no word of its end.
        started: When, in UTC.
        updated: When it last said how far it was.
        ended: When it ended; None while it runs and where it was killed.
        version: Of protvec.
        host: The machine it ran on.
        pid: The process it ran in.
        model: Name of the model of the database.
        weights: SHA-256 of its weights.
        engine: Engine that ran the model; None where nothing had to be embedded.
        precision: Arithmetic that it ran in; None likewise.
        files: What it read.
        options: What it was asked for.
        gained: By how many rows ``proteins`` grew; negative where it shrank.
        counts: How many records met which fate; which there are depends on the command.
        error: What ended it, where something did.
        skipped: Records that were not stored. Read for one run alone, not for a list of them.
        changed: Records that were cleaned. Likewise.
    """

    run: str
    command: str
    state: State = "running"
    started: datetime
    updated: datetime
    ended: datetime | None = None
    version: str
    host: str | None = None
    pid: int | None = None
    model: str | None = None
    weights: str | None = None
    engine: str | None = None
    precision: str | None = None
    files: Sequence[InputFile] = ()
    options: dict[str, Any] = field(default_factory=dict)
    gained: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    skipped: Sequence[Skipped] = ()
    changed: Sequence[Changed] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, ready for JSON; times in ISO format."""
        plain = asdict(self)
        for name in ("started", "updated", "ended"):
            moment: datetime | None = plain[name]
            plain[name] = moment.isoformat(timespec="seconds") if moment else None
        return plain


def to_row(entry: LogEntry) -> pa.Table:
    """A table of this one row."""
    import pyarrow as pa

    # Not by way of asdict, which copies value by value: a run may have cleaned millions of records.
    details: dict[str, Any] = {
        "skipped": [{"id": x.id, "file": x.file, "line": x.line, "reason": x.reason} for x in entry.skipped],
        "changed": [{"id": x.id, "file": x.file, "line": x.line, "changes": x.changes} for x in entry.changed],
    }
    values = asdict(replace(entry, skipped=(), changed=())) | details
    values |= {name: json.dumps(values[name], sort_keys=True, ensure_ascii=False) for name in ("options", "counts")}
    schema = ledger_schema()
    return pa.Table.from_pylist([{name: values[name] for name in schema.names}], schema=schema)


def from_row(row: dict[str, Any]) -> LogEntry:
    """The entry of a row as plain values, with or without its details."""
    row = {name: value for name, value in row.items() if value is not None}
    row["options"], row["counts"] = json.loads(row["options"]), json.loads(row["counts"])
    row["files"] = [InputFile(**file) for file in row.get("files", ())]
    row["skipped"] = [Skipped(**item) for item in row.get("skipped", ())]
    row["changed"] = [Changed(**item | {"changes": tuple(item["changes"])}) for item in row.get("changed", ())]
    return LogEntry(**row)


def alive(entry: LogEntry) -> LogEntry:
    """The entry, ``killed`` where it says that it runs and does not."""
    if entry.state == "running" and not is_running(entry):
        entry.state = "killed"
    return entry


def is_running(entry: LogEntry) -> bool:
    """Whether the process of a run may still be there; that of another machine is judged by its silence."""
    if entry.host != platform.node() or entry.pid is None or os.name != "posix":
        return datetime.now(timezone.utc) - entry.updated < _SILENT
    try:
        os.kill(entry.pid, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's process
        pass
    born = _born(entry.pid)
    return born is None or born <= entry.started


def _born(pid: int) -> datetime | None:
    """When a process began, rather too early than too late; None where the system does not say.

    Numbers of processes are given again: after a restart of the machine or of its container, to the very same programs.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
        up = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        age = up - int(status.split()[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
    if age < 0:  # a container that shows its own time since start, and the machine's elsewhere
        return None
    return datetime.now(timezone.utc) - timedelta(seconds=age) - _CLOCK_SET
