"""Which databases there are, and what they hold."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from protvec import models
from protvec.server.answers import JSON, dumps
from protvec.server.asked_by import TheDatabase, TheService
from protvec.server.schemas import Column, DatabaseAnswer, DatabaseSummary
from protvec.server.served import Served
from protvec.store import PROTEIN_COLUMNS, kind_of


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/v1/databases", tags=["databases"])
    routes.get("")(databases)
    routes.get("/{db}", response_model=DatabaseAnswer)(database)
    return routes


async def databases(service: TheService) -> list[DatabaseSummary]:
    """The databases of this server."""
    return [await _summary(each) for each in service.databases]


async def database(served: TheDatabase) -> Response:
    """What a database holds, the model of its vectors, its columns, and how its scores come about."""
    facts = await served.info()
    space = facts["space"]
    answer: dict[str, Any] = (await _summary(served)).model_dump() | {
        name: facts[name]
        for name in ("sequences", "residues", "residue_arrays", "codec", "precision", "datasets", "scoring", "indexes")
    }
    answer["columns"] = [each.model_dump() for each in columns(served)]
    answer["model_card"] = _card(space)
    answer["examples"] = facts["examples"]
    answer["version"] = facts["versions"]["proteins"]
    return Response(dumps(answer), media_type=JSON)


async def _summary(served: Served) -> DatabaseSummary:
    space = served.db.database.store.space
    return DatabaseSummary(
        name=served.name,
        proteins=await served.db.count(),
        model=space.model,
        dimension=space.dimension,
        state=served.model,
    )


def columns(served: Served) -> list[Column]:
    """The columns that hits may have and conditions may name."""
    store = served.db.database.store
    schema = store.schema
    return [
        Column(name=name, type=kind_of(schema.field(name).type) or "other", added=name not in PROTEIN_COLUMNS)
        for name in store.columns
        if name != "vector"
    ]


def _card(space: dict[str, Any]) -> dict[str, Any]:
    """What is known of a model: of its vectors, and of its weights where the table has them."""
    spec = models.MODELS.get(space["model"])
    if spec is None:
        return space
    known = {name: getattr(spec, name) for name in ("summary", "licence", "non_commercial", "layers", "parameters")}
    return space | known
