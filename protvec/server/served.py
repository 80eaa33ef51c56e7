"""An open database behind requests: searches that wait their turn, and whether its model is loaded."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from protvec.errors import ProteinNotFoundError, ProtvecError
from protvec.server.examples import examples
from protvec.server.gathering import Gatherer
from protvec.server.problems import Problem
from protvec.store import query_matrix

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from protvec import AsyncDatabase, Database, Hits
    from protvec.server.fair import FairQueue
    from protvec.server.settings import ServerSettings

_LOG = logging.getLogger("protvec.server")
R = TypeVar("R")
# The options of a search, as a key of those that can be answered together.
Options = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, eq=False)
class Asking:
    """Who asks.

    Attributes:
        client: By name or by address.
        patient: Whether it waits however many others do.
        wanted: Whether anybody still waits for the answer.
        seconds: Time until it is given up; None for no end.
    """

    client: str
    patient: bool = False
    wanted: Callable[[], Awaitable[bool]] | None = None
    seconds: float | None = None


class Served:
    """One database of a server.

    Attributes:
        name: In addresses.
        db: The open database.
        settings: Of the server.
        model: ``loading``, ``ready``, ``failed``, or ``off``.
    """

    def __init__(self, name: str, db: AsyncDatabase, settings: ServerSettings, queue: FairQueue) -> None:
        self.name = name
        self.db = db
        self.settings = settings
        self.model: Literal["loading", "ready", "failed", "off"] = "loading" if settings.models else "off"
        self.warm = False
        self._queue = queue
        self._by_id: Gatherer[Options, str, tuple[Hits, int]] = Gatherer(self._search_ids)
        self._by_vector: Gatherer[Options, tuple[str, Any], Hits] = Gatherer(self._search_vectors)
        self._info: tuple[int, dict[str, Any]] | None = None

    async def start(self) -> None:
        """Load the model, and read what searches compare, so that no request has to wait for it."""
        await self._try(self._warm_up, "cannot be searched")
        self.warm = True
        if self.model == "loading":
            loaded = await self._try(lambda database: database.encoder(), "its model cannot be loaded")
            self.model = "ready" if loaded else "failed"

    async def _try(self, step: Callable[[Database], object], failure: str) -> bool:
        try:
            await self.db.call(step)
        except ProtvecError as error:
            _LOG.warning("%s: %s: %s", self.name, failure, error)
            return False
        return True

    @staticmethod
    def _warm_up(database: Database) -> None:
        for _, vectors in database.store.iter_vectors(batch_size=1):
            database.search_vector(vectors[0], k=1)
            break

    @property
    def ready(self) -> bool:
        """Whether every kind of question is answered without loading something first."""
        return self.warm and self.model in ("ready", "off")

    def check_embeds(self) -> None:
        """Refuse a sequence where none is embedded.

        Raises:
            Problem: 503.
        """
        if self.model == "off":
            raise Problem(503, "model", "this server embeds no sequences: search by id or by vector")

    async def info(self) -> dict[str, Any]:
        """As ``Database.info``, with examples and without the place on the disk; made anew for each version."""
        version = self.db.database.store.version
        if self._info is None or self._info[0] != version:
            facts = await self.db.info()
            facts["examples"] = await self.db.call(examples)
            self._info = version, {name: value for name, value in facts.items() if name != "path"}
        return self._info[1]

    async def search_id(self, id: str, options: dict[str, Any]) -> tuple[Hits, int]:
        """As ``Database.search_id`` without alignment, and the length of the protein.

        What comes meanwhile and wants the same is answered with it.
        """
        return await self._by_id.ask(_key(options), id)

    async def search_vector(self, vector: Sequence[float], name: str, options: dict[str, Any]) -> Hits:
        """As ``Database.search_vector``; what comes meanwhile and wants the same is answered with it."""
        query_matrix([vector], self.db.database.store.space.dimension)  # a bad one must not spoil the others'
        return await self._by_vector.ask(_key(options), (name, vector))

    async def in_turn(self, asking: Asking, work: Callable[[Database], R]) -> R:
        """Do what takes all cores, when its turn has come.

        Raises:
            Problem: 503; too many wait, or it takes too long. What runs meanwhile ends by itself, and keeps its turn.
        """
        running = asyncio.Event()

        async def done() -> R:
            async with self._queue.turn(asking.client, patient=asking.patient, wanted=asking.wanted):
                running.set()
                return await self.db.call(work)

        task = asyncio.create_task(done())
        try:
            await asyncio.wait({task}, timeout=asking.seconds)
        except asyncio.CancelledError:
            _give_up(task, running)
            raise
        if not task.done():
            _give_up(task, running)
            seconds = asking.seconds or 0
            raise Problem(503, "timeout", f"no answer within {seconds:g} s", retry_after=self._queue.wait)
        return task.result()

    async def _search_ids(self, key: Options, ids: Sequence[str]) -> list[tuple[Hits, int] | ProtvecError]:
        """The hits of several proteins; each that is not there has an error of its own."""
        options = dict(key)

        def together(database: Database, some: Sequence[str]) -> list[tuple[Hits, int]]:
            lengths = database.store.get(some, columns=["length"])["length"].to_pylist()
            return list(zip(database.search_ids(some, **options), lengths, strict=True))

        absent: set[str] = set()
        found: list[tuple[Hits, int]] = []
        try:
            found = await self.db.call(lambda database: together(database, ids))
        except ProteinNotFoundError as error:
            absent = set(error.ids)
            if rest := [each for each in ids if each not in absent]:
                found = await self.db.call(lambda database: together(database, rest))
        answers = iter(found)
        errors = {each: await self._absent(each) for each in absent}
        return [errors[each] if each in absent else next(answers) for each in ids]

    async def _absent(self, id: str) -> ProtvecError:
        """The error of an id that is not there, with ids that are like it."""
        try:
            await self.db.get(id)
        except ProtvecError as error:
            return error
        return ProteinNotFoundError(f"no protein {id!r} a moment ago: ask again", ids=[id])

    async def _search_vectors(self, key: Options, asked: Sequence[tuple[str, Any]]) -> Sequence[Hits | ProtvecError]:
        options = dict(key)
        names, vectors = [name for name, _ in asked], [vector for _, vector in asked]
        return await self.db.call(lambda database: list(database.search_vectors(vectors, names=names, **options)))


def _key(options: dict[str, Any]) -> Options:
    return tuple(sorted((name, tuple(value) if isinstance(value, list) else value) for name, value in options.items()))


def _give_up(task: asyncio.Task[Any], running: asyncio.Event) -> None:
    """Leave the queue; what has begun cannot be broken off, and its turn lasts until it ends."""
    if not running.is_set():
        task.cancel()
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody else looks at it
