"""Work on many rows, a part of them after another in each of some threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from protvec.store.system import THREADS

if TYPE_CHECKING:
    from collections.abc import Callable


def in_parts(work: Callable[[slice], object], count: int, *, rows: int, threaded: bool) -> None:
    """Call ``work`` with slices that together are all of the rows.

    Args:
        work: What to do; where there are threads, several at once.
        count: How many rows there are.
        rows: In a part, at most.
        threaded: Whether it is worth the tenth of a millisecond that threads take to begin.
    """
    parts = [slice(start, min(start + rows, count)) for start in range(0, count, rows)]
    threads = min(THREADS, len(parts))
    if not threaded or threads < 2:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, parts):  # an error in one is raised here
            pass
