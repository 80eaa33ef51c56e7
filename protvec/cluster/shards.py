"""A directory of shards: the records, and one small database for each shard that is being embedded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from protvec.cluster.manifest import Manifest
from protvec.errors import DatabaseExistsError, DatabaseNotFoundError, ShardError
from protvec.fasta import Record
from protvec.store import InputFile, Store, locate, open_work

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from protvec.ingest import Options
    from protvec.store import Location, Work

RECORDS = "records.lance"
ARITHMETIC = "arithmetic.lance"


def record_schema() -> pa.Schema:
    """Of the table of records: what a record of a FASTA file is, cleaned, and the digest of its sequence."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("digest", pa.string(), nullable=False),
            pa.field("description", pa.string(), nullable=False),
            pa.field("sequence", pa.string(), nullable=False),
            pa.field("file", pa.string(), nullable=False),
            pa.field("line", pa.int64(), nullable=False),
            pa.field("changes", pa.list_(pa.string())),
        ]
    )


@dataclass(frozen=True)
class Progress:
    """How far a shard is.

    Attributes:
        number: Its number.
        sequences: Distinct sequences embedded and stored.
        complete: Whether these are all, each with its array, and every record is there.
        working: Where it is being embedded, as far as its log says.
    """

    number: int
    sequences: int
    complete: bool
    working: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """``complete``, ``working``, ``begun`` or ``missing``."""
        if self.complete:
            return "complete"
        return "working" if self.working else "begun" if self.sequences else "missing"


class Shards:
    """An open directory of shards.

    Attributes:
        path: Of the directory.
        location: The same with the options that it takes to get there.
        manifest: What it says about itself.
    """

    def __init__(self, location: Location, manifest: Manifest, work: Work) -> None:
        """Use ``Shards.open``, or ``cut``."""
        self.location = location
        self.path = location.path
        self.manifest = manifest
        self._work = work

    @classmethod
    def open(cls, path: str | Path, *, storage_options: Mapping[str, str] | None = None) -> Shards:
        """Open a directory that ``cut`` made.

        Args:
            path: The directory, or its URL in an object store.
            storage_options: Of the object store.

        Raises:
            ShardError: There is none, or it is damaged.
            DatabaseLocationError: A mistyped place, or one that cannot be reached.
        """
        location = locate(path, storage_options)
        work = open_work(location.join(RECORDS)) if RECORDS in location.entries() else None
        if work is None:
            raise ShardError(f"{location}: no shards there: `protvec shard FASTA… -o {path}` makes them")
        return cls(location, Manifest.from_json(work.about, path=location.path), work)

    @property
    def count(self) -> int:
        """How many shards there are."""
        return len(self.manifest.shards)

    @property
    def options(self) -> Options:
        """How records become rows of a shard's own database, where none is known before."""
        return replace(self.manifest.options, update=False)

    def check(self, number: int) -> None:
        """Check that there is a shard of that number.

        Raises:
            ShardError: There is not; says which there are.
        """
        if not 0 <= number < self.count:
            raise ShardError(f"{self.path}: no shard {number}: there are {self.count}, 0 to {self.count - 1}")

    def source(self, number: int) -> ShardSource:
        """The records of a shard, or of the rest."""
        return ShardSource(self, number)

    def rows(self, number: int) -> Iterator[pa.RecordBatch]:
        """The rows of a shard, or of the rest."""
        part = self.manifest.part(number)
        return self._work.rows(part.first, part.rows)

    # -- what workers make ------------------------------------------------------------------------------------

    def name(self, number: int) -> str:
        """Of a shard's database in this directory."""
        return f"shard-{number:05d}.lancedb"

    def output(self, number: int) -> Store | None:
        """A shard's own database; None where nobody has begun to embed it.

        Raises:
            ShardError: It is of another plan.
            DatabaseError: It is damaged.
        """
        where = self.location.join(self.name(number))
        try:
            store = Store.open(where.path, storage_options=where.storage, read_consistency_seconds=0.0)
        except DatabaseNotFoundError:
            return None
        if not store.space.matches(self.manifest.space) or store.codec != self.manifest.codec:
            raise ShardError(
                f"{where}: another model's, or kept as {store.codec}: remove it, and embed the shard again"
            )
        return store

    def make_output(self, number: int) -> Store:
        """A shard's own database, made if need be."""
        store = self.output(number)
        if store is None:
            where = self.location.join(self.name(number))
            try:
                return Store.create(
                    where.path, self.manifest.space, codec=self.manifest.codec, storage_options=where.storage
                )
            except DatabaseExistsError:  # another worker has just made it
                return self.make_output(number)
        return store

    def progress(self, number: int, *, listed: Collection[str] | None = None) -> Progress:
        """How far a shard is.

        Args:
            number: Its number.
            listed: Names of what is in the directory, where they are known.
        """
        part = self.manifest.part(number)
        if not part.sequences:
            return Progress(number, 0, complete=True)
        store = self.output(number) if listed is None or self.name(number) in listed else None
        if store is None:
            return Progress(number, 0, complete=False)
        facts = store.info()
        kept = part.sequences if store.codec == "none" else facts["residue_arrays"]
        whole = (facts["proteins"], facts["sequences"], kept) == (part.rows, part.sequences, part.sequences)
        working = () if whole else tuple(f"{e.host}:{e.pid}" for e in store.ledger.entries() if e.state == "running")
        return Progress(number, facts["sequences"], whole, working)


class ShardSource:
    """The records of a shard as an input of an ingest: see ``protvec.ingest.sources.Readable``."""

    def __init__(self, shards: Shards, number: int) -> None:
        """Use ``Shards.source``."""
        self.name = f"{shards.path}#{number}"
        self._shards = shards
        self._number = number

    def read(self, *, fix: Collection[str] = (), nucleotides_ok: bool = False) -> Iterator[Record]:  # noqa: ARG002
        """The records, cleaned already.

        Raises:
            ShardError: They are not those that were put there.
        """
        part = self._shards.manifest.part(self._number)
        seen, count = hashlib.sha256(), 0
        for batch in self._shards.rows(self._number):
            for row in batch.to_pylist():
                seen.update(line_of(row["id"], row["digest"]))
                count += 1
                yield Record(
                    row["id"],
                    row["description"],
                    row["sequence"],
                    row["file"],
                    row["line"],
                    tuple(row["changes"] or ()),
                )
        if count != part.rows or seen.hexdigest() != part.sha256:
            raise ShardError(f"{self.name}: damaged: its records are not those that were cut: make the shards again")

    def describe(self) -> InputFile:
        """It, as the ledger of its database names it."""
        return InputFile(self.name, self._shards.manifest.part(self._number).sha256, None)


def line_of(id: str, digest: str) -> bytes:
    """What a row adds to the digest of its shard."""
    return f"{id}\t{digest}\n".encode()
