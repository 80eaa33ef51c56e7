"""What every request passes first: its id, who asks, limits of body and number; and what every answer gets."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders

from protvec.server.problems import Problem, answer, problem_of
from protvec.server.settings import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from protvec.server.observing import Metrics
    from protvec.server.settings import ServerSettings

_LOG = logging.getLogger("protvec.server.requests")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Open to everybody: they tell nothing of the data.
_OPEN = re.compile(r"/(healthz|readyz|openapi\.json|docs(/.*)?|assets/.*|favicon\.ico|)")
_ALWAYS = frozenset({"/healthz", "/readyz", "/metrics"})  # also where too much is asked
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class Edge:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, *, settings: ServerSettings, metrics: Metrics, hide: Mapping[str, str]) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._hide = hide
        self._in_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        scope["request_id"] = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        sent = _Sent(send, scope)
        started = time.perf_counter()
        self._in_work += 1
        self._metrics.in_work.inc()
        try:
            self._admit(scope, headers)
            await self._app(scope, _Body(receive, headers, self._settings), sent)
        except Exception as error:  # the last place: whatever it is, the client gets an answer
            problem = problem_of(error, hide=self._hide, request_id=scope["request_id"])  # which logs it
            if not sent.begun:
                await answer(problem, request_id=scope["request_id"])(scope, receive, sent)
        finally:
            self._in_work -= 1
            self._metrics.in_work.dec()
            self._note(scope, sent.status, time.perf_counter() - started)

    def _admit(self, scope: Scope, headers: Headers) -> None:
        """Refuse what may not come in.

        Raises:
            Problem: it may not.
        """
        path = _path(scope)
        scope["client_name"] = (scope.get("client") or ("unknown",))[0]
        self._check_host(headers)
        self._check_origin(scope, headers)
        preflight = scope["method"] == "OPTIONS" and "access-control-request-method" in headers
        if self._settings.keys and not preflight and not (scope["method"] in _SAFE and _OPEN.fullmatch(path)):
            scope["client_name"] = self._who(headers)
        if self._in_work > self._settings.limits.concurrency and path not in _ALWAYS:
            raise Problem(503, "busy", "too many requests are in work: ask again soon", retry_after=1)

    def _who(self, headers: Headers) -> str:
        """The name of the key that a request has.

        Raises:
            Problem: it has none, or a wrong one.
        """
        scheme, _, token = headers.get("authorization", "").partition(" ")
        secret = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        given = Key.of("", secret).digest
        matching = [key.name for key in self._settings.keys if hmac.compare_digest(key.digest, given)]  # all of them
        if matching:
            return matching[0]
        problem = Problem(401, "unauthorized", "this server needs a key: Authorization: Bearer …")
        problem.headers = {"WWW-Authenticate": "Bearer"}
        raise problem

    def _check_host(self, headers: Headers) -> None:
        """Refuse other names than ours: a page of a stranger could have its own name lead to us."""
        if not self._settings.hosts:
            return
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        if host not in _LOOPBACK and host not in self._settings.hosts:
            raise Problem(421, "misdirected_request", "this server does not go by that name")

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        """Refuse changes and work that a page of a stranger asks for in a browser."""
        origin = headers.get("origin")
        if origin is None or scope["method"] in _SAFE or {origin, "*"} & set(self._settings.cors):
            return
        if urlsplit(origin).netloc != headers.get("host"):
            raise Problem(403, "cross_origin", "pages of other origins may not ask this server")

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(scope["method"] if route != "other" else "other", route, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        level = logging.ERROR if status == 500 else logging.DEBUG if _path(scope) in _ALWAYS else logging.INFO
        if _LOG.isEnabledFor(level):
            _LOG.log(
                level,
                "request",
                extra={
                    "request_id": scope["request_id"],
                    "method": scope["method"],
                    "path": _path(scope),
                    "status": status,
                    "ms": round(1000 * seconds, 1),
                    "client": scope.get("client_name"),
                },
            )


def _path(scope: Scope) -> str:
    """The path of a request, without what this application is mounted at."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


class _Sent:
    """Passes an answer on, with the headers that all have."""

    def __init__(self, send: Send, scope: Scope) -> None:
        self._send = send
        self._scope = scope
        self.begun = False
        self.status = 499  # the client went before there was an answer

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            page = headers.get("content-type", "").startswith("text/html")
            headers["X-Request-ID"] = self._scope["request_id"]
            headers.setdefault("Content-Security-Policy", PAGE_POLICY if page else DATA_POLICY)
            headers.setdefault("Cache-Control", "no-store")
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


class _Body:
    """Takes a body in, up to so many bytes and in so much time."""

    def __init__(self, receive: Receive, headers: Headers, settings: ServerSettings) -> None:
        self._receive = receive
        self._left = self._most = settings.limits.body_bytes
        self._until = time.monotonic() + settings.limits.seconds
        self._complete = False
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._most:
            raise self._too_large()

    async def __call__(self) -> Message:
        if self._complete:  # what comes now is only that the client goes
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.001, self._until - time.monotonic()))
        except asyncio.TimeoutError:
            raise Problem(408, "request_timeout", "the request did not arrive in time") from None
        self._complete = not message.get("more_body", False)
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise self._too_large()
        return message

    def _too_large(self) -> Problem:
        return Problem(413, "too_large", f"the request has a body of more than {self._most:,} bytes")
