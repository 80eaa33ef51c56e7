"""Shards into a database: each exactly once, whoever is killed and however many do it at once."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from protvec.cluster.embedding import engine_of
from protvec.cluster.records import ShardCommits
from protvec.errors import DatabaseError, ShardError, SpaceMismatchError
from protvec.ingest import Observer, Report
from protvec.ingest.recorded import note_commit, recorded
from protvec.ingest.records import jobs
from protvec.store import Claims, digest
from protvec.words import some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from protvec.cluster.shards import Shards
    from protvec.store import LogEntry, Store

LOOK_UP = 2_000  # records at a time
POLL_SECONDS, REMOTE_POLL_SECONDS = 5.0, 30.0
COMMAND = "commit"


@dataclass
class Committed(Report):
    """What a commit of shards did: the report of an ingest, and the shards.

    Attributes:
        shards: How many there are.
        committed: Those that are in the database now, by this run or an earlier one.
        missing: Those that are not, as they are not embedded.
    """

    shards: int = 0
    committed: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)


def commit(
    shards: Shards,
    store: Store,
    *,
    partial: bool = False,
    wait: bool = False,
    observer: Observer | None = None,
    notify: Callable[[str], None] | None = None,
    poll: Callable[[], None] | None = None,
    complete: Callable[[int], bool] | None = None,
    trust_log: bool = True,
    command: str = COMMAND,
) -> Committed:
    """Put shards into a database, as an ingest of the same files would have.

    The database remembers by its log which shards it has. A committer that is killed before it could say so leaves rows
    that the next one finds by their ids: they are not written again.

    Args:
        shards: The directory.
        store: The database.
        partial: Commit the shards that are complete, and leave the others for another time.
        wait: Commit shards as they are completed, until all are.
        observer: Sees progress, and may stop the run after a commit.
        notify: Called with a line of text where the user should know something.
        poll: Called between two looks at what is complete, in place of waiting some seconds.
        complete: Says which shards are worth a look; by default all are looked at.
        trust_log: Take the log's word for which shards are in. Without, proteins that were deleted since come back, as
            an ingest of the same files would have it.
        command: For the log.

    Returns:
        The report. Requested records are those of the input; with ``partial``, those of the shards that are in.

    Raises:
        ShardError: Shards are not complete, and neither ``partial`` nor ``wait`` was asked for: nothing was written.
        SpaceMismatchError: The database holds vectors of another model.
        DatabaseError: It keeps residues otherwise, or the disk or other writers fail it.
        IngestInterrupted: The observer asked to stop; it carries the report of what is stored.
    """
    committer = _Committer(shards, store, observer or Observer(), notify or (lambda _: None))
    committer.complete, committer.trust_log, committer.command = complete, trust_log, command
    return committer.run(partial=partial, wait=wait, poll=poll)


def committed_shards(shards: Shards, store: Store) -> set[int]:
    """The shards that the database has, as its log says; the number of the shards stands for the rest."""
    found: set[int] = set()
    for entry in store.ledger.entries():
        if entry.options.get("plan") == shards.manifest.id:
            found.update(entry.options.get("committed", ()))
    return found


def check_target(shards: Shards, store: Store) -> None:
    """Check that shards can go into a database.

    Raises:
        SpaceMismatchError: It holds vectors of another model.
        DatabaseError: It keeps residues otherwise: they would not be what an ingest gives.
    """
    space, codec = shards.manifest.space, shards.manifest.codec
    if not store.space.matches(space):
        raise SpaceMismatchError(
            f"{store.path} holds vectors of {store.space}, {shards.path} of {space}",
            expected=store.space,
            actual=space,
        )
    if store.codec != codec:
        raise DatabaseError(
            f"{store.path} keeps residue arrays as {store.codec}, {shards.path} as {codec}: "
            f"cut the files again with --db {store.path}, or commit into a new database"
        )


def check_complete(shards: Shards) -> None:
    """Check that every shard is embedded.

    Raises:
        ShardError: Some are not; says which.
    """
    listed = shards.location.entries()
    _refuse(shards, [n for n in range(shards.count) if not shards.progress(n, listed=listed).complete])


def _refuse(shards: Shards, missing: list[int]) -> None:
    if missing:
        raise ShardError(
            f"{shards.path}: {len(missing)} of {shards.count} shards are not embedded: {some(missing, 10)}. "
            "Embed them, or commit what there is with --partial, or as it comes with --wait"
        )


class _Committer:
    """One run over the shards of a directory. Its attributes are arguments of ``commit``."""

    complete: Callable[[int], bool] | None = None
    trust_log: bool = True
    command: str = COMMAND

    def __init__(self, shards: Shards, store: Store, observer: Observer, notify: Callable[[str], None]) -> None:
        self._shards, self._store, self._observer, self._notify = shards, store, observer, notify
        self._claims = Claims(store.location)
        manifest = shards.manifest
        self._report = Committed(
            database=store.path,
            files=[file.name for file in manifest.files],
            model=store.space.model,
            shards=shards.count,
            requested=len(manifest.rejected) + manifest.repeated,
            repeated=manifest.repeated,
            unchanged=manifest.repeated,
            skipped=list(manifest.rejected),
        )

    def run(self, *, partial: bool, wait: bool, poll: Callable[[], None] | None) -> Committed:
        """See ``commit``."""
        check_target(self._shards, self._store)
        self._store.check_writable()
        left = self._to_do()
        ready = self._ready(left)
        if not (partial or wait):
            _refuse(self._shards, sorted(set(left) - set(ready)))
        report, files = self._report, self._shards.manifest.files
        with (
            recorded(self._store, self.command, report, files=files, options=self._options()) as entry,
            closing(self._claims),
        ):
            self._work(ready, entry, wait=wait, poll=poll)
        return report

    def _options(self) -> dict[str, Any]:
        plain = self._shards.manifest.options.to_dict() | {"residues": self._store.codec}
        return plain | {"plan": self._shards.manifest.id, "committed": []}

    # -- which -------------------------------------------------------------------------------------------------

    def _to_do(self) -> list[int]:
        """The shards that the database does not have, and the rest at the end; what it has is counted."""
        report = self._report
        there = committed_shards(self._shards, self._store) if self.trust_log else set()
        numbers = range(self._shards.count + 1)
        for number in there.intersection(numbers).difference(report.committed):
            rows = self._shards.manifest.part(number).rows
            report.requested += rows
            report.unchanged += rows
            report.committed.append(number)
        return [number for number in numbers if number not in report.committed]

    def _ready(self, numbers: Iterable[int]) -> list[int]:
        listed = self._shards.location.entries()
        worth = [n for n in numbers if n == self._shards.count or self.complete is None or self.complete(n)]
        return [n for n in worth if n == self._shards.count or self._shards.progress(n, listed=listed).complete]

    # -- doing -------------------------------------------------------------------------------------------------

    def _work(self, ready: list[int], entry: LogEntry, *, wait: bool, poll: Callable[[], None] | None) -> None:
        report = self._report
        while True:
            for number in ready:
                if not report.interrupted and self._claims.take(self._claim(number)):
                    self._one(number, entry)
                    self._claims.give_back([self._claim(number)])
            left = [number for number in self._to_do() if number not in report.committed]
            report.missing = [number for number in left if number < report.shards]
            taken = set(ready).intersection(left)  # another committer is at these, just now
            if report.interrupted or not (taken or (wait and left)):
                report.committed = sorted(number for number in report.committed if number < report.shards)
                return
            if self._observer.should_stop():
                report.interrupted = True
                continue
            self._pause(poll)
            ready = self._ready(left if wait else sorted(taken))

    def _pause(self, poll: Callable[[], None] | None) -> None:
        local = self._shards.location.is_local
        (poll or (lambda: time.sleep(POLL_SECONDS if local else REMOTE_POLL_SECONDS)))()

    def _note_precision(self, precision: str | None, entry: LogEntry) -> None:
        """Record the arithmetic of a shard's vectors, as an ingest does its own."""
        if precision is None or precision == self._report.precision:
            return
        self._store.note_precision(precision)
        if self._store.precision != precision:
            self._notify(f"the database's vectors were made in {self._store.precision}, these are in {precision}")
        self._report.precision = entry.precision = precision
        self._report.engine = entry.engine = engine_of(self._shards)

    def _claim(self, number: int) -> str:
        """What stands for a shard among the things that are claimed."""
        return digest(f"{self._shards.manifest.id}#{number}")

    def _one(self, number: int, entry: LogEntry) -> None:
        """Commit a shard, unless another committer has meanwhile."""
        if number not in self._to_do():
            return
        output = self._shards.output(number) if number < self._shards.count else None
        self._note_precision(output.precision if output is not None else None, entry)
        options, report, store = self._shards.manifest.options, self._report, self._store

        def committed() -> None:
            note_commit(store, report, entry, self._observer)

        with closing(ShardCommits(store, options, report, entry, output, committed)) as commits:
            for job in jobs([self._shards.source(number)], store, options, report, batch_size=LOOK_UP):
                commits.put(job, None)
                self._observer.advanced(1, job.row["length"] if job.embed else 0)
                if commits.due:
                    commits.write()
                    if self._observer.should_stop():
                        report.interrupted = True
                        return
            commits.write()
        report.committed.append(number)
        entry.options["committed"] = [*entry.options["committed"], number]
        store.ledger.progress(entry, now=True)
        report.interrupted = self._observer.should_stop()
