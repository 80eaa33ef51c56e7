"""Numbers in words, for errors and for people."""

from __future__ import annotations


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
