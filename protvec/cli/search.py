"""``protvec search``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protvec.cli import console
from protvec.cli.formats import Format, write
from protvec.cli.options import (
    DEFAULT_DB,
    At,
    Db,
    Device,
    Engine,
    EngineOption,
    Model,
    Offline,
    Precision,
    PrecisionOption,
    Threads,
    Where,
    model_settings,
    open_store,
)
from protvec.errors import InputError, QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protvec.database import Database, Settings
    from protvec.search import Hits, Query


def search(
    query: Annotated[
        str | None,
        typer.Argument(metavar="SEQ|FASTA|-", help="A sequence, a FASTA file, or - for standard input."),
    ] = None,
    id: Annotated[
        list[str] | None,
        typer.Option("--id", help="A protein of the database instead; needs no model. May be repeated."),
    ] = None,
    db: Db = DEFAULT_DB,
    at: At = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many hits a query at most.")] = 10,
    where: Where = None,
    min_score: Annotated[
        float | None, typer.Option(min=-1.0, max=1.0, help="Leave out hits below this cosine.")
    ] = None,
    exclude_self: Annotated[
        bool,
        typer.Option(
            "--exclude-self", help="Leave out the query itself: its id or, for a bare sequence, its sequence."
        ),
    ] = False,
    format: Annotated[
        Format | None,
        typer.Option(help="How to print hits.  [default: table on a terminal, else tsv]", show_default=False),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Columns to print: query, target, rank, score and any metadata."),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write there instead.")] = None,
    model: Model = None,
    precision: PrecisionOption = Precision.auto,
    engine: EngineOption = Engine.auto,
    threads: Threads = None,
    device: Device = "cpu",
    offline: Offline = False,
) -> None:
    """Find the proteins most like a query."""
    from protvec.database import Database

    if bool(query) == bool(id):
        raise typer.BadParameter("give a query or --id, one of them", param_hint="SEQ|FASTA|-")
    settings = model_settings(model, precision, engine, threads, device, offline)
    if id:
        _refuse_model(settings)
    if query is not None and not _is_file(query):  # one sequence: all threads work on it
        settings = replace(settings, latency=query != "-")
    database = Database(open_store(db, at=at), settings)
    if not len(database):
        raise InputError(f"{db} holds no proteins yet: `protvec ingest FASTA --db {db}` puts some in")
    if console.is_terminal():
        console.note_model(database.store.space.model)
    wanted = [name.strip() for name in columns.split(",") if name.strip()] if columns else None
    hits = _answers(database, query, id or [], k, where, min_score, exclude_self, wanted)
    write(hits, format, wanted, output)


def _refuse_model(settings: Settings) -> None:
    """A stored protein has its vector: no model runs, and none may be asked for in vain."""
    unused = type(settings)()
    for name in ("model", "precision", "engine", "threads", "device"):
        if getattr(settings, name) != getattr(unused, name):
            raise typer.BadParameter("has no use with --id, which needs no model", param_hint=f"--{name}")


def _answers(
    database: Database,
    query: str | None,
    ids: list[str],
    k: int,
    where: str | None,
    min_score: float | None,
    exclude_self: bool,
    columns: list[str] | None,
) -> Iterator[Hits]:
    """The hits of each query in turn."""
    if query is not None:
        yield from database.search_many(
            _queries(query), k=k, where=where, min_score=min_score, exclude_self=exclude_self, columns=columns
        )
    for stored in ids:
        yield database.search_id(
            stored, k=k, where=where, min_score=min_score, exclude_self=exclude_self, columns=columns
        )


def _queries(query: str) -> Iterator[Query]:
    """The queries behind one argument: standard input, a file, or the argument itself."""
    from protvec.search import parse_query, read_queries

    if query == "-":
        yield from read_queries(sys.stdin.buffer, name="<stdin>")
    elif _is_file(query):
        yield from read_queries(query)
    else:
        try:
            yield parse_query(query)
        except QueryError as error:
            raise QueryError(f"{_shortened(query)!r} is neither a file nor a protein sequence: {error}") from None


def _is_file(text: str) -> bool:
    """Whether something of this name is there; a long sequence is too long for a name, which is an error to ask."""
    try:
        return Path(text).exists()
    except OSError:
        return False


def _shortened(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
