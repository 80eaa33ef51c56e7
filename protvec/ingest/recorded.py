"""A run in the ledger from its start to its end, with what its report counts."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError, IngestInterrupted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from protvec.ingest.report import Report, Tally
    from protvec.ingest.runner import Observer
    from protvec.store import InputFile, LogEntry, Store


@contextmanager
def recorded(
    store: Store, command: str, report: Report, *, files: Sequence[InputFile], options: Mapping[str, Any]
) -> Iterator[LogEntry]:
    """Keep the ledger's row of a run that fills ``report``; what is done within is the run.

    However the run ends, the row and the report say what was done until then.

    Args:
        store: The database.
        command: What is done, as the user would type it: ``ingest``.
        report: What the run counts in. Gets ``run`` now, and ``seconds`` at the end.
        files: What is read.
        options: What was asked for: plain values, as JSON can carry them.

    Raises:
        IngestInterrupted: The report says that the run was stopped; the error carries it.
        DatabaseError: A record or a row is missing at the end, or the ledger cannot be written.
    """
    start = time.monotonic()
    with store.ledger.running(
        command, files=files, options=options, engine=report.engine, precision=report.precision
    ) as entry:
        report.run = entry.run
        try:
            yield entry
        finally:
            report.seconds = time.monotonic() - start
            report.in_input_order(report.files)
            note_counts(report, entry)
        if report.interrupted:
            report.requested -= report.unaccounted
            raise IngestInterrupted("stopped as asked; what was done so far is stored", report=report)
        check_counts(report, store.path, entry)
    store.settle()


def note_commit(store: Store, report: Report, entry: LogEntry, observer: Observer) -> None:
    """Let the ledger and the observer know of a commit."""
    note_counts(report, entry)
    store.ledger.progress(entry)
    observer.committed(report)


def note_counts(report: Tally, entry: LogEntry) -> None:
    """Put into the ledger's entry what is done so far; records read ahead and not come to are not requested."""
    entry.counts |= report.counts | {"requested": report.requested - report.unaccounted}
    entry.skipped, entry.changed = report.skipped, report.changed


def check_counts(report: Tally, database: str, entry: LogEntry | None) -> None:
    """Whether every record met one fate, and every row of the report is one that a commit has.

    ``Store.write`` reads each commit's keys again, and counts the rows that are there.

    Args:
        report: What was done.
        database: Where, for messages.
        entry: Of the ledger; None where nothing was written.

    Raises:
        DatabaseError: A record or a row is missing.
    """
    if not report.balanced:
        raise DatabaseError(f"{database}: {report.unaccounted} records are not accounted for: {report.counts}")
    rows, written = report.added + report.reused + report.updated, entry.counts.get("written", 0) if entry else 0
    if rows != written:
        raise DatabaseError(f"{database}: {rows} proteins of the report, but {written} written: run `protvec check`")
