"""What is known of chance scores before a query is asked: of a model, or of a database."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.statistics.fitting import Belief, Line
from protvec.statistics.law import Law

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

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
    """

    law: Law
    place: tuple[float, float]
    slope: tuple[float, float]
    log_scale: tuple[float, float]
    spread: float = 0.0
    weights: tuple[float, float, float] = (1.0, 5.0, 10.0)
    queries: int = 0

    def belief(self, query_lengths: Sequence[int] | NDArray[np.int64]) -> Belief:
        """What is believed of the null of each query."""
        x = log_length(query_lengths)
        a, b, log_s = (pair[0] + pair[1] * x for pair in (self.place, self.slope, self.log_scale))
        return Belief(Line(a, b, np.exp(log_s)), self.weights)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can carry."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Prior:
        """The prior that ``to_dict`` gave.

        Raises:
            KeyError, TypeError, ValueError: these are no values of a prior.
        """
        pairs = {name: _numbers(values[name], 2) for name in ("place", "slope", "log_scale")}
        weights = _numbers(values["weights"], 3)
        spread, queries = float(values["spread"]), int(values["queries"])
        return cls(Law.from_dict(values["law"]), **pairs, spread=spread, weights=weights, queries=queries)


def _numbers(values: Sequence[float], number: int) -> Any:  # noqa: ANN401  # a tuple of so many
    found = tuple(float(value) for value in values)
    if len(found) != number or not all(map(math.isfinite, found)):
        raise ValueError(f"{values!r} are not {number} numbers")
    return found
