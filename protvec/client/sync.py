"""The client whose calls return."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from protvec.client import calls
from protvec.client.base import PATIENCE, TIMEOUT, Base, named
from protvec.client.replies import error_of, retry_after
from protvec.errors import ProteinNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import httpx
    from numpy.typing import ArrayLike
    from typing_extensions import Self, Unpack

    from protvec.client.calls import Call
    from protvec.database.options import SearchOptions
    from protvec.search import Hits

P = ParamSpec("P")
T = TypeVar("T")
Q = TypeVar("Q")


def _sent(make: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    """A method that sends a call."""

    @functools.wraps(make)
    def method(self: Client, /, *args: P.args, **options: P.kwargs) -> T:
        return self.send(make(*args, **options))

    return method


def _each_sent(
    make: Callable[Concatenate[Q, P], Call[T]],
) -> Callable[Concatenate[Client, Iterable[Q], P], Iterator[T]]:
    """A method that sends a call for each of many queries, when its answer is taken."""

    @functools.wraps(make)
    def method(self: Client, queries: Iterable[Q], /, *args: P.args, **options: P.kwargs) -> Iterator[T]:
        return (self.send(make(query, *args, **options)) for query in queries)

    return method


class Client(Base):
    """A database behind ``protvec serve``: methods of ``Database`` under the same names, with the same results.

    What has to be embedded is embedded there. Of a server that is busy it waits for its turn. Threads may share one.

    Example:
        >>> db = protvec.Client("http://127.0.0.1:8000")         # doctest: +SKIP
        >>> for hit in db.search("MKTAYIAKQRQISFVKSHFSRQ", k=3):  # doctest: +SKIP
        ...     print(hit.target, hit.score, hit.metadata["description"])

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Ask a server; nothing is sent yet.

        Args:
            url: Such as ``http://127.0.0.1:8000``.
            api_key: A key of its file.
            database: Its name there; needed where there are several.
            timeout: Seconds for one answer.
            patience: Seconds in all to come back to a server that is busy.
            transport: Of httpx, for tests and for what is special about a network.

        Raises:
            ServerError: httpx is not installed.
        """
        super().__init__(url, api_key, database, patience)
        import httpx

        self._http = httpx.Client(headers=self._headers, timeout=timeout, transport=transport)

    search = _sent(calls.search)
    search_id = _sent(calls.search_id)
    search_vector = _sent(calls.search_vector)
    search_many = _each_sent(calls.search)
    search_ids = _each_sent(calls.search_id)
    search_like = _sent(calls.search_like)
    search_text = _sent(calls.search_text)
    get = _sent(calls.get)
    get_many = _sent(calls.get_many)
    residues = _sent(calls.residues)
    residues_many = _sent(calls.residues_many)
    align = _sent(calls.align)
    compare = _sent(calls.compare)
    map = _sent(calls.map)
    info = _sent(calls.info)

    def search_vectors(
        self,
        vectors: Iterable[ArrayLike],
        *,
        names: Iterable[str] | None = None,
        **options: Unpack[SearchOptions],
    ) -> Iterator[Hits]:
        """The hits of each of many vectors, in their order, as they are taken: see ``Database.search_vectors``."""
        for vector, name in named(vectors, names):
            yield self.search_vector(vector, query=name, **options)

    def __len__(self) -> int:
        return int(self.info()["proteins"])

    def __contains__(self, id: object) -> bool:
        if not isinstance(id, str):
            return False
        try:
            self.get(id)
        except ProteinNotFoundError:
            return False
        return True

    def send(self, call: Call[T]) -> T:
        """Send a call; come back to a server that is busy.

        Raises:
            ProtvecError: what an open database would raise; ``ServerError`` where there is no answer.
        """
        database = self._database or self.only(self._ask({"method": "GET", "url": f"{self.url}/api/v1/databases"}))
        response = self._ask(self.request(call, database))
        if response.status_code != 200:
            raise error_of(response)
        return call.read(response.content)

    def _ask(self, request: dict[str, Any]) -> httpx.Response:
        import httpx

        until = time.monotonic() + self._patience
        while True:
            try:
                response = self._http.request(**request)
            except httpx.HTTPError as error:
                raise self.unreachable(error) from None
            wait = retry_after(response)
            if wait is None or time.monotonic() + wait > until:
                return response
            time.sleep(wait)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
