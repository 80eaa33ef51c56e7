"""Whether the process lives, whether it is ready, and what it counts."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from protvec import __version__
from protvec.server.asked_by import TheService
from protvec.server.schemas import Health, Ready


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["server"])
    routes.get("/healthz")(healthz)
    routes.get("/readyz", response_model=Ready, responses={503: {"model": Ready, "description": "Not yet"}})(readyz)
    routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})(metrics)
    return routes


async def healthz() -> Health:
    """The process answers."""
    return Health(version=__version__)


async def readyz(service: TheService) -> Response:
    """200 once all models are loaded, 503 before; requests are answered meanwhile, and wait for what they need."""
    state = Ready(ready=service.ready, databases={each.name: each.model for each in service.databases})
    wait = None if state.ready else {"Retry-After": "1"}
    return JSONResponse(state.model_dump(), 200 if state.ready else 503, wait)


async def metrics(service: TheService) -> Response:
    """Counts for Prometheus."""
    for each in service.databases:
        service.metrics.proteins.labels(each.name).set(await each.db.count())
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
