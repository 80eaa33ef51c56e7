"""How alike the residues of two proteins are: a matrix, or blocks of its rows where the whole would be too large."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from protvec.align.scoring import Scoring, blosum62, letters
from protvec.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from protvec.align.pairing import Described, Pairing

# Cells of a block: 32 MB. Pairs of up to 2,896 residues each are one block.
BLOCK_CELLS = 8 << 20
# Cells of the largest matrix that is given out whole: 1 GB.
WHOLE_CELLS = 256 << 20
_EQUAL = 1e-5  # deviation of cosines, below which they differ by rounding alone


@dataclass(frozen=True, eq=False)
class Chain:
    """One protein, as it is aligned.

    Attributes:
        sequence: L letters.
        residues: ndarray, shape=(L, D), dtype=float32, its embedding.

    Raises:
        QueryError: there is nothing in it, the two are not of one length, or a letter is none.
    """

    sequence: str
    residues: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.residues.ndim != 2 or len(self.residues) != len(self.sequence) or not self.sequence:
            raise QueryError(f"{len(self.sequence)} letters, but residues of shape {self.residues.shape}: need (L, D)")
        _ = self.codes

    def __len__(self) -> int:
        return len(self.sequence)

    @cached_property
    def codes(self) -> NDArray[np.uint8]:
        """ndarray, shape=(L,): the letters as numbers."""
        return letters(self.sequence)

    def prepare(self) -> None:
        """Make now what several threads need."""
        _ = self.unit, self.codes

    @cached_property
    def norms(self) -> NDArray[np.float32]:
        """ndarray, shape=(L,), dtype=float32: the length of each residue's embedding; of zeros a tiny one."""
        squares = np.einsum("ij,ij->i", self.residues, self.residues)
        lengths: NDArray[np.float32] = np.maximum(np.sqrt(squares), np.finfo(np.float32).tiny)
        return lengths

    @cached_property
    def unit(self) -> NDArray[np.float32]:
        """ndarray, shape=(L, D), dtype=float32: the residues, each of length 1; zeros stay zeros."""
        return self.residues / self.norms[:, None]

    def described(self, pairing: Pairing) -> Described:
        """What a pairing makes of it: what is known, or made now."""
        return self.descriptions.get(pairing) or pairing.describe(self)

    def describe_once(self, pairing: Pairing) -> None:
        """Keep what a pairing makes of it: for a query of many targets."""
        self.descriptions[pairing] = self.described(pairing)

    def seen_as(self, pairing: Pairing, described: Described) -> Chain:
        """The same protein, of which a pairing makes something else: see ``profile``."""
        same = Chain(self.sequence, self.residues)
        same.descriptions[pairing] = described
        return same

    @cached_property
    def descriptions(self) -> dict[Pairing, Described]:
        """What pairings made of it."""
        return {}


def similarity(query: Chain, target: Chain, scoring: Scoring) -> NDArray[np.float32]:
    """What each pair of residues scores.

    Returns:
        ndarray, shape=(L, M), dtype=float32: row i is residue i of the query.

    Raises:
        QueryError: the matrix would be of more than 1 GB, or the embeddings have other dimensions. Alignments have
            no such limit: they work in blocks of rows.
    """
    if len(query) * len(target) > WHOLE_CELLS:
        size = 4 * len(query) * len(target) / 1e9
        raise QueryError(f"{len(query):,} x {len(target):,} residues make a matrix of {size:.1f} GB: too large to have")
    return Scores(query, target, scoring).rows(0, len(query))


class Scores:
    """The residue scores of a pair, made in blocks of rows as they are needed."""

    def __init__(self, query: Chain, target: Chain, scoring: Scoring) -> None:
        """Look at a pair.

        Raises:
            QueryError: the embeddings have other dimensions.
        """
        if query.residues.shape[1] != target.residues.shape[1]:
            dimensions = f"{query.residues.shape[1]} and {target.residues.shape[1]}"
            raise QueryError(f"residues of {dimensions} dimensions: they are of different models")
        self.query = query
        self.target = target
        self._scoring = scoring
        self.shape = (len(query), len(target))
        self.block_rows = max(1, min(len(query), BLOCK_CELLS // len(target)))
        self.gaps = np.float32(scoring.gap_open), np.float32(scoring.gap_extend)
        self._whole: NDArray[np.float32] | None = None

    def blocks(self, stop: int | None = None) -> Iterator[tuple[int, int]]:
        """First and last row but one of each block, in order, up to a row."""
        end = self.shape[0] if stop is None else stop
        for start in range(0, end, self.block_rows):
            yield start, min(start + self.block_rows, end)

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows of the matrix: ndarray, shape=(stop - start, M), dtype=float32; not to be changed."""
        if self._whole is not None:
            return self._whole[start:stop]
        scores = self._scored(start, stop)
        if self.block_rows == self.shape[0] == stop - start:
            self._whole = scores
        return scores

    def _scored(self, start: int, stop: int) -> NDArray[np.float32]:
        from protvec.align.kernels import combine

        alike = self._cosines(start, stop)
        rows, columns = self._weights(alike)
        substitution = blosum62() * np.float32(self._scoring.blosum)
        combine(alike, rows, columns, substitution, self.query.codes[start:stop], self.target.codes)
        return alike

    def _weights(self, alike: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the cosine of a row and a column is multiplied by, and what is added: shapes (2, rows), (2, M)."""
        scoring = self._scoring
        rows, columns = np.zeros((2, len(alike)), np.float32), np.zeros((2, self.shape[1]), np.float32)
        if scoring.enhance == "none":
            rows[0] = scoring.cosine
        else:
            share = {"rows": 1.0, "columns": 0.0, "both": 0.5}[scoring.enhance]
            of_rows, of_columns = self._moments(alike)
            rows[:] = scoring.cosine * share * of_rows
            columns[:] = scoring.cosine * (1 - share) * of_columns
        rows[1] -= scoring.offset
        return rows, columns

    def _moments(self, alike: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The z-scores of rows and of columns, each as a factor and what is added to the product."""
        from protvec.align.kernels import column_sums, row_sums

        of_rows = _z(row_sums(alike), self.shape[1])
        if self._scoring.enhance == "rows":
            return of_rows, np.zeros((2, self.shape[1]), np.float32)
        whole = len(alike) == self.shape[0]
        return of_rows, _z(column_sums(alike) if whole else self._column_sums, self.shape[0])

    @cached_property
    def _column_sums(self) -> NDArray[np.float64]:
        """Over all rows, of a pair of several blocks."""
        from protvec.align.kernels import column_sums

        return sum((column_sums(self._cosines(*block)) for block in self.blocks()), np.zeros((2, self.shape[1])))

    def _cosines(self, start: int, stop: int) -> NDArray[np.float32]:
        if not self._scoring.cosine:
            return np.zeros((stop - start, self.shape[1]), np.float32)
        alike: NDArray[np.float32] = self.query.unit[start:stop] @ self.target.residues.T
        alike /= self.target.norms
        return alike


def _z(sums: NDArray[np.float64], number: int) -> NDArray[np.float32]:
    """1 / deviation and -mean / deviation of ``number`` cosines by their sum and sum of squares; 0 if all are equal."""
    mean = sums[0] / number
    deviation = np.sqrt(np.maximum(sums[1] / number - mean**2, 0))
    scale = np.where(deviation > _EQUAL, 1 / np.maximum(deviation, _EQUAL), 0)
    return np.stack([scale, -mean * scale]).astype(np.float32)
