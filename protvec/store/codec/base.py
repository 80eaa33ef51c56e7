"""What every residue codec can do."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Arrays are worked on in blocks of rows of this many values: what lies between two steps stays in a processor's cache.
_BLOCK = 64 * 1024


class Codec(ABC):
    """One way to store an (L, D) array.

    Attributes:
        name: As recorded in the database and beside every row.
        keeps: Whether anything is stored; False for ``none``.
        tolerance: How far the mean of decoded residues may lie from the mean of those that were encoded, as a
            fraction of the root mean square of the residues' norms (``mean_slack`` multiplies the two). It is
            not of the mean's own norm: that may be as small as one likes where residues cancel.
    """

    name: str
    keeps = True
    tolerance: float

    @abstractmethod
    def bytes_per_residue(self, dimension: int) -> int:
        """What a residue of that many dimensions takes."""

    def bytes_per_sequence(self, dimension: int) -> int:  # noqa: ARG002 - for the codecs that have scales
        """What an array takes beside its residues: its scales, where there are any."""
        return 0

    @abstractmethod
    def encode_into(self, residues: NDArray[np.float32], data: NDArray[np.uint8], scales: NDArray[np.uint8]) -> None:
        """Fill two pieces of memory with the bytes of an array and of its scales.

        Args:
            residues: ndarray, shape=(L, D), dtype=float32.
            data: ndarray, shape=(L x bytes_per_residue,).
            scales: ndarray, shape=(bytes_per_sequence,).

        Raises:
            OverflowError: A value is not finite, or is beyond what the codec holds.
        """

    def encode(self, residues: NDArray[np.float32]) -> tuple[memoryview, bytes | None]:
        """``encode_into``, into new memory, which is not copied; None where the codec has no scales."""
        length, dimension = residues.shape
        data = np.empty(length * self.bytes_per_residue(dimension), np.uint8)
        scales = np.empty(self.bytes_per_sequence(dimension), np.uint8)
        self.encode_into(residues, data, scales)
        return data.data, scales.tobytes() or None

    @abstractmethod
    def decode(
        self,
        data: bytes | memoryview,
        scales: bytes | memoryview | None,
        *,
        length: int,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """The array again: ndarray, shape=(L, D), dtype=float32; ``out`` where that is given."""


def mean_slack(codec: Codec, residues: NDArray[np.float32]) -> float:
    """How far the mean of these decoded residues may lie from that of the encoded ones: a Euclidean distance.

    Args:
        codec: What they were encoded with.
        residues: ndarray, shape=(L, D), dtype=float32, with L >= 1.
    """
    flat = residues.reshape(-1)
    return codec.tolerance * float(np.sqrt(np.dot(flat, flat) / len(residues)))


def refuse_beyond(largest: float, limit: float, name: str) -> None:
    """Refuse an array whose largest magnitude is not a number up to ``limit``.

    Raises:
        OverflowError: It is beyond, infinite or NaN.
    """
    if not largest <= limit:  # also true of NaN
        raise OverflowError(f"a residue value of {largest:.6g} does not fit {name} (up to {limit:.6g})")


class _Scratch(threading.local):
    """Memory of a thread that is used again: new memory costs more than what is done in it."""

    def __init__(self) -> None:
        self.values = np.empty((2, _BLOCK), np.float32)


_scratch = _Scratch()


def scratch(shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Memory for two blocks of a shape, of this thread until it asks again."""
    size = shape[0] * shape[1]
    one, other = _scratch.values if size <= _BLOCK else np.empty((2, size), np.float32)
    return one[:size].reshape(shape), other[:size].reshape(shape)


def blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices of rows that together are all."""
    rows = block_rows(shape)
    return (slice(start, min(start + rows, shape[0])) for start in range(0, shape[0], rows))


def block_rows(shape: tuple[int, ...]) -> int:
    """Rows of a block."""
    return max(1, _BLOCK // max(1, shape[1]))
