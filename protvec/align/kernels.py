"""The loops over all pairs of residues, compiled. Importing this imports numba; the first call of all compiles.

Local alignment with affine gaps is that of Gotoh (1982, doi:10.1016/0022-2836(82)90398-9). Rows are residues of the
query, columns of the target. A block of rows is entered with two arrays of what the row before it left, one value for
each column: ``best``, the best score of an alignment that ends there, and ``down``, of one that ends there in a gap
which runs down the column. All kernels let other threads run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What ``directions`` says of a cell: how the best alignment that ends there came to it, in two bits ...
STOP, PAIR, RIGHT, DOWN = 0, 1, 2, 3
# ... and whether the gap that runs right, or down, through it was open before.
LONGER_RIGHT, LONGER_DOWN = 4, 8
NEVER = np.float32(-1e30)


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]  # sums in any order: twice as fast
def row_sums(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum and sum of squares of each row: shape=(2, L)."""
    height, width = scores.shape
    found = np.empty((2, height))
    for i in range(height):
        first, second = 0.0, 0.0
        for j in range(width):
            value = np.float64(scores[i, j])
            first += value
            second += value * value
        found[0, i], found[1, i] = first, second
    return found


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def column_sums(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum and sum of squares of each column: shape=(2, M)."""
    height, width = scores.shape
    found = np.zeros((2, width))
    for i in range(height):
        for j in range(width):
            value = np.float64(scores[i, j])
            found[0, j] += value
            found[1, j] += value * value
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def combine(
    scores: NDArray[np.float32],
    rows: NDArray[np.float32],
    columns: NDArray[np.float32],
    substitution: NDArray[np.float32],
    query: NDArray[np.uint8],
    target: NDArray[np.uint8],
) -> None:
    """Make cosines scores, in place: times a factor of row and column, plus what is added, plus the letters' score."""
    height, width = scores.shape
    for i in range(height):
        letter = substitution[query[i]]
        factor, added = rows[0, i], rows[1, i]
        for j in range(width):
            scores[i, j] = scores[i, j] * (factor + columns[0, j]) + added + columns[1, j] + letter[target[j]]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def advance(
    scores: NDArray[np.float32],
    gap_open: np.float32,
    gap_extend: np.float32,
    best: NDArray[np.float32],
    down: NDArray[np.float32],
) -> tuple[float, int, int]:
    """Go through a block of rows: the highest score in it, and its row and column; ``best`` and ``down`` move on."""
    height, width = scores.shape
    top, row, column = np.float32(0), -1, -1
    for i in range(height):
        corner, right, row_top = np.float32(0), NEVER, top
        for j in range(width):
            gap = max(best[j] - gap_open, down[j] - gap_extend)
            # The best that does not end in a gap to the right; opening such a gap after another never pays.
            value = max(corner + scores[i, j], gap, np.float32(0))
            corner = best[j]
            down[j] = gap
            best[j] = max(value, right)
            right = max(value - gap_open, right - gap_extend)
            row_top = max(row_top, value)
        if row_top > top:
            top, row = row_top, i
            column = int(np.argmax(best))
    return float(top), row, column


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def directions(
    scores: NDArray[np.float32],
    gap_open: np.float32,
    gap_extend: np.float32,
    best: NDArray[np.float32],
    down: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """Go through a block of rows as ``advance`` does, and note how each cell was come to: shape of ``scores``."""
    height, width = scores.shape
    found = np.empty((height, width), np.uint8)
    for i in range(height):
        corner, right = np.float32(0), NEVER
        for j in range(width):
            flags = LONGER_DOWN if down[j] - gap_extend > best[j] - gap_open else 0
            gap = max(best[j] - gap_open, down[j] - gap_extend)
            pair = corner + scores[i, j]
            value = max(pair, gap, np.float32(0))
            corner = best[j]
            down[j] = gap
            best[j] = max(value, right)
            if best[j] <= 0:
                flags |= STOP
            elif best[j] == pair:
                flags |= PAIR
            else:
                flags |= DOWN if best[j] == gap else RIGHT
            # Of the gap to the right as the cell to the right sees it.
            if right - gap_extend > value - gap_open:
                flags |= LONGER_RIGHT
            right = max(value - gap_open, right - gap_extend)
            found[i, j] = flags
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def follow(
    found: NDArray[np.uint8], row: int, column: int, state: int, steps: NDArray[np.uint8]
) -> tuple[int, int, int, int]:
    """Go back through a block from a cell to where the alignment begins, or above the block.

    Args:
        found: The ``directions`` of the block.
        row: Where to begin.
        column: Where to begin.
        state: ``PAIR`` to do as the cell says; ``DOWN`` or ``RIGHT`` inside such a gap.
        steps: Room for the steps, the last of the alignment first: at least row + column + 2.

    Returns:
        The number of steps, the row, which is -1 above the block, the column, and the state, which is ``STOP`` where
        the alignment begins after that cell.
    """
    number = 0
    while row >= 0 and column >= 0:
        flags = found[row, column]
        if state == PAIR:
            state = flags & 3
            if state == STOP:
                return number, row, column, STOP
        steps[number] = state
        number += 1
        if state == PAIR:
            row -= 1
            column -= 1
        elif state == DOWN:
            row -= 1
            state = DOWN if flags & LONGER_DOWN else PAIR
        else:
            column -= 1
            state = RIGHT if column >= 0 and found[row, column] & LONGER_RIGHT else PAIR
    return number, row, column, state if column >= 0 else STOP
