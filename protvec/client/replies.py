"""What is not the answer to a question: problems of the server as the errors of the library."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from protvec.errors import (
    DatabaseError,
    DatabaseNotFoundError,
    FilterError,
    InputError,
    ModelError,
    ProteinNotFoundError,
    QueryError,
    ServerError,
)

if TYPE_CHECKING:
    import httpx

    from protvec.errors import ProtvecError

_KINDS: dict[str, type[ProtvecError]] = {
    "query": QueryError,
    "request": QueryError,
    "filter": FilterError,
    "model": ModelError,
    "database": DatabaseError,
    "database_not_found": DatabaseNotFoundError,
}
_LONGEST_WAIT = 60.0


def error_of(response: httpx.Response) -> ProtvecError:
    """The error that an open database would raise; ``ServerError`` where it is none of those."""
    problem = _problem(response)
    code, detail = str(problem.get("code", "")), str(problem.get("detail", response.reason_phrase))
    if code == "protein_not_found":
        return ProteinNotFoundError(detail, ids=problem.get("ids", []), near=problem.get("near", []))
    if kind := _KINDS.get(code):
        return kind(detail)
    if response.status_code in (413, 422):
        return InputError(detail)
    where = f"{response.url.scheme}://{response.url.netloc.decode()}"
    message = f"{where} answers {response.status_code}: {detail}"
    return ServerError(message, status=response.status_code, retry_after=retry_after(response))


def retry_after(response: httpx.Response) -> float | None:
    """Seconds after which a busy server is to be asked again; None where it does not say so."""
    if response.status_code != 503 or _problem(response).get("code") in ("model", "database"):
        return None
    text = response.headers.get("retry-after", "")
    return min(float(text), _LONGEST_WAIT) if text.isdecimal() else None


def _problem(response: httpx.Response) -> dict[str, Any]:
    """The members of a problem; none of an answer of somebody else, such as a proxy."""
    try:
        found = json.loads(response.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
