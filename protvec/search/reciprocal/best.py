"""The best and the second best locus of the other side, for every locus of both: every pair is compared.

A matrix product in float32 finds candidates, a block of it in memory at once. Those that rounding could have put in the
wrong order are compared again in float64, as every search does, so that the result does not depend on the blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from protvec.store import cosines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from protvec.search.reciprocal.side import Side

    Progress = Callable[[int, int], None]
    Block = tuple[int, int, NDArray[np.float32]]

# More than float32 can be wrong by for a cosine: 2.4e-7 was measured.
MARGIN = 1e-5
# Scores that differ by no more are equal: rounding of float64.
TIE = 1e-12
BLOCK_BYTES = 64 << 20
_PAIRS = 8_192  # vectors compared at once in float64


@dataclass(frozen=True, eq=False)
class Scores:
    """Pairs of loci with their scores: for each locus of either side at least its two best, and all that tie.

    Attributes:
        query: ndarray, shape=(M,): places of loci of the one side.
        target: ndarray, shape=(M,): of the other.
        score: ndarray, shape=(M,), dtype=float64: the highest cosine of a protein of one and one of the other.
        pair: ndarray, shape=(M, 2): the proteins that have it, the first ones where several have.
    """

    query: NDArray[np.int64]
    target: NDArray[np.int64]
    score: NDArray[np.float64]
    pair: NDArray[np.int64]


def best_pairs(queries: Side, targets: Side, progress: Progress | None = None, *, block: int = BLOCK_BYTES) -> Scores:
    """Compare every protein of one side with every one of the other.

    Args:
        queries: One side.
        targets: The other.
        progress: Called with the proteins of ``queries`` done, and how many there are.
        block: Bytes of the matrix product in memory at once.
    """
    second = np.full(len(targets.loci), -np.inf, np.float32)  # the two best so far of each target
    first = second.copy()
    kept: list[_Near] = []
    for start, stop, scores in _blocks(queries, targets, block):
        by_row = _second(scores, axis=1)
        first, second = _merged(first, second, scores)
        rows, columns = np.nonzero((scores >= by_row[:, None] - MARGIN) | (scores >= second[None, :] - MARGIN))
        kept.append(_Near(rows + start, columns, scores[rows, columns], by_row[rows]))
        if progress is not None:
            progress(int(queries.starts[stop]), len(queries.ids))
    # What was near to the best of its column so far may be far from the best of all.
    kept = [
        each.where((each.score >= each.enough - MARGIN) | (each.score >= second[each.target] - MARGIN)) for each in kept
    ]
    query, target = (np.concatenate([each[side] for each in kept]) for side in (0, 1))
    return _exact(queries, targets, query, target)


class _Near(NamedTuple):
    """Pairs of loci that may be among the best: their places, their scores, and what is enough for the query."""

    query: NDArray[np.int64]
    target: NDArray[np.int64]
    score: NDArray[np.float32]
    enough: NDArray[np.float32]

    def where(self, mask: NDArray[np.bool_]) -> _Near:
        return _Near(self.query[mask], self.target[mask], self.score[mask], self.enough[mask])


def _blocks(queries: Side, targets: Side, block: int) -> Iterator[Block]:
    """First and last locus of some, and ndarray, shape=(loci, L): their highest float32 cosines with every target."""
    other = targets.unit(0, len(targets.ids))
    rows = max(1, block // (4 * len(targets.ids)))
    start = 0
    while start < len(queries.loci):
        stop = int(np.searchsorted(queries.starts, queries.starts[start] + rows, side="right")) - 1
        stop = max(stop, start + 1)  # a locus is never cut
        begin, end = queries.starts[start], queries.starts[stop]
        scores = queries.unit(begin, end) @ other.T
        if len(targets.loci) < len(targets.ids):
            scores = np.maximum.reduceat(scores, targets.starts[:-1], axis=1)
        if stop - start < end - begin:
            scores = np.maximum.reduceat(scores, queries.starts[start:stop] - begin, axis=0)
        yield start, stop, scores
        start = stop


def _second(scores: NDArray[np.float32], *, axis: int) -> NDArray[np.float32]:
    """The second highest along an axis; the lowest possible where there is but one."""
    return _two(scores, axis)[1]


def _two(scores: NDArray[np.float32], axis: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    at = np.expand_dims(scores.argmax(axis=axis), axis)
    first = np.take_along_axis(scores, at, axis)
    np.put_along_axis(scores, at, -np.inf, axis)
    second = scores.max(axis=axis)
    np.put_along_axis(scores, at, first, axis)
    return first.squeeze(axis), second


def _merged(
    first: NDArray[np.float32], second: NDArray[np.float32], scores: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The two best of each column so far, with one more block."""
    new_first, new_second = _two(scores, 0)
    low = np.minimum(first, new_first)
    return np.maximum(first, new_first), np.maximum(np.maximum(second, new_second), low)


def _exact(queries: Side, targets: Side, query: NDArray[np.int64], target: NDArray[np.int64]) -> Scores:
    """The scores of pairs of loci in float64."""
    sizes = np.diff(queries.starts)[query] * np.diff(targets.starts)[target]
    score = np.full(len(query), -np.inf)
    pair = np.zeros((len(query), 2), np.int64)
    ends = np.cumsum(sizes)
    at = 0
    while at < len(query):
        stop = max(at + 1, int(np.searchsorted(ends, (ends[at - 1] if at else 0) + _PAIRS, side="right")))
        owner, one, two = _expanded(queries, targets, query[at:stop], target[at:stop], sizes[at:stop])
        found = cosines(queries.vectors[one], targets.vectors[two])
        firsts = np.searchsorted(owner, np.arange(stop - at))
        score[at:stop] = np.maximum.reduceat(found, firsts)
        good = np.nonzero(found >= score[at:stop][owner] - TIE)[0]
        chosen = good[np.searchsorted(owner[good], np.arange(stop - at))]
        pair[at:stop] = np.column_stack([one[chosen], two[chosen]])
        at = stop
    return Scores(query, target, score, pair)


def _expanded(
    queries: Side, targets: Side, query: NDArray[np.int64], target: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Every protein of a locus with every one of the other: the pair of loci, and the two proteins."""
    owner = np.repeat(np.arange(len(query)), sizes)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    wide = np.diff(targets.starts)[target][owner]
    one = queries.starts[query][owner] + within // wide
    two = targets.starts[target][owner] + within % wide
    return owner, one, two
