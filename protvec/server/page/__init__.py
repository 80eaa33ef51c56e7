"""The page at ``/``: plain HTML, CSS and JavaScript modules of our own, which ask the routes of the API."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

from protvec.server.problems import Problem

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_OF_THE_MAP = "scatter.js"  # draws points here and in the file of ``protvec map``
Known = Annotated[str | None, Header(alias="If-None-Match")]


def router() -> APIRouter:
    """The routes of the page and of its assets."""
    routes = APIRouter(include_in_schema=False)
    routes.get("/")(page)
    routes.get("/favicon.ico")(icon)
    routes.get("/assets/{name}")(asset)
    return routes


async def page() -> Response:
    """The page, each time in full: of an answer without a body a browser would take the policy for that of the page."""
    return _answer("index.html", None)


async def icon(if_none_match: Known = None) -> Response:
    """Its icon, for who asks without looking into it."""
    return _answer("icon.svg", if_none_match)


async def asset(name: str, if_none_match: Known = None) -> Response:
    """What it consists of.

    Raises:
        Problem: 404; there is no such part.
    """
    if name not in _assets():
        raise Problem(404, "not_found", "Not Found")
    return _answer(name, if_none_match)


def _answer(name: str, known: str | None) -> Response:
    """A file, or that the browser has it; it asks each time, so that an upgrade is seen at once."""
    content, tag = _assets()[name]
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if known is not None and tag in known:
        return Response(status_code=304, headers=headers)
    suffix = name[name.rindex(".") :]
    return Response(content, media_type=f"{_TYPES[suffix]}; charset=utf-8", headers=headers)


@cache
def _assets() -> dict[str, tuple[bytes, str]]:
    """The files by name, each with its tag."""
    ours = {each.name: each.read_bytes() for each in files("protvec.server.page").joinpath("assets").iterdir()}
    ours[_OF_THE_MAP] = files("protvec.projection").joinpath("assets", _OF_THE_MAP).read_bytes()
    return {name: (content, f'"{hashlib.sha256(content).hexdigest()[:20]}"') for name, content in ours.items()}
