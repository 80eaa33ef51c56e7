"""What scores chance gives a query: fitted on its scores with a sample of the database."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protvec.statistics.fitting import Line, Sample, fit
from protvec.statistics.prior import Prior, log_length
from protvec.statistics.tails import likely

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from protvec.statistics.fitting import Belief
    from protvec.statistics.law import Law

# Of scores above this share of the law only that they are above is used.
CENSORED = 0.05
# While nothing is known yet: the upper part that may hold a family.
_DOUBTED = 0.5
# A score that chance gives this rarely in the whole sample is a homologue's, and left out.
_FOREIGN = 0.02
_ROUNDS = 6
_MANY = 1e9  # scores, of which more change nothing
_AT_ONCE = 64  # queries that are fitted together, by one thread: their arrays stay in the cache
_FEW = 20  # scores, of which quantiles say little


@dataclass(frozen=True)
class Null:
    """The law of the scores of a query with proteins that have nothing to do with it.

    A target of L residues has the score ``place + slope * x + scale * exp(spread * x) * Z``, where x is
    ``ln(L / 200)`` and Z is of the law.

    Attributes:
        law: Of Z.
        place: Mode of the scores of a target of 200 residues.
        slope: How the mode rises with the log length of the target.
        scale: How wide they are at 200 residues.
        spread: How the width rises with the log length, on a log scale.
        scores: How many it was fitted on; 0 where all of it is prior.
        left_out: How many scores of the sample were left out as those of homologues.
        known: How many scores the scale is known as well as from: these, and what the prior weighs.
        tails: How likely each tail of the law is this query's; None where the law has no choice of them.
    """

    law: Law
    place: float
    slope: float
    scale: float
    spread: float = 0.0
    scores: int = 0
    left_out: int = 0
    known: float = math.inf
    tails: tuple[float, ...] | None = None

    @classmethod
    def fit(cls, scores: ArrayLike, lengths: ArrayLike, *, query_length: int, prior: Prior) -> Null:
        """Fit it on the scores of one query with a sample of the database. See ``fit_many``."""
        (null,) = fit_many(np.asarray(scores, np.float64)[None], lengths, query_lengths=[query_length], prior=prior)
        return null

    def standard(self, score: ArrayLike, length: ArrayLike) -> NDArray[np.float64]:
        """Scores of targets of these lengths in the law's units."""
        x = log_length(length)
        z: NDArray[np.float64] = np.asarray(score, np.float64) - self.place - self.slope * x
        return z / (self.scale * np.exp(self.spread * x))

    def log_p(self, score: ArrayLike, length: ArrayLike) -> NDArray[np.float64]:
        """Natural logarithm of the probability that an unrelated target of this length has this score or more."""
        return log_p([self], score, length)

    def evalue(self, score: ArrayLike, length: ArrayLike, n: float) -> NDArray[np.float64]:
        """How many of n unrelated targets have a score this good, each measured by its length: at most n.

        Args:
            score: ndarray of any shape.
            length: Residues of the target, of the same shape, or one for all.
            n: Proteins that were searched.
        """
        evalue: NDArray[np.float64] = n * np.exp(self.log_p(score, length))
        return evalue

    def bits(self, score: ArrayLike, length: ArrayLike) -> NDArray[np.float64]:
        """The score in bits, which do not depend on how much was searched: E is ``n * 2**-bits``."""
        bits: NDArray[np.float64] = -self.log_p(score, length) / math.log(2)
        return bits


def log_p(
    nulls: Sequence[Null],
    score: ArrayLike,
    length: ArrayLike,
    query: NDArray[np.int64] | None = None,
    *,
    looks: float = 1.0,
) -> NDArray[np.float64]:
    """As ``Null.log_p``, for targets of several queries at once.

    Args:
        nulls: Of queries that were fitted together: of one law.
        score: ndarray of any shape.
        length: Residues of the targets.
        query: Which of the queries each is of; None for the first.
        looks: In how many ways proteins are compared, as for ``Law.log_survival``.
    """
    at = 0 if query is None else query
    place, slope, scale, known = (
        np.array([getattr(null, name) for null in nulls])[at] for name in ("place", "slope", "scale", "known")
    )
    x = log_length(length)
    z = (np.asarray(score, np.float64) - place - slope * x) / (scale * np.exp(nulls[0].spread * x))
    tails = None if nulls[0].tails is None else np.array([null.tails for null in nulls])[at]
    return nulls[0].law.log_predicted(z, np.minimum(known, _MANY), tails, looks=looks)


def fit_many(
    scores: NDArray[np.float64],
    lengths: ArrayLike,
    *,
    query_lengths: Sequence[int],
    prior: Prior,
    kinds: NDArray[np.int64] | None = None,
) -> list[Null]:
    """The null of each of several queries by censored maximum likelihood, shrunk to a prior.

    Three things keep homologues out. At first the upper half is censored: used only as being above it. Then
    scores that the fit has no place for are left out, and those above its 95% quantile are censored, until nothing
    changes. So a family may make up a fifth of the sample.

    Args:
        scores: ndarray, shape=(Q, M): with the same M proteins, M from 0. What is not finite is left out: the query
            itself.
        lengths: M numbers of residues.
        query_lengths: Q of them.
        prior: What such scores are like, for this database or for the model.
        kinds: ndarray, shape=(Q,): which kind of query each is; below 0, or None, where that is not known.
    """
    weights = prior.tail_weights(kinds, len(scores))
    parts = [slice(start, start + _AT_ONCE) for start in range(0, max(len(scores), 1), _AT_ONCE)]

    def fitted(part: slice) -> list[Null]:
        return _fit(scores[part], lengths, query_lengths[part], prior, weights[part])

    if len(parts) == 1:
        return fitted(parts[0])
    with ThreadPoolExecutor(min(len(parts), os.cpu_count() or 1)) as pool:
        return [null for nulls in pool.map(fitted, parts) for null in nulls]


def _fit(
    scores: NDArray[np.float64],
    lengths: ArrayLike,
    query_lengths: Sequence[int],
    prior: Prior,
    weights: NDArray[np.float64],
) -> list[Null]:
    """``fit_many`` of some of the queries, which is the same for each as beside others."""
    x = log_length(lengths)
    there = np.isfinite(scores)
    sample = Sample(np.where(there, scores, 0.0), x, np.exp(prior.spread * x))
    belief = prior.belief(query_lengths)
    line = Line(*(np.array(each) for each in _first(prior.law, sample, there, belief)))
    foreign, active = np.zeros_like(there), np.arange(len(scores))
    for _ in range(_ROUNDS):
        part = Sample(sample.scores[active], x, sample.u)
        z = line.of(active).standard(part)
        now = there[active] & (z > foreign_from(prior.law, len(x)))
        found = _upper_censored(prior.law, part, z, there[active] & ~now, line.of(active), belief.of(active))
        for values, new in zip(line, found, strict=True):
            values[active] = new
        changed = (now != foreign[active]).any(axis=1)
        foreign[active] = now
        active = active[changed]
        if not len(active):
            break
    left_out = foreign.sum(axis=1)
    number = there.sum(axis=1) - left_out
    known = number + prior.weights[2]
    tails = _tails(prior.law, line.standard(sample), there, known, weights)
    columns = zip(*line, number, left_out, known, tails, strict=True)
    return [
        Null(prior.law, float(a), float(b), float(s), prior.spread, int(m), int(f), float(k), t)
        for a, b, s, m, f, k, t in columns
    ]


def _tails(
    law: Law,
    z: NDArray[np.float64],
    there: NDArray[np.bool_],
    known: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Sequence[tuple[float, ...] | None]:
    """How likely each tail is that of each query, from all of its scores: those that were left out are far out."""
    if len(law.tails) <= 1:
        return [None] * len(z)
    return [tuple(row) for row in likely(law, law.careful(z, known[:, None]), there, weights).tolist()]


def foreign_from(law: Law, number: int) -> float:
    """The standard score from which one of so many is a homologue's: chance gives it too rarely."""
    return law.quantile(_FOREIGN / max(number, 1))


def _first(law: Law, sample: Sample, there: NDArray[np.bool_], belief: Belief) -> Line:
    """A fit that knows of no homologues yet: by the lower scores of each query."""
    if sample.scores.shape[1] < _FEW:
        return belief.line
    scores = np.where(there, sample.scores, np.inf)
    low, middle = (_quantile(scores, share) for share in (0.16, 1 - _DOUBTED))
    start = Line(middle, np.zeros_like(middle), np.maximum(middle - low, 1e-3 * belief.line.s))
    bounds = np.broadcast_to(middle[:, None], scores.shape)
    return _censored(law, sample, sample.scores > bounds, bounds, there, start, belief)


def _quantile(scores: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """A quantile of each row's finite scores: of no scores 0."""
    ordered, number = np.sort(scores, axis=1), np.isfinite(scores).sum(axis=1)
    found = ordered[np.arange(len(scores)), (share * np.maximum(number - 1, 0)).astype(np.intp)]
    return np.where(number > 0, found, 0.0)


def _upper_censored(
    law: Law, sample: Sample, z: NDArray[np.float64], counted: NDArray[np.bool_], start: Line, belief: Belief
) -> Line:
    """A fit that knows of the highest scores only that they are above the 95% quantile of the law."""
    edge = law.quantile(CENSORED)
    return _censored(law, sample, z > edge, start.scores(edge, sample), counted, start, belief)


def _censored(
    law: Law,
    sample: Sample,
    above: NDArray[np.bool_],
    bounds: NDArray[np.float64],
    counted: NDArray[np.bool_],
    start: Line,
    belief: Belief,
) -> Line:
    lowered = Sample(np.where(above, bounds, sample.scores), sample.x, sample.u)
    return fit(law, lowered, counted=counted, censored=above, start=start, belief=belief)
