"""A small web service over one database: search by sequence, by text, by protein, and more like these.

Run it with ``PROTVEC_DB=plants.lancedb uvicorn fastapi_app:app``; it needs ``pip install fastapi uvicorn``.
docs/app_backend.md explains it.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

import protvec
from protvec.errors import DatabaseError, EngineError, InputError, ModelError, ProteinNotFoundError
from protvec.store import quote

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

COLUMNS = ["length", "gene", "organism", "description"]
MOST = 100


class HitOut(BaseModel):
    """One protein that was found."""

    target: str
    rank: int
    score: float
    length: int
    gene: str | None
    organism: str | None
    description: str | None
    evidence: str | None = None  # vector, text or both, where a text was given beside another query


class Found(BaseModel):
    """The answer to a query."""

    query: str
    index: str  # how it was found: exactly, or by which index with what recall
    hits: list[HitOut]


class ProteinOut(BaseModel):
    """One protein."""

    id: str
    sequence: str
    length: int
    gene: str | None
    organism: str | None
    description: str | None


class BySequence(BaseModel):
    """A sequence, and words if hits are to be ranked by both."""

    sequence: str
    text: str | None = None
    k: int = Field(10, ge=1, le=MOST)
    organism: str | None = None


class Like(BaseModel):
    """Proteins to be near to, and proteins to be far from."""

    like: list[str] = Field(min_length=1, max_length=50)
    unlike: list[str] = Field([], max_length=50)
    k: int = Field(10, ge=1, le=MOST)
    organism: str | None = None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One database for the life of the process. The model is loaded before the first request, not with it."""
    async with await protvec.open_async(os.environ["PROTVEC_DB"], offline=True, workers=4) as db:
        await db.encoder()
        app.state.db = db
        yield


app = FastAPI(title="Proteins", lifespan=lifespan)


async def database(request: Request) -> protvec.AsyncDatabase:
    """The open database."""
    db: protvec.AsyncDatabase = request.app.state.db
    return db


Db = Annotated[protvec.AsyncDatabase, Depends(database)]
K = Annotated[int, Query(ge=1, le=MOST)]


@app.get("/health")
async def health(db: Db) -> dict[str, Any]:
    """Whether the database answers."""
    return {"proteins": await db.count(), "model": db.database.store.space.model}


@app.get("/proteins/{id:path}/similar")
async def similar(id: str, db: Db, k: K = 10, organism: str | None = None) -> Found:
    """The proteins most like one of the database."""
    return found(await db.search_id(id, k=k, where=of(organism), exclude_self=True, columns=COLUMNS))


@app.get("/proteins/{id:path}")
async def protein(id: str, db: Db) -> ProteinOut:
    """One protein."""
    return ProteinOut.model_validate((await db.get(id)).to_dict(vector=False))


@app.get("/search")
async def by_text(q: str, db: Db, k: K = 10, organism: str | None = None) -> Found:
    """The proteins that an id, a gene or words find."""
    return found(await db.search_text(q, k=k, where=of(organism), columns=COLUMNS))


@app.post("/search")
async def by_sequence(asked: BySequence, db: Db) -> Found:
    """The proteins most like a sequence."""
    hits = await db.search(asked.sequence, k=asked.k, where=of(asked.organism), text=asked.text, columns=COLUMNS)
    return found(hits)


@app.post("/search/like")
async def like(asked: Like, db: Db) -> Found:
    """More like these, less like those."""
    where = of(asked.organism)
    return found(await db.search_like(asked.like, unlike=asked.unlike, k=asked.k, where=where, columns=COLUMNS))


@app.exception_handler(ProteinNotFoundError)
async def not_found(request: Request, error: ProteinNotFoundError) -> JSONResponse:
    """An id that is not there: 404, with similar ones."""
    return JSONResponse({"detail": words(request, error), "near": error.near}, status_code=404)


@app.exception_handler(InputError)
async def unusable(request: Request, error: InputError) -> JSONResponse:
    """A sequence, a text or a filter that cannot be used: 422."""
    return JSONResponse({"detail": words(request, error)}, status_code=422)


@app.exception_handler(ModelError)
@app.exception_handler(EngineError)
@app.exception_handler(DatabaseError)
async def unavailable(_: Request, error: Exception) -> JSONResponse:
    """Nothing that the client could mend: 503. The message names files of this server, so it stays here."""
    app.state.last_error = error
    return JSONResponse({"detail": "the database cannot answer now"}, status_code=503)


def words(request: Request, error: Exception) -> str:
    """What is wrong, in words for users: where the database is on this server is not for them."""
    path: str = request.app.state.db.database.path
    return str(error).replace(path, "the database")


def of(organism: str | None) -> str | None:
    """A condition made here: one that a stranger wrote would let them ask for anything, at any cost."""
    return None if organism is None else f"organism = {quote(organism)}"


def found(hits: protvec.Hits) -> Found:
    """Hits as the models above have them."""
    return Found(query=hits.query, index=str(hits.index), hits=[HitOut.model_validate(hit) for hit in hits.to_dicts()])
