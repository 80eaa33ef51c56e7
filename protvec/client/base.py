"""What both clients know of their server."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from protvec.client.replies import error_of
from protvec.errors import DatabaseNotFoundError, QueryError, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import httpx
    from numpy.typing import ArrayLike

    from protvec.client.calls import Call

T = TypeVar("T")

TIMEOUT = 120.0
PATIENCE = 60.0


class Base:
    """What both know of their server."""

    def __init__(self, url: str, api_key: str | None, database: str | None, patience: float) -> None:
        if importlib.util.find_spec("httpx") is None:
            raise ServerError("a client needs httpx: pip install 'protvec[client]'")
        self.url = url.rstrip("/")
        self._headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self._database = database
        self._patience = patience

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.url}, database {self._database or '(the only one)'}>"

    def request(self, call: Call[T], database: str) -> dict[str, Any]:
        """A call as httpx has it."""
        return {
            "method": call.method,
            "url": f"{self.url}/api/v1/databases/{quote(database, safe='')}{call.path}",
            "json": call.json,
            "headers": {"Accept": call.accept},
        }

    def only(self, response: httpx.Response) -> str:
        """The name of the only database.

        Raises:
            DatabaseNotFoundError: there are several.
        """
        if response.status_code != 200:
            raise error_of(response)
        names = [each["name"] for each in response.json()]
        if len(names) != 1:
            raise DatabaseNotFoundError(f"{self.url} serves {', '.join(names)}: say database=")
        self._database = str(names[0])
        return self._database

    def unreachable(self, error: Exception) -> ServerError:
        """What is said where there is no answer at all."""
        return ServerError(f"{self.url} cannot be asked: {str(error) or type(error).__name__}")


def named(vectors: Iterable[ArrayLike], names: Iterable[str] | None) -> Iterator[tuple[ArrayLike, str]]:
    """Vectors with their names; without them ``vector 1`` and so on.

    Raises:
        QueryError: there are more names than vectors, or fewer.
    """
    if names is None:
        yield from ((vector, f"vector {number}") for number, vector in enumerate(vectors, start=1))
        return
    try:
        yield from zip(vectors, names, strict=True)
    except ValueError:
        raise QueryError("there are more names than vectors, or fewer") from None
