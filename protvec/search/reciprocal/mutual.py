"""Who is whose best, and what becomes of ties."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from protvec.search.reciprocal.best import TIE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from protvec.search.reciprocal.best import Scores


class View(NamedTuple):
    """What the loci of one side see of the other.

    Attributes:
        is_best: ndarray, shape=(M,): whether the pair's other locus is the best, or as good.
        ties: ndarray, shape=(L,): how many others are as good as the best.
        next: ndarray, shape=(M,): the pair with the next locus; -1 where there is none.
    """

    is_best: NDArray[np.bool_]
    ties: NDArray[np.int64]
    next: NDArray[np.int64]


class Seen(NamedTuple):
    """What both sides see."""

    one: View
    two: View


def look(own: NDArray[np.int64], scores: Scores, other: NDArray[np.int64]) -> View:
    """What each locus of a side sees: its pairs are put in the order of their scores, then of the other's loci."""
    order = np.lexsort((other, -scores.score, own))
    sorted_own, sorted_score = own[order], scores.score[order]
    begins = np.searchsorted(sorted_own, np.arange(sorted_own[-1] + 2))
    best = sorted_score[begins[sorted_own]]
    good = sorted_score >= best - TIE
    ties = np.add.reduceat(good.astype(np.int64), begins[:-1]) - 1
    first, second = begins[sorted_own], begins[sorted_own] + 1
    there = second < begins[sorted_own + 1]
    # The next of the best is the second; that of another, as good one, is the best.
    following = np.where(
        np.arange(len(order)) == first, np.where(there, order[np.minimum(second, len(order) - 1)], -1), order[first]
    )
    is_best, next_pair = np.empty(len(order), bool), np.empty(len(order), np.int64)
    is_best[order], next_pair[order] = good, following
    return View(is_best, ties, next_pair)


def wanted(scores: Scores, mutual: NDArray[np.bool_], tied: NDArray[np.bool_], ties: str) -> NDArray[np.bool_]:
    """Which of the mutual pairs are taken, as ``Options.ties`` says."""
    if ties == "all":
        return mutual
    chosen = mutual & ~tied
    if ties == "drop":
        return chosen
    queries, targets = set[int](), set[int]()
    candidates = np.nonzero(mutual & tied)[0]
    for at in candidates[np.lexsort((scores.target[candidates], scores.query[candidates]))].tolist():
        query, target = int(scores.query[at]), int(scores.target[at])
        if query not in queries and target not in targets:
            queries.add(query)
            targets.add(target)
            chosen[at] = True
    return chosen
