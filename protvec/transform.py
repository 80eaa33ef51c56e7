"""The search space: what makes the cosines of mean vectors tell proteins apart.

The vectors of a language model point almost all the same way, and vary much more in some directions than in others, so
raw cosines lie between 0.9 and 1 and are ruled by a few dimensions. A transform is fitted on a database's own vectors:

- ``centred``: their mean is taken away;
- ``whitened``: then they are rotated and scaled so that all directions vary alike (Mahalanobis). The covariance that
  says how is estimated from N vectors of D dimensions, so it is shrunk towards a multiple of the identity first
  (Ledoit and Wolf, Journal of Multivariate Analysis 88:365, 2004), by an amount that was found by measurement.

Scores are cosines of transformed vectors, between -1 and 1. docs/search_space.md says how the kinds were chosen.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.errors import QueryError
from protvec.products import eigh

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

FORMAT = 1  # of ``Transform.to_bytes``
KINDS = ("raw", "centred", "whitened")
# Of fewer distinct proteins than this, what is fitted says more of what they share than of the model.
ENOUGH = 20
# Never less of the identity than this: directions that hardly vary are noise, of rounding at the least.
LEAST_SHRINKAGE = 0.01
_ROWS_AT_ONCE = 4096
_TINY = 1e-12


class Moments:
    """Sums over vectors from which a transform is fitted: one pass, float64, D x D memory.

    Vectors are taken relative to the first one, so that nothing cancels out where all of them are alike.

    Attributes:
        dimension: D.
        count: How many were added.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.count = 0
        self._origin = np.zeros(dimension)
        self._sum = np.zeros(dimension)
        self._products = np.zeros((dimension, dimension))

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Add some vectors; give one for each distinct sequence, or copies weigh double.

        Args:
            vectors: ndarray, shape=(N, D), finite.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise ValueError(f"vectors of shape {vectors.shape}, not (N, {self.dimension})")
        for start in range(0, len(vectors), _ROWS_AT_ONCE):
            rows = vectors[start : start + _ROWS_AT_ONCE].astype(np.float64)
            if not self.count:
                self._origin = rows[0].copy()
            rows -= self._origin
            self._sum += rows.sum(axis=0)
            self._products += rows.T @ rows
            self.count += len(rows)

    @property
    def mean(self) -> NDArray[np.float64]:
        """ndarray, shape=(D,)."""
        return self._origin + self._sum / max(1, self.count)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """ndarray, shape=(D, D): of the vectors as they are, divided by their number."""
        number = max(1, self.count)
        offset = self._sum / number
        covariance: NDArray[np.float64] = self._products / number - np.outer(offset, offset)
        return (covariance + covariance.T) / 2


@dataclass(frozen=True, eq=False)
class Transform:
    """What takes vectors of a model to the search space of a database.

    Attributes:
        kind: ``raw``, ``centred`` or ``whitened``.
        mean: ndarray, shape=(D,), dtype=float64: what is taken away; zeros where it is raw.
        matrix: ndarray, shape=(D, D), dtype=float32: what each row is multiplied by then; None if not whitened.
        shrinkage: The part of the identity in the covariance, 0 to 1; None where it is not whitened.
        proteins: Distinct sequences that it was fitted on.
    """

    kind: str
    mean: NDArray[np.float64]
    matrix: NDArray[np.float32] | None
    shrinkage: float | None
    proteins: int

    @property
    def dimension(self) -> int:
        """D."""
        return len(self.mean)

    def apply(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors in the search space, of length 1: their dot product is the score, -1 to 1.

        The same vector gives the same bytes in whatever company it comes: products are summed in float64 and rounded
        once. A vector that is the mean itself has no direction: it is given that of the mean.

        Args:
            vectors: ndarray, shape=(N, D).

        Returns:
            ndarray, shape=(N, D), dtype=float32.
        """
        out = np.empty(vectors.shape, np.float32)
        for start in range(0, len(vectors), _ROWS_AT_ONCE):
            rows = self._moved(vectors[start : start + _ROWS_AT_ONCE])
            norms = _lengths(rows)
            if (nowhere := norms < _TINY).any():
                rows[nowhere], norms[nowhere] = self._fallback, 1.0
            out[start : start + _ROWS_AT_ONCE] = rows / norms[:, None]
        return out

    def distances(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """How far vectors are from the mean: the lengths that ``apply`` brings to 1.

        Args:
            vectors: ndarray, shape=(N, D).

        Returns:
            ndarray, shape=(N,), dtype=float64, in units that are the same for all vectors of one search space.
        """
        starts = range(0, len(vectors), _ROWS_AT_ONCE)
        parts = [_lengths(self._moved(vectors[start : start + _ROWS_AT_ONCE])) for start in starts]
        return np.concatenate([np.zeros(0), *parts])

    def _moved(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Vectors in the search space, of whatever length."""
        rows = vectors.astype(np.float64) - self.mean
        return rows if self.matrix is None else rows @ self._wide

    @cached_property
    def _wide(self) -> NDArray[np.float64]:
        assert self.matrix is not None
        return self.matrix.astype(np.float64)

    @cached_property
    def _fallback(self) -> NDArray[np.float64]:
        norm = np.linalg.norm(self.mean)
        fallback: NDArray[np.float64] = self.mean / norm if norm > _TINY else np.eye(1, self.dimension)[0]
        return fallback

    @cached_property
    def key(self) -> str:
        """What tells it from all others: 16 letters of a digest of its numbers."""
        hashed = hashlib.sha256(f"{FORMAT} {self.kind} {self.proteins} {self.shrinkage!r}".encode())
        hashed.update(np.ascontiguousarray(self.mean, "<f8").tobytes())
        if self.matrix is not None:
            hashed.update(np.ascontiguousarray(self.matrix, "<f4").tobytes())
        return hashed.hexdigest()[:16]

    def to_bytes(self) -> bytes:
        """As an ``.npz`` file, which ``numpy.load`` reads."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {"mean": self.mean, "proteins": np.int64(self.proteins), "kind": np.str_(self.kind)}
        if self.matrix is not None:
            arrays |= {"matrix": self.matrix, "shrinkage": np.float64(self.shrinkage or 0)}
        np.savez(buffer, format=np.int64(FORMAT), **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Transform:
        """Read what ``to_bytes`` wrote.

        Raises:
            QueryError: It is damaged, or of a newer version.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                if (version := int(file["format"])) > FORMAT:
                    raise QueryError(f"a search space of version {version}; this protvec reads up to {FORMAT}: upgrade")
                kind, mean = str(file["kind"]), file["mean"].astype(np.float64)
                matrix = file["matrix"].astype(np.float32) if "matrix" in file else None
                shrinkage = float(file["shrinkage"]) if "shrinkage" in file else None
                number = int(file["proteins"])
        except (OSError, KeyError, ValueError, zipfile.BadZipFile, EOFError) as error:
            if isinstance(error, QueryError):
                raise
            raise QueryError(f"a search space that is damaged ({error}): run `protvec calibrate`") from error
        if kind not in KINDS or mean.ndim != 1 or (matrix is not None and matrix.shape != (len(mean),) * 2):
            raise QueryError(f"a search space that is damaged (kind {kind!r}): run `protvec calibrate`")
        return cls(kind, mean, matrix, shrinkage, number)


def _lengths(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.sqrt(np.square(rows).sum(axis=1))
    return lengths


def raw(dimension: int) -> Transform:
    """The transform that only scales vectors to length 1."""
    return Transform("raw", np.zeros(dimension), None, None, 0)


def choose(proteins: int) -> str:
    """The kind that suits so many distinct proteins: of few, whitening shrinks to little more than centring."""
    return "whitened" if proteins >= ENOUGH else "raw"


def fit(moments: Moments, kind: str = "auto") -> Transform:
    """A transform from the moments of a database's vectors.

    Args:
        moments: Of one vector for each distinct sequence.
        kind: One of ``KINDS``, or ``auto``: what suits their number.

    Raises:
        QueryError: An unknown kind, or too few proteins for it.
    """
    if kind == "auto":
        kind = choose(moments.count)
    if kind not in KINDS:
        raise QueryError(f"no scoring {kind!r}: choose auto, {', '.join(KINDS)}")
    if kind == "raw":
        return raw(moments.dimension)
    if moments.count < 2:
        raise QueryError(f"scoring {kind} is fitted on the proteins themselves, and there are {moments.count}: use raw")
    if kind == "centred":
        return Transform(kind, moments.mean, None, None, moments.count)
    covariance = moments.covariance
    shrinkage = shrinkage_for(moments.count, moments.dimension)
    values, vectors = eigh(covariance)
    level = max(float(values.mean()), _TINY**2)
    # As wide as unshrunk identity would make them: of no effect on cosines, and floats stay near 1.
    scales = np.sqrt(level / ((1 - shrinkage) * np.maximum(values, 0) + shrinkage * level))
    # Symmetric ("ZCA"): it does not depend on the signs and the order that the decomposition happens to give.
    matrix = (vectors * scales) @ vectors.T
    return Transform(kind, moments.mean, ((matrix + matrix.T) / 2).astype(np.float32), shrinkage, moments.count)


def fitted(batches: Iterable[NDArray[np.float32]], dimension: int, kind: str = "auto") -> Transform:
    """``fit`` on a stream of arrays, shape=(N, D) each, read once."""
    moments = Moments(dimension)
    for batch in batches:
        moments.add(batch)
    return fit(moments, kind)


def shrinkage_for(proteins: int, dimension: int) -> float:
    """The part of the identity in the covariance of so many vectors.

    Measured: the best of 0.01 to 0.6 for 10 to 8,991 domains of SCOP at D = 256 lay near this curve. What minimises the
    error of the covariance (Ledoit and Wolf, OAS) is several times less, and finds fewer homologues.
    """
    return float(max(LEAST_SHRINKAGE, (1 + proteins / dimension) ** -1.5))
