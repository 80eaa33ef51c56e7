"""One queue before what takes all cores: bounded, and fair to each client."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from protvec.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from protvec.server.observing import Metrics

_SMOOTH = 0.1  # weight of the latest turn in the mean time of one
_LONGEST_WAIT = 60.0  # seconds that anybody is told to come back after


class FairQueue:
    """Lets so many in at a time: clients in turn, whoever of a client came first.

    Where too many wait, the client with the most of them loses its latest one, so that one who asks much cannot keep
    the others out.
    """

    def __init__(self, *, at_once: int, size: int, metrics: Metrics) -> None:
        """Let ``at_once`` in, and ``size`` wait."""
        self._free = at_once
        self._at_once = at_once
        self._size = size
        self._metrics = metrics
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._number = 0
        self._mean = 0.5

    @asynccontextmanager
    async def turn(
        self, client: str, *, patient: bool = False, wanted: Callable[[], Awaitable[bool]] | None = None
    ) -> AsyncIterator[None]:
        """Wait for a turn, and have it.

        Args:
            client: Whose turn.
            patient: Wait however many others do: for work of our own, which asks for one turn at a time.
            wanted: Asked when the turn comes: whether anybody still waits for what it is for.

        Raises:
            Problem: 503; too many wait, or nobody waits for this any more.
        """
        await self._come(client, patient)
        started = time.monotonic()
        try:
            if wanted is not None and not await wanted():
                raise Problem(503, "gone", "the client has gone")
            yield
        finally:
            self._mean += _SMOOTH * (time.monotonic() - started - self._mean)
            self._free += 1
            self._call_next()

    def full(self) -> Problem:
        """What is said where too many wait."""
        self._metrics.refused.inc()
        return Problem(503, "queue_full", "too many queries wait: ask again soon", retry_after=self.wait)

    @property
    def wait(self) -> float:
        """Seconds until whoever waits now is through, about."""
        return min(_LONGEST_WAIT, (self._number + 1) * self._mean / self._at_once)

    async def _come(self, client: str, patient: bool) -> None:
        if self._free and not self._number:
            self._free -= 1
            return
        if self._number >= self._size and not patient:
            self._make_room(client)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(place)
        self._count(1)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:  # it had just been called
                self._free += 1
                self._call_next()
            else:
                self._leave(client, place)
            raise

    def _make_room(self, client: str) -> None:
        """Send the latest of the client away who has the most waiting, if that is another one with more.

        Raises:
            Problem: 503; it is this client.
        """
        most = max(self._waiting, key=lambda name: len(self._waiting[name]), default=client)
        if len(self._waiting.get(most, ())) <= len(self._waiting.get(client, ())) + 1:
            raise self.full()
        last = self._waiting[most][-1]
        self._leave(most, last)
        last.set_exception(self.full())

    def _leave(self, client: str, place: asyncio.Future[None]) -> None:
        line = self._waiting.get(client)
        if line is not None and place in line:
            line.remove(place)
            if not line:
                del self._waiting[client]
            self._count(-1)

    def _call_next(self) -> None:
        """Call the first of the client whose turn it is, and put that client last."""
        while self._free and self._waiting:
            client = next(iter(self._waiting))
            line = self._waiting.pop(client)
            place = line.popleft()
            if line:
                self._waiting[client] = line
            self._count(-1)
            if not place.done():
                self._free -= 1
                place.set_result(None)

    def _count(self, change: int) -> None:
        self._number += change
        self._metrics.waiting.set(self._number)
