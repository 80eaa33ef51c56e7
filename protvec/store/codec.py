"""How per-residue arrays become bytes. A new way to store them is a class here and an entry in ``CODECS``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from protvec.errors import QueryError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Codec(Protocol):
    """One way to store an (L, D) array.

    Attributes:
        name: As recorded in the database and beside every row.
        keeps: Whether anything is stored; False for ``none``.
        tolerance: How far, relative to its norm, the mean of decoded residues may lie from the mean of those
            that were encoded.
    """

    @property
    def name(self) -> str:
        """As recorded."""
        ...

    @property
    def keeps(self) -> bool:
        """Whether anything is stored."""
        ...

    @property
    def tolerance(self) -> float:
        """Relative distance of the mean of decoded residues from that of the encoded ones, at most."""
        ...

    def bytes_per_residue(self, dimension: int) -> float:
        """What a residue of that many dimensions takes."""
        ...

    def encode(self, residues: NDArray[np.float32]) -> tuple[bytes, bytes | None]:
        """The bytes of ndarray, shape=(L, D), dtype=float32, and of its scales where the codec has any.

        Raises:
            OverflowError: A value is not finite, or is beyond what the codec holds.
        """
        ...

    def decode(self, data: bytes, scales: bytes | None, *, length: int) -> NDArray[np.float32]:
        """The array again: ndarray, shape=(L, D), dtype=float32."""
        ...


class Float16:
    """IEEE half precision, little-endian, row by row: 2 D bytes a residue."""

    name = "float16"
    keeps = True
    tolerance = 1e-3  # half precision keeps 11 bits: 2**-11 of each value

    def bytes_per_residue(self, dimension: int) -> float:
        """See ``Codec``."""
        return 2.0 * dimension

    def encode(self, residues: NDArray[np.float32]) -> tuple[bytes, bytes | None]:
        """See ``Codec.encode``; half precision ends at 65,504."""
        largest = float(np.abs(residues).max(initial=0.0))
        limit = float(np.finfo(np.float16).max)
        if not largest <= limit:  # also true of NaN
            raise OverflowError(f"a residue value of {largest:.6g} does not fit float16 (up to {limit:.0f})")
        return residues.astype("<f2").tobytes(), None

    def decode(
        self,
        data: bytes,
        scales: bytes | None,  # noqa: ARG002 - half precision has none
        *,
        length: int,
    ) -> NDArray[np.float32]:
        """See ``Codec.decode``."""
        return np.frombuffer(data, dtype="<f2").reshape(length, -1).astype(np.float32)


class NoResidues:
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

    def decode(self, data: bytes, scales: bytes | None, *, length: int) -> NDArray[np.float32]:
        """There is nothing to decode: a row of this codec is never written."""
        raise NotImplementedError(f"codec none stores no residues ({len(data)} bytes, {length}, {scales!r})")


CODECS: dict[str, Codec] = {codec.name: codec for codec in (Float16(), NoResidues())}


def codec_named(name: str) -> Codec:
    """The codec of that name.

    Raises:
        QueryError: There is none.
    """
    if name not in CODECS:
        raise QueryError(f"unknown residue codec {name!r}: use one of {', '.join(CODECS)}")
    return CODECS[name]


def bytes_per_residue(codec: str, dimension: int) -> float:
    """What a residue takes in a codec, for estimates of disk space."""
    return codec_named(codec).bytes_per_residue(dimension)
