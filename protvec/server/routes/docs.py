"""The description of the routes as a page, with assets of an installed package: nothing comes from elsewhere."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, HTMLResponse, Response

from protvec.server.problems import Problem

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>protvec: routes</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="routes"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({url: "openapi.json", dom_id: "#routes", deepLinking: true, validatorUrl: null});
"""


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(include_in_schema=False)
    routes.get("/docs")(docs)
    routes.get("/docs/{name}")(asset)
    return routes


async def docs(_: Request) -> HTMLResponse:
    """The page."""
    return HTMLResponse(_PAGE)


async def asset(name: str) -> Response:
    """What it consists of.

    Raises:
        Problem: 404; there is no such part.
    """
    if name == "start.js":
        return Response(_START, media_type="text/javascript")
    if name not in _ASSETS:
        raise Problem(404, "not_found", "Not Found")
    path = str(files("fastapi_offline") / "static" / name)
    return FileResponse(path, media_type=_ASSETS[name], headers={"Cache-Control": "public, max-age=86400"})
