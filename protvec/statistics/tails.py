"""Which tail the chance scores of a query have: what Bayes' rule makes of those a little beyond the body.

A sample of some hundred scores cannot show what one in a million is like. But queries that have many scores of four
standard units have some of ten, and how many have how many is known from other queries: empirical Bayes (Robbins 1956),
with the weights of greatest likelihood (Kiefer and Wolfowitz 1956). Scores far out say nothing here: homologues have
those. Some have nearer ones as well, which are a part of their own beside the tail.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from protvec.statistics.law import BEGIN, Law

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from protvec.statistics.law import Tail

# In standard units; few scores of unrelated proteins are beyond, and many of homologues.
_END = 6.0
# Relatives in the sample, as shares of it: they lie anywhere up to the end. Most queries have next to none.
_KIN, _FEW_HAVE = np.array([0.0, 0.01, 0.02, 0.05, 0.1, 0.2]), np.array([0.75, 0.05, 0.05, 0.05, 0.05, 0.05])
_FAR = 30.0
_STEPS = 400


def likely(
    law: Law, z: NDArray[np.float64], counted: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How likely each tail of the law is that of each query.

    Args:
        law: The law, with K tails.
        z: ndarray, shape=(Q, M): standard scores of a sample.
        counted: ndarray, shape=(Q, M): the others are left out.
        weights: ndarray, shape=(Q, K): what is known before.

    Returns:
        ndarray, shape=(Q, K): 1 together for each query.
    """
    log = _log_likelihood(law, z, counted, _END, _KIN) + np.log(_FEW_HAVE)
    log += np.log(np.maximum(weights, 1e-300))[:, :, None]
    shares: NDArray[np.float64] = _shares(log.reshape(len(log), -1)).reshape(log.shape).sum(axis=2)
    return shares


def fit_tails(law: Law, z: NDArray[np.float64], tails: Sequence[Tail]) -> Law:
    """The law with as much of each tail as makes the scores of many queries most likely: the EM algorithm.

    Args:
        law: With the shape of the body.
        z: ndarray, shape=(Q, M): standard scores of queries with proteins that are not related; NaN is left out.
        tails: What tails there may be; what they weigh does not matter.
    """
    found = Law(law.shape, tuple(replace(tail, weight=1 / len(tails)) for tail in tails))
    there = np.isfinite(z)
    log = _log_likelihood(found, np.where(there, z, 0.0), there, _FAR, np.zeros(1))[:, :, 0]
    weights = found.tail_values.weight
    for _ in range(_STEPS):
        weights = _shares(log + np.log(np.maximum(weights, 1e-300))).mean(axis=0)
    each = zip(found.tails, weights / weights.sum(), strict=True)
    return Law(law.shape, tuple(replace(tail, weight=float(weight)) for tail, weight in each))


def _log_likelihood(
    law: Law, z: NDArray[np.float64], counted: NDArray[np.bool_], end: float, kin: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of the scores between the begin of the tails and an end, as a Poisson process: ndarray, shape=(Q, K, J).

    Each of the J shares of ``kin`` is of relatives, which are spread evenly up to the end.
    """
    tails = law.tail_values
    low, high = np.exp(law.log_body([BEGIN, end]))
    expected = low - high + tails.share - np.exp(tails.log_survival(end))
    log: NDArray[np.float64] = -counted.sum(axis=1)[:, None, None] * (expected[:, None] + kin)
    query, target = np.nonzero(counted & (z > BEGIN) & (z < end))
    values = z[query, target]
    density = np.exp(law.log_density(values))[:, None] + tails.density(values)
    np.add.at(log, query, np.log(density[:, :, None] + kin / (end - BEGIN)))
    return log


def _shares(log: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each is of all in its row, from logarithms."""
    values = np.exp(log - log.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = values / values.sum(axis=1, keepdims=True)
    return shares
