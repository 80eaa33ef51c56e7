"""Work that outlasts a request: batches of queries, and ingests where they are allowed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import FileResponse, Response

from protvec.server import answers, batch
from protvec.server.asked_by import TheService, WhoAsks
from protvec.server.asking import settings_of
from protvec.server.jobs import ACTIVE, Job
from protvec.server.problems import Problem
from protvec.server.schemas import IngestJob, JobAnswer, JobRequest
from protvec.server.served import Asking, Served
from protvec.server.service import Service

_PREFIX = "/api/v1/jobs"
_RETRY_SECONDS = 10
JobId = Annotated[str, Path(description="Name of a job.", pattern="^[0-9a-f]{32}$")]


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix=_PREFIX, tags=["jobs"])
    routes.post("", status_code=202, response_model=JobAnswer)(make)
    routes.get("")(jobs)
    routes.get("/{id}")(job)
    routes.get(
        "/{id}/result",
        response_class=Response,
        responses={
            200: {"content": {answers.NDJSON: {}}, "description": "A line for each query; of an ingest its report."},
            409: {"description": "It is not done."},
        },
    )(result)
    routes.delete("/{id}", status_code=200, response_model=JobAnswer)(end)
    return routes


async def make(request: JobRequest, service: TheService, asking: WhoAsks) -> Response:
    """Take a job: kind search for a batch of queries, ingest to store proteins."""
    served = service.database(request.database)
    if isinstance(request, IngestJob):
        return accepted(await _ingest_job(service, served, request, asking))
    if (request.fasta is None) == (request.ids is None):
        raise Problem(422, "query", "give fasta or ids: one of them")
    limits = service.settings.limits
    options = settings_of(request, "sequence" if request.fasta else "id", served)
    if request.ids:
        batch.check_number(len(request.ids), limits)
        return accepted(await search_job(service, served, options, None, request.ids, len(request.ids), asking))
    content = str(request.fasta).encode()
    queries = await asyncio.to_thread(batch.parse_fasta, content, limits)
    served.check_embeds()
    return accepted(await search_job(service, served, options, content, (), len(queries), asking))


async def search_job(
    service: Service,
    served: Served,
    options: dict[str, Any],
    fasta: bytes | None,
    ids: Sequence[str],
    total: int,
    asking: Asking,
) -> Job:
    """A job of queries, which waits.

    Raises:
        QueryError, FilterError: the database does not take the options.
        Problem: 503; there are too many jobs.
    """
    await served.db.call(lambda database: database.search_many([], **options))  # looks at them, and asks nothing
    return await _add(service, served, "search", {"options": options, "ids": list(ids)}, fasta, total, asking)


async def _ingest_job(service: Service, served: Served, request: IngestJob, asking: Asking) -> Job:
    if not service.settings.allow_write:
        raise Problem(403, "read_only", "this server stores nothing: it was started without --allow-write")
    options = {name: getattr(request, name) for name in ("dataset", "organism", "taxid", "update")}
    content = request.fasta.encode()
    return await _add(service, served, "ingest", {"options": options}, content, content.count(b">"), asking)


async def _add(
    service: Service,
    served: Served,
    kind: str,
    request: dict[str, Any],
    upload: bytes | None,
    total: int,
    asking: Asking,
) -> Job:
    store = service.jobs.store

    def add() -> Job:
        if store.active() >= service.settings.limits.jobs:
            raise Problem(503, "too_many_jobs", "too many jobs wait: ask again later", retry_after=_RETRY_SECONDS)
        return store.add(
            client=asking.client, kind=kind, database=served.name, request=request, upload=upload, total=total
        )

    made = await asyncio.to_thread(add)
    service.jobs.wake()
    return made


def accepted(job: Job) -> Response:
    """The answer to whoever asked for a job."""
    content = as_answer(job).model_dump_json()
    return Response(content, 202, {"Location": f"{_PREFIX}/{job.id}"}, media_type=answers.JSON)


async def jobs(service: TheService, asking: WhoAsks) -> list[JobAnswer]:
    """The jobs of whoever asks, the latest first."""
    return [as_answer(each) for each in await asyncio.to_thread(service.jobs.store.of, asking.client)]


async def job(id: JobId, service: TheService, asking: WhoAsks) -> JobAnswer:
    """The state of a job, and how far it is."""
    return as_answer(await _job(id, service, asking))


async def result(id: JobId, service: TheService, asking: WhoAsks) -> Response:
    """What a job found: a line of JSON for each query, in order; of an ingest its report."""
    found = await _job(id, service, asking)
    path = service.jobs.store.file(found)
    if found.state in ACTIVE:
        raise Problem(409, "not_done", f"the job is {found.state}: {found.done:,} done", retry_after=_RETRY_SECONDS)
    if not path.exists():
        raise Problem(404, "no_result", f"the job is {found.state}, and there is no result")
    return FileResponse(path, media_type=answers.NDJSON)


async def end(id: JobId, service: TheService, asking: WhoAsks) -> JobAnswer:
    """Cancel a job; one that has ended is forgotten, with its result."""
    found = await _job(id, service, asking)
    store = service.jobs.store
    if found.state not in ACTIVE:
        await asyncio.to_thread(store.remove, found)
        return as_answer(found)
    await asyncio.to_thread(store.cancel, found)
    return as_answer(await _job(id, service, asking))


async def _job(id: str, service: Service, asking: Asking) -> Job:
    """A job of whoever asks; that of somebody else is not there.

    Raises:
        Problem: 404.
    """
    found = await asyncio.to_thread(service.jobs.store.get, id)
    if found is None or found.client != asking.client:
        raise Problem(404, "job_not_found", f"no job {id}")
    return found


def as_answer(job: Job) -> JobAnswer:
    """What is told of a job."""
    ended = job.state not in ACTIVE
    return JobAnswer(
        id=job.id,
        kind=job.kind,
        database=job.database,
        state=job.state,  # type: ignore[arg-type]  # one of those, in a column of text
        done=job.done,
        total=job.total,
        created=_moment(job.created),
        started=None if job.started is None else _moment(job.started),
        ended=None if job.ended is None else _moment(job.ended),
        error=None if job.error is None else json.loads(job.error),
        result=f"{_PREFIX}/{job.id}/result" if ended else None,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
