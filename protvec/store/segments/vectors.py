"""Vectors of segments as bytes of a row: the means, and the same in a search space, rounded to a byte a value.

Both have one segment after another. What is rounded is a vector of length 1, and its scale is not kept: the cosine
with a vector of bytes needs none. So the vectors of bytes *are* the segments, and scores of them are exact.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.transform import Transform

_LEVELS = 127
_TINY = np.float32(1e-30)


def means_column(values: Sequence[bytes | None]) -> pa.Array:
    """A column of means: None where they are not known, nothing of a protein that is not cut."""
    import pyarrow as pa

    return pa.array(values, pa.large_binary())


def means_of(value: bytes, dimension: int) -> NDArray[np.float32]:
    """The means of a row: ndarray, shape=(number of segments, D), dtype=float32."""
    return np.frombuffer(value, "<f2").reshape(-1, dimension).astype(np.float32)


def segments_of(
    means: pa.Array | pa.ChunkedArray, vectors: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The vectors of all segments of some rows: of a row without means its own vector, as one segment.

    Args:
        means: Of the rows, as ``means_column`` has them.
        vectors: ndarray, shape=(N, D): the mean vectors of the rows.

    Returns:
        ndarray, shape=(S, D), dtype=float32, and ndarray, shape=(N,): how many are of each row.
    """
    values = means.to_pylist()
    parts = [means_of(value, vectors.shape[1]) if value else vectors[row : row + 1] for row, value in enumerate(values)]
    counts = np.array([len(part) for part in parts], np.int64)
    return np.concatenate([np.empty((0, vectors.shape[1]), np.float32), *parts]), counts


def codes_column(means: pa.Array | pa.ChunkedArray, vectors: NDArray[np.float32], transform: Transform) -> pa.Array:
    """The segments of rows in a search space, as bytes: at least one of each."""
    import pyarrow as pa

    segments, counts = segments_of(means, vectors)
    codes = rounded(transform.apply(segments)).tobytes()
    ends = np.cumsum([0, *counts * vectors.shape[1]]).tolist()
    return pa.array([codes[start:end] for start, end in pairwise(ends)], pa.large_binary())


def rounded(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Each vector in bytes, ndarray, shape=(N, D), dtype=int8, of whatever scale suits it."""
    largest = np.maximum(np.abs(vectors).max(axis=1, initial=0.0), _TINY)
    codes: NDArray[np.int8] = np.rint(vectors * (_LEVELS / largest)[:, None]).astype(np.int8)
    return codes
