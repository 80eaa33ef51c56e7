"""The nearest rows of queries among those in memory: exactly those of a float64 cosine, equal scores by id."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from protvec.store.exact import cosines
from protvec.store.system import keep_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from protvec.store.memory.codes import Codes
    from protvec.store.memory.rows import Allowed, Rows

MANY = 8  # queries are worth a product of matrices
_GROUP = 16  # values of which only the largest is looked at first
_TILE = 4096  # targets that are multiplied with a block of queries at once
_RESCORED = 4096  # pairs in float64 at once
# Allowed rows that are fewer than this share are gathered; of more, the others are passed over.
_GATHERED = 0.25
# So many candidates go to float64 without a look at them in float32.
_FEW = 128
_NEVER = -2.0  # below every cosine; rows that are not allowed are at -infinity


class Nearest(NamedTuple):
    """Rows near several queries.

    Attributes:
        places: ndarray of int: those of the first query, best first, then those of the second…
        scores: ndarray, dtype=float64, of each.
        counts: ndarray, shape=(N,): how many are of each query.
    """

    places: NDArray[np.intp]
    scores: NDArray[np.float64]
    counts: NDArray[np.int64]


def nearest(
    rows: Rows, codes: Codes | None, queries: NDArray[np.float32], *, k: int, allowed: Allowed | None = None
) -> Nearest:
    """The k rows nearest to each query: one after another where they are few, else all at once.

    Args:
        rows: The vectors.
        codes: As for ``nearest_one``.
        queries: ndarray, shape=(N, D).
        k: How many at most for each.
        allowed: The rows that may be found; None for all.
    """
    k = min(k, len(rows)) or 1
    if len(queries) >= MANY:
        return nearest_many(rows, queries, k=k, allowed=allowed)
    found = [nearest_one(rows, codes, query, k=k, allowed=allowed) for query in queries]
    return found[0] if len(found) == 1 else Nearest(*(np.concatenate(each) for each in zip(*found, strict=True)))


def nearest_one(
    rows: Rows, codes: Codes | None, query: NDArray[np.float32], *, k: int, allowed: Allowed | None
) -> Nearest:
    """The k rows nearest to one query.

    Args:
        rows: The vectors.
        codes: The same in bytes, where they are there: then the vectors of few rows are read.
        query: ndarray, shape=(D,).
        k: How many at most.
        allowed: The rows that may be found; None for all.
    """
    if rows.vectors is None:
        if codes is None:  # there are no rows
            return _ranked(rows, query[None], np.zeros(0, np.intp), np.zeros(0, np.intp), k)
        return _by_reading(rows, codes, query, k, allowed)
    direction, slack = _unit(query), _slack(len(query))
    if allowed is not None and len(allowed.places) <= max(_FEW, k):
        found = allowed.places
    elif codes is not None:
        found = _by_codes(rows, codes, direction, k, allowed)
    else:
        scores = rows.vectors @ direction
        scores *= rows.inverse
        if allowed is not None:
            scores[allowed.closed] = -np.inf
        found = np.flatnonzero(scores >= max(kth_largest(scores, k) - 2 * slack, _NEVER))
    if len(found) > max(_FEW, 2 * k):
        scores = _products(rows, found, direction)
        found = found[scores >= kth_largest(scores, k) - 2 * slack]
    return _ranked(rows, query[None], found, np.zeros(len(found), np.intp), k)


def nearest_many(rows: Rows, queries: NDArray[np.float32], *, k: int, allowed: Allowed | None) -> Nearest:
    """The k rows nearest to each of several queries: as ``nearest_one`` finds them, by products of matrices.

    Args:
        rows: The vectors.
        queries: ndarray, shape=(N, D); some hundreds.
        k: How many at most for each.
        allowed: The rows that may be found; None for all.
    """
    if not len(rows):
        none = np.zeros(0, np.intp)
        return _ranked(rows, queries, none, none, k)
    keep_memory()
    products = _Products(rows, np.stack([_unit(query) for query in queries]))
    margin = products.margin
    best = np.full(len(queries), -np.inf, np.float32)  # not above the k-th best score of each
    found: list[_Pairs] = []
    for start in range(0, len(rows), _TILE):
        tile = slice(start, min(start + _TILE, len(rows)))
        scores = products.of(tile)
        if allowed is not None:
            scores[:, allowed.closed[tile]] = -np.inf
        np.maximum(best, kth_of_each(scores, k), out=best)
        hits = np.flatnonzero(scores >= np.maximum(best - margin, _NEVER)[:, None])
        query, place = np.divmod(hits, scores.shape[1])
        found.append(_Pairs(query, place + start, scores.reshape(-1)[hits]))
        if sum(len(part.query) for part in found) > 16 * max(k, _FEW) * len(queries):
            found = [thinned(found, best, k, margin)]
    pairs = thinned(found, best, k, margin)
    return _ranked(rows, queries, pairs.place, pairs.query, k)


class _Products:
    """Cosines of several queries with rows, as they are in memory: of vectors in float32, or of codes.

    Attributes:
        margin: ndarray, shape=(Q,): how far two of them of one query may be from the order of the true ones.
    """

    def __init__(self, rows: Rows, directions: NDArray[np.float32]) -> None:
        slack = np.float32(_slack(directions.shape[1]))
        self._rows, self._directions = rows, directions
        self._queries = None if rows.codes is None else rows.codes.queries(directions)
        off = np.zeros(len(directions), np.float32)
        if rows.codes is not None and self._queries is not None:
            off = rows.codes.off(self._queries)
        self.margin: NDArray[np.float32] = 2 * (off + slack)

    def of(self, tile: slice) -> NDArray[np.float32]:
        """Those with some of the rows: ndarray, shape=(Q, rows)."""
        rows = self._rows
        if rows.codes is not None and self._queries is not None:
            return rows.codes.products(self._queries, tile)
        assert rows.vectors is not None
        scores: NDArray[np.float32] = self._directions @ rows.vectors[tile].T
        scores *= rows.inverse[tile]
        return scores


class _Pairs(NamedTuple):
    """Candidates: a query, a row, and their score in float32."""

    query: NDArray[np.intp]
    place: NDArray[np.intp]
    score: NDArray[np.float32]


def _unit(query: NDArray[np.float32]) -> NDArray[np.float32]:
    wide = query.astype(np.float64)
    unit: NDArray[np.float32] = (wide / np.sqrt((wide * wide).sum())).astype(np.float32)
    return unit


def _slack(dimension: int) -> float:
    """How far a product of two unit vectors in float32 may be off, in whatever order it is summed.

    Higham, Accuracy and Stability of Numerical Algorithms (2002), section 3.1; and some for the norms.
    """
    return (dimension + 64) * 2.0**-24


def _by_codes(
    rows: Rows, codes: Codes, direction: NDArray[np.float32], k: int, allowed: Allowed | None
) -> NDArray[np.intp]:
    """The rows that may be among the k nearest, for all that their bytes say."""
    bounds, places = _bounds(rows, codes, direction, allowed)
    first = _highest(bounds, k)
    scores = _products(rows, first if places is None else places[first], direction)
    least = kth_largest(scores, k) - _slack(len(direction))  # the k-th best has this at least
    found = np.flatnonzero(bounds >= max(least, _NEVER))
    return found if places is None else places[found]


def _by_reading(rows: Rows, codes: Codes, query: NDArray[np.float32], k: int, allowed: Allowed | None) -> Nearest:
    """The k nearest where vectors have to be read: those that, for all that their bytes say, may be among them."""
    best = _Best(rows, query, k)
    if allowed is not None and len(allowed.places) <= max(_FEW, k):
        best.look(allowed.places, np.ones(len(allowed.places), np.float32))
    else:
        bounds, places = _bounds(rows, codes, _unit(query), allowed)
        for _ in range(2):  # at first ones, then at all others that may be as near as the best of these
            some = np.flatnonzero(bounds >= best.least) if len(best.places) else _highest(bounds, k)
            best.look(some if places is None else places[some], bounds[some])
            bounds[some] = -np.inf
    return _ranked(rows, query[None], best.places, np.zeros(len(best.places), np.intp), k, best.scores)


def _bounds(
    rows: Rows, codes: Codes, direction: NDArray[np.float32], allowed: Allowed | None
) -> tuple[NDArray[np.float32], NDArray[np.intp] | None]:
    """What the scores of rows cannot exceed; which rows these are, where it is not all of them."""
    if allowed is not None and len(allowed.places) < _GATHERED * len(rows):
        return codes.bounds(direction, allowed.places), allowed.places
    bounds = codes.bounds(direction)
    if allowed is not None:
        bounds[allowed.closed] = -np.inf
    return bounds, None


def _highest(bounds: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Rows of the highest bounds, among them the k nearest as a rule."""
    return np.flatnonzero(bounds >= max(kth_largest(bounds, 2 * k + 16), _NEVER))


class _Best:
    """The best rows of a query so far, where each vector that is looked at has to be read."""

    def __init__(self, rows: Rows, query: NDArray[np.float32], k: int) -> None:
        self._rows, self._query, self._k = rows, query, k
        self.places, self.scores = np.zeros(0, np.intp), np.zeros(0)
        self.least = _NEVER  # not above the k-th best score

    def look(self, places: NDArray[np.intp], bounds: NDArray[np.float32]) -> None:
        """Look at rows in the order of their bounds, up to one that is too low."""
        order = np.argsort(-bounds, kind="stable")
        for start in range(0, len(order), _RESCORED):
            part = order[start : start + _RESCORED]
            part = part[bounds[part] >= self.least]
            if not len(part):
                break
            scores = cosines(self._rows.taken(places[part]), self._query)
            self.places, self.scores = np.append(self.places, places[part]), np.append(self.scores, scores)
            if len(self.scores) >= self._k:
                kth = np.partition(self.scores, len(self.scores) - self._k)[len(self.scores) - self._k]
                near = self.scores >= kth
                self.places, self.scores = self.places[near], self.scores[near]
                self.least = float(kth) - _slack(len(self._query))


def _products(rows: Rows, places: NDArray[np.intp], direction: NDArray[np.float32]) -> NDArray[np.float32]:
    scores = np.empty(len(places), np.float32)
    for start in range(0, len(places), _RESCORED):
        part = places[start : start + _RESCORED]
        scores[start : start + _RESCORED] = rows.taken(part) @ direction
    scores *= rows.inverse[places]
    return scores


def kth_largest(values: NDArray[np.float32], k: int) -> float:
    """The k-th largest value; -infinity of fewer. Of many values most are never sorted."""
    if len(values) < k:
        return -np.inf
    groups = len(values) // _GROUP
    if groups > 4 * k:
        largest = values[: groups * _GROUP].reshape(_GROUP, groups).max(axis=0)
        values = values[values >= np.partition(largest, groups - k)[groups - k]]  # at least k of them
    return float(np.partition(values, len(values) - k)[len(values) - k])


def kth_of_each(scores: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """A number for each row of which it has k values that are no smaller: mostly little below its k-th largest."""
    width = scores.shape[1]
    if width < k:
        return np.full(len(scores), -np.inf, np.float32)
    if width % _GROUP == 0 and width // _GROUP > 2 * k:
        scores = scores.reshape(len(scores), _GROUP, width // _GROUP).max(axis=1)
        width //= _GROUP
    kth: NDArray[np.float32] = np.partition(scores, width - k, axis=1)[:, width - k]
    return kth


def thinned(
    found: Sequence[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]],
    best: NDArray[np.float32],
    k: int,
    margin: NDArray[np.float32],
) -> _Pairs:
    """The candidates of all tiles that are still among the k best, by query; raises ``best`` to what they say."""
    query, place, score = (np.concatenate(each) for each in zip(*found, strict=True))
    order = np.lexsort((-score, query))
    query, place, score = query[order], place[order], score[order]
    starts = np.searchsorted(query, np.arange(len(best)))
    kth = starts + k - 1
    full = np.searchsorted(query, np.arange(len(best)), side="right") > kth
    best[full] = np.maximum(best[full], score[kth[full]])
    keep = score >= (best - margin)[query]
    return _Pairs(query[keep], place[keep], score[keep])


def _ranked(
    rows: Rows,
    queries: NDArray[np.float32],
    places: NDArray[np.intp],
    query: NDArray[np.intp],
    k: int,
    scores: NDArray[np.float64] | None = None,
) -> Nearest:
    """Candidates in the order of their float64 scores, the k best of each query."""
    scores = _scores(rows, queries, places, query) if scores is None else scores
    order = np.lexsort((-scores, query))
    same = (scores[order][1:] == scores[order][:-1]) & (query[order][1:] == query[order][:-1])
    if same.any():
        tied = np.zeros(len(order), bool)
        tied[:-1] |= same
        tied[1:] |= same
        by_id = np.zeros(len(order), np.intp)
        by_id[order[tied]] = _id_ranks(rows, places[order[tied]])
        order = np.lexsort((by_id, -scores, query))
    sorted_query = query[order]
    rank = np.arange(len(order)) - np.searchsorted(sorted_query, sorted_query)
    order = order[rank < k]
    return Nearest(places[order], scores[order], np.bincount(query[order], minlength=len(queries)))


def _scores(
    rows: Rows, queries: NDArray[np.float32], places: NDArray[np.intp], query: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Of pairs of a row and a query."""
    scores = np.empty(len(places))
    for start in range(0, len(places), _RESCORED):
        part = slice(start, start + _RESCORED)
        scores[part] = cosines(rows.taken(places[part]), queries[query[part]])
    return scores


def _id_ranks(rows: Rows, places: NDArray[np.intp]) -> NDArray[np.intp]:
    """Numbers that sort as the ids of the rows do."""
    unique, back = np.unique(places, return_inverse=True)
    ids = np.array(rows.ids.take(unique).to_pylist(), dtype=object)
    ranks = np.empty(len(unique), np.intp)
    ranks[np.argsort(ids)] = np.arange(len(unique))
    return ranks[back]
