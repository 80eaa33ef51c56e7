"""Learned scores of residue pairs: which residues of two relatives are across from one another in space.

A small convolutional network, fitted by ``scripts/fit_pairing.py`` on structural alignments, makes of each residue,
its letter and those around it a vector and a level. What a pair scores is the product of the vectors plus both levels,
in units of the logarithm of a probability. They choose the pairs of an alignment that is shown, and nothing else:
whether two proteins are alike is said by the scores of ``Scoring``.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from protvec.align.scoring import blosum62, letters
from protvec.errors import QueryError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Self

    from protvec.align.matrix import Chain

    Floats = NDArray[np.float32]

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
# What brings both kinds of input to deviations of about 1, whatever the dimension.
LETTER_SCALE = 0.4
_ENDS = ("first", "last")


class Described(NamedTuple):
    """Residues as a pairing sees them.

    Attributes:
        vectors: ndarray, shape=(L, V), dtype=float32.
        levels: ndarray, shape=(L,), dtype=float32.
    """

    vectors: Floats
    levels: Floats


def inputs(sequence: str, unit: Floats) -> Floats:
    """What the network sees.

    Args:
        sequence: L letters.
        unit: ndarray, shape=(L, D), dtype=float32: the embeddings, each of length 1.

    Returns:
        ndarray, shape=(L, D + 20), dtype=float32: embeddings, and BLOSUM62 scores of the letter with each of 20.
    """
    letter_scores = blosum62()[letters(sequence)][:, letters(RESIDUES)] * np.float32(LETTER_SCALE)
    return np.concatenate([unit * np.float32(np.sqrt(unit.shape[1])), letter_scores], axis=1)


@dataclass(frozen=True, eq=False)
class Pairing:
    """Learned scores of residue pairs.

    Attributes:
        weights: The arrays by name, float32. ``first.weight``, shape=(W, D + 20), and ``first.bias``; of each layer i
            ``convs.i.weight``, shape=(W, W, K), and ``.bias``; ``last.weight``, shape=(V, W), and ``.bias``;
            ``side.weight``, shape=(1, W), and ``.bias``; ``dilations``, one for each layer; ``cosine``, ``offset`` and
            ``scale``: what the cosine of the embeddings is times, what every pair has added, and what the product of
            two vectors of length 1 is times; ``gaps``: what the first residue of a gap and each further one cost.
    """

    weights: dict[str, Floats]

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """A file that ``scripts/fit_pairing.py`` wrote.

        Raises:
            QueryError: it cannot be read, or is none.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                weights = {name: np.ascontiguousarray(file[name], np.float32) for name in file.files}
            return cls(weights)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise QueryError(f"{path}: no learned scores of residue pairs ({error})") from error

    def __post_init__(self) -> None:
        width = len(self.weights["first.weight"])
        shapes = {f"convs.{n}.weight": (width, width) for n in range(len(self.weights["dilations"]))}
        shapes |= {"last.weight": (len(self.weights["last.weight"]), width), "side.weight": (1, width)}
        for name, shape in shapes.items():
            if self.weights[name].shape[:2] != shape:
                raise ValueError(f"{name} has shape {self.weights[name].shape}, not {shape}")

    @property
    def dimension(self) -> int:
        """Of the embeddings."""
        return int(self.weights["first.weight"].shape[1] - len(RESIDUES))

    @property
    def gaps(self) -> tuple[float, float]:
        """What the first residue of a gap costs, and each further one."""
        first, further = self.weights["gaps"].tolist()
        return first, further

    def describe(self, chain: Chain) -> Described:
        """What the scores of a protein's residues are made of.

        Raises:
            QueryError: its embedding has other dimensions.
        """
        if chain.residues.shape[1] != self.dimension:
            raise QueryError(
                f"residues of {chain.residues.shape[1]} dimensions, but pairs are learned of {self.dimension}: "
                "they are of different models"
            )
        from protvec.align.layers import convolved, gelu

        hidden = gelu(self._linear("first", inputs(chain.sequence, chain.unit)))
        for number, dilation in enumerate(self.weights["dilations"].astype(int).tolist()):
            kernel, bias = self.weights[f"convs.{number}.weight"], self.weights[f"convs.{number}.bias"]
            hidden += gelu(convolved(hidden, kernel, bias, dilation))
        learned = self._linear("last", hidden)
        learned /= np.linalg.norm(learned, axis=1, keepdims=True) + np.float32(1e-4)
        weights = np.sqrt(self.weights["cosine"]), np.sqrt(self.weights["scale"])
        levels = self._linear("side", hidden)[:, 0] + self.weights["offset"] / np.float32(2)
        vectors = np.concatenate([chain.unit * weights[0], learned * weights[1]], axis=1)
        return Described(vectors.astype(np.float32), levels.astype(np.float32))

    def scores(self, query: Described, target: Described) -> Floats:
        """What each pair of residues scores: ndarray, shape=(L, M), dtype=float32."""
        products: Floats = query.vectors @ target.vectors.T
        products += query.levels[:, None]
        products += target.levels
        return products

    def _linear(self, name: str, values: Floats) -> Floats:
        product: Floats = values @ self.weights[f"{name}.weight"].T
        return product + self.weights[f"{name}.bias"]


@lru_cache(maxsize=1)
def shipped(name: str) -> Pairing:
    """Those that come with protvec: ``near``."""
    return Pairing.read(Path(__file__).with_name("weights") / f"{name}.npz")
