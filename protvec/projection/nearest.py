"""The nearest of all vectors, by comparing every pair; and a place for what came later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAR = 5  # that a later sequence is placed among
_PAIRS_AT_ONCE = 1 << 25  # 128 MB of cosines


def neighbours(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k nearest of each query by cosine, nearest first; equal ones by their place.

    Args:
        queries: ndarray, shape=(M, D), each of length 1.
        vectors: ndarray, shape=(N, D), each of length 1.
        k: At most N.

    Returns:
        Places in ``vectors``, and cosines: ndarrays, shape=(M, k).
    """
    places = np.empty((len(queries), k), np.int64)
    cosines = np.empty((len(queries), k), np.float32)
    rows = max(1, _PAIRS_AT_ONCE // max(1, len(vectors)))
    for start in range(0, len(queries), rows):
        scores = queries[start : start + rows] @ vectors.T
        nearest = np.argpartition(-scores, k - 1, axis=1)[:, :k] if k < len(vectors) else _all(scores)
        nearest.sort(axis=1)
        found = np.take_along_axis(scores, nearest, axis=1)
        order = np.argsort(-found, axis=1, kind="stable")
        places[start : start + rows] = np.take_along_axis(nearest, order, axis=1)
        cosines[start : start + rows] = np.take_along_axis(found, order, axis=1)
    return places, cosines


def place(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], coordinates: NDArray[np.float32]
) -> NDArray[np.float32]:
    """A place for each query on a map: the mean of those of its five nearest, by how much nearer each is.

    Args:
        queries: ndarray, shape=(M, D), each of length 1.
        vectors: ndarray, shape=(N, D), each of length 1: those that are on the map.
        coordinates: ndarray, shape=(N, 2): where.

    Returns:
        ndarray, shape=(M, 2), dtype=float32.
    """
    nearest, cosines = neighbours(queries, vectors, min(NEAR, len(vectors)))
    apart = np.sqrt(np.maximum(0, 2 - 2 * cosines.astype(np.float64)))
    weights = 1 / np.maximum(apart, 1e-6) ** 2
    weights /= weights.sum(axis=1, keepdims=True)
    found: NDArray[np.float32] = (weights[:, :, None] * coordinates[nearest]).sum(axis=1).astype(np.float32)
    return found


def _all(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.tile(np.arange(scores.shape[1]), (len(scores), 1))
