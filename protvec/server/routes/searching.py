"""Search: one query, in whatever form the client wants the answer."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Header
from starlette.responses import Response

from protvec.server import answers
from protvec.server.asked_by import TheDatabase, TheService, WhoAsks
from protvec.server.asking import Found, kind_of, search
from protvec.server.schemas import SearchAnswer, SearchRequest

Accept = Annotated[str, Header(description="JSON by default; an Arrow stream, or a table with tabs.")]


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/v1/databases/{db}", tags=["search"])
    other: dict[str, Any] = {answers.ARROW: {}, answers.TSV: {}}
    routes.post("/search", response_model=SearchAnswer, responses={200: {"content": other}})(find)
    return routes


async def find(
    request: SearchRequest,
    served: TheDatabase,
    service: TheService,
    asking: WhoAsks,
    accept: Accept = answers.JSON,
) -> Response:
    """The proteins most like a sequence, a protein, a vector or several proteins; or those that words find."""
    started = time.perf_counter()
    found = await search(served, request, asking)
    service.metrics.queries.labels(served.name, kind_of(request)).inc()
    return respond(found, accept, 1000 * (time.perf_counter() - started))


def respond(found: Found, accept: str, took_ms: float) -> Response:
    """Hits in the form that a client asks for."""
    if answers.ARROW in accept:
        content = answers.as_arrow(found.hits, query_length=found.query_length, took_ms=took_ms)
        return Response(content, media_type=answers.ARROW)
    if answers.TSV in accept:
        return Response(answers.as_tsv(found.hits), media_type=f"{answers.TSV}; charset=utf-8")
    content = answers.as_json(found.hits, query_length=found.query_length, took_ms=took_ms)
    return Response(content, media_type=answers.JSON)
