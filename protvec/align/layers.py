"""The layers of a small network, in NumPy and numba. Importing this imports numba; the first call compiles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray


def gelu(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The Gaussian error linear unit, in place: ``values``, shape=(L, W)."""
    _gelu(values.reshape(-1))
    return values


def convolved(
    values: NDArray[np.float32], kernel: NDArray[np.float32], bias: NDArray[np.float32], dilation: int
) -> NDArray[np.float32]:
    """A convolution along a protein, which is zeros beyond its ends.

    Args:
        values: ndarray, shape=(L, in).
        kernel: ndarray, shape=(out, in, K), as torch has it; K is odd.
        bias: ndarray, shape=(out,).
        dilation: Residues from one weight to the next.

    Returns:
        ndarray, shape=(L, out), dtype=float32.
    """
    length, size = len(values), kernel.shape[2]
    reach = dilation * (size // 2)
    padded = np.pad(values, ((reach, reach), (0, 0)))
    around = [padded[place * dilation : place * dilation + length] for place in range(size)]
    flat = kernel.transpose(2, 1, 0).reshape(-1, kernel.shape[0])
    product: NDArray[np.float32] = np.concatenate(around, axis=1) @ flat
    product += bias
    return product


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _gelu(values: NDArray[np.float32]) -> None:
    for place in range(len(values)):
        value = values[place]
        values[place] = 0.5 * value * (1 + math.erf(value / math.sqrt(2)))
