"""Priors that ship with protvec: where a query begins, before its own scores with the database are looked at.

Fitted on 8,991 domains of SCOP 1.75 at 40% identity with the model ``near``, without their labels; the tails on hits in
other folds (``scripts/fit_statistics.py``). docs/statistics.md says how, and how well they do.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from protvec.statistics.law import Law, Tail
from protvec.statistics.prior import Prior

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# A cosine of 1 has no end of a Fisher z; this is that of nearly 1.
_LARGEST = 1 - 1e-9

# Tails that the scores of a query may have, from next to none to that of a membrane protein: shares and reaches.
_TAILS = (
    *((1e-7, 1.0), (1e-5, 0.5), (1e-3, 0.6), (3e-3, 0.6), (3e-3, 1.0), (1e-2, 0.6), (1e-2, 1.0)),
    *((1e-2, 1.6), (1e-2, 2.6)),
)
_LONG = 1.5  # reaches from here on are those of the most unusual queries


def _bent(bend: float, *longest: float) -> tuple[Tail, ...]:
    """The tails, which fall faster than exponentials do: by a bend, and where their reach is long by each of others."""
    short = [Tail(share, reach, bend=bend) for share, reach in _TAILS if reach < _LONG]
    return *short, *(Tail(share, reach, bend=each) for each in longest for share, reach in _TAILS if reach > _LONG)


# The longest of segments are there twice: ordinary queries have the bent ones, the most unusual those without a bend.
WHOLE_TAILS, SEGMENT_TAILS = _bent(0.12, 0.0), _bent(0.3, 0.04, 0.0)
# How many queries have each, in thousandths: by whole proteins, and by segments.
_WHOLE = (668, 5, 150, 91, 50, 4, 21, 5, 5)
_SEGMENTS = (714, 6, 144, 32, 74, 0, 7, 23, 2, 0, 1)
# The same of queries of each kind, from the ordinary to the most unusual (``kinds.py``).
_WHOLE_BY_KIND = (
    (711, 5, 152, 85, 33, 2, 9, 1, 0),
    (260, 15, 196, 195, 194, 25, 103, 11, 0),
    (160, 10, 108, 85, 336, 17, 222, 53, 10),
    (4, 29, 0, 4, 193, 0, 199, 235, 336),
)
_SEGMENTS_BY_KIND = (
    (740, 6, 142, 33, 58, 0, 6, 15, 1, 0, 0),
    (484, 15, 179, 56, 196, 0, 12, 57, 0, 0, 0),
    (304, 33, 163, 10, 310, 0, 41, 125, 13, 0, 0),
    (23, 2, 85, 0, 398, 0, 37, 289, 63, 57, 47),
)

# Raw cosines lie elsewhere for every model: of the place next to nothing is believed.
_RAW = Prior(
    Law(200.0, (Tail(1.2e-4, 0.5),)),
    place=(0.36, 0.11),
    slope=(0.10, 0.15),
    log_scale=(-1.46, 0.11),
    spread=0.045,
    weights=(0.2, 5.0, 5.0),
)
_CENTRED = Prior(
    Law(200.0, (Tail(2e-4, 0.65),)),
    place=(0.05, 0.107),
    slope=(0.13, 0.23),
    log_scale=(-1.29, 0.10),
    spread=0.035,
    weights=(4.0, 5.0, 10.0),
)
# Alignments by cosines of residues times 13.5 less 1.5, with BLOSUM62 and gaps of 10 and 1.
COSINE_ALIGNMENT = Prior(
    Law(1.4),
    place=(111.0, 45.0),
    slope=(44.3, 27.5),
    log_scale=(3.265, 0.30),
    spread=0.1,
    weights=(4.0, 4.0, 40.0),
)
# By z-scores of residues less 1.5, with 0.3 times BLOSUM62 and gaps of 7 and 1: less is believed, as of other models.
Z_ALIGNMENT = Prior(
    Law(1.3),
    place=(84.2, 34.6),
    slope=(36.6, 19.9),
    log_scale=(2.94, 0.285),
    spread=0.2,
    weights=(1.0, 2.0, 15.0),
)
# By anything else: only the law, and how widths rise with lengths; a unit of such scores may be any.
ANY_ALIGNMENT = Prior(
    Law(1.35),
    place=(60.0, 25.0),
    slope=(25.0, 14.0),
    log_scale=(2.6, 0.3),
    spread=0.15,
    weights=(0.02, 0.02, 1.0),
)


@lru_cache(maxsize=16)  # its law has a table, which is made once
def cosine_prior(kind: str, dimension: int) -> Prior:
    """What Fisher's z of cosines is like in a search space.

    Args:
        kind: ``raw``, ``centred`` or ``whitened``.
        dimension: D of the vectors: whitened ones of unrelated proteins are as wide as chance makes them.
    """
    if kind == "raw":
        return _RAW
    if kind == "centred":
        return _CENTRED
    return Prior(
        Law(40.0, _weighted(WHOLE_TAILS, _WHOLE)),
        place=(0.0, 0.008),
        slope=(0.009, 0.015),
        log_scale=(0.12 - 0.5 * math.log(dimension), 0.07),
        spread=0.072,
        weights=(20.0, 20.0, 20.0),
        kinds=tuple(map(_shares, _WHOLE_BY_KIND)),
    )


@lru_cache(maxsize=16)
def segment_prior(kind: str, dimension: int) -> Prior:
    """The same of cosines of one segment with one other."""
    prior = cosine_prior(kind, dimension)
    if kind != "whitened":
        return prior
    law = Law(prior.law.shape, _weighted(SEGMENT_TAILS, _SEGMENTS))
    return replace(prior, law=law, kinds=tuple(map(_shares, _SEGMENTS_BY_KIND)))


def _weighted(tails: tuple[Tail, ...], counts: tuple[int, ...]) -> tuple[Tail, ...]:
    return tuple(replace(tail, weight=share) for tail, share in zip(tails, _shares(counts), strict=True))


def _shares(counts: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(count / sum(counts) for count in counts)


def fisher(cosines: ArrayLike) -> NDArray[np.float64]:
    """Fisher's z of cosines (Biometrika 10, 1915): their laws are nearer to the normal, and have no end at 1."""
    z: NDArray[np.float64] = np.arctanh(np.clip(np.asarray(cosines, np.float64), -_LARGEST, _LARGEST))
    return z
