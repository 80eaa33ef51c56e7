"""Searches with stored proteins and with vectors that come at the same time, answered in one go.

Comparing sixteen vectors at once takes a quarter of the time of one after another, with the same answers. So while
one search runs, those that come are gathered, and all that want the same are the next one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from protvec.errors import ProtvecError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence

K = TypeVar("K", bound="Hashable")
Q = TypeVar("Q")
A = TypeVar("A")

MOST = 64  # answered at once


class Gatherer(Generic[K, Q, A]):
    """Answers questions of the same kind together.

    What all of them want is the key of a group; ``answer`` gets the key and the questions of a group, and returns an
    answer or an error for each, in their order.
    """

    def __init__(self, answer: Callable[[K, Sequence[Q]], Awaitable[Sequence[A | ProtvecError]]]) -> None:
        self._answer = answer
        self._waiting: dict[K, list[tuple[Q, asyncio.Future[A]]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def ask(self, key: K, question: Q) -> A:
        """The answer to a question.

        Raises:
            ProtvecError: it has none.
        """
        place: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append((question, place))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await place

    async def _run(self) -> None:
        while self._waiting:
            key = next(iter(self._waiting))
            group = self._waiting.pop(key)
            if rest := group[MOST:]:
                self._waiting[key] = rest  # after all others
            group = [each for each in group[:MOST] if not each[1].done()]  # without those who have gone
            if group:
                await self._serve(key, group)

    async def _serve(self, key: K, group: list[tuple[Q, asyncio.Future[A]]]) -> None:
        try:
            answers: Sequence[Any] = await self._answer(key, [question for question, _ in group])
        except Exception as error:  # whoever asked gets it
            answers = [error] * len(group)
        for (_, place), found in zip(group, answers, strict=True):
            if place.done():
                continue
            if isinstance(found, Exception):
                place.set_exception(found)
            else:
                place.set_result(found)
