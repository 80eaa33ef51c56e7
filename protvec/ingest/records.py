"""One stream of records from many sources, and what is to become of each: the same for plan and run."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from protvec import headers
from protvec.errors import FastaError
from protvec.fasta import Record, Rejected
from protvec.ingest.course import Course
from protvec.ingest.report import Changed, Skipped, Tally
from protvec.store import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from protvec.ingest.report import Fate
    from protvec.ingest.sources import Readable
    from protvec.store import Claims, Known, Store

BATCH = 200  # records looked up in the database at a time
# How often a look at the database is checked for being the newest: other processes may be at work. In an object
# store each check is a request.
LOOK_SECONDS, REMOTE_LOOK_SECONDS = 0.1, 3.0
_SAID_BY_THE_USER = ("dataset", "organism", "taxid")


Keyed: TypeAlias = tuple[Record, str]
"""A record and the digest of its sequence."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How an ingest treats records.

    Attributes:
        dataset: Name stored with every record, such as ``AtCol-0``.
        organism: Organism of records whose header names none.
        taxid: NCBI taxonomy identifier of records whose header names none.
        update: Replace known proteins whose sequence or metadata differs.
        fix: Names of repairs (``fasta.FIXES``) for sequences that would be skipped.
        nucleotides_ok: Do not refuse a file that looks like nucleotides.
    """

    dataset: str | None = None
    organism: str | None = None
    taxid: int | None = None
    update: bool = False
    fix: frozenset[str] = frozenset()
    nucleotides_ok: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self) | {"fix": sorted(self.fix)}


@dataclass(slots=True)
class Job:
    """A record that becomes a row.

    Attributes:
        record: The record.
        fate: The count of the report that it goes to.
        row: The row but for its vector.
        vector: ndarray, shape=(D,), where the database has one of this sequence.
        embed: Whether this job is the one that embeds its sequence.
    """

    record: Record
    fate: Fate
    row: dict[str, Any]
    vector: NDArray[np.float32] | None
    embed: bool

    @property
    def digest(self) -> str:
        """Digest of the sequence."""
        return str(self.row["digest"])

    @property
    def sequence(self) -> str:
        """The residues."""
        return str(self.row["sequence"])


def jobs(
    sources: Sequence[Readable],
    store: Store | None,
    options: Options,
    tally: Tally,
    *,
    course: Course | None = None,
    claims: Claims | None = None,
    batch_size: int = BATCH,
) -> Iterator[Job]:
    """Every record that becomes a row, in order; the others go to ``tally`` at once.

    Args:
        sources: The inputs.
        store: The database, or None where it is still to be made.
        options: How records are treated.
        tally: Counts.
        course: What is to be done of the input; by default all of it.
        claims: Of this process; sequences that another one is embedding are left for later.
        batch_size: Records that are looked up in the database at a time.

    Raises:
        FastaError: a file cannot be read, or two records with one id differ.
    """
    course = course or Course()
    reading = tally if course.begins else Tally()  # what was read once is counted
    claimed: set[str] = set()  # digests that a job of this stream embeds
    for batch in course.choose(batched(unique(sources, options, reading), batch_size)):
        for place, job in classified(batch, store, options, tally, claimed, claims):
            if job.embed and claims and not claims.take(job.digest):
                course.leave(place)
                continue
            if job.embed:
                claimed.add(job.digest)
            yield job


def classified(
    batch: Sequence[tuple[int, Keyed]],
    store: Store | None,
    options: Options,
    tally: Tally,
    claimed: set[str],
    claims: Claims | None = None,
) -> Iterator[tuple[int, Job]]:
    """The jobs of a batch, looked up again when somebody has changed the database meanwhile."""
    while batch:
        look = _Look(store, claims)
        rows = [make_row(record, key, options) for _, (record, key) in batch]
        known = store.known([row["id"] for row in rows]) if store else {}
        new = {row["digest"] for row in rows if options.update or row["id"] not in known}
        vectors = store.vectors(list(new)) if store and new else {}
        for done, ((place, (record, _)), row) in enumerate(zip(batch, rows, strict=True)):
            if done and look.is_old():
                batch = batch[done:]
                break
            before = known.get(record.id)
            if before is None or replaces(record, row, before, options.update, tally):
                yield place, _job(record, row, before, vectors, claimed)
        else:
            return


class _Look:
    """A look at the database, and whether it is still the newest."""

    def __init__(self, store: Store | None, claims: Claims | None) -> None:
        self._store, self._claims = store, claims
        if claims:
            claims.look()
        if store:
            self._version = store.newest_version()  # before: what is looked at is at least as new
            store.refresh()
            self._seconds = LOOK_SECONDS if store.location.is_local else REMOTE_LOOK_SECONDS
        self._checked = time.monotonic()

    def is_old(self) -> bool:
        """Whether the database has changed since, as far as that was checked lately."""
        if self._claims and self._claims.outdated:
            return True
        if self._store is None or time.monotonic() - self._checked < self._seconds:
            return False
        self._checked = time.monotonic()
        return self._store.newest_version() != self._version


def make_row(record: Record, key: str, options: Options) -> dict[str, Any]:
    """The row of a record, but for its vector; what the header says comes before what the options say.

    Args:
        record: The record.
        key: The digest of its sequence.
        options: What the user said of all records.
    """
    meta = headers.parse(record.id, record.description)
    return {
        "id": record.id,
        "digest": key,
        "sequence": record.sequence,
        "length": len(record.sequence),
        "description": meta.description,
        "header": record.description,
        "gene": meta.gene,
        "symbols": list(meta.symbols),
        "locus": meta.locus,
        "transcript": meta.transcript,
        "organism": meta.organism or options.organism,
        "taxid": options.taxid if meta.taxid is None else meta.taxid,
        "accession": meta.accession,
        "source": meta.source,
        "dataset": options.dataset,
        "location": meta.location,
    }


def unique(sources: Sequence[Readable], options: Options, tally: Tally) -> Iterator[Keyed]:
    """Each record that is not a repeat, and the digest of its sequence."""
    seen: dict[str, tuple[str, str, int]] = {}  # id -> sequence digest, file, line
    for source in sources:
        for item in source.read(fix=options.fix, nucleotides_ok=options.nucleotides_ok):
            tally.requested += 1
            if isinstance(item, Rejected):
                tally.skipped.append(Skipped(item.id, item.file, item.line, item.reason))
                continue
            if item.changes:
                tally.changed.append(Changed(item.id, item.file, item.line, item.changes))
            key = digest(item.sequence)
            if _repeats(item, key, seen):
                tally.repeated += 1
                tally.unchanged += 1
            else:
                yield item, key


def _repeats(record: Record, key: str, seen: dict[str, tuple[str, str, int]]) -> bool:
    first, file, line = seen.setdefault(record.id, (key, record.file, record.line))
    if (file, line) == (record.file, record.line):
        return False
    if first != key:
        raise FastaError(
            f"id {record.id!r} occurs again with another sequence; it was first at {file}:{line}. "
            "Ids must be unique: rename or remove one",
            file=record.file,
            line=record.line,
        )
    return True


def replaces(record: Record, row: dict[str, Any], before: Known, update: bool, tally: Tally) -> bool:
    """Whether the record replaces the row that its id has; where it does not, it is counted here."""
    for column in _SAID_BY_THE_USER:
        if row[column] is None:  # not said this time is no reason to forget it
            row[column] = before.row[column]
    same_sequence = before.digest == row["digest"]
    same_row = same_sequence and all(before.row[column] == value for column, value in row.items())
    if update and not same_row:
        return True
    if same_sequence:
        tally.unchanged += 1
        tally.stale += not same_row
    else:
        reason = "the database has another sequence under this id; --update replaces it"
        tally.skipped.append(Skipped(record.id, record.file, record.line, reason))
    return False


def _job(
    record: Record,
    row: dict[str, Any],
    before: Known | None,
    vectors: dict[str, NDArray[np.float32]],
    claimed: set[str],
) -> Job:
    key = row["digest"]
    vector = vectors.get(key)
    embed = vector is None and key not in claimed
    if before is not None:
        return Job(record, "updated", row, vector, embed)
    return Job(record, "added" if embed else "reused", row, vector, embed)


def batched(records: Iterable[Keyed], size: int) -> Iterator[list[Keyed]]:
    """So many records at a time."""
    batch: list[Keyed] = []
    for record in records:
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
