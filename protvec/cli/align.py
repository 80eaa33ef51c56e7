"""``protvec align``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protvec.cli import console
from protvec.cli.fields import ALIGNED, BY_VECTOR, parse
from protvec.cli.formats import Format
from protvec.cli.options import (
    DEFAULT_DB,
    OUTPUT,
    Db,
    Device,
    Engine,
    EngineOption,
    Offline,
    Precision,
    PrecisionOption,
    Threads,
    model_settings,
    open_store,
)
from protvec.cli.output import Force, Header, OutputFile, check_output
from protvec.errors import ProteinNotFoundError, QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from protvec.align import Scoring
    from protvec.cli.layout import Answer
    from protvec.database import Database, Settings
    from protvec.search import Query
    from protvec.search.aligning import Aligning
    from protvec.search.compared import Party

_DEFAULT = (
    "query",
    "target",
    "score",
    "pident",
    "alnlen",
    "qstart",
    "qend",
    "tstart",
    "tend",
    "qcov",
    "tcov",
    "cosine",
)
_NAMED = 4  # proteins, of which each one's relatives are counted
_SHORT = 20  # residues: what is shorter was perhaps meant to be an id


def align(
    context: typer.Context,
    query: Annotated[
        str, typer.Argument(metavar="A", help="An id of the database, a sequence, or a FASTA file.", show_default=False)
    ],
    target: Annotated[
        str,
        typer.Argument(metavar="B", help="The other: all of A are aligned with all of B.", show_default=False),
    ],
    db: Db = DEFAULT_DB,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw how alike all residues of a pair are, with the alignment: .png or .svg.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    profiles: Annotated[
        bool | None,
        typer.Option(
            "--profiles/--no-profiles",
            help="Choose the pairs of residues by what each protein's relatives in the database say too, or by the two "
            "proteins alone.  [default: with them, where pairs were learned for the model and residues are stored]",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option(
            metavar="NAME",
            help="table (with the alignments drawn), tsv, csv, json, jsonl or parquet.  "
            "[default: by the name of FILE, else table]",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="As for `protvec search --align`.", rich_help_panel=OUTPUT),
    ] = None,
    header: Header = None,
    output: OutputFile = None,
    force: Force = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|DIR",
            help="Embed sequences with this model; without --db no database is needed.",
            rich_help_panel="Model",
        ),
    ] = None,
    precision: PrecisionOption = Precision.auto,
    engine: EngineOption = Engine.auto,
    threads: Threads = None,
    device: Device = "cpu",
    offline: Offline = False,
) -> None:
    """Align two proteins by their residues."""
    check_output(format, header, output, force)
    if format is Format.m8 and columns is None:
        raise typer.BadParameter("m8 has E-values, which a search gives: take tsv", param_hint="--format")
    settings = model_settings(model, precision, engine, threads, device, offline)

    from protvec.align.plot import check_plot
    from protvec.cli.layout import layout
    from protvec.cli.sink import Sink
    from protvec.search.compared import FACTS

    if plot is not None:
        check_plot(str(plot))
    pairwise = format in (None, Format.table) and output is None and columns is None
    wanted = parse(columns)
    sink = Sink(
        format=format, columns=wanted, header=header, output=output, force=force, aligned=True, pairwise=pairwise
    )
    shown = layout(wanted or list(_DEFAULT), FACTS, FACTS, sides=ALIGNED - BY_VECTOR)
    named = context.get_parameter_source("db")
    alone = model is not None and (named is None or named.name != "COMMANDLINE")
    if alone and profiles:
        raise typer.BadParameter("relatives are of a database: give --db", param_hint="--profiles")
    queries, targets, how = (
        _embedded(settings, query, target) if alone else _stored(db, settings, query, target, profiles=profiles)
    )
    if plot is not None:
        _draw(plot, queries, targets, how)
    done = sink.write(lambda _: _answers(queries, targets, how), shown, search={}, types={}, total=len(queries))
    if done.without:
        console.note("no residues are alike enough to be aligned" if done.queries == 1 else "some have no alignment")


def _stored(
    db: str, settings: Settings, *texts: str, profiles: bool | None
) -> tuple[list[Party], list[Party], Aligning]:
    """The proteins of both sides by a database: ids in it, and sequences by its model."""
    from protvec.database import Database
    from protvec.search.aligning import Aligning

    database = Database(open_store(db).pinned(), settings)
    one, two = (_asked(text, name, database) for text, name in zip(texts, "AB", strict=True))
    parties = database.parties([*one, *two])
    if profiles or (profiles is None and database.no_profiles() is None):
        parties = _profiled(database, parties)
    how = Aligning(scoring=_scoring(database.store.space.model), threads=settings.threads)
    return parties[: len(one)], parties[len(one) :], how


def _profiled(database: Database, parties: Sequence[Party]) -> list[Party]:
    """The proteins with profiles, and a word about how many relatives these have."""
    found = []
    with console.counting("looking for relatives") as advance:
        for party in database.profiled(parties):
            found.append(party)
            advance(len(found), len(parties))
    if len(found) <= _NAMED:
        console.note("relatives in the database: " + ", ".join(f"{party.name} {party.relatives}" for party in found))
    else:
        having = sum(bool(party.relatives) for party in found)
        console.note(f"{having:,} of {console.plural(len(found), 'protein')} have relatives in the database")
    return found


def _embedded(settings: Settings, *texts: str) -> tuple[list[Party], list[Party], Aligning]:
    """The proteins of both sides by a model alone."""
    from protvec.database.aligning import embedded_parties
    from protvec.search.aligning import Aligning

    one, two = (_sequences(text, name) for text, name in zip(texts, "AB", strict=True))
    checkpoint = settings.checkpoint()
    parties = embedded_parties(settings.encoder(checkpoint), [*one, *two])
    how = Aligning(scoring=_scoring(checkpoint.space.model), threads=settings.threads)
    return parties[: len(one)], parties[len(one) :], how


def _asked(text: str, name: str, database: Database) -> Sequence[str | Query]:
    """What one side names, where there is a database: an id of it, before it is read as a sequence.

    Raises:
        FastaError, QueryError: It cannot be used.
    """
    from protvec.cli.queries import is_file

    if is_file(text) or text == "-":
        return _sequences(text, name)
    if text in database:
        return [text]
    try:
        found = _sequences(text, name)
    except QueryError as error:
        if text.isalpha():
            raise
        try:
            database.store.get([text], columns=["id"])
        except ProteinNotFoundError as missing:
            raise QueryError(f"{missing}; it is no FASTA file and no sequence either") from error
        raise
    if len(text) < _SHORT:
        console.note(f"{text!r} is no id of {database.path}: it is taken as a sequence")
    return found


def _sequences(text: str, name: str) -> list[Query]:
    """A FASTA file, or a sequence as it was typed."""
    from protvec.cli.queries import is_file
    from protvec.search import parse_query, read_queries

    if text == "-":
        return list(read_queries(sys.stdin.buffer, name="<stdin>"))
    return list(read_queries(text)) if is_file(text) else [parse_query(text, id=name)]


def _scoring(model: str) -> Scoring:
    from protvec.align import scoring_for

    return scoring_for(model)


def _answers(queries: Sequence[Party], targets: Sequence[Party], how: Aligning) -> Iterator[Answer]:
    from protvec.cli.layout import Answer
    from protvec.search.compared import compare

    return (Answer.of(compare(query, targets, how), query.facts(), query.name) for query in queries)


def _draw(plot: Path, queries: Sequence[Party], targets: Sequence[Party], how: Aligning) -> None:
    from protvec.align import local_alignment
    from protvec.align.plot import check_plot, dot_plot
    from protvec.cli.output import writing

    if len(queries) * len(targets) != 1:
        raise QueryError(f"{plot}: a plot is of one pair, not of {len(queries)} with {len(targets)} proteins")
    (one,), (two,) = queries, targets
    found = local_alignment(one.chain, two.chain, how.scoring)
    with writing(plot) as file:
        names = (one.name, two.name)
        dot_plot(one.chain, two.chain, how.scoring, found, file, format=check_plot(str(plot)), names=names)
    console.note(f"{plot}: {one.name} across, {two.name} down")
