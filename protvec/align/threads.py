"""Threads: one for each pair of proteins, and products of matrices that take no more than that one."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from protvec.products import single_products

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
    with single_products(), ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        while group := list(islice(following, _AT_ONCE)):
            yield from pool.map(work, group)
