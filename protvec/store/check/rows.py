"""What can be seen of the rows of the two tables without decoding a residue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from protvec.store.check.findings import Finding
from protvec.store.codec import CODECS
from protvec.store.digest import NO_SEQUENCE
from protvec.store.digest import digest as digest_of
from protvec.store.schema import PROTEINS, RESIDUES, matrix_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.store.check.fragments import Fragments, Part


@dataclass
class Rows:
    """Keys and lengths of the readable rows of a table, in its order."""

    keys: list[pa.Array] = field(default_factory=list)
    digests: list[pa.Array] = field(default_factory=list)
    lengths: list[NDArray[np.int32]] = field(default_factory=list)
    places: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, key: pa.Array, digest: pa.Array, length: pa.Array, first: int) -> None:
        """The rows of a batch; ``first`` is the place of its first in the table."""
        self.keys.append(key)
        self.digests.append(digest)
        self.lengths.append(length.to_numpy(zero_copy_only=False))
        self.places.append(np.arange(first, first + len(key)))

    def leave_out(self, parts: Iterable[Part]) -> None:
        """Forget the rows of fragments that turned out not to be readable to their end."""
        parts = list(parts)
        good = [not any(part.start <= places[0] < part.start + part.rows for part in parts) for places in self.places]
        for columns in (self.keys, self.digests, self.lengths, self.places):
            columns[:] = [each for each, keep in zip(list(columns), good, strict=True) if keep]

    def key(self) -> pa.ChunkedArray:
        """Ids of proteins; of residues, digests."""
        return _chunked(self.keys)

    def digest(self) -> pa.ChunkedArray:
        """Digests."""
        return _chunked(self.digests)

    def length(self) -> NDArray[np.int32]:
        """Values of the column ``length``."""
        return np.concatenate([np.empty(0, np.int32), *self.lengths])

    def place(self) -> NDArray[np.int64]:
        """Where the rows are in the table."""
        return np.concatenate([np.empty(0, np.int64), *self.places])


def _chunked(arrays: list[pa.Array]) -> pa.ChunkedArray:
    import pyarrow as pa

    return pa.chunked_array(arrays, pa.string())


def scan_proteins(fragments: Fragments, seen: Callable[[int], None]) -> tuple[Rows, list[Finding]]:
    """Read every row of ``proteins``; what is wrong with single rows."""
    import pyarrow.compute as pc

    rows = Rows()
    lengths: list[str] = []
    digests: list[str] = []
    vectors: list[str] = []

    def use(part: Part, offset: int, batch: pa.RecordBatch) -> None:
        ids, sequences = batch["id"], batch["sequence"]
        rows.add(ids, batch["digest"], batch["length"], part.start + offset)
        # Of an imported vector without a sequence, nobody but the file knows the length.
        differs = pc.and_(pc.not_equal(sequences, ""), pc.not_equal(pc.utf8_length(sequences), batch["length"]))
        lengths.extend(ids.filter(differs).to_pylist())
        good = np.isfinite(matrix := matrix_of(batch["vector"])).all(axis=1) & matrix.any(axis=1)
        vectors.extend(ids.filter(~good).to_pylist())
        named = zip(ids.to_pylist(), sequences.to_pylist(), batch["digest"].to_pylist(), strict=True)
        digests.extend(key for key, text, digest in named if not _fits(text, digest))
        seen(batch.num_rows)

    fragments.scan(["id", "digest", "sequence", "length", "vector"], use)
    rows.leave_out(part for part in fragments.parts if part.id in fragments.damaged)
    twice = repeated(rows.key())
    found = [
        _finding("duplicate-id", PROTEINS, "{} ids occur more than once", twice),
        _finding("wrong-digest", PROTEINS, "{} digests are not those of their sequences", digests),
        _finding("wrong-length", PROTEINS, "{} lengths are not those of their sequences", lengths),
        _finding("bad-vector", PROTEINS, "{} vectors are zero or not finite", vectors),
    ]
    return rows, [finding for finding in found if finding.count]


def _fits(sequence: str, digest: str) -> bool:
    return digest_of(sequence) == digest if sequence else digest.startswith(NO_SEQUENCE)


def scan_residues(fragments: Fragments, seen: Callable[[int], None]) -> tuple[Rows, list[Finding]]:
    """Read every row of ``residues`` but for its bytes; what is wrong with single rows."""
    rows = Rows()
    codecs: list[str] = []

    def use(part: Part, offset: int, batch: pa.RecordBatch) -> None:
        rows.add(batch["digest"], batch["digest"], batch["length"], part.start + offset)
        named = zip(batch["digest"].to_pylist(), batch["codec"].to_pylist(), strict=True)
        codecs.extend(key for key, codec in named if codec not in CODECS or not CODECS[codec].keeps)
        seen(batch.num_rows)

    fragments.scan(["digest", "length", "codec"], use)
    rows.leave_out(part for part in fragments.parts if part.id in fragments.damaged)
    found = [
        _finding("duplicate-residues", RESIDUES, "{} digests occur more than once", repeated(rows.key())),
        _finding("bad-residues", RESIDUES, "{} arrays are in a codec that there is not", codecs),
    ]
    return rows, [finding for finding in found if finding.count]


def lengths_that_differ(proteins: Rows, residues: Rows) -> Finding | None:
    """Residues whose length is not that of the proteins that have them."""
    import pyarrow.compute as pc

    digests = proteins.digest()
    place = pc.index_in(residues.digest(), value_set=digests.combine_chunks())
    owned = pc.is_valid(place).to_numpy()
    lengths = proteins.length()[pc.fill_null(place, 0).to_numpy()] if len(digests) else residues.length()
    wrong = residues.digest().filter(owned & (lengths != residues.length())).to_pylist()
    message = "{} lengths are not those of their proteins"
    return _finding("wrong-residues-length", RESIDUES, message, wrong) if wrong else None


def repeated(keys: pa.ChunkedArray) -> list[str]:
    """The keys that occur more than once."""
    import pyarrow.compute as pc

    if len(pc.unique(keys)) == len(keys):
        return []
    counted = pc.value_counts(keys)
    return list(counted.field("values").filter(pc.greater(counted.field("counts"), 1)).to_pylist())


def _finding(code: str, table: str, message: str, keys: list[str]) -> Finding:
    return Finding(code, table, message.format(f"{len(keys):,}"), len(keys), tuple(keys))
