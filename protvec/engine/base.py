"""What every engine does: sequences in, one embedding each out, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray


class Encoder(Protocol):
    """A model ready to run. Everything that may differ between engines is behind this.

    Attributes:
        dimension: D.
        precision: The arithmetic in use: ``fp32``, ``bf16`` or ``int8``.
        engine: Which engine runs it: ``torch`` or ``openvino``.
    """

    @property
    def dimension(self) -> int:
        """D, the length of a vector."""
        ...

    @property
    def precision(self) -> str:
        """The arithmetic in use."""
        ...

    @property
    def engine(self) -> str:
        """Which engine runs it."""
        ...

    def encode(self, sequences: Iterable[str]) -> Iterator[NDArray[np.float32]]:
        """Per-residue arrays, one for each sequence, in the order of the sequences.

        Args:
            sequences: Upper-case residue letters, any length from 1; letters that the model does not
                know are embedded as ``X``. Consumed lazily, a bounded window ahead of the output.

        Yields:
            ndarray, shape=(L, D), dtype=float32: row i is residue i; special tokens are not in it.
        """
        ...


@dataclass(frozen=True, eq=False)
class Embedding:
    """One protein, embedded.

    Attributes:
        vector: ndarray, shape=(D,), dtype=float32; the mean over ``residues``.
        residues: ndarray, shape=(L, D), dtype=float32.
    """

    vector: NDArray[np.float32]
    residues: NDArray[np.float32]


def pool(residues: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean over residues, summed in float64 so that it does not depend on the machine's SIMD width.

    Args:
        residues: ndarray, shape=(L, D), L >= 1.

    Returns:
        ndarray, shape=(D,), dtype=float32.
    """
    mean: NDArray[np.float32] = residues.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def embed(encoder: Encoder, sequences: Iterable[str]) -> Iterator[Embedding]:
    """Embed sequences: one ``Embedding`` each, in order."""
    for residues in encoder.encode(sequences):
        yield Embedding(pool(residues), residues)
