"""``protvec rbh``."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from protvec.cli import console
from protvec.cli.fields import parse
from protvec.cli.formats import Format
from protvec.cli.options import DATABASE, DEFAULT_DB, OUTPUT, Db, open_store
from protvec.cli.output import Force, Header, OutputFile, TableFormat, check_output
from protvec.errors import FilterError, QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protvec.cli.layout import Layout
    from protvec.database import Database
    from protvec.search.reciprocal import Pairs

_PAIRS = "Pairs"
_DEFAULT = (
    "query",
    "target",
    "score",
    "query_gap",
    "target_gap",
    "query_next",
    "target_next",
    "query_ties",
    "target_ties",
    "query.gene",
    "target.gene",
    "target.description",
)
# For a terminal, which is narrow.
_SHORT = ("query", "target", "score", "query_gap", "target_gap", "query_ties", "target_ties", "target.description")


class Ties(str, Enum):
    """What becomes of partners that are exactly as good as one another."""

    first = "first"
    all = "all"
    drop = "drop"


def rbh(
    first: Annotated[
        str | None, typer.Argument(metavar="A", help="A database: the queries.", show_default=False)
    ] = None,
    second: Annotated[
        str | None, typer.Argument(metavar="B", help="Another of the same model: the targets.", show_default=False)
    ] = None,
    datasets: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Instead of two databases, two datasets of --db.", rich_help_panel=DATABASE),
    ] = None,
    db: Db = DEFAULT_DB,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="NAME",
            help="Read A, or --db, as it was at a snapshot: see `protvec snapshots`.",
            rich_help_panel=DATABASE,
        ),
    ] = None,
    other_at: Annotated[
        str | None, typer.Option("--other-at", metavar="NAME", help="The same for B.", rich_help_panel=DATABASE)
    ] = None,
    no_collapse: Annotated[
        bool,
        typer.Option(
            "--no-collapse",
            help="Take every protein by itself, not all isoforms of a locus as one.",
            rich_help_panel=_PAIRS,
        ),
    ] = False,
    locus: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The column that names loci; by default locus, else gene with organism.",
            rich_help_panel=_PAIRS,
        ),
    ] = None,
    ties: Annotated[
        Ties,
        typer.Option(
            help="Of equally good partners take the first by name, all, or none (drop).", rich_help_panel=_PAIRS
        ),
    ] = Ties.first,
    where: Annotated[
        str | None,
        typer.Option(metavar="SQL", help="Only proteins that meet this, on both sides.", rich_help_panel=_PAIRS),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(min=-1.0, max=1.0, metavar="COSINE", help="Leave out pairs below this.", rich_help_panel=_PAIRS),
    ] = None,
    format: TableFormat = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="What to print of a pair: the default's columns, query_locus, target_locus, and query.NAME, "
            "target.NAME for any column of the databases.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    header: Header = None,
    output: OutputFile = None,
    force: Force = False,
) -> None:
    """Pair the proteins of two proteomes that are each other's nearest: candidate orthologues."""
    if (datasets is None) == (first is None) or (first is None) != (second is None):
        raise typer.BadParameter("give two databases, A and B, or --datasets A,B with --db", param_hint="A B")
    if other_at is not None and second is None:
        raise typer.BadParameter("is for a second database, B", param_hint="--other-at")
    check_output(format, header, output, force)

    from protvec.cli.layout import Answer
    from protvec.cli.sink import Sink
    from protvec.database import Database

    sink = Sink(format=format, columns=parse(columns), header=header, output=output, force=force)
    wanted = parse(columns) or list(_SHORT if sink.format is Format.table else _DEFAULT)
    database = Database(open_store(first or db, at=at))
    other = Database(open_store(second, at=other_at)) if second else None
    if console.is_terminal():
        console.note_model(database.store.space.model)
    shown = _layout(wanted)
    names = _split(datasets, database) if datasets is not None else None
    with console.counting("Comparing") as advance:
        pairs = database.rbh(
            other,
            datasets=names,
            where=where,
            other_where=where if other else None,
            collapse=not no_collapse,
            locus=locus,
            ties=ties.value,
            min_score=min_score,
            columns=_metadata(wanted),
            progress=advance,
        )
    title = " and ".join(names or (str(first), str(second)))
    sink.write_table(Answer(title, pairs), shown, noun="pair")
    _report(pairs, ties, names or ("A", "B"))


def _metadata(wanted: Sequence[str]) -> list[str]:
    """The columns of the databases that the names ask for."""
    return list(dict.fromkeys(name.split(".", 1)[1] for name in wanted if name.startswith(("query.", "target."))))


def _layout(wanted: Sequence[str]) -> Layout:
    from protvec.cli.fields import HIT
    from protvec.cli.layout import Column, Layout, refuse_repeats
    from protvec.search.reciprocal.pairs import COLUMNS

    refuse_repeats(wanted)
    for name in wanted:
        side, _, column = name.partition(".")
        if name not in COLUMNS and not (side in ("query", "target") and column):
            raise FilterError(
                f"there is no column {name!r}; there are {', '.join(COLUMNS)}, and query.NAME and target.NAME "
                "for every column of the databases"
            )
    return Layout(tuple(Column(name, HIT, name) for name in wanted))


def _split(text: str, database: Database) -> tuple[str, str]:
    """The two names of ``--datasets``, which may have commas themselves."""
    there = set(database.info()["datasets"])
    parts = text.split(",")
    splits = [(",".join(parts[:at]), ",".join(parts[at:])) for at in range(1, len(parts))]
    if not splits:
        raise QueryError(f"--datasets {text}: name two, with a comma between them")
    return next((names for names in splits if {*names} <= there), splits[0])


def _report(pairs: Pairs, ties: Ties, names: tuple[str, str]) -> None:
    """What was compared, and what is not certain."""
    counts = pairs.counts
    loci = console.plural(counts.query_loci, "locus", "loci")
    first = f"{names[0]}: {console.plural(counts.queries, 'protein')} of {loci}"
    console.note(
        f"{console.plural(len(pairs), 'pair')}; {first}; {names[1]}: {counts.targets:,} of {counts.target_loci:,}"
    )
    if counts.ambiguous:
        has = "locus has" if counts.ambiguous == 1 else "loci have"
        left = f"; {counts.left_out:,} of them in no pair" if counts.left_out else ""
        console.warn(f"{counts.ambiguous:,} {has} several equally good partners (--ties {ties.value}){left}")
