"""``protvec search``."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protvec.cli import console
from protvec.cli.asked import Asked
from protvec.cli.fields import (
    ALIGNED,
    BY_SEGMENT,
    BY_VECTOR,
    DEFAULT,
    DEFAULT_ALIGNED,
    DEFAULT_BOTH,
    DEFAULT_TEXT,
    M8,
    WITH_TEXT,
    parse,
)
from protvec.cli.formats import Format
from protvec.cli.options import (
    DEFAULT_DB,
    HITS,
    OUTPUT,
    QUERIES,
    At,
    Db,
    Device,
    Engine,
    EngineOption,
    Model,
    Offline,
    Precision,
    PrecisionOption,
    SearchMemory,
    Threads,
    Where,
    model_settings,
    open_store,
)
from protvec.cli.output import Header, check_output
from protvec.errors import InputError, QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protvec.cli.layout import Answer, Layout
    from protvec.cli.partial import Progress
    from protvec.cli.queries import Options, Source
    from protvec.cli.sink import Sink
    from protvec.database import Database, Settings


class Scores(str, Enum):
    """Which cosines scores are."""

    auto = "auto"
    raw = "raw"


def search(
    query: Annotated[
        str | None,
        typer.Argument(
            metavar="SEQ|FASTA|-",
            help="A sequence, a FASTA file of any number of them, or - for standard input.",
            rich_help_panel=QUERIES,
        ),
    ] = None,
    id: Annotated[
        list[str] | None,
        typer.Option(
            "--id",
            metavar="ID",
            help="A protein of the database instead; needs no model. May be repeated.",
            rich_help_panel=QUERIES,
        ),
    ] = None,
    ids: Annotated[
        str | None,
        typer.Option(
            "--ids", metavar="FILE", help="As many, one id a line; - for standard input.", rich_help_panel=QUERIES
        ),
    ] = None,
    all: Annotated[  # noqa: A002  # the name of the option
        bool, typer.Option("--all", help="Every protein of the database against all of it.", rich_help_panel=QUERIES)
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="DB",
            help="Search this database of the same model, with the proteins of --db: all, or those of --id or --ids.",
            rich_help_panel=QUERIES,
        ),
    ] = None,
    vectors: Annotated[
        str | None,
        typer.Option(
            "--vectors",
            metavar="FILE",
            help="Vectors of this model: .npy of shape (D,) or (N, D), .npz, .h5 or .parquet.",
            rich_help_panel=QUERIES,
        ),
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            "--like",
            metavar="ID",
            help="More like this protein, and like the others: repeat it.",
            rich_help_panel=QUERIES,
        ),
    ] = None,
    unlike: Annotated[
        list[str] | None,
        typer.Option(
            "--unlike", metavar="ID", help="With --like: far from this one. May be repeated.", rich_help_panel=QUERIES
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            "--text",
            metavar="WORDS",
            help='An id, a gene, words of the description, or a "phrase". Beside another query: rank by both.',
            rich_help_panel=QUERIES,
        ),
    ] = None,
    query_where: Annotated[
        str | None,
        typer.Option(
            "--query-where",
            metavar="SQL",
            help="With --all or --against: only the proteins that meet this are queries.",
            rich_help_panel=QUERIES,
        ),
    ] = None,
    db: Db = DEFAULT_DB,
    at: At = None,
    search_memory: SearchMemory = None,  # noqa: ARG001  # acts through its callback
    k: Annotated[
        int, typer.Option("-k", min=1, metavar="N", help="How many hits a query at most.", rich_help_panel=HITS)
    ] = 10,
    where: Where = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            min=-1.0, max=1.0, metavar="COSINE", help="Leave out hits below this cosine.", rich_help_panel=HITS
        ),
    ] = None,
    scoring: Annotated[
        Scores,
        typer.Option(
            help="raw: cosines of the mean vectors; auto: those in the search space that was fitted on the database.",
            rich_help_panel=HITS,
        ),
    ] = Scores.auto,
    segments: Annotated[
        bool,
        typer.Option(
            "--segments/--no-segments",
            help="Compare segments of long proteins too, which finds domains, or whole proteins alone.",
            rich_help_panel=HITS,
        ),
    ] = True,
    evalue: Annotated[
        float | None,
        typer.Option(
            "--evalue",
            min=0.0,
            metavar="E",
            help="Leave out hits above this E-value: of which chance alone would give more in this search.",
            rich_help_panel=HITS,
        ),
    ] = None,
    exclude_self: Annotated[
        bool | None,
        typer.Option(
            "--exclude-self/--include-self",
            help="Leave out the query itself: its id or, for a bare sequence, its sequence.  "
            "[default: left out with --all only]",
            show_default=False,
            rich_help_panel=HITS,
        ),
    ] = None,
    align: Annotated[
        bool,
        typer.Option(
            "--align",
            help="Rank by local alignment of residues, which are stored: nothing of the database is embedded again.",
            rich_help_panel=HITS,
        ),
    ] = False,
    candidates: Annotated[
        int | None,
        typer.Option(
            "--candidates",
            min=1,
            metavar="N",
            help="With --align: how many proteins, near ones and matches of letters, are aligned.  [default: 200]",
            show_default=False,
            rich_help_panel=HITS,
        ),
    ] = None,
    profiles: Annotated[
        bool,
        typer.Option(
            "--profiles",
            help="With --align: choose the pairs of residues that are shown by what the relatives of the query and of "
            "each hit say too; a search more for each.",
            rich_help_panel=HITS,
        ),
    ] = False,
    pairwise: Annotated[
        bool,
        typer.Option("--pairwise", help="With --align: draw the alignments under the table.", rich_help_panel=OUTPUT),
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Say how hits were found, exactly or by which index with what recall, and what E-values come from.",
            rich_help_panel=HITS,
        ),
    ] = False,
    format: Annotated[
        Format | None,
        typer.Option(
            metavar="NAME",
            help="table, tsv, csv, m8, json, jsonl or parquet.  "
            "[default: by the name of FILE; table on a terminal, else tsv]",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="What to print of a hit: the columns below.", rich_help_panel=OUTPUT),
    ] = None,
    header: Header = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write there; a run that was stopped goes on when it is given again.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace FILE, and a partial one of another search.", rich_help_panel=OUTPUT),
    ] = False,
    model: Model = None,
    precision: PrecisionOption = Precision.auto,
    engine: EngineOption = Engine.auto,
    threads: Threads = None,
    device: Device = "cpu",
    offline: Offline = False,
) -> None:
    """Find the proteins most like a query, or like each of many."""
    asked = Asked(
        query,
        tuple(id or ()),
        ids,
        all,
        against,
        vectors,
        tuple(like or ()),
        tuple(unlike or ()),
        text,
        query_where,
        align,
    )
    asked.check(exclude_self=exclude_self, min_score=min_score, evalue=evalue)
    for option, given in (
        ("--candidates", candidates is not None),
        ("--profiles", profiles),
        ("--pairwise", pairwise),
    ):
        if given and not align:
            raise typer.BadParameter("is for --align", param_hint=option)
    check_output(format, header, output, force)
    settings = model_settings(model, precision, engine, threads, device, offline)
    if query is None:
        _refuse_model(settings, asked)

    from protvec.cli.layout import layout
    from protvec.cli.queries import Options, is_file
    from protvec.cli.sink import Sink
    from protvec.database import Database
    from protvec.search import CANDIDATES

    if query is not None and not is_file(query):  # one sequence: all threads work on it
        settings = replace(settings, latency=query != "-")
    wanted = parse(columns)
    sink = Sink(
        format=format, columns=wanted, header=header, output=output, force=force, aligned=align, pairwise=pairwise
    )
    # All answers are of one version, whatever other processes write meanwhile.
    database = _opened(Database(open_store(db, at=at).pinned(), settings), db)
    other = _opened(Database(open_store(against).pinned(), settings), against) if against else None
    if console.is_terminal():
        console.note_model(database.store.space.model)
    searched = database if other is None else other
    searched.store.check_space(database.store.space)
    source = asked.source(database, other)
    by_segment = segments and scoring is Scores.auto and searched.store.no_segments is None
    usual, sides = _usual(asked, by_segment=by_segment)
    names = wanted or list(M8 if sink.format is Format.m8 else usual)
    shown = layout(names, _metadata(searched), source.known, sides=sides)
    options = Options(
        k=k,
        where=where,
        min_score=min_score,
        exclude_self=all and not against if exclude_self is None else exclude_self,
        columns=shown.of_target,
        facts=shown.of_query,
        text=text if asked.both else None,
        candidates=(candidates or CANDIDATES) if align else None,
        profiles=profiles,
        scoring="raw" if scoring is Scores.raw else None,
        evalue=evalue,
        segments=segments,
    )
    done = sink.write(
        lambda progress: _watched(source.answers(options, progress), searched, where, explain, options.text),
        shown,
        search=_identity(asked, replace(options, segments=by_segment), source, sink, shown, database, other),
        types={field.name: field.type for field in database.store.schema},
        total=source.total,
    )
    if done.without:
        console.note(_without(done, asked, where))


def _usual(asked: Asked, *, by_segment: bool) -> tuple[tuple[str, ...], frozenset[str]]:
    """The columns of hits where none are named, and the sides of fields that the search has."""
    if asked.align:
        return DEFAULT_ALIGNED, ALIGNED
    if asked.only_text:
        return DEFAULT_TEXT, frozenset()
    if asked.both:
        return DEFAULT_BOTH, WITH_TEXT
    return DEFAULT, BY_SEGMENT if by_segment and not asked.like else BY_VECTOR


def _identity(
    asked: Asked,
    options: Options,
    source: Source,
    sink: Sink,
    shown: Layout,
    database: Database,
    other: Database | None,
) -> dict[str, Any]:
    """What makes the bytes of a file what they are; nothing where none can be gone on with."""
    if not sink.resumable:  # it may take loading the model
        return {}
    return {
        **asked.settings(),
        "k": options.k,
        "where": options.where,
        "min-score": options.min_score,
        "evalue": options.evalue,
        "text": asked.text,
        "candidates": options.candidates,
        **({"profiles": True} if options.profiles else {}),
        "scoring": options.scoring,
        "segments": options.segments,
        "exclude-self": options.exclude_self,
        "columns": shown.names,
        **sink.settings(),
        "database": database.store.mark(),
        "against": other.store.mark() if other else None,
        **source.identity(),
    }


def _without(done: Progress, asked: Asked, where: str | None) -> str:
    """Which queries had no hit."""
    if asked.only_text:
        both = " and --where" if where else ""
        return f"nothing found: no id, gene or description matches {asked.text!r}{both}"
    if done.queries > done.without:
        return f"no hit for {done.without:,} of {done.queries:,} queries"
    return "no hit for any query" if done.queries > 1 else "no hit for it"


def _opened(database: Database, db: str) -> Database:
    if not len(database):
        raise InputError(f"{db} holds no proteins yet: `protvec ingest FASTA --db {db}` puts some in")
    return database


def _metadata(database: Database) -> list[str]:
    return [name for name in database.store.columns if name not in ("id", "vector")]


def _refuse_model(settings: Settings, asked: Asked) -> None:
    """A stored protein has its vector: no model runs, and none may be asked for in vain. Alignments have threads."""
    unused = type(settings)()
    for name in ("model", "precision", "engine", "device", *(() if asked.align else ("threads",))):
        if getattr(settings, name) != getattr(unused, name):
            raise typer.BadParameter(f"has no use with {asked.option}, which needs no model", param_hint=f"--{name}")


def _watched(
    answers: Iterator[Answer], searched: Database, where: str | None, explain: bool, text: str | None
) -> Iterator[Answer]:
    """The answers; how they were found is said where asked for, and a filter that nothing meets is an error."""
    said = None
    if text is not None and not len(searched.search_text(text, k=1, where=where, columns=[])):
        console.note(f"no id, gene or description matches {text!r}: hits are ranked by their vectors alone")
    for number, answer in enumerate(answers):
        if not number and where is not None and not answer.hits and not searched.store.count(where):
            raise QueryError(f"no protein of {searched.path} meets {where!r}: there is nothing to search")
        if explain and answer.how != said:
            console.note(said := answer.how)
        if explain and answer.chance and not number:  # those of others are fitted alike
            console.note(answer.chance)
        yield answer
