"""Products of matrices, and what LAPACK makes of them, in one thread each."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class _Users:
    """How many are at work with single-threaded products; the first sets it, the last sets it back."""

    lock = Lock()
    count = 0
    limits: Any = None


@contextmanager
def single_products() -> Iterator[None]:
    """Have NumPy's products of matrices take one thread each meanwhile, in all of this process.

    By themselves they take all cores, whatever their size, and the threads of a BLAS wait for one another busily: where
    two of them come to lie on one core, the eigenvectors of 256 dimensions take a second in place of 9 ms.
    """
    from threadpoolctl import threadpool_limits

    with _Users.lock:
        if not _Users.count:
            _Users.limits = threadpool_limits(1, "blas")
        _Users.count += 1
    try:
        yield
    finally:
        with _Users.lock:
            _Users.count -= 1
            if not _Users.count:
                _Users.limits.restore_original_limits()


def eigh(symmetric: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues, rising, and eigenvectors of a symmetric matrix: as ``numpy.linalg.eigh`` gives them, in one thread.

    Args:
        symmetric: ndarray, shape=(D, D).

    Returns:
        ndarray, shape=(D,), and ndarray, shape=(D, D): a column for each.
    """
    with single_products():
        values, vectors = np.linalg.eigh(symmetric)
    return values, vectors
