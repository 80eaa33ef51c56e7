"""The law of chance scores: a body from Gumbel's law to the normal, and a tail beyond it.

The body is the log-gamma law (Prentice, Biometrika 61, 1974): the negative logarithm of a gamma variable. Its shape k
is 1 for Gumbel's law of largest values, which the best local alignments of unrelated sequences follow (Karlin and
Altschul 1990), and goes to infinity for the normal law.

The tail is a small part beside it, exponential or somewhat steeper, for the few pairs whose composition makes them
alike. Queries differ in how many of these they have, by three orders of magnitude, so a law has several tails and says
how common each is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

BEGIN = 3.0  # standard units beyond the mode, where tails begin
_PRECISE = 1e-12  # relative, where a series is cut
_TERMS = 2000
_NEARLY_NORMAL = 3.0  # shapes from here on
_LOWEST, _HIGHEST = -40.0, 600.0  # in standard units, so that nothing overflows
_ALL = 1e-6  # how nearly weights are 1 together


@dataclass(frozen=True)
class Tail:
    """A rare second kind of chance score: pairs that are alike without being related, as membrane proteins are.

    With u = z - 3, their share above z is ``share * exp(-u / reach - bend * u**2)``, and ``share`` below 3. It is added
    to that of the body.

    Attributes:
        share: How many there are, beyond 3 standard units.
        reach: How far beyond that they are in the mean where there is no bend, in standard units.
        weight: How many queries have this tail, from 0 to 1.
        bend: How much faster it falls the farther it goes; 0 for an exponential tail.
    """

    share: float
    reach: float
    weight: float = 1.0
    bend: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.share < 0.1 and 0 < self.reach < 100 and 0 <= self.weight <= 1 and 0 <= self.bend < 10):
            raise ValueError(
                f"no tail has a share of {self.share}, a reach of {self.reach}, a bend of {self.bend} and a weight "
                f"of {self.weight}"
            )


class Tails(NamedTuple):
    """Shares, reaches, weights and bends of tails: ndarray, shape=(K,), dtype=float64 each."""

    share: NDArray[np.float64]
    reach: NDArray[np.float64]
    weight: NDArray[np.float64]
    bend: NDArray[np.float64]

    def log_survival(self, z: ArrayLike) -> NDArray[np.float64]:
        """Natural logarithm of the share of each above z: shape=(…, K) for z of shape=(…)."""
        beyond = np.maximum(np.asarray(z, np.float64) - BEGIN, 0.0)[..., None]
        log: NDArray[np.float64] = np.log(self.share) - beyond / self.reach - self.bend * beyond**2
        return log

    def density(self, z: ArrayLike) -> NDArray[np.float64]:
        """The density of each, of the same shape."""
        beyond = np.maximum(np.asarray(z, np.float64) - BEGIN, 0.0)[..., None]
        density: NDArray[np.float64] = np.exp(self.log_survival(z)) * (1 / self.reach + 2 * self.bend * beyond)
        return density


@dataclass(frozen=True)
class Law:
    """The law of chance scores in standard units, its mode at 0.

    With G of the gamma law of shape k, the body is ``Z = sqrt(k) * (ln k - ln G)``.

    Attributes:
        shape: k, from 0.1 to 10,000: 1 is Gumbel's law, hundreds are as good as normal.
        tails: Those that are added to the body of one query or another; their weights are 1 together.
    """

    shape: float = 1.0
    tails: tuple[Tail, ...] = ()

    def __post_init__(self) -> None:
        if not 0.1 <= self.shape <= 1e4:
            raise ValueError(f"the shape of the law is {self.shape}, not between 0.1 and 10,000")
        if self.tails and abs(sum(tail.weight for tail in self.tails) - 1) > _ALL:
            raise ValueError("the weights of a law's tails are not 1 together")

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

    def log_survival(
        self, z: ArrayLike, likely: NDArray[np.float64] | None = None, *, looks: float = 1.0
    ) -> NDArray[np.float64]:
        """Natural logarithm of the probability of more than z, accurate however small it is.

        Args:
            z: Standard scores.
            likely: ndarray, shape=(…, K), for z of shape=(…): how likely each tail is that of the score's query. None
                where nothing is known of it: the weights.
            looks: In how many ways two proteins are compared. The body counts so often; the tails count once, as what
                makes two proteins alike is there whichever way they are looked at.
        """
        z = np.asarray(z, np.float64)
        log = self.log_body(z) + math.log(looks)
        if not self.tails:
            return np.minimum(log, 0.0)
        tails = self.tail_values
        parts = np.log(np.maximum(tails.weight if likely is None else likely, 1e-300)) + tails.log_survival(z)
        both: NDArray[np.float64] = np.logaddexp(log, np.logaddexp.reduce(parts, axis=-1))
        return np.minimum(both, 0.0)

    @cached_property
    def tail_values(self) -> Tails:
        """The tails as arrays."""
        values = [(tail.share, tail.reach, tail.weight, tail.bend) for tail in self.tails]
        return Tails(*np.array(values, np.float64).reshape(-1, 4).T)

    def log_predicted(
        self, z: ArrayLike, known: ArrayLike, likely: NDArray[np.float64] | None = None, *, looks: float = 1.0
    ) -> NDArray[np.float64]:
        """``log_survival`` where the scale was fitted on so many scores: averaged over what these leave open."""
        return self.log_survival(self.careful(z, known), likely, looks=looks)

    def careful(self, z: ArrayLike, known: ArrayLike) -> NDArray[np.float64]:
        """Standard scores, brought nearer to the mode by as much as the scale that they are measured by is unsure.

        A normal law becomes Student's so, and an exponential tail Lomax's; between, the nearer of the two is taken.

        Args:
            z: Standard scores.
            known: How many scores each scale was fitted on, with what the prior weighs; above 0.
        """
        z, known = np.asarray(z, np.float64), np.asarray(known, np.float64)
        above = np.maximum(z, 0.0)
        if self.shape < _NEARLY_NORMAL:
            careful = known * np.log1p(above / known)
        else:
            careful = np.sqrt(known * np.log1p(above**2 / known))
        nearer: NDArray[np.float64] = np.where(z > 0, careful, z)
        return nearer

    def log_body(self, z: ArrayLike) -> NDArray[np.float64]:
        """``log_survival`` of the body alone, by the series of the incomplete gamma function.

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
