"""Threads and memory, as the machine gives them."""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


_ALLOWED = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADS = min(4, _ALLOWED)
"""For encoding and decoding, which are bound by memory: more do not help."""

_LARGE_PAGE = 2 << 20
_KEPT = 31 << 20  # glibc takes an example from no more than 32 MiB


@functools.cache
def keep_memory() -> None:
    """Have the C library keep memory that is given back, for what comes next: once in a process.

    glibc asks the system for each large piece, and its pages come one fault after the other, until it has seen one as
    large given back (``mallopt(3)``, M_MMAP_THRESHOLD). The faults are a quarter of the time of reading many arrays,
    and a tenth of that of writing them.
    """
    np.empty(_KEPT, np.uint8)


def new_memory(values: int) -> NDArray[np.float32]:
    """New memory for so many numbers, from the beginning of a large page on where the system has them.

    It is asked for by itself: what a thread gets from the heap is in small pages, each of which costs a fault. 61 MB
    come in 6 ms so, and in 23 from the heap.
    """
    size = 4 * values
    if size < _LARGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.empty(values, np.float32)
    room = mmap.mmap(-1, size + _LARGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a system without large pages
        room.madvise(mmap.MADV_HUGEPAGE)
    memory = np.frombuffer(room, np.uint8)
    start = -memory.ctypes.data % _LARGE_PAGE
    return memory[start : start + size].view(np.float32)
