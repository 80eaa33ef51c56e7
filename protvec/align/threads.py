"""Threads: one for each pair of proteins, and products of matrices that take no more than that one."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_ONCE = 256  # items whose results are waited for together


def map_threads(work: Callable[[Item], Result], items: Iterable[Item], *, threads: int | None) -> Iterator[Result]:
    """Results in the order of the items, some of which are taken ahead; None is as many threads as there are cores.

    NumPy's products of matrices take all cores by themselves, whatever their size, and wait for one another busily:
    for many small ones it is several times faster to have as many threads with a product each.
    """
    following = iter(items)
    with _single_products(), ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        while group := list(islice(following, _AT_ONCE)):
            yield from pool.map(work, group)


class _Products:
    """How many are at work with single-threaded products; the first sets it, the last sets it back."""

    lock = Lock()
    users = 0
    limits: Any = None


@contextmanager
def _single_products() -> Iterator[None]:
    from threadpoolctl import threadpool_limits

    with _Products.lock:
        if not _Products.users:
            _Products.limits = threadpool_limits(1, "blas")
        _Products.users += 1
    try:
        yield
    finally:
        with _Products.lock:
            _Products.users -= 1
            if not _Products.users:
                _Products.limits.restore_original_limits()
