"""The alignment whose pairs are likely, where the single best one is only one of many that are nearly as good.

Every local alignment has the weight ``exp(score / temperature)``. The probability of a pair is the share that the
alignments with it have of all weight, by the forward and backward sums of Durbin et al. 1998 (Biological Sequence
Analysis, chapter 4; for local alignments Miyazawa 1995, doi:10.1093/protein/8.10.999). The alignment is the one with
the greatest sum of probability less ``THRESHOLD`` over its pairs: maximum expected accuracy (Do et al. 2005,
doi:10.1101/gr.2821705). Importing this imports numba; the first call compiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A pair less likely than this is better left out: half of an F1 that can be expected, for which this rule is best.
THRESHOLD = 0.3
# Sums of weights above this are divided, to fit a number; what is below that is nothing beside them.
MUCH, NOTHING = 1e30, 1e-120
# A pair that scores less than so many temperatures scores that: its weight is nothing either.
LOWEST = -30.0
# Cells of the largest matrix: its sums take 24 bytes each.
CELLS = 4 << 20
_PAIR, _UP, _LEFT = 1, 2, 3


def likely_pairs(
    scores: NDArray[np.float32], gap_open: float, gap_extend: float, temperature: float
) -> NDArray[np.int64]:
    """The residue pairs of the alignment of maximum expected accuracy.

    Args:
        scores: ndarray, shape=(L, M): what each pair scores.
        gap_open: What the first residue of a gap costs.
        gap_extend: What each further one costs.
        temperature: In the units of the scores, above 0.

    Returns:
        ndarray, shape=(N, 2): places in query and target, from 0, rising. None where no pair is likely enough.
    """
    chain: NDArray[np.int64] = _chain(probabilities(scores, gap_open, gap_extend, temperature), THRESHOLD)
    return chain


def probabilities(
    scores: NDArray[np.float32], gap_open: float, gap_extend: float, temperature: float
) -> NDArray[np.float64]:
    """How likely each pair is: ndarray, shape=(L, M), 0 to 1. See ``likely_pairs``."""
    weights = np.exp(np.maximum(scores.astype(np.float64) / temperature, LOWEST))
    gaps = np.exp(-gap_open / temperature), np.exp(-gap_extend / temperature)
    ending, scales = _sums(weights, *gaps)
    # Turned around, alignments begin where they ended; and turned over, gaps keep their order.
    beginning, turned = _sums(np.ascontiguousarray(weights[::-1, ::-1].T), *gaps)
    highest = scales.max()
    whole = (ending.sum(axis=1) * np.exp(scales - highest)).sum()
    scale = np.exp(np.minimum(scales[:, None] + turned[::-1] - highest, np.log(np.finfo(np.float64).max)))
    likely: NDArray[np.float64] = ending / whole * (beginning.T[::-1, ::-1] / weights) * scale
    return likely


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _sums(
    weights: NDArray[np.float64], opened: float, longer: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The weight of all local alignments that end with each pair: shape of ``weights``.

    Where residues of both are left out, those of the target come first, so that no alignment counts twice.

    Returns:
        The weights, each row times ``exp`` of the negative of a number, so that they fit one; and these, shape=(L,).
    """
    height, width = weights.shape
    found, scales = np.empty((height, width)), np.empty(height)
    # Of the row before: alignments that end with a pair, with a gap to the right, and with one down.
    pair, right, down = np.zeros(width + 1), np.zeros(width + 1), np.zeros(width + 1)
    scale, begun = 0.0, 1.0
    for i in range(height):
        row, top = found[i], 0.0
        for j in range(width):
            row[j] = _at_least(weights[i, j] * (begun + pair[j] + right[j] + down[j]))
            top = max(top, row[j])
        for j in range(width):
            down[j + 1] = _at_least((pair[j + 1] + right[j + 1]) * opened + down[j + 1] * longer)
        for j in range(width):
            right[j + 1] = _at_least((row[j - 1] if j else 0.0) * opened + right[j] * longer)
        pair[1:] = row
        if top > MUCH:
            scale += np.log(top)
            begun = _at_least(np.exp(-scale))
            for array in (row, pair, right, down):
                array[:] /= top
        scales[i] = scale
    return found, scales


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _at_least(value: float) -> float:
    """Nothing for what is next to nothing: numbers so small that they are kept otherwise are slow."""
    return value if value > NOTHING else 0.0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _chain(likely: NDArray[np.float64], threshold: float) -> NDArray[np.int64]:
    """The rising pairs with the greatest sum of what they are above a threshold: shape=(N, 2)."""
    height, width = likely.shape
    best = np.zeros(width + 1)
    found = np.empty((height, width), np.uint8)
    for i in range(height):
        corner = 0.0
        for j in range(width):
            pair, up, left = corner + likely[i, j] - threshold, best[j + 1], best[j]
            corner = up
            if pair > up and pair > left:
                best[j + 1], found[i, j] = pair, _PAIR
            elif up >= left:
                best[j + 1], found[i, j] = up, _UP
            else:
                best[j + 1], found[i, j] = left, _LEFT
    pairs = np.empty((min(height, width), 2), np.int64)
    i, j, number = height - 1, width - 1, 0
    while i >= 0 and j >= 0:
        if found[i, j] == _PAIR:
            pairs[number, 0], pairs[number, 1] = i, j
            number += 1
        i, j = i - (found[i, j] != _LEFT), j - (found[i, j] != _UP)
    return pairs[:number][::-1].copy()
