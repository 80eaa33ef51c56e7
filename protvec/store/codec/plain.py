"""Codecs without scales: half precision, and nothing at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from protvec.store.codec.base import Codec, blocks, refuse_beyond

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LARGEST = float(np.finfo(np.float16).max)
# NumPy converts half precision one number at a time. These are the same numbers, several times as fast.
_AS_FLOAT32 = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
_SIGN = np.uint32(0x8000_0000)
_TOO_SMALL = np.uint32(113 << 23)  # 2**-14: below it, half precision has fewer bits
_SMALL = np.uint32(126 << 23)  # 0.5: added to those, it leaves their half in its own lowest bits
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
        halves = np.frombuffer(data, dtype="<u2").reshape(length, -1)
        out = np.empty(halves.shape, np.float32) if out is None else out
        return np.take(_AS_FLOAT32, halves, out=out, mode="clip")


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


def _round(values: NDArray[np.float32], halves: NDArray[np.uint16]) -> None:
    """The nearest half-precision numbers, of two as near the even one, of values that half precision holds."""
    bits = values.view(np.uint32)
    magnitude = bits & ~_SIGN
    half = magnitude >> np.uint32(13)
    half &= np.uint32(1)
    half += magnitude
    half += _REBIASED
    half >>= np.uint32(13)
    small = magnitude < _TOO_SMALL
    if small.any():
        shifted = (magnitude.view(np.float32) + np.float32(0.5)).view(np.uint32)
        shifted -= _SMALL
        np.copyto(half, shifted, where=small)
    magnitude ^= bits  # the sign
    magnitude >>= np.uint32(16)
    half |= magnitude
    np.copyto(halves, half, casting="unsafe")
