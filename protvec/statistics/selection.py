"""Scores of proteins that were chosen by another score first."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEP, _LOWEST, _HIGHEST = 1 / 64, -8.0, 37.0


def log_chosen(log_p: NDArray[np.float64], share: float, correlation: float) -> NDArray[np.float64]:
    """How likely an unrelated protein has a score this good and is chosen too.

    Both scores, each put on the scale of a normal law, are taken to have a bivariate normal law together: who has the
    one high has the other high more often than others.

    Args:
        log_p: Natural logarithms of the probability of each score or more.
        share: Of unrelated proteins that are chosen.
        correlation: Of the two scores of unrelated proteins, from 0 to below 1.

    Returns:
        Natural logarithms, never above ``log_p`` nor, but for rounding, the logarithm of the share.
    """
    if share >= 1:
        return log_p
    u, survival = _normal()
    edge = float(np.interp(math.log(max(share, 1e-300)), survival[::-1], u[::-1]))
    chosen = np.exp(_log_survival((edge - correlation * u) / math.sqrt(1 - correlation**2)))
    density = np.exp(-(u**2) / 2) / math.sqrt(2 * math.pi) * chosen
    parts = (density[1:] + density[:-1]) / 2 * _STEP
    above = np.append(np.cumsum(parts[::-1])[::-1], parts[-1])
    joint = np.interp(log_p, survival[::-1], np.log(np.maximum(above, 1e-320))[::-1])
    found: NDArray[np.float64] = np.where(log_p < survival[-2], log_p, np.minimum(joint, log_p))
    return found


@lru_cache(maxsize=1)
def _normal() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A grid, and the log survival of the normal law there."""
    u = np.arange(_LOWEST, _HIGHEST, _STEP)
    return u, _log_survival(u)


def _log_survival(z: NDArray[np.float64]) -> NDArray[np.float64]:
    values = [math.log(max(math.erfc(each), 1e-320) / 2) for each in (z / math.sqrt(2)).tolist()]
    return np.array(values)
