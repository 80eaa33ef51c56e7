"""Rows and arrays on their way into the database: gathered, written beside what goes on, counted."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from protvec.errors import DatabaseError
from protvec.ingest.records import replaces
from protvec.ingest.report import Tally
from protvec.store import protein_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.engine.base import Embedding
    from protvec.ingest.records import Job, Options
    from protvec.ingest.report import Report
    from protvec.store import Claims, LogEntry, Packed, Rule, Store, Stored

# Of encoded residue arrays held before a commit, four times what upkeep joins no further: an ingest is not rewritten.
COMMIT_BYTES = 128 << 20
COMMIT_ROWS = 2_000
COMMIT_SECONDS = 60.0  # at most this much work is lost when the power goes
FIRST_SECONDS = 2.0  # until the first commit, doubled with each: another process at the same work is seen soon
KEEP_CLAIMS_SECONDS = 6.0  # after a commit, until every process has looked again (records.LOOK_SECONDS)


@dataclass
class Chunk:
    """Rows and arrays on their way into one commit."""

    jobs: list[Job] = field(default_factory=list)
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    residues: Packed | None = None
    rule: Rule | None = None
    segments: dict[str, NDArray[np.float16]] = field(default_factory=dict)
    bytes: int = 0
    seconds: float = COMMIT_SECONDS
    most_bytes: int | None = None  # COMMIT_BYTES
    most_rows: int | None = None  # COMMIT_ROWS
    started: float = field(default_factory=time.monotonic)

    def put(self, job: Job, vector: NDArray[np.float32] | None = None) -> None:
        """Take a job, with its vector where that was embedded."""
        self.jobs.append(job)
        if vector is not None:
            self.vectors[job.digest] = vector
        elif job.vector is not None:
            self.vectors[job.digest] = job.vector

    @property
    def full(self) -> bool:
        """Whether it is enough, or has taken long enough."""
        waited = time.monotonic() - self.started
        most_bytes, most_rows = self.most_bytes or COMMIT_BYTES, self.most_rows or COMMIT_ROWS
        return self.bytes >= most_bytes or len(self.jobs) >= most_rows or waited >= self.seconds


@dataclass
class _Written:
    """What became of a chunk.

    Attributes:
        chunk: It.
        jobs: Those whose rows are in the database by this.
        others: Counts of the rest: proteins that another process had stored meanwhile.
        in_vain: Whether another process had stored some of the sequences that were embedded.
    """

    chunk: Chunk
    jobs: list[Job]
    others: Tally
    in_vain: bool


class Commits:
    """The commits of one run, residues before proteins; what is in one is counted once it is in.

    A commit is made by a thread of its own while the next is gathered: so two of them are in memory at most. Counts,
    claims and what the caller is told of are the business of the caller's thread.
    """

    def __init__(
        self,
        store: Store,
        options: Options,
        report: Report,
        entry: LogEntry,
        claims: Claims | None,
        committed: Callable[[], None],
    ) -> None:
        self._store, self._options, self._report = store, options, report
        self._entry, self._claims, self._committed = entry, claims, committed
        self._chunk = self.new_chunk(FIRST_SECONDS)
        self._claimed: deque[tuple[float, list[str]]] = deque()  # when committed, digests
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="protvec-commit")
        self._writing: Future[_Written] | None = None
        self._upkeep: Future[None] | None = None

    @property
    def due(self) -> bool:
        """Whether it is time for a commit."""
        return self._chunk.full

    def new_chunk(self, seconds: float) -> Chunk:
        """What is to be gathered for the next commit, for that long."""
        return Chunk(seconds=seconds, residues=self._store.packing(), rule=self._store.segment_rule)

    def put(self, job: Job, embedding: Embedding | None) -> None:
        """Take a job, with its embedding where it is the one that embeds."""
        chunk = self._chunk
        if embedding is None:
            chunk.put(job)
            return
        if chunk.residues is not None:  # encoded now: a commit's worth takes a quarter of the memory
            chunk.residues.add(job.digest, embedding.residues)
            chunk.bytes = chunk.residues.nbytes
        if chunk.rule is not None and chunk.rule.count(len(embedding.residues)):
            chunk.segments[job.digest] = chunk.rule.cut(embedding.residues)
        chunk.put(job, embedding.vector)

    def write(self) -> bool:
        """Commit what there is, and wait for it.

        Returns:
            As ``collect``.
        """
        before = self.begin()
        return self.collect(wait=True) or before

    def begin(self) -> bool:
        """Begin to commit what there is, once what was begun before is in.

        Returns:
            As ``collect``, of what was begun before.
        """
        in_vain = self.collect(wait=True)
        chunk, self._chunk = self._chunk, self.new_chunk(min(2 * self._chunk.seconds, COMMIT_SECONDS))
        if chunk.jobs:
            self._writing = self._worker.submit(self._write, chunk)
        return in_vain

    def collect(self, *, wait: bool = False) -> bool:
        """Count what was begun, if it is in by now, and have the database mend itself after it.

        Args:
            wait: Until it is in.

        Returns:
            Whether another process had stored some of its sequences since they were looked up.

        Raises:
            DatabaseError: It failed. What was gathered meanwhile is not tried: some of it may need what failed.
        """
        if self._upkeep is not None and (wait or self._upkeep.done()):
            upkeep, self._upkeep = self._upkeep, None
            upkeep.result()
        if self._writing is None or not (wait or self._writing.done()):
            return False
        try:
            written = self._writing.result()
        except Exception:
            self._writing, self._chunk = None, self.new_chunk(COMMIT_SECONDS)
            raise
        self._writing = None
        self._count(written)
        self._give_back([job.digest for job in written.chunk.jobs if job.embed])
        self._committed()
        self._upkeep = self._worker.submit(self._store.maintain)
        return written.in_vain

    def close(self) -> None:
        """Wait for what is under way, and have no thread any more.

        Raises:
            DatabaseError: It failed.
        """
        try:
            self.collect(wait=True)
            self.collect(wait=True)  # the upkeep that the first has begun
        finally:
            self._worker.shutdown()

    def _write(self, chunk: Chunk) -> _Written:
        """Commit a chunk. In the thread for that."""
        self._store.refresh()
        in_vain = bool(self._store.vectors([job.digest for job in chunk.jobs if job.embed]))
        others = Tally()
        left = self._left(chunk.jobs, others)
        if left:
            rows, arrays = self.rows(chunk, left), self.residues(chunk, left)
            alone = self._store.write(
                rows, arrays, replace=self._options.update, run=self._entry, segments=chunk.segments
            )
            # Others were a moment earlier; a protein that they have deleted again by now was there, too.
            gone = self._left([job for job in left if job.record.id in alone], others)
            others.unchanged += len(gone)
            left = [job for job in left if job.record.id not in alone]
        return _Written(chunk, left, others, in_vain)

    def _left(self, jobs: list[Job], others: Tally) -> list[Job]:
        """The jobs but for those whose protein another process has stored meanwhile; these are counted there."""
        known = self._store.known([job.record.id for job in jobs])
        left = []
        for job in jobs:
            before = known.get(job.record.id)
            if job.fate == "updated" or before is None:
                left.append(job)
            elif replaces(job.record, job.row, before, self._options.update, others):
                job.fate = "updated"
                left.append(job)
        return left

    def rows(self, chunk: Chunk, jobs: list[Job]) -> pa.Table:
        """The rows to write, with their vectors."""
        missing = {job.digest for job in jobs} - chunk.vectors.keys()
        vectors = chunk.vectors | self._store.vectors(list(missing))  # embedded in an earlier chunk of this run
        if gone := missing - vectors.keys():
            raise DatabaseError(
                f"{self._store.path}: {len(gone)} sequences were removed by another process meanwhile: run it again"
            )
        return protein_table([job.row for job in jobs], np.stack([vectors[job.digest] for job in jobs]))

    def residues(self, chunk: Chunk, jobs: list[Job]) -> Packed | Iterable[tuple[str, Stored]]:  # noqa: ARG002
        """The arrays of those that were embedded; of others too, perhaps."""
        return () if chunk.residues is None else chunk.residues

    def _count(self, written: _Written) -> None:
        self._report.unchanged += written.others.unchanged
        self._report.stale += written.others.stale
        self._report.skipped += written.others.skipped
        for job in written.jobs:
            self._report.count(job.fate)
        for job in written.chunk.jobs:
            if job.embed:
                self._report.embedded += 1
                self._report.embedded_residues += job.row["length"]

    def _give_back(self, digests: list[str]) -> None:
        """Let others have the sequences that were committed a while ago."""
        if self._claims is None:
            return
        now = time.monotonic()
        self._claimed.append((now, digests))
        while self._claimed and now - self._claimed[0][0] > KEEP_CLAIMS_SECONDS:
            self._claims.give_back(self._claimed.popleft()[1])
