"""What is known of chance scores before a query is asked: of a model, or of a database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protvec.statistics.fitting import Belief, Line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from protvec.statistics.law import Law

USUAL_LENGTH = 200  # residues, where places and scales are given


def log_length(lengths: ArrayLike) -> NDArray[np.float64]:
    """The natural logarithm of lengths in units of 200 residues; of no length as of one residue."""
    x: NDArray[np.float64] = np.log(np.maximum(np.asarray(lengths, np.float64), 1.0) / USUAL_LENGTH)
    return x


@dataclass(frozen=True)
class Prior:
    """What the nulls of queries are like, by the log length of the query: pairs of a value at 200 residues and a slope.

    Attributes:
        law: Of standardised scores; every null has it.
        place: Mode of the scores of a target of 200 residues.
        slope: How the mode rises with the log length of the target.
        log_scale: Natural logarithm of how wide they are.
        spread: How the width rises with the log length of the target, on a log scale; the same for every null.
        weights: How many scores of a query this weighs as much as, for place, slope and scale.
        queries: How many queries it was fitted on; 0 for what ships with protvec.
        kinds: What the tails of the law weigh for queries of each kind (``kinds.py``), where that is known.
    """

    law: Law
    place: tuple[float, float]
    slope: tuple[float, float]
    log_scale: tuple[float, float]
    spread: float = 0.0
    weights: tuple[float, float, float] = (1.0, 5.0, 10.0)
    queries: int = 0
    kinds: tuple[tuple[float, ...], ...] = ()

    def tail_weights(self, kinds: NDArray[np.int64] | None, queries: int) -> NDArray[np.float64]:
        """What each tail weighs for each query before its scores are looked at: ndarray, shape=(Q, K).

        Args:
            kinds: ndarray, shape=(Q,): the kind of each; below 0, or None, where it is not known.
            queries: Q.
        """
        usual = np.array([tail.weight for tail in self.law.tails])
        if kinds is None or not self.kinds:
            return np.tile(usual, (queries, 1))
        weights: NDArray[np.float64] = np.array([usual, *self.kinds])[np.maximum(kinds, -1) + 1]
        return weights

    def belief(self, query_lengths: Sequence[int] | NDArray[np.int64]) -> Belief:
        """What is believed of the null of each query."""
        x = log_length(query_lengths)
        a, b, log_s = (pair[0] + pair[1] * x for pair in (self.place, self.slope, self.log_scale))
        return Belief(Line(a, b, np.exp(log_s)), self.weights)
