"""All databases of a server, from its start to its end."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import protvec
from protvec.server.fair import FairQueue
from protvec.server.jobs import JobStore, Runner
from protvec.server.problems import Problem
from protvec.server.served import Served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from protvec.server.observing import Metrics
    from protvec.server.settings import ServerSettings

_LOG = logging.getLogger("protvec.server")


class Service:
    """What the routes ask; it is ``app.state.service``.

    Attributes:
        settings: Of the server.
        metrics: What is counted.
        queue: Before what takes all cores.
        hidden: Names of databases by their paths.
    """

    def __init__(self, settings: ServerSettings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        limits = settings.limits
        self.queue = FairQueue(at_once=limits.embedding, size=limits.queue, metrics=metrics)
        self._databases: dict[str, Served] = {}
        self._started = False
        self._jobs: Runner | None = None
        # What stands in messages in place of the paths of databases, which are known in full when they are open.
        self.hidden: dict[str, str] = {str(path): name for name, path in settings.databases.items()}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the databases, load their models meanwhile, and close all in the end.

        Raises:
            DatabaseError: one cannot be opened.
        """
        async with AsyncExitStack() as stack:
            for name, path in self.settings.databases.items():
                opened = await protvec.open_async(
                    path,
                    workers=self.settings.workers,
                    storage_options=self.settings.storage_options,
                    search_memory=self.settings.search_memory,
                    offline=self.settings.offline,
                    threads=self.settings.threads,
                    precision=self.settings.precision,
                    latency=True,
                )
                stack.push_async_callback(opened.close)
                self.hidden[opened.database.path] = name
                self._databases[name] = Served(name, opened, self.settings, self.queue)
            if self.settings.state is None:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="protvec-jobs-"))
            else:
                folder = str(self.settings.state)
            self._jobs = Runner(self, JobStore(Path(folder)))
            loading = asyncio.create_task(self._load())
            self._started = True
            self._jobs.start()
            try:
                yield
            finally:
                self._started = False
                await self._jobs.stop()
                self.metrics.ready.set(0)
                loading.cancel()
                self._databases = {}

    @property
    def jobs(self) -> Runner:
        """What does jobs.

        Raises:
            Problem: 503; the application that this one is mounted in does not start it.
        """
        if self._jobs is None or not self._started:
            raise not_running()
        return self._jobs

    async def _load(self) -> None:
        for served in list(self._databases.values()):
            await served.start()
            _LOG.info("%s: searches answer; model: %s", served.name, served.model)
        self.metrics.ready.set(int(self.ready))

    @property
    def ready(self) -> bool:
        """Whether every kind of question is answered at once."""
        return self._started and all(served.ready for served in self._databases.values())

    @property
    def databases(self) -> list[Served]:
        """All of them.

        Raises:
            Problem: 503; the application that this one is mounted in does not start it.
        """
        if not self._started:
            raise not_running()
        return list(self._databases.values())

    def database(self, name: str) -> Served:
        """One by name.

        Raises:
            Problem: 404; there is none.
        """
        for served in self.databases:
            if served.name == name:
                return served
        names = ", ".join(served.name for served in self.databases)
        raise Problem(404, "database_not_found", f"no database {name!r}: there are {names}")


def not_running() -> Problem:
    """What is said where the application that this one is mounted in does not start it."""
    return Problem(503, "not_running", "this server is not running", retry_after=1)
