"""Codecs of small integers, with a step and an offset for each protein and channel.

A value is ``offset + step * code``. The step spreads the codes over the channel's range in this protein; the
offset then makes the channel's mean over the decoded residues that of the encoded ones, so that what is pooled
from stored residues is as good as what was pooled from the originals. ``docs/storage.md`` has the measured
fidelity of this against scales alone (symmetric codes), which lose more and move the mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from protvec.store.codec.base import Codec, refuse_beyond

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Rows are worked on in blocks of this many values, which stay in a processor's cache.
_BLOCK = 128 * 1024
# Of values: the range of a channel, and its squares' sum in ``mean_slack``, stay finite in float32.
_LARGEST = 1e15
_TINY = float(np.finfo(np.float32).tiny)


class _Scaled(Codec):
    """What the two have in common."""

    # The offset keeps the mean; what is left is the rounding of float32, at most 5 * 2**-24 of the largest value
    # of a channel. A single value in L is sqrt(L) times the root mean square: true up to L = 100,000.
    tolerance = 1e-4

    def bytes_per_sequence(self, dimension: int) -> float:
        """See ``Codec``: a step and an offset for each channel, float32."""
        return 8.0 * dimension


class Int8(_Scaled):
    """256 levels: D bytes a residue, row by row, and 8 D bytes a protein."""

    name = "int8"

    def bytes_per_residue(self, dimension: int) -> float:
        """See ``Codec``."""
        return float(dimension)

    def encode(self, residues: NDArray[np.float32]) -> tuple[bytes, bytes | None]:
        """See ``Codec.encode``."""
        codes, scales = _quantised(residues, 256, self.name)
        return codes.tobytes(), scales.tobytes()

    def decode(
        self,
        data: bytes | memoryview,
        scales: bytes | memoryview | None,
        *,
        length: int,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """See ``Codec.decode``."""
        codes = np.frombuffer(data, np.uint8).reshape(length, -1)
        step, offset = _read_scales(scales)
        out = np.empty(codes.shape, np.float32) if out is None else out
        for rows in _blocks(codes.shape):
            np.multiply(codes[rows], step, out=out[rows])
            out[rows] += offset
        return out


class Int4(_Scaled):
    """16 levels: half a byte for each dimension of a residue, and 8 D bytes a protein.

    A row takes H = (D + 1) // 2 bytes. Byte i holds channel i in its low half and channel H + i in its high
    half; of an odd D, the last high half is 0.
    """

    name = "int4"

    def bytes_per_residue(self, dimension: int) -> float:
        """See ``Codec``."""
        return float((dimension + 1) // 2)

    def encode(self, residues: NDArray[np.float32]) -> tuple[bytes, bytes | None]:
        """See ``Codec.encode``."""
        codes, scales = _quantised(residues, 16, self.name)
        half = (codes.shape[1] + 1) // 2
        packed = codes[:, :half].copy()
        packed[:, : codes.shape[1] - half] |= codes[:, half:] << 4
        return packed.tobytes(), scales.tobytes()

    def decode(
        self,
        data: bytes | memoryview,
        scales: bytes | memoryview | None,
        *,
        length: int,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """See ``Codec.decode``."""
        packed = np.frombuffer(data, np.uint8).reshape(length, -1)
        step, offset = _read_scales(scales)
        out = np.empty((length, len(step)), np.float32) if out is None else out
        half = packed.shape[1]
        for rows in _blocks(out.shape):
            np.multiply(packed[rows] & 15, step[:half], out=out[rows, :half])
            np.multiply(packed[rows, : len(step) - half] >> 4, step[half:], out=out[rows, half:])
            out[rows] += offset
        return out


def _quantised(residues: NDArray[np.float32], levels: int, name: str) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Codes from 0 to ``levels - 1``, shape=(L, D), and the step and the offset of each channel, shape=(2, D)."""
    low, high = residues.min(axis=0), residues.max(axis=0)
    refuse_beyond(float(np.maximum(np.abs(low), np.abs(high)).max(initial=0.0)), _LARGEST, name)
    step = (high - low) / np.float32(levels - 1)
    step[step < _TINY] = 0  # a constant channel: every code is 0, and the offset is its value
    inverse = np.divide(1, step, out=np.zeros_like(step), where=step > 0)
    codes = np.empty(residues.shape, np.uint8)
    total = np.zeros(len(step), np.float64)
    for rows in _blocks(residues.shape):
        block = residues[rows] - low
        block *= inverse
        np.rint(block, out=block)
        total += block.sum(axis=0)  # whole numbers, exact in float32
        codes[rows] = block
    offset = (residues.sum(axis=0, dtype=np.float64) - step * total) / len(residues)
    return codes, np.stack([step, offset.astype(np.float32)]).astype("<f4", copy=False)


def _read_scales(scales: bytes | memoryview | None) -> NDArray[np.float32]:
    """Steps and offsets: shape=(2, D)."""
    if scales is None:
        raise ValueError("the scales of the residues are missing")
    return np.frombuffer(scales, "<f4").reshape(2, -1)


def _blocks(shape: tuple[int, ...]) -> list[slice]:
    """Slices of rows that together are all."""
    rows = max(1, _BLOCK // max(1, shape[1]))
    return [slice(start, start + rows) for start in range(0, shape[0], rows)]
