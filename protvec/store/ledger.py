"""The table ``ledger``: one row for each run that changed the database, or might have."""

from __future__ import annotations

import os
import platform
import secrets
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from protvec.errors import DatabaseError, DatabaseFormatError, IngestInterrupted, ProtvecError, QueryError
from protvec.store import layout
from protvec.store.entries import InputFile, LogEntry, State, alive, from_row, is_running, to_row
from protvec.store.filters import quote
from protvec.store.schema import LEDGER
from protvec.store.tables import latest, merge, open_table, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lance import LanceDataset, Session

    from protvec.space import Space
    from protvec.store.location import Location

_PROGRESS_SECONDS = 30.0  # between two notes of how far a run is
_DETAILS = ("skipped", "changed")


class Accounts(NamedTuple):
    """The sum of a ledger.

    Attributes:
        version: Of its table.
        gained: By how many rows ``proteins`` grew, by what the runs have said.
        running: Runs that are under way.
        killed: Runs that left no word of their end, oldest first.
    """

    version: int
    gained: int
    running: list[LogEntry]
    killed: list[LogEntry]


class Ledger:
    """The ledger of one database; made by ``Store``.

    Every command that changes the database does it inside ``running``, or says afterwards with ``record``
    what it did. Both make their own commits, in a table of their own: several processes do not meet there.
    """

    def __init__(self, root: Location, space: Space, *, session: Session, upgrade: Callable[[], object]) -> None:
        """Use ``Store.ledger``.

        Args:
            root: Where the database is.
            space: Its embedding space.
            session: Lance's caches.
            upgrade: Called before a row is written: makes the table where an older version had none.
        """
        self._root = root
        self._space = space
        self._session = session
        self._upgrade = upgrade
        self._saved = 0.0

    # -- writing ---------------------------------------------------------------------------------------------

    @contextmanager
    def running(
        self,
        command: str,
        *,
        files: Sequence[InputFile] = (),
        options: Mapping[str, Any] | None = None,
        engine: str | None = None,
        precision: str | None = None,
    ) -> Iterator[LogEntry]:
        """Leave a row when a run starts, and complete it when it ends, however it ends.

        The caller adds to ``gained``, ``counts``, ``skipped`` and ``changed`` of the entry as it goes, and
        hands the entry to ``Store.write`` and ``Store.delete``, which count ``gained`` themselves.

        Args:
            command: What is done, as the user would type it: ``ingest``.
            files: What is read.
            options: What was asked for: plain values, as JSON can carry them.
            engine: What runs the model.
            precision: In which arithmetic.

        Raises:
            DatabaseError: The row cannot be written; nothing was done then.
        """
        self._upgrade()
        entry = self._entry(command, files=files, options=options, engine=engine, precision=precision)
        self._save(entry)
        try:
            yield entry
        except BaseException as error:
            stopped = isinstance(error, IngestInterrupted | KeyboardInterrupt)
            entry.error = _words(error)
            self._end_quietly(entry, "interrupted" if stopped else "failed")
            raise
        self._end(entry, "done")

    def record(
        self,
        command: str,
        *,
        gained: int = 0,
        counts: Mapping[str, int] | None = None,
        files: Sequence[InputFile] = (),
        options: Mapping[str, Any] | None = None,
    ) -> LogEntry:
        """Leave a row for something that is done already.

        Args:
            command: What was done.
            gained: By how many rows ``proteins`` grew; negative where it shrank.
            counts: Of what there was how much.
            files: What was read.
            options: What was asked for.
        """
        self._upgrade()
        entry = self._entry(command, files=files, options=options)
        entry.gained, entry.counts = gained, dict(counts or {})
        self._end(entry, "done")
        return entry

    def progress(self, entry: LogEntry, *, now: bool = False) -> None:
        """Note how far a run is, at most twice a minute unless ``now``: what a kill would leave to be seen.

        Its counts alone: the list of what was skipped and cleaned may be long, and is written at the end.
        """
        if now or time.monotonic() - self._saved >= _PROGRESS_SECONDS:
            self._save(replace(entry, skipped=(), changed=()))

    def opening(self, run: str, command: str, rows: int) -> None:
        """The first row of a database that was there before its ledger. Of several that try, one does it."""
        entry = self._entry(command)
        entry.run, entry.state, entry.ended = run, "done", entry.started
        entry.gained, entry.counts = rows, {"proteins": rows}
        merge(self._table(), "run", to_row(entry), replace=False)

    def settle(self, entry: LogEntry, gained: int) -> None:
        """Close the row of a run that was killed, once it is known what it did."""
        entry = self.entry(entry.run)  # with its details
        entry.state, entry.gained = "killed", gained
        self._save(entry)

    def settle_all(self, killed: Sequence[LogEntry], more: int) -> None:
        """Close the rows of runs that were killed; the last takes the rows of ``proteins`` that none accounts for."""
        for entry in killed:
            self.settle(entry, entry.gained + (more if entry is killed[-1] else 0))

    # -- reading ---------------------------------------------------------------------------------------------

    def entries(self, n: int | None = None) -> list[LogEntry]:
        """The runs, newest first, without their skipped and changed records."""
        table = self.table()
        if table is None:
            return []
        columns = [name for name in table.schema.names if name not in _DETAILS]
        rows = read(table, columns=columns).sort_by([("started", "descending"), ("run", "descending")])
        return [alive(from_row(row)) for row in rows.slice(0, n).to_pylist()]

    def entry(self, run: str) -> LogEntry:
        """One run with all that is known of it.

        Args:
            run: Its name, or the beginning of it.

        Raises:
            QueryError: There is none, or several begin so.
        """
        table = self.table()
        names = [] if table is None else read(table, columns=["run"])["run"].to_pylist()
        found = [name for name in names if name == run] or [name for name in names if name.startswith(run)]
        if table is None or len(found) != 1:
            several = f"{len(found)} runs begin with {run!r}" if found else f"no run {run!r}"
            raise QueryError(f"{self._root}: {several}; `protvec log` lists them")
        (row,) = read(table, where=f"run = {quote(found[0])}").to_pylist()
        return alive(from_row(row))

    def accounts(self) -> Accounts:
        """What all runs together say of ``proteins``, and which of them have not ended."""
        table = self._table()
        rows = read(table, columns=[name for name in table.schema.names if name not in _DETAILS])
        entries = [from_row(row) for row in rows.sort_by([("started", "ascending")]).to_pylist()]
        open_ = [entry for entry in entries if entry.state == "running"]
        running = [entry for entry in open_ if is_running(entry)]
        killed = [entry for entry in open_ if entry not in running]
        return Accounts(table.version, sum(entry.gained for entry in entries), running, killed)

    def table(self) -> LanceDataset | None:
        """A handle on the newest version; None where the database has no ledger."""
        return open_table(layout.table_uri(self._root, LEDGER), session=self._session)

    # -- how -------------------------------------------------------------------------------------------------

    def _entry(self, command: str, **what: Any) -> LogEntry:  # noqa: ANN401
        from protvec import __version__

        now = datetime.now(timezone.utc)
        what["options"] = dict(what.get("options") or {})
        return LogEntry(
            run=f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
            command=command,
            started=now,
            updated=now,
            version=__version__,
            host=platform.node(),
            pid=os.getpid(),
            model=self._space.model,
            weights=self._space.weights,
            **what,
        )

    def _end(self, entry: LogEntry, state: State) -> None:
        entry.state, entry.ended = state, datetime.now(timezone.utc)
        self._save(entry)

    def _end_quietly(self, entry: LogEntry, state: State) -> None:
        """As ``_end``; where the disk is full, the error that is on its way already says so."""
        with suppress(DatabaseError):
            self._end(entry, state)

    def _save(self, entry: LogEntry) -> None:
        entry.updated = datetime.now(timezone.utc)
        merge(self._table(), "run", to_row(entry), replace=True)
        self._saved = time.monotonic()

    def _table(self) -> LanceDataset:
        table = self.table()
        if table is None and not self._root.exists():
            raise DatabaseError(f"{self._root}: it has been removed by somebody since it was opened")
        if table is None:
            raise DatabaseFormatError(f"{self._root}: no table {LEDGER}: `protvec check --repair` makes a new one")
        return latest(table)


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    known = isinstance(error, ProtvecError)
    return text if known else f"{type(error).__name__}: {text}".removesuffix(": ")
