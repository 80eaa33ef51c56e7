"""Vectors rounded to a byte a value, with a proven bound of how far a score from them is off.

A unit vector is ``u = h c + r``: its part along the direction ``c`` that all vectors of a model share, which is kept as
it is, and the rest, which tells proteins apart. The rest is turned by a fixed rotation, so that no dimension is much
larger than others, and rounded to 8 bits with one scale: ``r'``. Of what that took, ``e``, only the length is kept. For
a query ``q = g c + p``, with ``p`` rounded to ``p'`` the same way, the cosine is ``g h + p r``. By Cauchy and Schwarz
that is within ``|p| |e| + |p - p'| |r'|`` of ``g h + p' r'``, a product of bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from protvec.store.memory.buffers import grown
from protvec.store.memory.parts import in_parts

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    _Array = NDArray[Any]

# Rows are rounded so many at a time, and compared: that stays in the caches of a core.
_CHUNK = 512
_COMPARED = 1 << 14
# Bytes that are worth more than one thread.
_THREADED = 16 << 20
# Rows that the shared direction is taken from.
_SAMPLE = 4096
# What float32 may add to a bound: some roundings of numbers no larger than 1.
_SLACK = 1e-5
_LEVELS = 127


@dataclass(frozen=True)
class Codes:
    """The first N rows, rounded.

    Attributes:
        common: ndarray, shape=(D,), dtype=float32, of length 1: the direction ``c``.
        left: ndarray, shape=(A, A), with ``right`` the rotation: of a row as a matrix of A x B, by both.
        right: ndarray, shape=(B, B).
        bytes: ndarray, shape=(N, D), dtype=int8.
        scale: ndarray, shape=(N,), dtype=float32: of the bytes of each row.
        along: ndarray, shape=(N,), dtype=float32: ``h`` of each.
        error: ndarray, shape=(N,), dtype=float32: ``|e|`` of each, not less than it is.
        length: ndarray, shape=(N,), dtype=float32: ``|r'|`` of each.
    """

    common: NDArray[np.float32]
    left: NDArray[np.float32]
    right: NDArray[np.float32]
    bytes: NDArray[np.int8]
    scale: NDArray[np.float32]
    along: NDArray[np.float32]
    error: NDArray[np.float32]
    length: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.bytes)

    def bounds(self, query: NDArray[np.float32], rows: NDArray[np.intp] | None = None) -> NDArray[np.float32]:
        """What the cosine of each row with a query surely does not exceed.

        Args:
            query: ndarray, shape=(D,), of length 1.
            rows: Which; all by default.
        """
        import numkong

        along = np.float32(query @ self.common)
        rest = self._turned((query - along * self.common)[None])
        codes, scale = _rounded(rest)
        lost = np.float32(np.linalg.norm(rest - codes * scale) * (1 + _SLACK) + _SLACK)
        length = np.float32(np.linalg.norm(rest) * (1 + _SLACK))
        count = len(self) if rows is None else len(rows)
        bound: NDArray[np.float32] = np.empty(count, np.float32)

        def compare(part: slice) -> None:
            at: slice | NDArray[np.intp] = part if rows is None else rows[part]
            here = bound[part]
            # Of one query this takes half of the time of ``dots_packed``, which is for many.
            here[:] = np.asarray(numkong.cdist(codes, self.bytes[at], metric="dot", out_dtype="float32"))[0]
            here *= self.scale[at]
            here *= scale[0]
            here += along * self.along[at]
            here += length * self.error[at]
            here += lost * self.length[at]
            here += np.float32(_SLACK)

        in_parts(compare, count, rows=_COMPARED, threaded=count * len(query) > _THREADED)
        return bound

    def queries(self, directions: NDArray[np.float32]) -> Queries:
        """Queries as ``products`` takes them.

        Args:
            directions: ndarray, shape=(Q, D), each of length 1.
        """
        along: NDArray[np.float32] = directions @ self.common
        rest = self._turned(directions - along[:, None] * self.common)
        return Queries(along, rest, _lengths(rest) * (1 + _SLACK))

    def products(self, queries: Queries, tile: slice) -> NDArray[np.float32]:
        """The cosines of queries with some rows, as far as the bytes of the rows tell: ndarray, shape=(Q, rows)."""
        scores: NDArray[np.float32] = queries.rest @ self.bytes[tile].astype(np.float32).T
        scores *= self.scale[tile]
        scores += queries.along[:, None] * self.along[tile]
        return scores

    def off(self, queries: Queries) -> NDArray[np.float32]:
        """How far ``products`` may be from the cosines but for the rounding of its sums: ndarray, shape=(Q,)."""
        worst = self.error.max(initial=0.0)
        off: NDArray[np.float32] = queries.length * worst + np.float32(_SLACK)
        return off

    def first(self, rows: int) -> Codes:
        """Of the first rows alone."""
        return self if rows == len(self) else self._with(*(array[:rows] for array in self._arrays))

    def only(self, rows: NDArray[np.bool_]) -> Codes:
        """Of some rows alone, at new places."""
        return self._with(*(array[rows] for array in self._arrays))

    def extended(self, vectors: NDArray[np.float32], inverse: NDArray[np.float32]) -> Codes:
        """The same with the rows after the first N; ``vectors`` and ``inverse`` are of all."""
        if len(self) >= len(vectors):
            return self
        longer = self.longer(len(vectors))
        longer.fill(slice(len(self), len(vectors)), vectors[len(self) :], inverse[len(self) :])
        return longer

    def longer(self, rows: int) -> Codes:
        """With so many rows: those after the first N are to be filled."""
        return self._with(*(grown(array, rows) for array in self._arrays))

    def fill(self, rows: slice, vectors: NDArray[np.float32], inverse: NDArray[np.float32]) -> None:
        """Round vectors into these rows; ``inverse`` is one by the norm of each."""

        def fill(part: slice) -> None:
            at = slice(rows.start + part.start, rows.start + part.stop)
            unit: NDArray[np.float32] = vectors[part] * inverse[part, None]
            along: NDArray[np.float32] = unit @ self.common
            unit -= along[:, None] * self.common
            rest = self._turned(unit)
            codes, scale = _rounded(rest)
            back = codes * scale[:, None]
            self.bytes[at], self.scale[at], self.along[at] = codes, scale, along
            self.length[at] = _lengths(back)
            back -= rest
            self.error[at] = _lengths(back) * (1 + _SLACK) + _SLACK

        in_parts(fill, len(vectors), rows=_CHUNK, threaded=len(vectors) >= 4 * _CHUNK)

    @property
    def _arrays(self) -> tuple[_Array, ...]:
        return self.bytes, self.scale, self.along, self.error, self.length

    def _with(self, *arrays: _Array) -> Codes:
        return replace(self, **dict(zip(("bytes", "scale", "along", "error", "length"), arrays, strict=True)))

    def _turned(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The rows rotated: their lengths and products stay."""
        cubes = rows.reshape(len(rows), len(self.left), len(self.right))
        turned: NDArray[np.float32] = np.matmul(np.matmul(self.left, cubes), self.right).reshape(rows.shape)
        return turned


class Queries(NamedTuple):
    """Queries in the parts that vectors are split into.

    Attributes:
        along: ndarray, shape=(Q,), dtype=float32: ``g`` of each.
        rest: ndarray, shape=(Q, D), dtype=float32: ``p`` of each.
        length: ndarray, shape=(Q,), dtype=float32: ``|p|`` of each, not less than it is.
    """

    along: NDArray[np.float32]
    rest: NDArray[np.float32]
    length: NDArray[np.float32]


def encode(vectors: NDArray[np.float32], inverse: NDArray[np.float32]) -> Codes:
    """Round all rows; the shared direction is that of their mean."""
    return empty(vectors, inverse).extended(vectors, inverse)


def empty(vectors: NDArray[np.float32], inverse: NDArray[np.float32]) -> Codes:
    """No rows yet; the shared direction is that of the mean of these."""
    dimension = vectors.shape[1]
    sample = slice(None, None, max(1, len(vectors) // _SAMPLE))
    mean = (vectors[sample] * inverse[sample, None]).mean(axis=0, dtype=np.float64)
    norm = np.linalg.norm(mean)
    common = mean / norm if norm > _SLACK else np.eye(dimension)[0]
    rows = max(each for each in range(1, int(dimension**0.5) + 1) if dimension % each == 0)
    nothing = [np.empty(0, np.float32) for _ in range(4)]
    return Codes(
        common.astype(np.float32),
        _rotation(rows),
        _rotation(dimension // rows),
        np.empty((0, dimension), np.int8),
        *nothing,
    )


def _rotation(size: int) -> NDArray[np.float32]:
    """An orthogonal matrix drawn at random, always the same."""
    drawn = np.random.default_rng(0).standard_normal((size, size))
    rotation: NDArray[np.float32] = np.linalg.qr(drawn)[0].astype(np.float32)
    return rotation


def _rounded(rows: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Each row in 8 bits, and its scale."""
    largest = np.maximum(np.maximum(rows.max(axis=1), -rows.min(axis=1)), np.float32(1e-30))
    levels = rows * (_LEVELS / largest)[:, None]
    codes = np.rint(levels, out=levels).astype(np.int8)
    return codes, (largest / _LEVELS).astype(np.float32)


def _lengths(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return lengths
