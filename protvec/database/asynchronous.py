"""The database for asyncio: the same methods, awaited, in a bounded number of threads."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from protvec.database.database import Database, open
from protvec.errors import DatabaseError, QueryError
from protvec.ingest import Observer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from typing_extensions import Self, Unpack

    from protvec.database.settings import SettingsOptions
    from protvec.ingest import Report

P = ParamSpec("P")
R = TypeVar("R")

WORKERS = 4
_END = object()


def _awaited(
    method: Callable[Concatenate[Database, P], R],
) -> Callable[Concatenate[AsyncDatabase, P], Coroutine[Any, Any, R]]:
    """A method of ``Database`` that is awaited."""

    @functools.wraps(method)
    async def call(self: AsyncDatabase, /, *args: P.args, **options: P.kwargs) -> R:
        return await self.call(lambda database: method(database, *args, **options))

    call.__qualname__ = f"AsyncDatabase.{method.__name__}"
    return call


def _streamed(
    method: Callable[Concatenate[Database, P], Iterator[R]],
) -> Callable[Concatenate[AsyncDatabase, P], AsyncGenerator[R, None]]:
    """A method of ``Database`` that gives one answer after another, as an asynchronous iterator.

    Each step is made in a thread when it is asked for. An iteration that is given up or cancelled lets the step under
    way end, and then closes what it came from.
    """

    @functools.wraps(method)
    async def stream(self: AsyncDatabase, /, *args: P.args, **options: P.kwargs) -> AsyncGenerator[R, None]:
        answers = await self.call(lambda database: method(database, *args, **options))
        step: Future[Any] | None = None
        try:
            while True:
                step = self._submit(lambda: next(answers, _END))
                if (answer := await asyncio.wrap_future(step)) is _END:
                    return
                yield answer
        finally:
            close = getattr(answers, "close", None)
            if step is not None and close is not None:
                step.add_done_callback(lambda _: close())

    stream.__qualname__ = f"AsyncDatabase.{method.__name__}"
    return stream


def _ingesting(
    method: Callable[Concatenate[Database, P], Report],
) -> Callable[Concatenate[AsyncDatabase, P], Coroutine[Any, Any, Report]]:
    """``Database.ingest``, which stops after its next commit where it is cancelled."""

    @functools.wraps(method)
    async def call(self: AsyncDatabase, /, *args: P.args, **options: P.kwargs) -> Report:
        observer = _Stopping(options.get("observer"))
        options["observer"] = observer
        try:
            return await self.call(lambda database: method(database, *args, **options))
        except asyncio.CancelledError:
            observer.stop.set()
            raise

    call.__qualname__ = f"AsyncDatabase.{method.__name__}"
    return call


class AsyncDatabase:
    """An open database for ``asyncio``: methods of ``Database`` under the same names, awaited; ``call`` runs others.

    Those that give many answers are asynchronous iterators. The work is done in ``workers`` threads of its own; what
    comes meanwhile waits for its turn without blocking the event loop. One of these serves a program for its life.

    Cancelling is safe. A call that waits is dropped. One that runs cannot be broken off: it ends by itself, what it
    found is thrown away, and its thread is free then; ``ingest`` stops after its next commit, and nothing is lost.

    Example:
        >>> async with await protvec.open_async("plants.lancedb") as db:   # doctest: +SKIP
        ...     hits = await db.search("MKTAYIAKQRQISFVKSHFSRQ", k=3)
        ...     async for hits in db.search_many(records):
        ...         print(hits.ids)

    Attributes:
        database: The database itself, for what needs no waiting, such as ``path``.
    """

    def __init__(self, database: Database, *, workers: int = WORKERS) -> None:
        """Serve an open database, which ``close`` closes.

        Raises:
            QueryError: there are no workers.
        """
        if workers < 1:
            raise QueryError(f"{workers} workers: it takes at least 1")
        self.database = database
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="protvec")
        self._closing = False

    search = _awaited(Database.search)
    search_id = _awaited(Database.search_id)
    search_vector = _awaited(Database.search_vector)
    search_like = _awaited(Database.search_like)
    search_text = _awaited(Database.search_text)
    search_many = _streamed(Database.search_many)
    search_ids = _streamed(Database.search_ids)
    search_vectors = _streamed(Database.search_vectors)
    search_all = _streamed(Database.search_all)
    search_against = _streamed(Database.search_against)
    align = _awaited(Database.align)
    compare = _awaited(Database.compare)
    rbh = _awaited(Database.rbh)
    map = _awaited(Database.map)
    get = _awaited(Database.get)
    get_many = _awaited(Database.get_many)
    residues = _awaited(Database.residues)
    residues_many = _awaited(Database.residues_many)
    iter_residues = _streamed(Database.iter_residues)
    info = _awaited(Database.info)
    count = _awaited(Database.__len__)
    contains = _awaited(Database.__contains__)
    encoder = _awaited(Database.encoder)
    ingest = _ingesting(Database.ingest)
    delete = _awaited(Database.delete)
    annotate = _awaited(Database.annotate)
    transfer = _awaited(Database.transfer)
    check_transfer = _awaited(Database.check_transfer)

    async def call(self, function: Callable[[Database], R]) -> R:
        """Anything else: run a function of the database in one of the threads.

        Raises:
            DatabaseError: it is closed.
        """
        return await asyncio.wrap_future(self._submit(lambda: function(self.database)))

    async def close(self) -> None:
        """Take no more calls, wait for those there are, and close the database. Again, it does nothing."""
        self._closing = True
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)
        self.database.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _submit(self, function: Callable[[], R]) -> Future[R]:
        if self._closing:
            raise DatabaseError(f"{self.database.path} is closed: open it again")
        return self._pool.submit(contextvars.copy_context().run, function)


class _Stopping(Observer):
    """An observer that can be told to stop, and asks another one else."""

    def __init__(self, other: object) -> None:
        self.stop = threading.Event()
        self._other = other if isinstance(other, Observer) else Observer()

    def advanced(self, proteins: int, residues: int) -> None:
        self._other.advanced(proteins, residues)

    def committed(self, report: Report) -> None:
        self._other.committed(report)

    def should_stop(self) -> bool:
        return self.stop.is_set() or self._other.should_stop()


async def open_async(
    path: str | Path,
    *,
    at: str | None = None,
    workers: int = WORKERS,
    storage_options: Mapping[str, str] | None = None,
    search_memory: int | None = None,
    **settings: Unpack[SettingsOptions],
) -> AsyncDatabase:
    """``open``, for ``asyncio``.

    Args:
        path: As for ``open``.
        at: As for ``open``.
        workers: Threads that answer; further calls wait.
        storage_options: As for ``open``.
        search_memory: As for ``open``.
        **settings: As for ``open``.

    Raises:
        DatabaseError, TypeError: As ``open``.
        QueryError: there are no workers, or ``search_memory`` is below 0.
    """
    opened = functools.partial(
        open, path, at=at, storage_options=storage_options, search_memory=search_memory, **settings
    )
    return AsyncDatabase(await asyncio.to_thread(opened), workers=workers)
