"""Errors as RFC 9457 problems: what the client can mend is said in full, all else is logged and not told."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from protvec.errors import DatabaseError, EngineError, InputError, ModelError, ProteinNotFoundError, ProtvecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
_LOG = logging.getLogger("protvec.server")
_LONGEST = 2000  # characters of a detail: messages repeat what was given
_RETRY_SECONDS = 5

# What the client cannot mend, and what is said of it in place of a message that may name files of the server.
_UNAVAILABLE = {
    ModelError: ("model", "the model of this database cannot be run now: search by id or by vector"),
    EngineError: ("model", "the model of this database cannot be run now: search by id or by vector"),
    DatabaseError: ("database", "the database cannot answer now"),
}


class Problem(HTTPException):
    """An answer that is an error.

    Attributes:
        code: A word that programs can rely on.
        more: Further members.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, retry_after: float | None = None, **more: object
    ) -> None:
        headers = None if retry_after is None else {"Retry-After": str(max(1, round(retry_after)))}
        super().__init__(status, detail, headers)
        self.code = code
        self.more = more


def body(status: int, code: str, detail: str, **more: object) -> dict[str, Any]:
    """The members of a problem."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail[:_LONGEST],
        "code": code,
    } | more


def answer(problem: Problem, *, request_id: str | None = None) -> Response:
    """A problem as a response."""
    content = body(problem.status_code, problem.code, problem.detail, **problem.more)
    if request_id is not None:
        content["request_id"] = request_id
    return JSONResponse(content, problem.status_code, problem.headers, media_type=MEDIA_TYPE)


def problem_of(error: Exception, *, hide: Mapping[str, str], request_id: str | None = None) -> Problem:
    """What is told of an error.

    Args:
        error: Any.
        hide: What stands in messages in place of the paths of databases.
        request_id: Of the request that it is the answer to, for the log.
    """
    known = {"request_id": request_id}
    if isinstance(error, Problem):
        return error
    if isinstance(error, ProteinNotFoundError):
        return Problem(404, "protein_not_found", hidden(str(error), hide), ids=error.ids[:100], near=error.near)
    if isinstance(error, InputError):
        return Problem(422, _code(error), hidden(str(error), hide))
    for kind, (code, detail) in _UNAVAILABLE.items():
        if isinstance(error, kind):
            _LOG.error("%s", error, extra=known)
            return Problem(503, code, detail, retry_after=_RETRY_SECONDS)
    if isinstance(error, HTTPException):
        return _of_http(error)
    _LOG.error("an error that nobody expected", exc_info=error, extra=known)
    return Problem(500, "internal", "the server failed; its log says more")


def hidden(message: str, hide: Mapping[str, str]) -> str:
    """A message without the paths of databases."""
    for path in sorted(hide, key=len, reverse=True):
        message = message.replace(path, hide[path])
    return message


def install(app: FastAPI, hide: Mapping[str, str]) -> None:
    """Have an application answer errors so."""

    async def failed(request: Request, error: Exception) -> Response:
        request_id = request.scope.get("request_id")
        return answer(problem_of(error, hide=hide, request_id=request_id), request_id=request_id)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(_of_validation(error), request_id=request.scope.get("request_id"))

    for kind in (ProtvecError, HTTPException):  # all else reaches ``Edge``
        app.add_exception_handler(kind, failed)
    app.add_exception_handler(RequestValidationError, invalid)


def _of_http(error: HTTPException) -> Problem:
    """What the framework raises: no such route, a method that is not there, a body that is no JSON."""
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    problem = Problem(error.status_code, code, str(error.detail))
    problem.headers = error.headers
    return problem


def _of_validation(error: RequestValidationError) -> Problem:
    """A request that is not as the description says; what was given is not repeated."""
    faults = [
        {"where": ".".join(map(str, each["loc"])), "what": str(each["msg"]).removeprefix("Value error, ")}
        for each in error.errors()[:20]
    ]
    first = faults[0] if faults else {"where": "the request", "what": "cannot be used"}
    return Problem(422, "request", f"{first['where']}: {first['what']}", errors=faults)


def _code(error: Exception) -> str:
    return type(error).__name__.removesuffix("Error").lower()
