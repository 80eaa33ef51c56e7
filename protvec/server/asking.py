"""A search request as a call of the database: checked, limited, and done in its turn."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from protvec.errors import QueryError
from protvec.search.query import parse_query
from protvec.server.filters import safe_where, structured
from protvec.server.problems import Problem
from protvec.store import both

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from protvec import Database, Hits, Query
    from protvec.server.schemas import Filter, Plain, SearchRequest
    from protvec.server.served import Asking, Served
    from protvec.server.settings import Limits

T = TypeVar("T")

_OF_VECTORS = ("k", "where", "columns", "min_score", "evalue", "scoring", "segments", "text")
_OF_TEXT = ("k", "where", "columns")
_OF_RESIDUES = (*_OF_VECTORS, "exclude_self", "align", "candidates", "profiles")
_QUERIES = ("sequence", "id", "vector", "like")
# Which options go with which query.
OPTIONS = {
    "sequence": _OF_RESIDUES,
    "id": _OF_RESIDUES,
    "vector": _OF_VECTORS,
    "like": _OF_VECTORS,
    "text": _OF_TEXT,
}


@dataclass(frozen=True)
class Found:
    """An answer.

    Attributes:
        hits: What was found.
        query_length: Residues of the query, where it has any.
    """

    hits: Hits
    query_length: int | None


def kind_of(request: SearchRequest) -> str:
    """What the query is.

    Raises:
        QueryError: there is none, or more than one.
    """
    kinds = [name for name in _QUERIES if getattr(request, name) is not None]
    if len(kinds) > 1 or (request.unlike and not request.like):
        raise QueryError("give one query: sequence, id, vector or like (with unlike); text may stand beside it")
    if not kinds and request.text is None:
        raise QueryError("there is no query: give sequence, id, vector, like or text")
    return kinds[0] if kinds else "text"


def settings_of(request: Plain, kind: str, served: Served) -> dict[str, Any]:
    """The options of a search as keywords of the database.

    Raises:
        QueryError: one does not go with the query, or is beyond a limit.
        FilterError: a condition cannot be used.
    """
    limits = served.settings.limits
    given = request.model_fields_set & {*_OF_RESIDUES, *_OF_TEXT} - {"text"}
    if useless := sorted(given - set(OPTIONS[kind])):
        raise QueryError(f"{useless[0]} has no use in a search by {kind}")
    options: dict[str, Any] = {name: getattr(request, name, None) for name in OPTIONS[kind]}
    for name, most in (("k", limits.k), ("candidates", limits.candidates)):
        if name in given and options[name] > most:
            raise QueryError(f"{name} is {options[name]:,}: {most:,} at most on this server")
        if name in options:
            options[name] = min(options[name], most)  # of the default
    if options.get("profiles") and options["k"] > limits.profiles:
        raise QueryError(f"k is {options['k']:,}: {limits.profiles:,} at most with profiles on this server")
    return options | {"where": where_of(request, served)}


def where_of(request: Plain, served: Served) -> str | None:
    """The conditions of a request, as text made here.

    Raises:
        FilterError: one cannot be used.
    """
    columns = [name for name in served.db.database.store.columns if name != "vector"]
    filters: Sequence[Filter] = getattr(request, "filters", ())
    conditions = structured([each.model_dump() for each in filters], columns)
    if request.where is None:
        return conditions
    where = safe_where(request.where, columns, longest=served.settings.limits.where_length)
    return where if conditions is None else both(where, conditions)


async def search(served: Served, request: SearchRequest, asking: Asking) -> Found:
    """Answer a search request.

    Raises:
        ProtvecError: it cannot be answered.
        Problem: a limit, or its time.
    """
    kind = kind_of(request)
    options = settings_of(request, kind, served)
    if kind == "sequence":
        query = sequence_query(str(request.sequence), served.settings.limits, name=request.query)
        return await by_sequence(served, query, options, asking)
    if kind == "id":
        return await by_id(served, str(request.id), options, asking)
    if kind == "vector":
        hits = served.search_vector(request.vector or [], request.query or "vector", options)
    elif kind == "like":
        hits = served.db.search_like(request.like or [], unlike=request.unlike, **options)
    else:
        hits = served.db.search_text(str(request.text), **options)
    return Found(await in_time(hits, asking), None)


def sequence_query(sequence: str, limits: Limits, *, name: str | None = None) -> Query:
    """A sequence as a query.

    Raises:
        QueryError: it is none.
        Problem: 413; it is too long.
    """
    query = parse_query(sequence, id=name)
    check_length(query.sequence, limits)
    return query


def check_length(sequence: str, limits: Limits) -> None:
    """Refuse a sequence that would keep the model for too long.

    Raises:
        Problem: 413.
    """
    if len(sequence) > limits.sequence_length:
        most = f"{limits.sequence_length:,} at most on this server"
        raise Problem(413, "sequence_too_long", f"the sequence has {len(sequence):,} residues: {most}")


async def by_sequence(served: Served, query: Query, options: dict[str, Any], asking: Asking) -> Found:
    """The hits of a sequence, embedded in its turn.

    Raises:
        Problem: 503; this server embeds none, too many wait, or it takes too long.
    """
    served.check_embeds()

    def work(database: Database) -> Hits:
        return database.search(query, **options)

    return Found(await served.in_turn(asking, work), len(query.sequence))


async def by_id(served: Served, id: str, options: dict[str, Any], asking: Asking) -> Found:
    """The hits of a stored protein; aligned ones in their turn."""

    def aligned(database: Database) -> Found:
        length = database.store.get([id], columns=["length"])["length"][0].as_py()
        return Found(database.search_id(id, **options), length)

    if options["align"]:
        return await served.in_turn(asking, aligned)
    return Found(*await in_time(served.search_id(id, options), asking))


async def in_time(answer: Awaitable[T], asking: Asking) -> T:
    """An answer that does not wait in the queue.

    Raises:
        Problem: 503; it takes too long.
    """
    try:
        return await asyncio.wait_for(answer, asking.seconds)
    except asyncio.TimeoutError:
        raise Problem(503, "timeout", f"no answer within {asking.seconds:g} s", retry_after=1) from None
