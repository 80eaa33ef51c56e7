"""Maximum likelihood of a line and a scale under a law of chance scores, for several queries at once.

A score y of a target with the explanatory value x (its log length) is ``a + b x + s u Z``, where u is known. In the
terms of ``alpha = a / s``, ``beta = b / s`` and ``tau = 1 / s`` the residual ``z = (tau y - alpha - beta x) / u`` is
linear and the negative log likelihood convex (Burridge, JRSS B 43, 1981), so that Newton's method finds the one best
place. Scores that are censored (type I) count with the probability of more than their bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from protvec.statistics.law import Law

    _Derivatives = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

_STEPS = 40
_HALVINGS = 12
_CLOSE = 1e-7  # of what the likelihood could still gain for each score


class Line(NamedTuple):
    """Parameters of several queries.

    Attributes:
        a: ndarray, shape=(Q,): place of the law at x = 0.
        b: ndarray, shape=(Q,): slope over x.
        s: ndarray, shape=(Q,): scale.
    """

    a: NDArray[np.float64]
    b: NDArray[np.float64]
    s: NDArray[np.float64]

    def of(self, queries: NDArray[np.intp]) -> Line:
        """The parameters of some of the queries."""
        return Line(self.a[queries], self.b[queries], self.s[queries])

    def standard(self, sample: Sample) -> NDArray[np.float64]:
        """The scores of a sample in standard units, shape=(Q, M)."""
        away = sample.scores - self.a[:, None] - self.b[:, None] * sample.x
        z: NDArray[np.float64] = away / (self.s[:, None] * sample.u)
        return z

    def scores(self, z: float, sample: Sample) -> NDArray[np.float64]:
        """The scores, shape=(Q, M), that targets of these lengths have at z standard units."""
        scores: NDArray[np.float64] = self.a[:, None] + self.b[:, None] * sample.x + z * self.s[:, None] * sample.u
        return scores


@dataclass(frozen=True)
class Sample:
    """Scores of Q queries with M targets.

    Attributes:
        scores: ndarray, shape=(Q, M), finite.
        x: ndarray, shape=(M,): the explanatory value of each target.
        u: ndarray, shape=(M,): how wide the law is for it, relative to the scale.
    """

    scores: NDArray[np.float64]
    x: NDArray[np.float64]
    u: NDArray[np.float64]


@dataclass(frozen=True)
class Belief:
    """What is believed of the parameters before any score is seen, and how many scores it weighs as much as.

    Attributes:
        line: The parameters.
        weights: Scores that the beliefs in a, b and s weigh as much as, each above 0.
    """

    line: Line
    weights: tuple[float, float, float]

    def of(self, queries: NDArray[np.intp]) -> Belief:
        """What is believed of some of the queries."""
        return Belief(self.line.of(queries), self.weights)


def fit(
    law: Law,
    sample: Sample,
    *,
    counted: NDArray[np.bool_],
    censored: NDArray[np.bool_],
    start: Line,
    belief: Belief,
) -> Line:
    """The most likely parameters, given a belief.

    Args:
        law: The law of the residuals: its body.
        sample: The scores; of a censored one its bound.
        counted: ndarray, shape=(Q, M): the others are left out.
        censored: ndarray, shape=(Q, M): which of these are known to be above their bound alone.
        start: Where to begin; scales above 0.
        belief: What is believed before: it settles what the scores do not.
    """
    problem = _Problem(law, sample, counted, censored, belief)
    theta = np.stack([start.a / start.s, start.b / start.s, 1 / start.s], axis=1)
    value, gradient, hessian = problem.at(theta)
    enough = _CLOSE * (1 + counted.sum(axis=1))
    for _ in range(_STEPS):
        step = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
        gain = -(gradient * step).sum(axis=1)
        if (gain <= enough).all():
            break
        step[gain <= enough] = 0  # what comes of a query does not depend on those beside it
        size = np.minimum(1.0, 0.9 * theta[:, 2] / np.maximum(-step[:, 2], 1e-300))  # tau stays above 0
        for _ in range(_HALVINGS):
            ahead = theta + size[:, None] * step
            there, next_gradient, next_hessian = problem.at(ahead)
            worse = there > value - 1e-4 * size * gain + enough
            if not worse.any():
                break
            size[worse] /= 2
        theta, value, gradient, hessian = ahead, there, next_gradient, next_hessian
    alpha, beta, tau = theta.T
    return Line(alpha / tau, beta / tau, 1 / tau)


class _Problem:
    """The negative log posterior as a function of alpha, beta and tau."""

    def __init__(
        self, law: Law, sample: Sample, counted: NDArray[np.bool_], censored: NDArray[np.bool_], belief: Belief
    ) -> None:
        self._law, self._belief = law, belief
        x, u = sample.x, sample.u
        self._columns = np.stack([1 / u, x / u], axis=1)  # (M, 2): what alpha and beta are multiplied with
        self._products = (self._columns[:, :, None] * self._columns[:, None, :]).reshape(-1, 4)
        self._y = sample.scores / u
        self._seen = (counted & ~censored).astype(np.float64)
        self._number = self._seen.sum(axis=1)
        self._sums = self._seen @ self._columns, np.einsum("qm,qm->q", self._seen, self._y)
        self._censored = _Censored.of(censored & counted, self._y, self._columns)
        self._fixed = _curvature(belief)

    def at(self, theta: NDArray[np.float64]) -> _Derivatives:
        """It, its gradient, shape=(Q, 3), and its second derivatives, shape=(Q, 3, 3).

        Of a score that is seen the first derivative by z is ``sqrt(k) (1 - decay)`` and the second ``decay``, so that
        sums of the decay, weighted with the columns and with y, are all that has to be formed anew.
        """
        law, (columns, y), tau = self._law, self._sums, theta[:, 2]
        decay = law.decay(theta[:, 2:] * self._y - theta[:, :2] @ self._columns.T) * self._seen
        weighted = decay * self._y
        by_columns, by_y = decay @ self._columns, weighted.sum(axis=1)
        value = law.root * (tau * y - (theta[:, :2] * columns).sum(axis=1)) + law.shape * decay.sum(axis=1)
        gradient = np.empty((len(theta), 3))
        gradient[:, :2], gradient[:, 2] = law.root * (by_columns - columns), law.root * (y - by_y)
        hessian = np.empty((len(theta), 3, 3))
        hessian[:, :2, :2] = (decay @ self._products).reshape(-1, 2, 2)
        hessian[:, :2, 2] = hessian[:, 2, :2] = -(weighted @ self._columns)
        hessian[:, 2, 2] = np.einsum("qm,qm->q", weighted, self._y)
        self._add_censored(theta, value, gradient, hessian)
        self._add_belief(theta, value, gradient, hessian)
        number = self._number + self._belief.weights[2]
        value -= number * np.log(tau)
        gradient[:, 2] -= number / tau
        hessian[:, 2, 2] += number / tau**2
        return value, gradient, hessian

    def _add_censored(
        self,
        theta: NDArray[np.float64],
        value: NDArray[np.float64],
        gradient: NDArray[np.float64],
        hessian: NDArray[np.float64],
    ) -> None:
        """Adds what the censored scores say: the log survival at their bounds."""
        there = self._censored
        if not len(there.of_query):
            return
        z = (theta[there.of_query] * there.inner).sum(axis=1)
        survival, first = self._law.censored(z)
        second = first * (first - self._law.slope(self._law.decay(z)))
        terms = np.concatenate(
            [survival[:, None], first[:, None] * there.inner, second[:, None] * there.products], axis=1
        )
        sums = np.add.reduceat(terms, there.starts, axis=0)
        value[there.queries] -= sums[:, 0]
        gradient[there.queries] += sums[:, 1:4]
        hessian[there.queries] += sums[:, 4:].reshape(-1, 3, 3)

    def _add_belief(
        self,
        theta: NDArray[np.float64],
        value: NDArray[np.float64],
        gradient: NDArray[np.float64],
        hessian: NDArray[np.float64],
    ) -> None:
        """Adds the belief but for its logarithm: normal laws of place and slope in units of the scale, a gamma law."""
        slope = (self._fixed @ theta[:, :, None])[:, :, 0]
        scale = self._belief.weights[2] * self._belief.line.s
        value += (theta * slope).sum(axis=1) / 2 + scale * theta[:, 2]
        gradient += slope
        gradient[:, 2] += scale
        hessian += self._fixed


class _Censored(NamedTuple):
    """The censored scores of all queries, one query after another.

    Attributes:
        of_query: ndarray, shape=(C,): which query each is of.
        queries: ndarray, shape=(Q',): those that have any.
        starts: ndarray, shape=(Q',): where those of each begin.
        inner: ndarray, shape=(C, 3): the derivatives of z by the parameters.
        products: ndarray, shape=(C, 9): of these with one another.
    """

    of_query: NDArray[np.intp]
    queries: NDArray[np.intp]
    starts: NDArray[np.intp]
    inner: NDArray[np.float64]
    products: NDArray[np.float64]

    @classmethod
    def of(cls, which: NDArray[np.bool_], y: NDArray[np.float64], columns: NDArray[np.float64]) -> _Censored:
        """Those of a matrix of queries and targets."""
        of_query, places = np.nonzero(which)
        queries, starts = np.unique(of_query, return_index=True)
        inner = np.concatenate([-columns[places], y[of_query, places, None]], axis=1)
        products = (inner[:, :, None] * inner[:, None, :]).reshape(-1, 9)
        return cls(of_query, queries, starts, inner, products)


def _curvature(belief: Belief) -> NDArray[np.float64]:
    """The second derivatives of the belief in place and slope, shape=(Q, 3, 3): they are the same everywhere."""
    a, b, _ = belief.line
    fixed = np.zeros((len(a), 3, 3))
    for i, (expected, weight) in enumerate(zip((a, b), belief.weights, strict=False)):
        fixed[:, i, i] += weight
        fixed[:, i, 2] -= weight * expected
        fixed[:, 2, i] -= weight * expected
        fixed[:, 2, 2] += weight * expected**2
    return fixed
