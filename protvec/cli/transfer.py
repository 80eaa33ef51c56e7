"""``protvec transfer``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protvec.cli import console
from protvec.cli.console import plural
from protvec.cli.fields import parse
from protvec.cli.formats import Format
from protvec.cli.options import (
    DATABASE,
    DEFAULT_DB,
    OUTPUT,
    Db,
    Device,
    Engine,
    EngineOption,
    Model,
    Offline,
    Precision,
    PrecisionOption,
    Threads,
    model_settings,
    open_store,
)
from protvec.cli.output import Force, Header, OutputFile, TableFormat, check_output
from protvec.errors import FilterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from protvec.cli.layout import Layout
    from protvec.transfer import Predictions, Quality

_PROTEINS, _LABELS = "Proteins", "Labels"
_SHOWN = 3  # proteins without a label that are named
# For a terminal, which is narrow.
_SHORT = ("query", "label", "ri", "target", "score", "evalue", "identity", "support", "neighbours")


def transfer(
    column: Annotated[
        str,
        typer.Option(
            "--column",
            metavar="NAME",
            help="The column of labels: GO terms, EC numbers, Pfam families, any text or list of texts.",
            rich_help_panel=_LABELS,
            show_default=False,
        ),
    ],
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FASTA", help="Print labels for these sequences.", rich_help_panel=_PROTEINS),
    ] = None,
    missing: Annotated[
        bool,
        typer.Option(
            "--missing",
            help="Store labels for the proteins of the database that have none, in columns of their own.",
            rich_help_panel=_PROTEINS,
        ),
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Predict labels that are known from other sequences, and print how good that is.",
            rich_help_panel=_PROTEINS,
        ),
    ] = False,
    query_where: Annotated[
        str | None,
        typer.Option(metavar="SQL", help="With --missing: only proteins that meet this.", rich_help_panel=_PROTEINS),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="With --check: so many proteins, at random.", rich_help_panel=_PROTEINS),
    ] = None,
    k: Annotated[
        int,
        typer.Option("-k", min=1, help="How many of the nearest labelled proteins to ask.", rich_help_panel=_LABELS),
    ] = 3,
    min_ri: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, metavar="RI", help="Leave out labels of a lower reliability.", rich_help_panel=_LABELS
        ),
    ] = 0.5,
    evalue: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="E", help="Leave out neighbours above this.", rich_help_panel=_LABELS),
    ] = None,
    align: Annotated[
        bool,
        typer.Option(
            "--align",
            help="Take the neighbours that align best, residue by residue; gives identity and coverage.",
            rich_help_panel=_LABELS,
        ),
    ] = False,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="With --align: how many proteins to align.  [default: 200]",
            show_default=False,
            rich_help_panel=_LABELS,
        ),
    ] = None,
    graph: Annotated[
        Path | None,
        typer.Option(
            metavar="OBO",
            help="The ontology of the labels, such as go-basic.obo: a term implies those above it.",
            rich_help_panel=_LABELS,
        ),
    ] = None,
    separator: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Splits text into labels; GO terms and EC numbers need none.",
            rich_help_panel=_LABELS,
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(metavar="SQL", help="Take labels only from proteins that meet this.", rich_help_panel=_LABELS),
    ] = None,
    db: Db = DEFAULT_DB,
    into: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="With --missing: store there.  [default: COLUMN_transferred]", rich_help_panel=DATABASE
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="With --missing: replace what an earlier transfer stored.", rich_help_panel=DATABASE
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="With --missing: print the labels, and store nothing.", rich_help_panel=DATABASE
        ),
    ] = False,
    format: TableFormat = None,
    columns: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="What to print of a label.", rich_help_panel=OUTPUT)
    ] = None,
    header: Header = None,
    output: OutputFile = None,
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.", rich_help_panel=OUTPUT)] = False,
    model: Model = None,
    precision: PrecisionOption = Precision.auto,
    engine: EngineOption = Engine.auto,
    threads: Threads = None,
    device: Device = "cpu",
    offline: Offline = False,
) -> None:
    """Label proteins by the nearest that have labels, with a reliability and the evidence; or abstain."""
    if sum((to is not None, missing, check)) != 1:
        raise typer.BadParameter("give --to FASTA, --missing or --check, one of them", param_hint="--to")
    of_missing: dict[str, Any] = {"query_where": query_where, "into": into, "replace": replace, "dry_run": dry_run}
    printed = to is not None or dry_run
    _refuse("--missing", missing, of_missing)
    _refuse("--check", check, {"sample": sample})
    _refuse("--to or --dry-run", printed, {"format": format, "output": output, "columns": columns, "force": force})
    _refuse("--align", align, {"candidates": candidates})
    _refuse("--missing or --check", not printed, {"json": as_json})
    check_output(format, header, output, force)

    from protvec.cli.sink import Sink
    from protvec.database import Database
    from protvec.search import CANDIDATES

    shown = parse(columns)
    sink = Sink(format=format, columns=shown, header=header, output=output, force=force) if printed else None
    layout = _layout(shown or (_SHORT if sink and sink.format is Format.table else None))
    settings = model_settings(model, precision, engine, threads, device, offline)
    database = Database(open_store(db), settings)
    common: dict[str, Any] = {
        "k": k,
        "evalue": evalue,
        "align": align,
        "candidates": candidates or CANDIDATES,
        "graph": graph,
        "separator": separator,
        "where": where,
    }
    if check:
        _print_quality(database.check_transfer(column, sample=sample, **common), as_json)
        return
    found = database.transfer(column, to, min_ri=min_ri, **common, **of_missing)
    if sink:
        from protvec.cli.layout import Answer

        sink.write_table(Answer(column, found), layout, noun="label")
    _report(found)
    if as_json:
        print(json.dumps(_summary(found), ensure_ascii=False))


def _refuse(needed: str, given: bool, options: Mapping[str, object]) -> None:
    """Refuse options that mean nothing without another."""
    for name, value in {} if given else options.items():
        if value not in (None, False):
            raise typer.BadParameter(f"is of use with {needed} only", param_hint=f"--{name.replace('_', '-')}")


def _layout(names: Sequence[str] | None) -> Layout:
    from protvec.cli.fields import HIT
    from protvec.cli.layout import Column, Layout, refuse_repeats
    from protvec.transfer.predictions import COLUMNS

    chosen = list(names or COLUMNS)
    refuse_repeats(chosen)
    for name in chosen:
        if name not in COLUMNS:
            raise FilterError(f"there is no column {name!r} of labels; there are {', '.join(COLUMNS)}")
    return Layout(tuple(Column(name, HIT, name) for name in chosen))


def _report(found: Predictions) -> None:
    """What came of it, on standard error."""
    labelled = found.queries - len(found.abstained)
    console.note(f"{plural(len(found), 'label')} for {labelled:,} of {plural(found.queries, 'protein')}")
    if found.columns:
        console.note(f"stored in {', '.join(found.columns)}")
    for query, reason in list(found.abstained.items())[:_SHOWN]:
        console.note(f"{query}: none: {reason}")
    if len(found.abstained) > _SHOWN:
        console.note(f"… and {plural(len(found.abstained) - _SHOWN, 'more protein', 'more proteins')} without a label")


def _summary(found: Predictions) -> dict[str, Any]:
    return {
        "queries": found.queries,
        "labels": len(found),
        "columns": list(found.columns),
        "abstained": found.abstained,
    }


def _print_quality(found: Sequence[Quality], as_json: bool) -> None:
    if as_json:
        print(json.dumps([each.to_dict() for each in found]))
        return
    print("min_ri\tcoverage\tprecision\trecall")
    for each in found:
        precision = "" if each.precision is None else f"{each.precision:.3f}"
        print(f"{each.min_ri:.1f}\t{each.coverage:.3f}\t{precision}\t{each.recall:.3f}")
