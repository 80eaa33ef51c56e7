"""Embed and store what a plan says, in commits that an interruption cannot spoil."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from protvec.engine.base import embed
from protvec.errors import DatabaseError, IngestInterrupted
from protvec.ingest.records import Job, jobs
from protvec.ingest.report import Report
from protvec.store import protein_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from protvec.engine.base import Embedding, Encoder
    from protvec.ingest.plan import Plan
    from protvec.store import LogEntry, Store

COMMIT_BYTES = 128 * 2**20  # of float32 residue arrays held before a commit
COMMIT_ROWS = 2_000
COMMIT_SECONDS = 60.0  # at most this much work is lost when the power goes


class Observer:
    """What a caller may want to see of a run, or stop it; every method does nothing unless overridden."""

    def advanced(self, proteins: int, residues: int) -> None:
        """So many rows are done and so many residues embedded since the last call."""

    def committed(self, report: Report) -> None:
        """Everything counted in ``report`` is in the database now."""

    def should_stop(self) -> bool:
        """Asked after each protein; True ends the run after a last commit."""
        return False


@dataclass
class _Chunk:
    """Rows and arrays on their way into one commit."""

    jobs: list[Job] = field(default_factory=list)
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    residues: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    bytes: int = 0
    started: float = field(default_factory=time.monotonic)

    def put(self, job: Job, embedding: Embedding | None) -> None:
        self.jobs.append(job)
        if embedding is not None:
            self.vectors[job.digest] = embedding.vector
            self.residues[job.digest] = embedding.residues
            self.bytes += embedding.residues.nbytes
        elif job.vector is not None:
            self.vectors[job.digest] = job.vector

    @property
    def full(self) -> bool:
        return (
            self.bytes >= COMMIT_BYTES
            or len(self.jobs) >= COMMIT_ROWS
            or time.monotonic() - self.started >= COMMIT_SECONDS
        )


def run(plan: Plan, store: Store, encoder: Encoder | None, observer: Observer | None = None) -> Report:
    """Do what the plan says.

    Args:
        plan: From ``make_plan``.
        store: The database.
        encoder: The engine; None where the plan has nothing to embed.
        observer: Sees progress and may stop the run.

    Returns:
        The report; every requested record is in exactly one of its counts.

    Raises:
        FastaError: a file changed or cannot be read any more.
        IngestInterrupted: the observer asked to stop; it carries the report of what is stored.
        DatabaseError: the database cannot be written, or has not what was written to it.
    """
    observer = observer or Observer()
    report = Report(
        database=store.path,
        files=[source.name for source in plan.sources],
        model=store.space.model,
        engine=encoder.engine if encoder else None,
        precision=encoder.precision if encoder else None,
    )
    with store.ledger.running(
        "ingest",
        files=[source.describe() for source in plan.sources],
        options=plan.options.to_dict() | {"residues": store.codec},
        engine=report.engine,
        precision=report.precision,
    ) as entry:
        report.run = entry.run
        start = time.monotonic()
        try:
            _run(plan, store, encoder, observer, report, entry)
        finally:
            report.seconds = time.monotonic() - start
            _note(report, entry)
        if report.interrupted:
            report.requested -= report.unaccounted
            raise IngestInterrupted("stopped as asked; what was done so far is stored", report=report)
        _check(report, entry)
    return report


def _note(report: Report, entry: LogEntry) -> None:
    """Put into the ledger's entry what is done so far; records read ahead and not come to are not requested."""
    entry.counts |= report.counts | {"requested": report.requested - report.unaccounted}
    entry.skipped, entry.changed = report.skipped, report.changed


def _check(report: Report, entry: LogEntry) -> None:
    """Whether every record met one fate, and every row of the report is one that a commit has.

    ``Store.write`` reads each commit's keys again, and counts the rows that are there.

    Raises:
        DatabaseError: A record or a row is missing.
    """
    if not report.balanced:
        raise DatabaseError(f"{report.database}: {report.unaccounted} records are not accounted for: {report.counts}")
    rows, written = report.added + report.reused + report.updated, entry.counts.get("written", 0)
    if rows != written:
        raise DatabaseError(
            f"{report.database}: {rows} proteins of the report, but {written} written: run `protvec check`"
        )


def _run(
    plan: Plan, store: Store, encoder: Encoder | None, observer: Observer, report: Report, entry: LogEntry
) -> None:
    chunk = _Chunk()

    def flush() -> None:
        nonlocal chunk
        done, chunk = chunk, _Chunk()  # emptied first: a commit that fails is not tried again on the way out
        if done.jobs:
            _commit(done, store, report, entry)
            _note(report, entry)
            store.ledger.progress(entry)
            observer.committed(report)

    try:
        for job, embedding in _embedded(plan, store, encoder, report):
            chunk.put(job, embedding)
            observer.advanced(1, len(embedding.residues) if embedding else 0)
            if observer.should_stop():
                report.interrupted = True
                return
            if chunk.full:
                flush()
    finally:
        flush()  # also when the engine or a file failed half-way: what is embedded is not thrown away
    store.sweep()


def _embedded(
    plan: Plan, store: Store, encoder: Encoder | None, report: Report
) -> Iterator[tuple[Job, Embedding | None]]:
    """Every job in order, with its embedding where it is the one that embeds.

    The encoder pulls sequences ahead of what it has finished; ``waiting`` holds their jobs, and those
    between them that need no embedding, until it catches up.
    """
    stream = jobs(plan.sources, store, plan.options, report)
    if encoder is None:
        for job in stream:
            if job.embed:
                raise DatabaseError(f"{store.path}: the database changed since the plan was made: run again")
            yield job, None
        return
    waiting: deque[Job] = deque()

    def sequences() -> Iterator[str]:
        for job in stream:
            waiting.append(job)
            if job.embed:
                yield job.sequence

    for embedding in embed(encoder, sequences()):
        while not waiting[0].embed:
            yield waiting.popleft(), None
        yield waiting.popleft(), embedding
    while waiting:
        yield waiting.popleft(), None


def _commit(chunk: _Chunk, store: Store, report: Report, entry: LogEntry) -> None:
    """Write one chunk, residues before proteins, and count it once it is in."""
    missing = {job.digest for job in chunk.jobs} - chunk.vectors.keys()
    chunk.vectors.update(store.vectors(list(missing)))  # embedded in an earlier chunk of this run
    rows = [job.row for job in chunk.jobs]
    vectors = np.stack([chunk.vectors[job.digest] for job in chunk.jobs])
    store.write(protein_table(rows, vectors), chunk.residues.items(), run=entry)
    for job in chunk.jobs:
        report.count(job.fate)
        if job.embed:
            report.embedded += 1
            report.embedded_residues += job.row["length"]
