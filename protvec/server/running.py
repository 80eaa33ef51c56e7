"""An application run for good: one process or several, on a socket that may be bound."""

from __future__ import annotations

import ipaddress
import logging
import socket
from functools import partial
from typing import TYPE_CHECKING

from protvec.errors import ServerError
from protvec.server.observing import log_config, start_logging
from protvec.server.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import FastAPI

_LOG = logging.getLogger("protvec.server")
_GRACE_SECONDS = 30  # for requests in work when the server is told to end


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_exposure(host: str, settings: ServerSettings) -> None:
    """Refuse to let others in without keys.

    Raises:
        ServerError: the host is not loopback, and there are no keys.
    """
    if not settings.keys and not is_loopback(host):
        raise ServerError(
            f"on {host} others reach this server, so it needs keys: --api-key-file FILE, with a line NAME KEY for each "
            "(openssl rand -hex 32 makes one); or keep --host 127.0.0.1 and put a proxy before it"
        )


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ServerError: there is no such address, or it is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ServerError(f"{host}:{port} cannot be served on: {reason}: take another --host or --port") from None
    listening.set_inheritable(True)
    return listening


def application(settings: ServerSettings, level: str) -> FastAPI:
    """The application of one process."""
    from protvec.server.app import build

    start_logging(level)
    limit_blas()
    return build(settings)


def limit_blas() -> None:
    """Have the products of matrices of this process take one thread each: requests are what shares the cores.

    Many small products are in an answer, and the threads of a BLAS wait for the next one by turning: they took half of
    a server's processor time.
    """
    import numpy  # noqa: F401, ICN001  # the limit is of the libraries that are there
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="blas")


def run(
    settings: ServerSettings,
    listening: socket.socket,
    *,
    processes: int = 1,
    proxies: Sequence[str] = ("127.0.0.1",),
    level: str = "INFO",
) -> None:
    """Serve until a signal says to end; requests in work are answered first.

    Args:
        settings: What to serve.
        listening: From ``bind``.
        processes: How many, each with the databases open.
        proxies: Addresses whose ``X-Forwarded-For`` is believed.
        level: Of the log.
    """
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from protvec.server.heads import LimitedHeads

    config = uvicorn.Config(
        partial(application, settings, level),
        factory=True,
        http=LimitedHeads,
        log_config=log_config(level),
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=list(proxies),
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=30,
        workers=processes,
    )
    start_logging(level)
    host, port = listening.getsockname()[:2]
    _LOG.info("serving", extra={"databases": list(settings.databases), "host": host, "port": port})
    if processes > 1:
        Multiprocess(config, sockets=[listening]).run()
    else:
        uvicorn.Server(config).run(sockets=[listening])
