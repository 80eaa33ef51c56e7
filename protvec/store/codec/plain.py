"""Codecs without scales: half precision, and nothing at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from protvec.store.codec.base import Codec, refuse_beyond

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Float16(Codec):
    """IEEE half precision, little-endian, row by row: 2 D bytes a residue."""

    name = "float16"
    # Half precision keeps 11 bits: each value, and so their mean, is off by 2**-11 of itself at most, or by 2**-25
    # where it is below 6e-5.
    tolerance = 5e-4

    def bytes_per_residue(self, dimension: int) -> float:
        """See ``Codec``."""
        return 2.0 * dimension

    def encode(self, residues: NDArray[np.float32]) -> tuple[bytes, bytes | None]:
        """See ``Codec.encode``; half precision ends at 65,504."""
        largest = max(float(residues.max(initial=0)), -float(residues.min(initial=0)))
        refuse_beyond(largest, float(np.finfo(np.float16).max), self.name)
        return residues.astype("<f2").tobytes(), None

    def decode(
        self,
        data: bytes | memoryview,
        scales: bytes | memoryview | None,  # noqa: ARG002 - half precision has none
        *,
        length: int,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """See ``Codec.decode``."""
        half = np.frombuffer(data, dtype="<f2").reshape(length, -1)
        if out is None:
            return half.astype(np.float32)
        out[:] = half
        return out


class NoResidues(Codec):
    """Keep the vectors alone."""

    name = "none"
    keeps = False
    tolerance = 0.0

    def bytes_per_residue(self, dimension: int) -> float:  # noqa: ARG002
        """Nothing."""
        return 0.0

    def encode(self, residues: NDArray[np.float32]) -> tuple[bytes, bytes | None]:  # noqa: ARG002
        """Nothing."""
        return b"", None

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
