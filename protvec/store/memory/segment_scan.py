"""The proteins with the segments nearest to those of queries: exactly those of a float64 cosine with the bytes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from protvec.store.memory.parts import in_parts
from protvec.store.memory.scan import kth_largest, kth_of_each, thinned
from protvec.store.segments.vectors import rounded
from protvec.store.system import THREADS, keep_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from protvec.store.memory.segments import Segments

_TILE = 1 << 14  # segments that are compared at once, at most
_VALUES = 1 << 19  # products at once: 2 MB, which stay in the caches
_LEAST = 256  # segments, however many the pieces are
_PIECES = 512  # of queries that one thread compares at once
_PACKED = 32  # pieces, of which fewer are brought into order in place of the segments
_THREADED = 1 << 28  # products of bytes that are worth more than one thread: some milliseconds of one
_SLACK = np.float32(2e-5)  # what float32 may add: some roundings of numbers no larger than 1
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
    """For each query the proteins that may be among its k nearest, for all that products of bytes say."""
    queries = len(firsts) - 1
    keep_memory()  # without it, to have new pages for every tile takes as long as all else
    if allowed is not None and np.count_nonzero(allowed) <= max(k, _FEW):
        return [np.flatnonzero(allowed)] * queries
    if queries == 1:
        return [_of_one(segments, _Products(segments, pieces, firsts), k, allowed)]
    parts = _shares(firsts)
    found: list[list[NDArray[np.intp]]] = [[] for _ in parts]

    def find(which: slice) -> None:
        start, stop = parts[which.start]
        own = firsts[start : stop + 1]
        products = _Products(segments, pieces[own[0] : own[-1]], own - own[0])
        found[which.start] = _of_some(segments, products, k, allowed)

    in_parts(find, len(parts), rows=1, threaded=len(segments.codes) * pieces.size > _THREADED)
    return [owners for part in found for owners in part]


def _shares(firsts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Queries that one thread compares at once: about as many pieces in each share, and not too many."""
    pieces, last = int(firsts[-1]), len(firsts) - 1
    each = max(min(-(-pieces // THREADS), _PIECES), 1)
    ends = np.searchsorted(firsts, np.arange(0, pieces, each)[1:]).tolist()
    return list(pairwise(sorted({0, *ends, last})))


def _of_one(segments: Segments, products: _Products, k: int, allowed: NDArray[np.bool_] | None) -> NDArray[np.intp]:
    """The candidates of one query: threads share the proteins."""
    tiles = list(_tiles(segments, products.tile))
    scores = np.empty(len(segments.addresses), np.float32)

    def compare(which: slice) -> None:
        start, stop = tiles[which.start]
        scores[start:stop] = products.of(start, stop)[0]

    in_parts(compare, len(tiles), rows=1, threaded=len(segments.codes) * products.size > _THREADED)
    if allowed is not None:
        scores[~allowed] = -np.inf
    return np.flatnonzero(scores >= max(kth_largest(scores, k) - products.margin[0], _NEVER))


def _of_some(
    segments: Segments, products: _Products, k: int, allowed: NDArray[np.bool_] | None
) -> list[NDArray[np.intp]]:
    """The candidates of each of some queries."""
    margin, queries = products.margin, len(products.margin)
    best = np.full(queries, -np.inf, np.float32)  # not above the k-th best score of each
    found: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]] = []
    held = 0
    for start, stop in _tiles(segments, products.tile):
        scores = products.of(start, stop)
        if allowed is not None:
            scores[:, ~allowed[start:stop]] = -np.inf
        np.maximum(best, kth_of_each(scores, k), out=best)
        query, owner = np.nonzero(scores >= np.maximum(best - margin, _NEVER)[:, None])
        found.append((query, owner + start, scores[query, owner]))
        held += len(query)
        if held > _KEPT * max(k, 64) * queries:
            found = [thinned(found, best, k, margin)]
            held = len(found[0][0])
    if not found:
        return [np.zeros(0, np.intp)] * queries
    query, owner, _ = thinned(found, best, k, margin)
    return np.split(owner, np.searchsorted(query, np.arange(1, queries)))


def _tiles(segments: Segments, size: int) -> Iterator[tuple[int, int]]:
    """Proteins that have so many segments together, or one that has more."""
    start, last = 0, len(segments.starts) - 1
    while start < last:
        stop = int(np.searchsorted(segments.starts, segments.starts[start] + size, side="right")) - 1
        yield start, max(stop, start + 1)
        start = max(stop, start + 1)


class _Products:
    """Cosines of proteins with queries from products of bytes: exact but for what rounding took from the pieces.

    The segments are bytes themselves.

    Attributes:
        size: Numbers of all pieces together.
        tile: Segments that are best compared at once.
        margin: ndarray, shape=(Q,): how far two cosines with one query may be from the order of the true ones.
    """

    def __init__(self, segments: Segments, pieces: NDArray[np.float32], firsts: NDArray[np.int64]) -> None:
        import numkong

        self._segments, self._firsts, self._codes = segments, firsts, rounded(pieces)
        wide = self._codes.astype(np.float32)
        # The scale with which a rounded piece is nearest to the piece.
        scale = np.einsum("ij,ij->i", wide, pieces) / np.maximum(np.einsum("ij,ij->i", wide, wide), 1)
        lost = np.linalg.norm(pieces - wide * scale[:, None], axis=1)
        self._scale = scale.astype(np.float32)[:, None]
        self._packed = numkong.dots_pack(self._codes) if len(pieces) < _PACKED else None
        self.size = pieces.size
        self.tile = min(_TILE, max(_VALUES // len(pieces), _LEAST))
        self.margin: NDArray[np.float32] = 2 * np.maximum.reduceat(lost, firsts[:-1]).astype(np.float32) + _SLACK

    def of(self, start: int, stop: int) -> NDArray[np.float32]:
        """The best of each query with each of some proteins: ndarray, shape=(Q, stop - start)."""
        ends = self._segments.starts[start : stop + 1]
        scores = self._of_segments(self._segments.codes[ends[0] : ends[-1]])
        scores *= self._scale
        if len(scores) != len(self.margin):
            firsts = self._firsts.tolist()
            scores = np.stack([scores[first:last].max(axis=0) for first, last in pairwise(firsts)])
        scores *= self._segments.inverse[ends[0] : ends[-1]]
        if len(ends) - 1 == scores.shape[1]:
            return scores
        best: NDArray[np.float32] = np.maximum.reduceat(scores, ends[:-1] - ends[0], axis=1)
        return best

    def _of_segments(self, codes: NDArray[np.int8]) -> NDArray[np.float32]:
        """Products of each piece with each segment: what there is less of is brought into order for it."""
        import numkong

        if self._packed is not None:
            products = np.asarray(numkong.dots_packed(codes, self._packed)).T
        else:
            products = np.asarray(numkong.dots_packed(self._codes, numkong.dots_pack(codes)))
        return products.astype(np.float32, order="C")


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
