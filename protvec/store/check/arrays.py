"""Residue arrays against the vectors of their proteins."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np

from protvec.store.arrays import rows_of
from protvec.store.check.findings import Finding
from protvec.store.codec import CODECS, codec_named, mean_slack
from protvec.store.schema import PROTEINS, RESIDUES, matrix_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import NDArray

    from protvec.store.arrays import Row
    from protvec.store.check.fragments import Fragments, Part
    from protvec.store.check.rows import Rows

SAMPLE = 256  # arrays that are compared unless all are
_AT_ONCE = 32  # arrays in memory
_ROUNDING = 1e-5  # of a vector's norm: it was summed in float32


class Owners:
    """Which rows of ``proteins`` have which digest."""

    def __init__(self, proteins: Rows, dataset: LanceDataset) -> None:
        import pyarrow.compute as pc

        self._dataset = dataset
        self._place = proteins.place()
        encoded = pc.dictionary_encode(proteins.digest()).combine_chunks()
        self._digests = encoded.dictionary
        codes = encoded.indices.to_numpy()
        self._order = np.argsort(codes, kind="stable")
        self._bounds = np.searchsorted(codes[self._order], np.arange(len(self._digests) + 1))

    def vectors(self, digests: pa.Array) -> list[tuple[list[str], NDArray[np.float32]]]:
        """For each digest the ids of its proteins, and their vectors: ndarray, shape=(N, D)."""
        import pyarrow.compute as pc

        codes = pc.index_in(digests, value_set=self._digests).to_pylist()
        none = np.empty(0, np.int64)
        rows = [none if c is None else self._order[self._bounds[c] : self._bounds[c + 1]] for c in codes]
        wanted = self._place[np.concatenate([none, *rows])]
        table = self._dataset.take(wanted.tolist(), columns=["id", "vector"]).combine_chunks()
        ids = table["id"].to_pylist()
        matrix = matrix_of(table["vector"])
        ends = np.cumsum([len(each) for each in rows])
        return [(ids[end - len(r) : end], matrix[end - len(r) : end]) for r, end in zip(rows, ends, strict=True)]


class Comparison:
    """Decodes arrays, and collects those that are damaged or whose mean is not the vector."""

    def __init__(self, owners: Owners, dimension: int, *, recoded: bool) -> None:
        """Compare; ``recoded``: the arrays may have been through other codecs before, whose errors add up."""
        self._owners = owners
        self._dimension = dimension
        self._recoded = recoded
        self.compared = 0
        self.bad: list[str] = []
        self.differ: list[str] = []

    def use(self, batch: pa.RecordBatch) -> None:
        """Compare the arrays of a batch."""
        owners = self._owners.vectors(batch["digest"])
        for row, (ids, vectors) in zip(rows_of(batch), owners, strict=True):
            self.compared += 1
            array = self._decode(row)
            if array is None:
                self.bad.append(row[0])
            elif ids:
                slack = self._slack(row[1], array)
                self.differ += _far(ids, vectors, array.mean(axis=0, dtype=np.float64), slack)

    def _decode(self, row: Row) -> NDArray[np.float32] | None:
        """The array; None where it is not one of the right shape, or has values that are not finite."""
        _, codec, length, scales, data = row
        try:
            raw = None if scales is None else memoryview(scales)
            array = codec_named(codec).decode(memoryview(data), raw, length=length)
        except (ValueError, TypeError, IndexError, KeyError, NotImplementedError):
            return None
        good = array.shape == (length, self._dimension) and bool(np.isfinite(array).all())
        return array if good else None

    def _slack(self, codec: str, array: NDArray[np.float32]) -> float:
        codecs = CODECS.values() if self._recoded else [codec_named(codec)]
        return sum(mean_slack(each, array) for each in codecs)

    def findings(self) -> list[Finding]:
        """What was found."""
        bad, differ = tuple(self.bad), tuple(dict.fromkeys(self.differ))
        found = [
            Finding(
                "bad-residues", RESIDUES, f"{len(bad):,} arrays cannot be decoded, or are not finite", len(bad), bad
            ),
            Finding(
                "wrong-vector",
                PROTEINS,
                f"{len(differ):,} vectors are not the mean of their residues",
                len(differ),
                differ,
            ),
        ]
        return [finding for finding in found if finding.count]


def _far(ids: list[str], vectors: NDArray[np.float32], mean: NDArray[np.float64], slack: float) -> list[str]:
    """The proteins whose vector is further from the mean than it may be; zeros and NaN are another finding."""
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1)
    far = np.linalg.norm(wide - mean, axis=1) > slack + _ROUNDING * norms
    return [ids[int(i)] for i in np.flatnonzero(far & np.isfinite(norms) & (norms > 0))]


def compare(fragments: Fragments, comparison: Comparison, *, full: bool, seen: Callable[[int], None]) -> None:
    """Compare a sample of the arrays, or all of them, in bounded memory."""
    total = sum(part.rows for part in fragments.parts)
    chosen = None if full or total <= SAMPLE else set(random.sample(range(total), SAMPLE))

    def only(part: Part) -> list[int] | None:
        if chosen is None:
            return None
        return [place - part.start for place in sorted(chosen) if part.start <= place < part.start + part.rows]

    def use(part: Part, offset: int, batch: pa.RecordBatch) -> None:  # noqa: ARG001
        comparison.use(batch)
        seen(batch.num_rows)

    columns = ["digest", "codec", "length", "scales", "data"]
    fragments.scan(columns, use, batch_size=_AT_ONCE, only=only)
