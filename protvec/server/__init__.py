"""HTTP over open databases: an app to run with ``protvec serve``, or to mount in another one.

::

    from protvec.server import create_app

    app = create_app({"plants": "plants.lancedb"})

It needs ``pip install 'protvec[server]'``. docs/server.md describes what it answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.server.settings import Key, Limits, ServerSettings, read_keys

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fastapi import FastAPI
    from typing_extensions import Unpack

    from protvec.server.settings import ServerOptions

__all__ = ["Key", "Limits", "ServerSettings", "check_installed", "create_app", "read_keys"]

_NEEDED = ("fastapi", "uvicorn", "prometheus_client", "sqlglot", "pythonjsonlogger", "fastapi_offline")


def create_app(databases: Mapping[str, str | Path], **settings: Unpack[ServerOptions]) -> FastAPI:
    """A FastAPI application over some databases, opened when it starts and closed when it ends.

    An application that mounts this one has to start and end it: ``app.router.lifespan_context(app)``.

    Args:
        databases: Where each is, by the name that requests have for it.
        **settings: See ``ServerSettings``.

    Raises:
        ServerError: the packages of ``protvec[server]`` are not installed, or a setting cannot be used.
    """
    check_installed()
    from protvec.server.app import build

    return build(ServerSettings(databases=dict(databases), **settings))


def check_installed() -> None:
    """Refuse to go on without the packages of ``protvec[server]``.

    Raises:
        ServerError: one is not installed.
    """
    from importlib.util import find_spec

    from protvec.errors import ServerError

    if absent := [name for name in _NEEDED if find_spec(name) is None]:
        raise ServerError(f"a server needs {', '.join(absent)}: pip install 'protvec[server]'")
