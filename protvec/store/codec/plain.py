"""Codecs without scales: half precision, and nothing at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from protvec.store.codec.base import Codec, blocks, refuse_beyond, scratch

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LARGEST = float(np.finfo(np.float16).max)
# NumPy converts half precision one number at a time. Both ways, these are the same numbers, several times as fast.
_SIGN = np.uint32(0x8000_0000)
_TOO_SMALL = np.uint32(113 << 23)  # 2**-14: below it, half precision has fewer bits
_SMALL = np.uint32(126 << 23)  # 0.5: added to those, it leaves their half in its own lowest bits
_WIDENED = np.uint32(0x8FFF_E000).view(np.int32)  # of a half, shifted: its sign, and below other signs all else
_BIAS = np.float32(2.0**112)  # how much smaller a half is than those bits as float32
_INFINITE = np.int16(0x7C00)  # the exponent of infinities and NaN
_SMALLEST = np.float32(2.0**-149)
_REBIASED = np.uint32((1 << 32) - (112 << 23) + 0xFFF)  # another exponent, and almost half of the last bit to keep


class Float16(Codec):
    """IEEE half precision, little-endian, row by row: 2 D bytes a residue."""

    name = "float16"
    # Half precision keeps 11 bits: each value, and so their mean, is off by 2**-11 of itself at most, or by 2**-25
    # where it is below 6e-5.
    tolerance = 5e-4

    def bytes_per_residue(self, dimension: int) -> int:
        """See ``Codec``."""
        return 2 * dimension

    def encode_into(
        self,
        residues: NDArray[np.float32],
        data: NDArray[np.uint8],
        scales: NDArray[np.uint8],  # noqa: ARG002 - half precision has none
    ) -> None:
        """See ``Codec.encode_into``; half precision ends at 65,504."""
        largest = max(float(residues.max(initial=0)), -float(residues.min(initial=0)))
        refuse_beyond(largest, _LARGEST, self.name)
        halves = data.view("<u2").reshape(residues.shape)
        for rows in blocks(residues.shape):
            _round(np.ascontiguousarray(residues[rows], np.float32), halves[rows])

    def decode(
        self,
        data: bytes | memoryview,
        scales: bytes | memoryview | None,  # noqa: ARG002 - half precision has none
        *,
        length: int,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """See ``Codec.decode``."""
        halves = np.frombuffer(data, dtype="<i2").reshape(length, -1)
        out = np.empty(halves.shape, np.float32) if out is None else out
        for rows in blocks(halves.shape):
            _widen(halves[rows], out[rows])
        return out


class NoResidues(Codec):
    """Keep the vectors alone."""

    name = "none"
    keeps = False
    tolerance = 0.0

    def bytes_per_residue(self, dimension: int) -> int:  # noqa: ARG002
        """Nothing."""
        return 0

    def encode_into(self, residues: NDArray[np.float32], data: NDArray[np.uint8], scales: NDArray[np.uint8]) -> None:
        """Nothing."""

    def decode(
        self,
        data: bytes | memoryview,
        scales: bytes | memoryview | None,
        *,
        length: int,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """There is nothing to decode: a row of this codec is never written."""
        raise NotImplementedError(f"codec none stores no residues ({len(data)} bytes, {length}, {scales!r})")


def _widen(halves: NDArray[np.int16], values: NDArray[np.float32]) -> None:
    """The numbers that half-precision bits stand for."""
    bits = values.view(np.int32)
    np.copyto(bits, halves)
    bits <<= 13
    bits &= _WIDENED
    values *= _BIAS
    exponents = scratch(halves.shape)[0].view(np.int16).reshape(-1)[: halves.size].reshape(halves.shape)
    # Not those of another program, nor where some library has the processor take the smallest numbers for zero.
    if np.bitwise_and(halves, _INFINITE, out=exponents).max(initial=0) == _INFINITE or not _SMALLEST * _BIAS:
        np.copyto(values, halves.view(np.float16))


def _round(values: NDArray[np.float32], halves: NDArray[np.uint16]) -> None:
    """The nearest half-precision numbers, of two as near the even one, of values that half precision holds."""
    bits = values.view(np.uint32)
    one, other = scratch(values.shape)
    magnitude, half = one.view(np.uint32), other.view(np.uint32)
    np.bitwise_and(bits, ~_SIGN, out=magnitude)
    np.right_shift(magnitude, np.uint32(13), out=half)
    half &= np.uint32(1)
    half += magnitude
    half += _REBIASED
    half >>= np.uint32(13)
    small = np.flatnonzero(magnitude < _TOO_SMALL)  # few, of what a model gives
    shifted = (magnitude.reshape(-1)[small].view(np.float32) + np.float32(0.5)).view(np.uint32)
    half.reshape(-1)[small] = shifted - _SMALL
    magnitude ^= bits  # the sign
    magnitude >>= np.uint32(16)
    half |= magnitude
    np.copyto(halves, half, casting="unsafe")
