"""The client whose calls are awaited."""

from __future__ import annotations

import asyncio
import functools
import time
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from protvec.client import calls
from protvec.client.base import PATIENCE, TIMEOUT, Base, named
from protvec.client.replies import error_of, retry_after
from protvec.errors import ProteinNotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable

    import httpx
    from numpy.typing import ArrayLike
    from typing_extensions import Self, Unpack

    from protvec.client.calls import Call
    from protvec.database.options import SearchOptions
    from protvec.search import Hits

P = ParamSpec("P")
T = TypeVar("T")
Q = TypeVar("Q")


def _awaited(make: Callable[P, Call[T]]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """A method that sends a call, and is awaited."""

    @functools.wraps(make)
    async def method(self: AsyncClient, /, *args: P.args, **options: P.kwargs) -> T:
        return await self.send(make(*args, **options))

    return method


def _each_awaited(
    make: Callable[Concatenate[Q, P], Call[T]],
) -> Callable[Concatenate[AsyncClient, Iterable[Q], P], AsyncGenerator[T, None]]:
    """A method that sends a call for each of many queries, when its answer is taken."""

    @functools.wraps(make)
    async def method(
        self: AsyncClient, queries: Iterable[Q], /, *args: P.args, **options: P.kwargs
    ) -> AsyncGenerator[T, None]:
        for query in queries:
            yield await self.send(make(query, *args, **options))

    return method


class AsyncClient(Base):
    """As ``Client``, for ``asyncio``: the methods of ``AsyncDatabase``.

    Example:
        >>> async with protvec.AsyncClient("http://127.0.0.1:8000") as db:  # doctest: +SKIP
        ...     hits = await db.search("MKTAYIAKQRQISFVKSHFSRQ", k=3)

    Attributes:
        url: Of the server.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        database: str | None = None,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """As ``Client``.

        Raises:
            ServerError: httpx is not installed.
        """
        super().__init__(url, api_key, database, patience)
        import httpx

        self._http = httpx.AsyncClient(headers=self._headers, timeout=timeout, transport=transport)

    search = _awaited(calls.search)
    search_id = _awaited(calls.search_id)
    search_vector = _awaited(calls.search_vector)
    search_many = _each_awaited(calls.search)
    search_ids = _each_awaited(calls.search_id)
    search_like = _awaited(calls.search_like)
    search_text = _awaited(calls.search_text)
    get = _awaited(calls.get)
    get_many = _awaited(calls.get_many)
    residues = _awaited(calls.residues)
    residues_many = _awaited(calls.residues_many)
    align = _awaited(calls.align)
    compare = _awaited(calls.compare)
    map = _awaited(calls.map)
    info = _awaited(calls.info)

    async def search_vectors(
        self,
        vectors: Iterable[ArrayLike],
        *,
        names: Iterable[str] | None = None,
        **options: Unpack[SearchOptions],
    ) -> AsyncGenerator[Hits, None]:
        """The hits of each of many vectors, in their order, as they are taken: see ``Database.search_vectors``."""
        for vector, name in named(vectors, names):
            yield await self.search_vector(vector, query=name, **options)

    async def count(self) -> int:
        """The number of proteins."""
        return int((await self.info())["proteins"])

    async def contains(self, id: object) -> bool:
        """Whether there is a protein of that id."""
        if not isinstance(id, str):
            return False
        try:
            await self.get(id)
        except ProteinNotFoundError:
            return False
        return True

    async def send(self, call: Call[T]) -> T:
        """As ``Client.send``."""
        listing = {"method": "GET", "url": f"{self.url}/api/v1/databases"}
        database = self._database or self.only(await self._ask(listing))
        response = await self._ask(self.request(call, database))
        if response.status_code != 200:
            raise error_of(response)
        return call.read(response.content)

    async def _ask(self, request: dict[str, Any]) -> httpx.Response:
        import httpx

        until = time.monotonic() + self._patience
        while True:
            try:
                response = await self._http.request(**request)
            except httpx.HTTPError as error:
                raise self.unreachable(error) from None
            wait = retry_after(response)
            if wait is None or time.monotonic() + wait > until:
                return response
            await asyncio.sleep(wait)

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
