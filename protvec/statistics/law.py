"""The law of chance scores: a body from Gumbel's law to the normal, and a tail of its own.

The body is the log-gamma law (Prentice, Biometrika 61, 1974): the negative logarithm of a gamma variable. Its shape k
is 1 for Gumbel's law of largest values, which the best local alignments of unrelated sequences follow (Karlin and
Altschul 1990), and goes to infinity for the normal law.

The tail is a small exponential part beside it, for the few pairs whose composition makes them alike.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_PRECISE = 1e-12  # relative, where a series is cut
_TERMS = 2000
_NEARLY_NORMAL = 3.0  # shapes from here on
_LOWEST, _HIGHEST = -40.0, 600.0  # in standard units, so that nothing overflows


@dataclass(frozen=True)
class Tail:
    """A rare second kind of chance score: pairs that are alike without being related, as membrane proteins are.

    Their share above z is ``share * exp(-z / reach)``, which is added to that of the body.

    Attributes:
        share: How many there are, beyond the mode.
        reach: How far beyond it they are in the mean, in standard units.
    """

    share: float
    reach: float

    def __post_init__(self) -> None:
        if not (0 < self.share < 0.1 and 0 < self.reach < 100):
            raise ValueError(f"no tail has a share of {self.share} and a reach of {self.reach}")

    def log_survival(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Natural logarithm of the share above z."""
        log: NDArray[np.float64] = math.log(self.share) - np.maximum(z, 0.0) / self.reach
        return log


@dataclass(frozen=True)
class Law:
    """The law of chance scores in standard units, its mode at 0.

    With G of the gamma law of shape k, the body is ``Z = sqrt(k) * (ln k - ln G)``.

    Attributes:
        shape: k, from 0.1 to 10,000: 1 is Gumbel's law, hundreds are as good as normal.
        tail: What is added to the body far out, if anything.
    """

    shape: float = 1.0
    tail: Tail | None = None

    def __post_init__(self) -> None:
        if not 0.1 <= self.shape <= 1e4:
            raise ValueError(f"the shape of the law is {self.shape}, not between 0.1 and 10,000")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Law:
        """The law that ``to_dict`` gave.

        Raises:
            KeyError, TypeError, ValueError: these are no values of a law.
        """
        tail = values["tail"]
        return cls(float(values["shape"]), None if tail is None else Tail(**tail))

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can carry."""
        return asdict(self)

    @cached_property
    def root(self) -> float:
        """Square root of the shape."""
        return math.sqrt(self.shape)

    def log_density(self, z: ArrayLike) -> NDArray[np.float64]:
        """Natural logarithm of the density of the body."""
        k, z = self.shape, np.asarray(z, np.float64)
        constant = (k - 0.5) * math.log(k) - math.lgamma(k)
        density: NDArray[np.float64] = constant - self.root * z - k * self.decay(z)
        return density

    def decay(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """``exp(-z / sqrt(k))``: the second derivative of the negative log density of the body."""
        decay: NDArray[np.float64] = np.exp(-np.clip(z, _LOWEST, _HIGHEST * self.root) / self.root)
        return decay

    def slope(self, decay: NDArray[np.float64]) -> NDArray[np.float64]:
        """The first derivative of the negative log density of the body, from ``decay``."""
        return self.root * (1 - decay)

    def censored(self, z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The log survival of the body, and the derivative of its negative: from a table, to 1e-5."""
        grid, survival, hazard = self._table
        return np.interp(z, grid, survival), np.interp(z, grid, hazard)

    @cached_property
    def _table(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        grid = np.arange(-8.0, 24.0, 1 / 256)
        survival = self.log_body(grid)
        return grid, survival, np.exp(self.log_density(grid) - survival)

    def log_survival(self, z: ArrayLike) -> NDArray[np.float64]:
        """Natural logarithm of the probability of more than z, accurate however small it is."""
        z = np.asarray(z, np.float64)
        log = self.log_body(z)
        if self.tail is None:
            return log
        both: NDArray[np.float64] = np.logaddexp(log, self.tail.log_survival(z))
        return np.minimum(both, 0.0)

    def log_predicted(self, z: ArrayLike, known: ArrayLike) -> NDArray[np.float64]:
        """The same where the scale was fitted on so many scores: averaged over what these leave open.

        A normal law becomes Student's so, and an exponential tail Lomax's; between, the nearer of the two is taken.

        Args:
            z: Standard scores.
            known: How many scores each was fitted on, with what the prior weighs; above 0.
        """
        z, known = np.asarray(z, np.float64), np.asarray(known, np.float64)
        above = np.maximum(z, 0.0)
        if self.shape < _NEARLY_NORMAL:
            careful = known * np.log1p(above / known)
        else:
            careful = np.sqrt(known * np.log1p(above**2 / known))
        return self.log_survival(np.where(z > 0, careful, z))

    def log_body(self, z: ArrayLike) -> NDArray[np.float64]:
        """The same of the body alone, by the series of the incomplete gamma function.

        Abramowitz and Stegun, Handbook of Mathematical Functions, 6.5.29.
        """
        k = self.shape
        x = np.minimum(k * self.decay(np.asarray(z, np.float64)), k + 12 * self.root + 40)  # beyond that it is 1
        term, total = np.ones_like(x), np.ones_like(x)
        for n in range(1, _TERMS):
            term = term * (x / (k + n))
            total = total + term
            if not (term > _PRECISE * total).any():
                break
        log: NDArray[np.float64] = k * np.log(x) - x - math.lgamma(k + 1) + np.log(total)
        return np.minimum(log, 0.0)

    def quantile(self, share: float) -> float:
        """The z above which this share of the law lies.

        Raises:
            ValueError: it is not between 0 and 1.
        """
        if not 0 < share < 1:
            raise ValueError(f"a share of {share} is not between 0 and 1")
        return _quantile(self, math.log(share))


@lru_cache(maxsize=256)
def _quantile(law: Law, wanted: float) -> float:
    """By bisection."""
    low, high = -40.0, 40.0
    while float(law.log_survival(high)) > wanted:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if float(law.log_survival(middle)) > wanted else (low, middle)
    return (low + high) / 2


GUMBEL = Law(1.0)
