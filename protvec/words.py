"""Numbers and lists in words, for errors and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def size(count: float) -> str:
    """A number of bytes in words: ``1.2 GB``.

    >>> size(12), size(81_300), size(123_400_000), size(2.5e15)
    ('12 bytes', '81.3 kB', '123 MB', '2500 TB')
    """
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def some(names: Sequence[object], most: int = 1) -> str:
    """The first of some names, and how many more there are.

    >>> some(["a"]), some(["a", "b", "c"]), some(range(5000), 2)
    ('a', 'a and 2 more', '0, 1 and 4,998 more')
    """
    more = len(names) - most
    return ", ".join(map(str, names[:most])) + (f" and {more:,} more" if more > 0 else "")
