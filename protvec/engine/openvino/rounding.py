"""Matrices as 8-bit integers: each number to the nearest, or so that later columns make up for the errors of earlier.

The second is GPTQ (Frantar et al. 2022, arXiv:2210.17323): columns are rounded one after another, and what a column
loses is taken up by the columns after it, as far as the inputs of the two go together. It needs the inputs that the
matrix is fed with, and lowers the error of its outputs where those are correlated, as a transformer's are. Needs torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Added to the diagonal, as a share of its mean: directions that few tokens showed are not relied upon.
_DAMPING = 0.01
_COLUMNS = 128  # rounded before what they lose is passed on to all others at once
# A wider input costs minutes a matrix, with the cube of its width: such a matrix is rounded to the nearest.
WIDEST = 6_144


def scales(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """The step of each row: its largest absolute value is 127 steps.

    Returns:
        ndarray, shape=(out, 1), dtype=float32; 1 for a row of zeros.
    """
    largest = np.abs(matrix).max(axis=1, keepdims=True)
    return np.where(largest > 0, largest / 127, 1).astype(np.float32)


def nearest(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """8-bit integers with one scale for each row, symmetric, each number rounded to the nearest.

    Args:
        matrix: ndarray, shape=(out, in).

    Returns:
        ndarray, shape=(out, in), in [-127, 127], and ndarray, shape=(out, 1): their product is the matrix.
    """
    scale = scales(matrix)
    return np.rint(matrix / scale).clip(-127, 127).astype(np.int8), scale


def feedback(inputs: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """How what one column loses is best made up for by those after it.

    Args:
        inputs: ndarray, shape=(N, in): what the matrix is fed with.

    Returns:
        ndarray, shape=(in, in), upper triangular: R with R.T @ R the inverse of the inputs' second moments, damped.
        None where the inputs say nothing, or are too wide.
    """
    import torch

    x = torch.from_numpy(inputs)
    if x.shape[1] > WIDEST:
        return None
    moments = x.T @ x / len(x)
    mean = float(moments.diagonal().mean())
    if not 0 < mean < float("inf"):
        return None
    moments.diagonal().add_(_DAMPING * mean)
    # The factor of the reversed matrix, reversed, is upper triangular: moments = upper @ upper.T.
    upper = torch.linalg.cholesky(moments.flip(0, 1)).flip(0, 1)
    inverse: NDArray[np.float32] = torch.linalg.solve_triangular(upper, torch.eye(len(upper)), upper=True).numpy()
    return inverse


def compensated(
    matrix: NDArray[np.float32], spread: NDArray[np.float32]
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """``nearest``, but each column also takes up what those before it lost.

    Args:
        matrix: ndarray, shape=(out, in).
        spread: From ``feedback``, of the inputs of this matrix.
    """
    import torch

    scale = scales(matrix)
    left = torch.from_numpy(np.ascontiguousarray((matrix / scale).T))  # (in, out), in steps: a column is a row here
    ratio = torch.from_numpy(spread)
    stored = torch.empty(left.shape, dtype=torch.int8)
    for start in range(0, len(left), _COLUMNS):
        end = min(start + _COLUMNS, len(left))
        block, corner = left[start:end], ratio[start:end, start:end]
        lost = torch.empty_like(block)
        for column in range(end - start):
            rounded = block[column].round().clamp_(-127, 127)
            stored[start + column] = rounded
            lost[column] = (block[column] - rounded) / corner[column, column]
            block[column + 1 :].addr_(corner[column, column + 1 :], lost[column], alpha=-1)
        left[end:].addmm_(ratio[start:end, end:].T, lost, alpha=-1)
    return stored.T.contiguous().numpy(), scale
