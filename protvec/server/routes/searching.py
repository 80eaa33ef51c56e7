"""Search: one query in whatever form the client wants the answer, or a FASTA text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response, StreamingResponse

from protvec.errors import ProtvecError
from protvec.server import answers, batch
from protvec.server.asked_by import TheDatabase, TheService, WhoAsks
from protvec.server.asking import Found, kind_of, search, settings_of
from protvec.server.problems import Problem, body, problem_of
from protvec.server.routes.jobs import accepted, search_job
from protvec.server.schemas import FastaOptions, JobAnswer, SearchAnswer, SearchRequest
from protvec.server.service import Service

Accept = Annotated[str, Header(description="JSON by default; an Arrow stream, or a table with tabs.")]


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/v1/databases/{db}", tags=["search"])
    other: dict[str, Any] = {answers.ARROW: {}, answers.TSV: {}}
    routes.post("/search", response_model=SearchAnswer, responses={200: {"content": other}})(find)
    fasta: dict[str, Any] = {
        "text/plain": {"schema": {"type": "string", "examples": [">one\nMARTKQTARKSTGGKAPRKQLA\n"]}}
    }
    routes.post(
        "/search/fasta",
        response_class=Response,
        responses={
            200: {"content": {answers.NDJSON: {}}, "description": "A line of JSON for each query, in order."},
            202: {"model": JobAnswer, "description": "A job was made of it."},
        },
        openapi_extra={"requestBody": {"required": True, "content": fasta}},
    )(find_many)
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


async def find_many(
    request: Request,
    served: TheDatabase,
    service: TheService,
    asking: WhoAsks,
    options: Annotated[FastaOptions, Query()],
) -> Response:
    """The hits of each record of a FASTA text, as they become ready; of many records a job is made."""
    content = await request.body()
    limits = served.settings.limits
    queries = await asyncio.to_thread(batch.parse_fasta, content, limits)
    settings = settings_of(options, "sequence", served)
    served.check_embeds()
    too_many = len(queries) > limits.batch
    if options.job or too_many:
        if options.job is False:
            raise Problem(413, "too_many", f"{len(queries):,} queries: {limits.batch:,} at most without a job")
        return accepted(await search_job(service, served, settings, content, (), len(queries), asking))
    parts = batch.lines(served, queries, settings, asking, hide=service.hidden)
    first = await anext(parts)  # what is wrong is an error of the whole, before anything is sent
    service.metrics.queries.labels(served.name, "sequence").inc(len(queries))
    rest = batch.lines(served, queries.after(len(first)), settings, batch.patient(asking), hide=service.hidden)
    return StreamingResponse(_stream(first, rest, service), media_type=answers.NDJSON)


async def _stream(first: list[bytes], rest: AsyncIterator[list[bytes]], service: Service) -> AsyncIterator[bytes]:
    """All lines; what fails in the middle is said in the last one."""
    yield b"".join(first)
    try:
        async for lines in rest:
            yield b"".join(lines)
    except (ProtvecError, Problem) as error:
        problem = problem_of(error, hide=service.hidden)
        yield answers.dumps({"error": body(problem.status_code, problem.code, problem.detail)}) + b"\n"
