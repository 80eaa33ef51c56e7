"""A prior fitted on a database: proteins of it, turned around where that can be had, against a sample of it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from protvec.statistics.law import Law
from protvec.statistics.null import fit_many, foreign_from
from protvec.statistics.prior import Prior, log_length

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

# The shape of the law lies between these; where its share is measured: high, but below most homologues.
SHAPES = (1.0, 200.0)
MEASURED = (0.05, 0.02)
_HALVINGS = 7
# Fewer queries settle no line over their lengths.
FEWEST = 20
_GROUPS = 5  # of targets by length
_ALIKE = 0.1  # log lengths that say nothing of how a width rises
# Weights of a prior: a score of the query weighs 1.
_LIGHTEST, _HEAVIEST = 1.0, 200.0
_UNSURE = (0.05, 0.05, 0.5)


def fit_prior(scores: NDArray[np.float64], lengths: ArrayLike, *, query_lengths: Sequence[int], start: Prior) -> Prior:
    """What the nulls of queries are like, from the scores of some with a sample of the database.

    Args:
        scores: ndarray, shape=(Q, M): what is not finite is left out. Homologues may be among them.
        lengths: M numbers of residues, of the targets.
        query_lengths: Q, of the queries.
        start: Where to begin; what too few queries or targets cannot settle stays as it is there.

    Returns:
        The shape of the law, the spread, the places, slopes and scales by the length of the query, and how they vary
        about that. The tails are those of ``start``.
    """
    if len(scores) < FEWEST or scores.shape[1] < FEWEST:
        return start
    found = replace(start, weights=_UNSURE)
    for _ in range(2):
        found = _with_lines(found, scores, lengths, query_lengths)
        found = replace(found, spread=_spread(found, scores, lengths, query_lengths), weights=_UNSURE)
        found = replace(found, law=_shaped(found, scores, lengths, query_lengths))
    return _with_lines(found, scores, lengths, query_lengths)


def _with_lines(prior: Prior, scores: NDArray[np.float64], lengths: ArrayLike, query_lengths: Sequence[int]) -> Prior:
    """The prior with places, slopes and scales by the query's length, and the weights that their variation means."""
    nulls = fit_many(scores, lengths, query_lengths=query_lengths, prior=prior)
    x = log_length(query_lengths)
    scale = np.array([null.scale for null in nulls])
    place, place_away = _line(x, np.array([null.place for null in nulls]))
    slope, slope_away = _line(x, np.array([null.slope for null in nulls]))
    log_scale, scale_away = _line(x, np.log(scale))
    weights = _weight(place_away / scale), _weight(slope_away / scale), _weight(scale_away)
    return replace(prior, place=place, slope=slope, log_scale=log_scale, weights=weights, queries=len(nulls))


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[tuple[float, float], NDArray[np.float64]]:
    """A line through the points that a few strays do not move, and how far each is from it."""
    design = np.stack([np.ones_like(x), x], axis=1)
    kept = np.ones(len(x), bool)
    for _ in range(3):
        (at, rise), *_ = np.linalg.lstsq(design[kept], y[kept], rcond=None)
        away = y - at - rise * x
        kept = np.abs(away) <= 3 * np.std(away[kept]) + 1e-12
    return (float(at), float(rise)), away


def _weight(away: NDArray[np.float64]) -> float:
    """How many scores a parameter that varies so much between queries is known as well as."""
    return float(np.clip(1 / (float(np.var(away)) + 1e-12), _LIGHTEST, _HEAVIEST))


def _standard(
    prior: Prior, scores: NDArray[np.float64], lengths: ArrayLike, query_lengths: Sequence[int]
) -> NDArray[np.float64]:
    """The scores in units of their nulls; NaN for those that were left out as homologues'."""
    nulls = fit_many(scores, lengths, query_lengths=query_lengths, prior=prior)
    z = np.stack([null.standard(row, lengths) for null, row in zip(nulls, scores, strict=True)])
    z[z > foreign_from(prior.law, scores.shape[1])] = np.nan
    return z


def _spread(prior: Prior, scores: NDArray[np.float64], lengths: ArrayLike, query_lengths: Sequence[int]) -> float:
    """How the width rises with the target's length, so that high scores are as common at every length."""
    z = _standard(prior, scores, lengths, query_lengths)
    x = log_length(lengths)
    groups = [group for group in np.array_split(np.argsort(x, kind="stable"), _GROUPS) if len(group)]
    high = [np.nanquantile(z[:, group], 1 - MEASURED[1]) for group in groups]
    middle = np.array([x[group].mean() for group in groups])
    if np.ptp(middle) < _ALIKE or min(high) <= 0:
        return prior.spread
    (_, rise), _ = _line(middle, np.log(high))
    return float(np.clip(prior.spread + rise, -0.5, 1.0))


def _shaped(prior: Prior, scores: NDArray[np.float64], lengths: ArrayLike, query_lengths: Sequence[int]) -> Law:
    """The law of the shape under which high scores are as common as it says: by halving.

    The likelihood of the whole body is of no use for it: that weighs the lower side, and only the upper one matters.
    """
    low, high = map(math.log, SHAPES)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        law = Law(math.exp(middle), prior.law.tails)
        z = _standard(replace(prior, law=law), scores, lengths, query_lengths)
        there = float(np.isfinite(z).sum())
        found = [float((z > law.quantile(share)).sum() + 0.5) / (share * there) for share in MEASURED]
        low, high = (low, middle) if math.prod(found) > 1 else (middle, high)
    return Law(math.exp((low + high) / 2), prior.law.tails)
