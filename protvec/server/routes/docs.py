"""The description of the routes as a page, with assets of an installed package: nothing comes from elsewhere.

``/openapi.json`` is the same for every server of a version, for programs that are made from it. The page puts what the
first database has into its examples, so that they can be tried; where keys are needed it cannot ask, and leaves them.
"""

from __future__ import annotations

import json
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, HTMLResponse, Response

from protvec.server.asked_by import TheService
from protvec.server.problems import Problem
from protvec.server.schemas import A_CONDITION, A_DATABASE, A_TEXT, A_THIRD_ID, AN_ID, ANOTHER_ID

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
_START = """const NAMED = %s;

async function get(address) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
    return answer.json();
}

async function withExamples(description) {
    const database = (await get("api/v1/databases")).find((each) => each.proteins);
    if (!database) return description;
    const {proteins, text, where} = (await get(`api/v1/databases/${encodeURIComponent(database.name)}`)).examples;
    const ids = NAMED.ids.map((id, place) => [id, proteins[place %% proteins.length].id]);
    const others = [[NAMED.database, database.name], [NAMED.text, text], [NAMED.where, where]];
    return [...ids, ...others].reduce((all, [named, here]) =>
        here === null ? all : all.replaceAll(JSON.stringify(named), () => JSON.stringify(here)), description);
}

SwaggerUIBundle({
    url: "openapi.json", dom_id: "#routes", deepLinking: true, validatorUrl: null,
    responseInterceptor: async (answer) => {
        if (NAMED.asks && answer.url.endsWith("/openapi.json"))
            answer.text = await withExamples(answer.text).catch(() => answer.text);
        return answer;
    },
});
"""
_NAMED = {
    "database": A_DATABASE,
    "ids": [AN_ID, ANOTHER_ID, A_THIRD_ID],
    "text": A_TEXT,
    "where": A_CONDITION,
}


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(include_in_schema=False)
    routes.get("/docs")(docs)
    routes.get("/docs/{name}")(asset)
    return routes


async def docs(_: Request) -> HTMLResponse:
    """The page."""
    return HTMLResponse(_PAGE)


async def asset(name: str, service: TheService) -> Response:
    """What it consists of.

    Raises:
        Problem: 404; there is no such part.
    """
    if name == "start.js":
        named = _NAMED | {"asks": not service.settings.keys}
        return Response(_START % json.dumps(named), media_type="text/javascript")
    if name not in _ASSETS:
        raise Problem(404, "not_found", "Not Found")
    path = str(files("fastapi_offline") / "static" / name)
    return FileResponse(path, media_type=_ASSETS[name], headers={"Cache-Control": "public, max-age=86400"})
