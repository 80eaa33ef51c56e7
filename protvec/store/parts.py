"""Things in lists of a bounded size together."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")


def in_parts(items: Iterable[T], size: Callable[[T], float], enough: float) -> Iterator[list[T]]:
    """The items in lists, each of which ends with the item that makes it large enough.

    Args:
        items: In order; taken as they are needed.
        size: Of one.
        enough: In all.

    >>> list(in_parts("a bb ccc dd".split(), len, 3))
    [['a', 'bb'], ['ccc'], ['dd']]
    """
    part: list[T] = []
    total = 0.0
    for item in items:
        part.append(item)
        total += size(item)
        if total >= enough:
            yield part
            part, total = [], 0.0
    if part:
        yield part
