"""Embed and store what a plan says, in commits that an interruption cannot spoil."""

from __future__ import annotations

import time
from collections import deque
from contextlib import closing
from typing import TYPE_CHECKING

from protvec.engine.base import embed
from protvec.errors import DatabaseError
from protvec.ingest.commits import Commits
from protvec.ingest.course import Course
from protvec.ingest.recorded import note_commit, recorded
from protvec.ingest.records import BATCH, jobs
from protvec.ingest.report import Report
from protvec.store import Claims

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protvec.engine.base import Embedding, Encoder
    from protvec.ingest.plan import Plan
    from protvec.ingest.records import Job
    from protvec.store import LogEntry, Store

PATIENCE_SECONDS = 300.0  # how long to wait for what another process is embedding, as long as none of it comes
PAUSE_SECONDS = 0.5


class Observer:
    """What a caller may want to see of a run, or stop it; every method does nothing unless overridden."""

    def advanced(self, proteins: int, residues: int) -> None:
        """So many rows are done and so many residues embedded since the last call."""

    def committed(self, report: Report) -> None:
        """Everything counted in ``report`` is in the database now."""

    def should_stop(self) -> bool:
        """Asked after each protein; True ends the run after a last commit."""
        return False


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
    options = plan.options.to_dict() | {"residues": store.codec}
    files = [source.describe() for source in plan.sources]
    with recorded(store, "ingest", report, files=files, options=options) as entry:
        _run(plan, store, encoder, observer, report, entry)
    return report


def _run(
    plan: Plan, store: Store, encoder: Encoder | None, observer: Observer, report: Report, entry: LogEntry
) -> None:
    """Go through the input until everything is done: once, unless other processes are at the same work."""
    course = Course(plan.requested // BATCH + 1)
    claims = Claims(store.location)
    commits = Commits(store, plan.options, report, entry, claims, lambda: note_commit(store, report, entry, observer))
    moved = time.monotonic()
    with closing(claims), closing(commits):
        while course.goes_on and not report.interrupted:
            before = report.settled
            _go_through(plan, store, encoder, observer, report, course, claims, commits)
            if report.settled > before:
                moved = time.monotonic()
            elif course.goes_on:
                time.sleep(PAUSE_SECONDS)
                report.interrupted = observer.should_stop()
            if time.monotonic() - moved > PATIENCE_SECONDS:
                claims.close()  # whoever has them may be stopped for good: do it all the same
    store.sweep()


def _go_through(
    plan: Plan,
    store: Store,
    encoder: Encoder | None,
    observer: Observer,
    report: Report,
    course: Course,
    claims: Claims,
    commits: Commits,
) -> None:
    """Embed and store what the course says."""
    stream = jobs(plan.sources, store, plan.options, report, course=course, claims=claims)
    try:
        for job, embedding in _embedded(stream, store, encoder):
            commits.put(job, embedding)
            observer.advanced(1, len(embedding.residues) if embedding else 0)
            if observer.should_stop():
                report.interrupted = True
                return
            if commits.collect() or (commits.due and commits.begin()):
                course.jump()
    finally:
        commits.write()  # also when the engine or a file failed half-way: what is embedded is not thrown away


def _embedded(stream: Iterator[Job], store: Store, encoder: Encoder | None) -> Iterator[tuple[Job, Embedding | None]]:
    """Every job in order, with its embedding where it is the one that embeds.

    The encoder pulls sequences ahead of what it has finished; ``waiting`` holds their jobs, and those
    between them that need no embedding, until it catches up.
    """
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
