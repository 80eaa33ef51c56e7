"""Sequences through several streams: as many at once as there are streams, longest first, order restored."""

from __future__ import annotations

import heapq
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")


def ordered(
    items: Iterable[T],
    work: Callable[[T], R],
    *,
    cost: Callable[[T], int],
    workers: int,
    window: int,
    room: int,
) -> Iterator[R]:
    """Apply a function to each item in threads; results come in the order of the items.

    Among the items that have been read, the costliest starts first: cheap ones fill the gaps at the end. How
    far reading runs ahead of the result that is due is bounded, and so is what waits in memory.

    Args:
        items: Consumed lazily.
        work: Called in a thread; should let go of the interpreter for most of its time.
        cost: Of an item, in any unit.
        workers: How many items are worked on at once.
        window: At most so many items are read ahead.
        room: At most so much cost is read ahead, unless it is one item alone.

    Yields:
        ``work(item)`` for each item.

    Raises:
        Exception: Whatever ``work`` or ``items`` raised, in its turn; what was waiting is dropped.
    """
    if workers == 1:
        yield from map(work, items)
        return
    crew = _Crew(work, workers)
    try:
        yield from _in_turn(iter(items), crew, cost=cost, window=window, room=room)
    finally:
        crew.dismiss()


def _in_turn(items: Iterator[T], crew: _Crew[T, R], *, cost: Callable[[T], int], window: int, room: int) -> Iterator[R]:
    costs: dict[int, int] = {}  # of items that were read and not yet yielded
    due = following = 0
    exhausted = False
    while True:
        while not exhausted and len(costs) < window and (not costs or sum(costs.values()) < room):
            try:
                item = next(items)
            except StopIteration:
                exhausted = True
                break
            costs[following] = cost(item)
            crew.give(following, costs[following], item)
            following += 1
        if due == following:
            return
        result = crew.take(due)
        del costs[due]
        due += 1
        yield result


class _Crew(Generic[T, R]):
    """Threads that take the costliest item that waits."""

    def __init__(self, work: Callable[[T], R], workers: int) -> None:
        self._work = work
        self._waiting: list[tuple[int, int, T]] = []  # a heap: costliest first, then in order
        self._done: dict[int, R | BaseException] = {}
        self._changed = threading.Condition()
        self._dismissed = False
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def give(self, place: int, cost: int, item: T) -> None:
        with self._changed:
            heapq.heappush(self._waiting, (-cost, place, item))
            self._changed.notify_all()

    def take(self, place: int) -> R:
        """The result for that item, when it is there; or what went wrong with it."""
        with self._changed:
            self._changed.wait_for(lambda: place in self._done)
            result = self._done.pop(place)
        if isinstance(result, BaseException):
            raise result
        return result

    def dismiss(self) -> None:
        """Drop what waits, and return when no thread is at work any more."""
        with self._changed:
            self._dismissed = True
            self._waiting.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._dismissed)
                if self._dismissed:
                    return
                _, place, item = heapq.heappop(self._waiting)
            try:
                result: R | BaseException = self._work(item)
            except BaseException as error:
                result = error
            with self._changed:
                self._done[place] = result
                self._changed.notify_all()
