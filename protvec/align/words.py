"""Ungapped matches of letters: a quick look for proteins that share a stretch with a query, whatever their vectors say.

This is the first stage of BLASTP (Altschul et al. 1997, doi:10.1093/nar/25.17.3389): two words of three letters on one
diagonal, each similar to one of the query's, are extended without gaps until the score has fallen by ``DROP``.
Importing this imports numba; the first call compiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from protvec.align.scoring import blosum62

if TYPE_CHECKING:
    from numpy.typing import NDArray

# As BLASTP has them: what a similar word scores at least, how far apart two of a diagonal may be, the fall of a score
# that ends an extension.
SIMILAR, APART, DROP = 11, 40, 16
_LETTERS, _WORD = 26, 3


class Words:
    """The words of a query, to look for in many sequences. For many threads."""

    def __init__(self, query: NDArray[np.uint8]) -> None:
        """Find the words that are similar to those of a query.

        Args:
            query: ndarray, shape=(L,): codes of ``letters``.
        """
        self._query = query
        self._scores = blosum62().astype(np.int32)
        self._starts, self._places = _similar_words(query, self._scores)

    def scores(self, targets: NDArray[np.uint8], ends: NDArray[np.int64]) -> NDArray[np.int32]:
        """The score of the best ungapped match in each of many sequences, by BLOSUM62; 0 where there is none.

        Args:
            targets: ndarray: the codes of all of them, one after another.
            ends: ndarray, shape=(N,): where each ends.

        Returns:
            ndarray, shape=(N,).
        """
        if not len(ends):
            return np.zeros(0, np.int32)
        found: NDArray[np.int32] = _scan(self._query, targets, ends, self._scores, self._starts, self._places)
        return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _similar_words(query: NDArray[np.uint8], scores: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Where in the query a word similar to each of all words begins: ``places[starts[w]:starts[w + 1]]`` for word w."""
    best = np.array([scores[letter].max() for letter in range(_LETTERS)])
    words = np.empty(_LETTERS**_WORD, np.int64)
    starts = np.zeros(_LETTERS**_WORD + 2, np.int64)
    for place in range(len(query) - _WORD + 1):  # they are counted …
        for n in range(_similar(query[place : place + _WORD], scores, best, words)):
            starts[words[n] + 2] += 1
    starts = np.cumsum(starts)
    places = np.empty(starts[-1], np.int32)
    for place in range(len(query) - _WORD + 1):  # … and then written down
        for n in range(_similar(query[place : place + _WORD], scores, best, words)):
            places[starts[words[n] + 1]] = place
            starts[words[n] + 1] += 1
    return starts[:-1], places


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _similar(
    word: NDArray[np.uint8], scores: NDArray[np.int32], best: NDArray[np.int32], words: NDArray[np.int64]
) -> int:
    """Write the words that are similar to one into ``words``, and say how many there are."""
    number = 0
    for a in range(_LETTERS):
        one = scores[word[0], a]
        if one + best[word[1]] + best[word[2]] < SIMILAR:
            continue
        for b in range(_LETTERS):
            two = one + scores[word[1], b]
            if two + best[word[2]] < SIMILAR:
                continue
            for c in range(_LETTERS):
                if two + scores[word[2], c] >= SIMILAR:
                    words[number] = (a * _LETTERS + b) * _LETTERS + c
                    number += 1
    return number


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _scan(
    query: NDArray[np.uint8],
    targets: NDArray[np.uint8],
    ends: NDArray[np.int64],
    scores: NDArray[np.int32],
    starts: NDArray[np.int64],
    places: NDArray[np.int32],
) -> NDArray[np.int32]:
    found = np.zeros(len(ends), np.int32)
    # By diagonals, the last word there and where the last extension ended, both as positions in ``targets``.
    diagonals = len(query) + max(ends[0], np.diff(ends).max() if len(ends) > 1 else 0)
    last, done = np.full(diagonals, -1, np.int64), np.full(diagonals, -1, np.int64)
    start = 0
    for number in range(len(ends)):
        stop = ends[number]
        for place in range(start, stop - _WORD + 1):
            word = (targets[place] * _LETTERS + targets[place + 1]) * _LETTERS + targets[place + 2]
            for at in range(starts[word], starts[word + 1]):
                diagonal = place - start - places[at] + len(query)
                if place < done[diagonal]:
                    continue
                apart = place - last[diagonal]
                if last[diagonal] >= start and apart < _WORD:
                    continue  # the two overlap
                if last[diagonal] >= start and apart <= APART:
                    score, end = _extended(query, targets, scores, places[at], place, start, stop)
                    found[number] = max(found[number], score)
                    done[diagonal] = end
                last[diagonal] = place
        start = stop
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _extended(
    query: NDArray[np.uint8],
    targets: NDArray[np.uint8],
    scores: NDArray[np.int32],
    row: int,
    column: int,
    start: int,
    stop: int,
) -> tuple[int, int]:
    """The score of the best match through a pair of residues on its diagonal, and where in the targets it ends."""
    total, right, end, step = 0, 0, column, 0
    while row + step < len(query) and column + step < stop and total > right - DROP:
        total += scores[query[row + step], targets[column + step]]
        step += 1
        if total > right:
            right, end = total, column + step
    total, left, step = 0, 0, 1
    while row - step >= 0 and column - step >= start and total > left - DROP:
        total += scores[query[row - step], targets[column - step]]
        left = max(left, total)
        step += 1
    return right + left, end
