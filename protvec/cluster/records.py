"""Rows and arrays of a shard on their way into the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.errors import DatabaseError
from protvec.ingest.commits import Chunk, Commits
from protvec.store import bytes_per_residue, in_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from protvec.engine.base import Embedding
    from protvec.ingest import Options, Report
    from protvec.ingest.records import Job
    from protvec.store import LogEntry, Store, Stored

# Of encoded residues in one commit: these stream from table to table, 32 MB in memory at a time.
SHARD_BYTES = 1 << 30
SHARD_ROWS = 16_000
_READ_BYTES = 32 << 20


class ShardCommits(Commits):
    """Commits whose vectors and arrays come from the shard's own database, as they are kept there."""

    def __init__(
        self,
        store: Store,
        options: Options,
        report: Report,
        entry: LogEntry,
        shard: Store | None,
        committed: Callable[[], None],
    ) -> None:
        """As ``Commits``; without claims.

        Args:
            store: The database.
            options: How records are treated.
            report: Where everything is counted.
            entry: The run of the ledger.
            shard: The shard's own database; None for records whose sequences need none.
            committed: Called after each commit.
        """
        super().__init__(store, options, report, entry, None, committed)
        self._shard = shard
        self._per_residue = bytes_per_residue(store.codec, store.space.dimension)

    def new_chunk(self, seconds: float) -> Chunk:  # noqa: ARG002
        """A commit's worth, whatever time it takes to gather: it is all embedded."""
        return Chunk(seconds=float("inf"), most_bytes=SHARD_BYTES, most_rows=SHARD_ROWS)

    def put(self, job: Job, embedding: Embedding | None) -> None:
        """Take a job; its embedding is looked up when it is written."""
        super().put(job, embedding)
        if job.embed:
            self._chunk.bytes += round(job.row["length"] * self._per_residue)

    def rows(self, chunk: Chunk, jobs: list[Job]) -> pa.Table:
        """The rows, all of whose vectors must be there before anything is written.

        Raises:
            DatabaseError: The shard, or the database, lacks some.
        """
        wanted = [job.digest for job in jobs if job.embed]
        if self._shard is not None and wanted:
            chunk.vectors |= self._shard.vectors(wanted)
            if self._shard.segment_rule == self._store.segment_rule:
                chunk.segments |= self._shard.segment_means(wanted)
        missing = [key for key in wanted if key not in chunk.vectors]
        if missing:
            where = self._shard.path if self._shard is not None else self._store.path
            reason = "incomplete" if self._shard is not None else "sequences that it had were removed meanwhile"
            raise DatabaseError(
                f"{where}: {reason}: no vector of {len(missing)} sequences, such as {missing[0]}: "
                "embed the shard again, or make the shards again"
            )
        return super().rows(chunk, jobs)

    def residues(self, chunk: Chunk, jobs: list[Job]) -> Iterator[tuple[str, Stored]]:  # noqa: ARG002
        """Arrays as the shard keeps them, some at a time."""
        if self._shard is None or self._store.codec == "none":
            return
        embedded = [job for job in jobs if job.embed]
        for part in in_parts(embedded, lambda job: job.row["length"] * self._per_residue, _READ_BYTES):
            yield from self._shard.stored([job.digest for job in part]).items()
