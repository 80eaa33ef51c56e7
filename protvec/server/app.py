"""The application: its layers and its routes.

A further part of the address space is a module with a function ``router()`` that returns an ``APIRouter``, and a line
in ``ROUTERS``. Its routes take ``TheDatabase``, ``TheService`` and ``WhoAsks`` of ``protvec.server.asked_by`` as
parameters, and raise what the library raises: ``problems`` makes answers of it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from protvec import __version__
from protvec.server import page, problems
from protvec.server.edge import Edge
from protvec.server.observing import Metrics
from protvec.server.routes import aligning, databases, docs, health, jobs, mapping, proteins, searching
from protvec.server.schemas import ProblemAnswer
from protvec.server.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from protvec.server.settings import ServerSettings

ROUTERS = (health, docs, databases, searching, proteins, aligning, mapping, jobs)
# What every route may answer.
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {problems.MEDIA_TYPE: {}}, "model": ProblemAnswer}
    for status, description in {
        400: "The body is no JSON, or no text.",
        401: "The key is missing or wrong.",
        403: "A page of another origin asks.",
        404: "There is no such database or protein; similar ids are named.",
        408: "The request did not arrive in time.",
        413: "The body, or a sequence, is too large.",
        421: "The server does not go by that name.",
        422: "The request cannot be answered as it stands.",
        503: "Too much is asked at once, or something is not there now; Retry-After says when to ask again.",
    }.items()
}


def build(settings: ServerSettings) -> FastAPI:
    """The application that settings describe."""
    metrics = Metrics(settings.metrics)
    service = Service(settings, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="protvec",
        version=__version__,
        summary="Similar proteins: a vector database over HTTP.",
        lifespan=lifespan,
        docs_url=None,  # those pages load from elsewhere: routes.docs has one that does not
        redoc_url=None,
        responses=_PROBLEMS,
        separate_input_output_schemas=False,
    )
    app.state.service = service
    problems.install(app, service.hidden)
    for part in ROUTERS:
        app.include_router(part.router())
    if settings.page:
        app.include_router(page.router())
    app.add_middleware(Edge, settings=settings, metrics=metrics, hide=service.hidden)
    if settings.cors:  # outside of the other, so that a page can read what that refuses
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After", "Location", "ETag"],
        )
    return app
