"""Coordinates in two dimensions of vectors, the same for the same vectors."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.errors import InputError
from protvec.products import eigh
from protvec.projection.nearest import neighbours

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 42
NEIGHBORS, MIN_DIST = 15, 0.1  # as umap-learn has them
# Below that, UMAP has too little to go by, and takes longer to compile than to run.
UMAP_FROM = 50
# All pairs are compared up to that many sequences; beyond, umap-learn finds neighbours approximately.
_EXACT = 100_000
_SPREAD = 10.0  # of UMAP's first layout, as its own


def has_umap() -> bool:
    """Whether umap-learn is installed."""
    from importlib.util import find_spec

    return find_spec("umap") is not None


def pca(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """The two directions in which the vectors differ most.

    Args:
        vectors: ndarray, shape=(N, D), dtype=float32.

    Returns:
        ndarray, shape=(N, 2), dtype=float32, and the share of the variance that each axis has.
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    dimension = vectors.shape[1]
    covariance = np.zeros((dimension, dimension))
    for start in range(0, len(vectors), 16_384):
        part = vectors[start : start + 16_384] - mean
        covariance += part.T @ part
    values, directions = eigh(covariance)
    axes = directions[:, ::-1][:, :2]
    if axes.shape[1] < 2:  # of a single dimension
        axes = np.pad(axes, ((0, 0), (0, 1)))
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(2)] + 1e-300)  # either sign is right: take one
    shares = values[::-1][:2] / max(values.sum(), 1e-300)
    found: NDArray[np.float32] = ((vectors - mean) @ axes).astype(np.float32)
    return found, {"variance": [round(float(each), 4) for each in shares]}


def umap(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """UMAP (McInnes et al. 2018), begun at the PCA so that what is far apart stays so.

    Args:
        vectors: ndarray, shape=(N, D), dtype=float32, each of length 1.

    Returns:
        ndarray, shape=(N, 2), dtype=float32, and the settings.

    Raises:
        InputError: umap-learn is not installed.
    """
    if not has_umap():
        raise InputError("UMAP needs umap-learn: pip install 'protvec[map]', or --method pca")
    near = min(NEIGHBORS, len(vectors) - 1)
    first = pca(vectors)[0]
    known: tuple[Any, ...] = (None,)
    if len(vectors) <= _EXACT:
        nearest, cosines = neighbours(vectors, vectors, near)
        known = (nearest, np.maximum(0, 1 - cosines), None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TensorFlow is missing, and that known neighbours cannot place others
        from umap import UMAP

        model = UMAP(
            n_neighbors=near,
            min_dist=MIN_DIST,
            metric="cosine",
            init=_SPREAD * first / max(float(np.abs(first).max()), 1e-12),
            precomputed_knn=known,
            random_state=SEED,
            n_jobs=1,  # with a seed it takes one thread in any case
        )
        found = model.fit_transform(vectors)
    return np.asarray(found, np.float32), {"n_neighbors": near, "min_dist": MIN_DIST, "seed": SEED}
