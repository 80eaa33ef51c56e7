"""Codecs of small integers, with a step and an offset for each protein and channel.

A value is ``offset + step * code``. The step spreads the codes over the channel's range in this protein; the
offset then makes the channel's mean over the decoded residues that of the encoded ones, so that what is pooled
from stored residues is as good as what was pooled from the originals. ``docs/storage.md`` has the measured
fidelity of this against scales alone (symmetric codes), which lose more and move the mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from protvec.store.codec import compiled
from protvec.store.codec.base import Codec, block_rows, blocks, refuse_beyond, scratch

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray
    from typing_extensions import Self

# Of values: the range of a channel, and its squares' sum in ``mean_slack``, stay finite in float32.
_LARGEST = 1e15
_TINY = float(np.finfo(np.float32).tiny)


class _Scaled(Codec):
    """What the two have in common."""

    # The offset keeps the mean; what is left is the rounding of float32, at most 5 * 2**-24 of the largest value
    # of a channel. A single value in L is sqrt(L) times the root mean square: true up to L = 100,000.
    tolerance = 1e-4

    def bytes_per_sequence(self, dimension: int) -> int:
        """See ``Codec``: a step and an offset for each channel, float32."""
        return 8 * dimension


class Int8(_Scaled):
    """256 levels: D bytes a residue, row by row, and 8 D bytes a protein."""

    name = "int8"

    def bytes_per_residue(self, dimension: int) -> int:
        """See ``Codec``."""
        return dimension

    def encode_into(self, residues: NDArray[np.float32], data: NDArray[np.uint8], scales: NDArray[np.uint8]) -> None:
        """See ``Codec.encode_into``."""
        codes = data.reshape(residues.shape)
        if _compiled(residues, 256, codes, scales):
            return
        with _Quantised(residues, 256, scales, self.name) as quantised:
            for rows in blocks(residues.shape):
                np.copyto(codes[rows], quantised(rows), casting="unsafe")

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
        if kernels := _kernels_for(out):
            kernels.widen(codes, step, offset, out)
            return out
        for rows in blocks(codes.shape):
            part = out[rows]
            np.copyto(part, codes[rows])
            part *= step
            part += offset
        return out


class Int4(_Scaled):
    """16 levels: half a byte for each dimension of a residue, and 8 D bytes a protein.

    A row takes H = (D + 1) // 2 bytes. Byte i holds channel i in its low half and channel H + i in its high
    half; of an odd D, the last high half is 0.
    """

    name = "int4"

    def bytes_per_residue(self, dimension: int) -> int:
        """See ``Codec``."""
        return (dimension + 1) // 2

    def encode_into(self, residues: NDArray[np.float32], data: NDArray[np.uint8], scales: NDArray[np.uint8]) -> None:
        """See ``Codec.encode_into``."""
        length, dimension = residues.shape
        half = (dimension + 1) // 2
        packed = data.reshape(length, half)
        if _compiled(residues, 16, packed, scales):
            return
        with _Quantised(residues, 16, scales, self.name) as quantised:
            for rows in blocks(residues.shape):
                codes = quantised(rows)
                low, high = codes[:, :half], codes[:, half:]
                high *= 16
                high += low[:, : dimension - half]
                np.copyto(packed[rows, : dimension - half], high, casting="unsafe")
                np.copyto(packed[rows, dimension - half :], low[:, dimension - half :], casting="unsafe")

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
        if kernels := _kernels_for(out):
            kernels.widen_halves(packed, step, offset, out)
            return out
        half = packed.shape[1]
        for rows in blocks(out.shape):
            part = out[rows]
            np.copyto(part[:, :half], packed[rows] & 15)
            np.copyto(part[:, half:], packed[rows, : len(step) - half] >> 4)
            part *= step
            part += offset
        return out


class _Quantised:
    """The codes of an array, block by block, and at the end its scales.

    The offset is the channel's lowest value plus what rounding took away, in the mean: so the mean is kept.

    Attributes:
        lost: ndarray, shape=(D,): what rounding took away, in steps.
    """

    def __init__(self, residues: NDArray[np.float32], levels: int, scales: NDArray[np.uint8], name: str) -> None:
        """Refuses an array that the codec cannot hold."""
        self._residues = residues = np.ascontiguousarray(residues, np.float32)
        low, high = _range(residues)
        self._low = low
        refuse_beyond(float(np.maximum(np.abs(low), np.abs(high)).max(initial=0.0)), _LARGEST, name)
        self._step = step = (high - low) / np.float32(levels - 1)
        step[step < _TINY] = 0  # a constant channel: every code is 0, and the offset is its value
        self._inverse = np.divide(1, step, out=np.zeros_like(step), where=step > 0)
        self._scales = scales.view("<f4").reshape(2, -1)
        self.lost = np.zeros(len(step), np.float64)

    def __enter__(self) -> Self:
        return self

    def __call__(self, rows: slice) -> NDArray[np.float32]:
        """The codes of these rows, whole numbers, until it is called again."""
        part = self._residues[rows]
        exact, codes = scratch(part.shape)
        np.subtract(part, self._low, out=exact)
        exact *= self._inverse
        np.rint(exact, out=codes)
        exact -= codes
        self.lost += exact.sum(axis=0)
        return codes

    def __exit__(self, *_: object) -> None:
        self._scales[0] = self._step
        self._scales[1] = self._low + self._step * (self.lost / max(1, len(self._residues)))


def _compiled(residues: NDArray[np.float32], levels: int, codes: NDArray[np.uint8], scales: NDArray[np.uint8]) -> bool:
    """Have the compiled loop encode an array; whether it is there and could: NumPy's steps say what is wrong."""
    kernels = compiled.after(residues.nbytes)
    if kernels is None:
        return False
    whole = np.ascontiguousarray(residues, np.float32)
    steps = scales.view("<f4").reshape(2, -1)
    largest: float = kernels.encode(whole, levels, _LARGEST, block_rows(whole.shape), codes, steps)
    return largest <= _LARGEST


def _kernels_for(out: NDArray[np.float32]) -> ModuleType | None:
    return compiled.after(out.nbytes) if out.flags.c_contiguous else None


def _range(residues: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The lowest and the highest value of each channel."""
    low, high = residues[0].astype(np.float32), residues[0].astype(np.float32)
    for rows in blocks(residues.shape):
        np.minimum(low, residues[rows].min(axis=0), out=low)
        np.maximum(high, residues[rows].max(axis=0), out=high)
    return low, high


def _read_scales(scales: bytes | memoryview | None) -> NDArray[np.float32]:
    """Steps and offsets: shape=(2, D)."""
    if scales is None:
        raise ValueError("the scales of the residues are missing")
    return np.frombuffer(scales, "<f4").reshape(2, -1)
