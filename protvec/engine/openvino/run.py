"""Sequences through several streams: longest first, short ones of one length together, order restored."""

from __future__ import annotations

import heapq
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

T = TypeVar("T")
R = TypeVar("R")


def ordered(
    items: Iterable[T],
    work: Callable[[list[T]], Sequence[R]],
    *,
    cost: Callable[[T], int],
    workers: int,
    window: int,
    room: int,
    together: Callable[[int], int] = lambda _: 1,
) -> Iterator[R]:
    """Apply a function to items in threads; results come in the order of the items.

    Among the items that have been read, the costliest starts first: cheap ones fill the gaps at the end. How
    far reading runs ahead of the result that is due is bounded, and so is what waits in memory.

    Args:
        items: Consumed lazily.
        work: From items of one cost to their results. Called in a thread; should let go of the interpreter for
            most of its time.
        cost: Of an item, in any unit.
        workers: How many calls of ``work`` run at once.
        window: At most so many items are read ahead.
        room: At most so much cost is read ahead, unless it is one item alone.
        together: How many items of a cost ``work`` may get in one call; it gets fewer where no more wait.

    Yields:
        The result of each item.

    Raises:
        Exception: Whatever ``work`` or ``items`` raised, in its turn; what was waiting is dropped.
    """
    crew = _Crew(work, workers, together)
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

    def __init__(self, work: Callable[[list[T]], Sequence[R]], workers: int, together: Callable[[int], int]) -> None:
        self._work = work
        self._together = together
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
        while batch := self._next():
            results = self._results([item for _, item in batch])
            with self._changed:
                self._done.update(zip((place for place, _ in batch), results, strict=True))
                self._changed.notify_all()

    def _next(self) -> list[tuple[int, T]]:
        """Places and items to work on in one call; none when this crew is dismissed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._dismissed)
            if self._dismissed:
                return []
            cost = self._waiting[0][0]
            # No more than its share: what is left is for the other threads.
            most = min(self._together(-cost), -(-len(self._waiting) // len(self._threads)))
            batch: list[tuple[int, T]] = []
            while self._waiting and self._waiting[0][0] == cost and len(batch) < most:
                _, place, item = heapq.heappop(self._waiting)
                batch.append((place, item))
            return batch

    def _results(self, items: list[T]) -> Sequence[R | BaseException]:
        try:
            return self._work(items)
        except BaseException as error:
            if len(items) == 1:
                return [error]
        return [result for item in items for result in self._results([item])]  # so that each fails by itself
