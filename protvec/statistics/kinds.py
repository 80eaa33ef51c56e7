"""What kind of query it is: of ordinary composition, or more or less unusual, before its scores are looked at.

The mean vector of a protein of unusual composition, such as a membrane protein, is far from the mean of all proteins.
So is that of a short protein, whose mean is of few residues; what tells is how far it is for its length.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from protvec.statistics.prior import log_length

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# Kinds end at these distances, in standard units: the last has no end.
EDGES = (1.5, 2.5, 4.0)
# Of which fewer proteins than so many for each dimension say little: a protein that is none of them is farther from
# their mean than they are, as the whitening was fitted on them.
_ENOUGH = 8
_LEAST = 100  # proteins of the sample


@dataclass(frozen=True)
class Usual:
    """How far proteins of each length are from the mean of a database.

    Attributes:
        curve: Of the natural logarithm of the distance, by the log length: coefficients, highest power first.
        ends: Log lengths, between which it was fitted. Beyond, it is level; of shorter proteins it rises as the mean of
            fewer residues does that have nothing in common: by half as much as the log length falls.
        width: Half the range of the middle 68% about the curve.
    """

    curve: tuple[float, ...]
    ends: tuple[float, float]
    width: float

    @classmethod
    def fit(cls, distances: NDArray[np.float64], lengths: ArrayLike, *, dimension: int, fitted_on: int) -> Usual | None:
        """Fit it on a sample of the proteins that a search space was fitted on; None where these are too few.

        Args:
            distances: ndarray, shape=(M,): of the sample, see ``Transform.distances``.
            lengths: M numbers of residues.
            dimension: D of the vectors.
            fitted_on: Proteins that the search space was fitted on.
        """
        if fitted_on < _ENOUGH * dimension or len(distances) < _LEAST:
            return None
        x = log_length(lengths)
        pull = dimension / fitted_on * np.square(distances) / np.mean(np.square(distances))
        far = np.log(distances) - np.log1p(-np.minimum(pull, 0.9)) / 2  # as of proteins that took no part in the fit
        low, high = np.quantile(x, [0.02, 0.98])
        curve = np.linalg.lstsq(np.vander(x, 3), far, rcond=None)[0]
        found = cls(tuple(curve.tolist()), (float(low), float(high)), 1.0)
        below, middle, above = np.quantile(far - found.of(x), [0.16, 0.5, 0.84])
        curve[-1] += middle
        return replace(found, curve=tuple(curve.tolist()), width=max(float(above - below) / 2, 1e-6))

    def of(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The natural logarithm of the usual distance, by the log length."""
        low, high = self.ends
        usual: NDArray[np.float64] = np.polyval(self.curve, np.clip(x, low, high)) + np.maximum(low - x, 0) / 2
        return usual

    def kinds(self, distances: NDArray[np.float64], lengths: ArrayLike) -> NDArray[np.int64]:
        """The kind of each of some queries, by their distances and lengths: from 0, the ordinary, to ``len(EDGES)``."""
        units = (np.log(np.maximum(distances, 1e-300)) - self.of(log_length(lengths))) / self.width
        kinds: NDArray[np.int64] = np.digitize(units, EDGES).astype(np.int64)
        return kinds
