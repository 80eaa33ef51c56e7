"""The proteins with the segments nearest to those of queries: exactly those of a float64 cosine with the bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from protvec.store.memory.scan import kth_of_each
from protvec.store.segments.vectors import rounded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from protvec.store.memory.segments import Segments

_TILE = 4096  # segments that are compared at once
_NEVER = -2.0  # below every cosine; proteins that are not allowed are at -infinity
# Times k candidates of each query that are kept before those that are too bad by now go.
_KEPT = 16
_FEW = 256  # proteins that are compared exactly at once


class NearestSegments(NamedTuple):
    """Proteins near several queries.

    Attributes:
        owners: ndarray of int: places of proteins in ``Segments``: those of the first query, best first, then those of
            the second… Of equal scores with the k-th there are all.
        scores: ndarray, dtype=float64: the best cosine of a segment of the query with one of the protein.
        targets: ndarray of int: which segment of the protein that was, from 0.
        pieces: ndarray of int: and which of the query.
        counts: ndarray, shape=(Q,): how many are of each query.
    """

    owners: NDArray[np.intp]
    scores: NDArray[np.float64]
    targets: NDArray[np.intp]
    pieces: NDArray[np.intp]
    counts: NDArray[np.int64]


def nearest_segments(
    segments: Segments,
    pieces: NDArray[np.float32],
    counts: NDArray[np.int64],
    *,
    k: int,
    allowed: NDArray[np.bool_] | None,
) -> NearestSegments:
    """The k proteins nearest to each query by their best segment.

    Args:
        segments: What is searched.
        pieces: ndarray, shape=(P, D): the segments of the queries, one query after another.
        counts: ndarray, shape=(Q,): how many each query has, at least 1.
        k: How many proteins at most for each.
        allowed: ndarray, shape=(N,): which proteins may be found; None for all.
    """
    wide = pieces.astype(np.float64)
    wide /= np.sqrt(np.square(wide).sum(axis=1, keepdims=True))
    firsts = np.concatenate([[0], np.cumsum(counts)])
    found = _candidates(segments, wide.astype(np.float32), firsts, k, allowed)
    answers = [
        _ranked(segments, wide[start:stop], owners, k)
        for start, stop, owners in zip(firsts, firsts[1:], found, strict=False)
    ]
    owners, scores, targets, which = (np.concatenate(each) for each in zip(*answers, strict=True))
    sizes = np.array([len(answer[0]) for answer in answers], np.int64)
    return NearestSegments(owners, scores, targets, which, sizes)


def _candidates(
    segments: Segments,
    pieces: NDArray[np.float32],
    firsts: NDArray[np.int64],
    k: int,
    allowed: NDArray[np.bool_] | None,
) -> list[NDArray[np.intp]]:
    """For each query the proteins that may be among its k nearest, for all that rounded products say."""
    queries = len(firsts) - 1
    if allowed is not None and np.count_nonzero(allowed) <= max(k, _FEW):
        return [np.flatnonzero(allowed)] * queries
    compared = _Bytes(segments, pieces) if queries == 1 else _Floats(segments, pieces)
    best = np.full(queries, -np.inf, np.float32)  # not above the k-th best score of each
    found: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]] = []
    held = 0
    for start, stop in _tiles(segments):
        scores = compared.scores(slice(int(segments.starts[start]), int(segments.starts[stop])))
        by_query = scores if len(scores) == queries else np.maximum.reduceat(scores, firsts[:-1], axis=0)
        local = segments.starts[start:stop] - segments.starts[start]
        by_owner = np.maximum.reduceat(by_query, local, axis=1)
        if allowed is not None:
            by_owner[:, ~allowed[start:stop]] = -np.inf
        np.maximum(best, kth_of_each(by_owner, k), out=best)
        query, owner = np.nonzero(by_owner >= np.maximum(best - compared.margin, _NEVER)[:, None])
        found.append((query, owner + start, by_owner[query, owner]))
        held += len(query)
        if held > _KEPT * max(k, 64) * queries:
            found = [_thinned(found, best, k, compared.margin)]
            held = len(found[0][0])
    if not found:
        return [np.zeros(0, np.intp)] * queries
    query, owner, _ = _thinned(found, best, k, compared.margin)
    return np.split(owner, np.searchsorted(query, np.arange(1, queries)))


def _tiles(segments: Segments) -> Iterator[tuple[int, int]]:
    """Proteins that have some thousands of segments together."""
    start, last = 0, len(segments.starts) - 1
    while start < last:
        stop = int(np.searchsorted(segments.starts, segments.starts[start] + _TILE, side="right")) - 1
        yield start, max(stop, start + 1)
        start = max(stop, start + 1)


def _thinned(
    found: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]],
    best: NDArray[np.float32],
    k: int,
    margin: float,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """The candidates that are still good enough, by query; raises ``best`` to what they say."""
    query, owner, score = (np.concatenate(each) for each in zip(*found, strict=True))
    order = np.lexsort((-score, query))
    query, owner, score = query[order], owner[order], score[order]
    starts = np.searchsorted(query, np.arange(len(best)))
    kth = starts + k - 1
    full = np.searchsorted(query, np.arange(len(best)), side="right") > kth
    best[full] = np.maximum(best[full], score[kth[full]])
    keep = score >= (best - margin)[query]
    return query[keep], owner[keep], score[keep]


class _Floats:
    """Products in float32."""

    def __init__(self, segments: Segments, pieces: NDArray[np.float32]) -> None:
        self._segments, self._pieces = segments, pieces
        self.margin = 2 * (pieces.shape[1] + 64) * 2.0**-24  # see ``scan._slack``

    def scores(self, part: slice) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self._pieces @ self._segments.codes[part].astype(np.float32).T
        scores *= self._segments.inverse[part]
        return scores


class _Bytes:
    """Products of bytes, off by no more than what rounding took from a piece: the segments are bytes themselves."""

    def __init__(self, segments: Segments, pieces: NDArray[np.float32]) -> None:
        self._segments, self._codes = segments, rounded(pieces)
        wide = self._codes.astype(np.float32)
        # The scale with which a rounded piece is nearest to the piece.
        scale = np.einsum("ij,ij->i", wide, pieces) / np.maximum(np.einsum("ij,ij->i", wide, wide), 1)
        lost = np.linalg.norm(pieces - wide * scale[:, None], axis=1)
        self._scale = scale.astype(np.float32)[:, None]
        self.margin = 2 * float(lost.max()) + 2e-5

    def scores(self, part: slice) -> NDArray[np.float32]:
        import simsimd

        products = simsimd.cdist(self._codes, self._segments.codes[part], "inner", out_dtype="f32")
        scores: NDArray[np.float32] = np.asarray(products) * self._scale
        scores *= self._segments.inverse[part]
        return scores


def _ranked(
    segments: Segments, pieces: NDArray[np.float64], owners: NDArray[np.intp], k: int
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """The k best of the candidates of one query: they, their scores, the segments and the pieces that have these."""
    owners = np.sort(owners)
    starts = segments.starts[owners]
    counts = segments.starts[owners + 1] - starts
    ends = np.cumsum(counts)
    places = np.repeat(starts - (ends - counts), counts) + np.arange(ends[-1] if len(ends) else 0)
    vectors = segments.codes[places].astype(np.float64)
    norms = np.sqrt(np.square(vectors).sum(axis=1))
    products = (vectors @ pieces.T) / norms[:, None]
    piece = products.argmax(axis=1)
    best = products[np.arange(len(piece)), piece]
    within = np.arange(len(places)) - np.repeat(ends - counts, counts)
    owner = np.repeat(np.arange(len(owners)), counts)
    order = np.lexsort((within, -best, owner))
    first = order[ends - counts]  # the best segment of each
    # Summed in one order, whatever else was multiplied: the same answer in whatever company.
    scores = (vectors[first] * pieces[piece[first]]).sum(axis=1) / norms[first]
    chosen = np.argsort(-scores, kind="stable")
    if len(chosen) > k:
        chosen = chosen[scores[chosen] >= scores[chosen[k - 1]]]
    return owners[chosen], scores[chosen], within[first][chosen], piece[first][chosen]
