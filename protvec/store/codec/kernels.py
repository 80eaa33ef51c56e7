"""The loops of integer codecs and of segments, compiled. Importing this imports numba and compiles, once on a machine.

They give the bytes that NumPy's steps in ``scaled`` give, in two passes over an array instead of one for each step.
All let other threads run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FOUR, _FIFTEEN, _SIXTEEN = np.uint8(4), np.uint8(15), np.uint8(16)
_NONE, _ONE, _TINY = np.float32(0), np.float32(1), np.finfo(np.float32).tiny
# What the loops take, all in rows without gaps; arrays that they only read may be of memory that is not to be written.
_Residues = types.Array(types.float32, 2, "C", readonly=True)
_Channels = types.Array(types.float32, 1, "C", readonly=True)
_Codes = types.Array(types.uint8, 2, "C", readonly=True)
_ENCODE = types.float64(_Residues, types.int64, types.float64, types.int64, types.uint8[:, ::1], types.float32[:, ::1])
_SUMS = types.float32[:, ::1](_Residues, types.Array(types.int64, 1, "C", readonly=True), types.int64)
_WIDEN = types.void(_Codes, _Channels, _Channels, types.float32[:, ::1])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _channels(residues: NDArray[np.float32], most: np.float32, channels: NDArray[np.float32]) -> float:
    """The lowest value, the step and 1 over it of each channel, and the largest magnitude as of ``encode``."""
    length, dimension = residues.shape
    low, high, odd = channels[0], channels[1], channels[2]
    low[:], high[:], odd[:] = residues[0], residues[0], _NONE
    for i in range(length):
        for j in range(dimension):
            value = residues[i, j]
            low[j] = value if value < low[j] else low[j]  # noqa: FURB136 - min() takes a branch for NaN
            high[j] = value if value > high[j] else high[j]  # noqa: FURB136
            odd[j] += value - value  # stays 0 where all are finite
    largest = 0.0
    for j in range(dimension):
        if odd[j] != 0:
            return np.nan
        largest = max(largest, -np.float64(low[j]), np.float64(high[j]))
        step = (high[j] - low[j]) / most
        channels[1, j] = step if step >= _TINY else _NONE
        channels[2, j] = _ONE / step if step >= _TINY else _NONE
    return largest


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _quantise(
    residues: NDArray[np.float32],
    low: NDArray[np.float32],
    inverse: NDArray[np.float32],
    block: int,
    data: NDArray[np.uint8],
) -> NDArray[np.float64]:
    """Fill in codes of 8 bits; what rounding took away in all, in steps: ndarray, shape=(D,)."""
    length, dimension = residues.shape
    lost, part = np.zeros(dimension), np.zeros(dimension, np.float32)
    for i in range(length):
        row, codes = residues[i], data[i]
        for j in range(dimension):
            exact = (row[j] - low[j]) * inverse[j]
            code = np.rint(exact)
            codes[j] = np.uint8(np.int32(code))  # a processor has no step from float32 to 8 bits
            part[j] += exact - code
        if i % block == block - 1 or i == length - 1:
            for j in range(dimension):
                lost[j] += part[j]
                part[j] = _NONE
    return lost


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _quantise_halves(
    residues: NDArray[np.float32],
    low: NDArray[np.float32],
    inverse: NDArray[np.float32],
    block: int,
    data: NDArray[np.uint8],
) -> NDArray[np.float64]:
    """As ``_quantise``, with codes of 4 bits."""
    length, dimension = residues.shape
    half = data.shape[1]
    lost, part = np.zeros(dimension), np.zeros(dimension, np.float32)
    codes = np.zeros(2 * half, np.uint8)
    for i in range(length):
        row = residues[i]
        for j in range(dimension):
            exact = (row[j] - low[j]) * inverse[j]
            code = np.rint(exact)
            codes[j] = np.uint8(np.int32(code))
            part[j] += exact - code
        for j in range(half):
            data[i, j] = codes[j] + codes[half + j] * _SIXTEEN
        if i % block == block - 1 or i == length - 1:
            for j in range(dimension):
                lost[j] += part[j]
                part[j] = _NONE
    return lost


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _scale(channels: NDArray[np.float32], lost: NDArray[np.float64], length: int, scales: NDArray[np.float32]) -> None:
    """Steps, and offsets that keep the mean of each channel."""
    for j in range(len(lost)):
        step = channels[1, j]
        scales[0, j] = step
        scales[1, j] = np.float64(channels[0, j]) + np.float64(step) * (lost[j] / length)


@njit(_ENCODE, cache=True, nogil=True)  # type: ignore[untyped-decorator]
def encode(
    residues: NDArray[np.float32],
    levels: int,
    limit: float,
    block: int,
    data: NDArray[np.uint8],
    scales: NDArray[np.float32],
) -> float:
    """Fill in codes, and steps and offsets, of values up to a limit; of others nothing.

    Args:
        residues: ndarray, shape=(L, D), L >= 1.
        levels: 256, codes of 8 bits; or 16, codes of 4 bits, two in a byte.
        limit: What the largest magnitude may be.
        block: Rows whose losses are summed in float32.
        data: ndarray, shape=(L, D), or (L, H) of codes of 4 bits.
        scales: ndarray, shape=(2, D).

    Returns:
        The largest magnitude; NaN where some value is not finite.
    """
    channels = np.empty((3, residues.shape[1]), np.float32)
    largest: float = _channels(residues, np.float32(levels - 1), channels)
    if largest <= limit:
        low, inverse = channels[0], channels[2]
        if levels == 256:
            lost = _quantise(residues, low, inverse, block, data)
        else:
            lost = _quantise_halves(residues, low, inverse, block, data)
        _scale(channels, lost, len(residues), scales)
    return largest


@njit(_SUMS, cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sums(residues: NDArray[np.float32], starts: NDArray[np.int64], window: int) -> NDArray[np.float32]:
    """The sums over windows of rows, row after row as NumPy adds them: shape=(number of starts, D)."""
    found = np.zeros((len(starts), residues.shape[1]), np.float32)
    for number in range(len(starts)):
        total = found[number]
        for i in range(starts[number], starts[number] + window):
            for j in range(len(total)):
                total[j] += residues[i, j]
    return found


@njit(_WIDEN, cache=True, nogil=True)  # type: ignore[untyped-decorator]
def widen(
    data: NDArray[np.uint8], step: NDArray[np.float32], offset: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """The numbers that codes of 8 bits stand for."""
    length, dimension = out.shape
    for i in range(length):
        for j in range(dimension):
            out[i, j] = np.float32(data[i, j]) * step[j] + offset[j]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _widen_row(
    codes: NDArray[np.uint8], step: NDArray[np.float32], offset: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    for j in range(len(out)):
        out[j] = np.float32(codes[j]) * step[j] + offset[j]


@njit(_WIDEN, cache=True, nogil=True)  # type: ignore[untyped-decorator]
def widen_halves(
    data: NDArray[np.uint8], step: NDArray[np.float32], offset: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """The numbers that codes of 4 bits stand for, two in a byte."""
    half = data.shape[1]
    for i in range(len(out)):
        _widen_row(data[i] & _FIFTEEN, step[:half], offset[:half], out[i, :half])
        _widen_row(data[i, : out.shape[1] - half] >> _FOUR, step[half:], offset[half:], out[i, half:])
