"""``protvec annotate``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from protvec.cli import console
from protvec.cli.console import plural
from protvec.cli.fields import parse
from protvec.cli.options import DEFAULT_DB, Db, Json, open_store
from protvec.cli.output import ReportFile, check_place, deliver

if TYPE_CHECKING:
    from protvec import annotate as library

SHOWN = 5  # unmatched keys that are printed; all are in --report


def annotate(
    table: Annotated[
        str | None,
        typer.Option("--table", metavar="FILE", help="TSV, CSV or Parquet, plain or .gz; - for standard input."),
    ] = None,
    key: Annotated[
        str,
        typer.Option(
            metavar="COLUMN[=HEADER]",
            help="Match rows by this column of the database: id, locus, gene, accession…; "
            "HEADER names the table's column where it is called otherwise.",
        ),
    ] = "id",
    columns: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Columns of the table to take.  [default: all]")
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(metavar="OLD=NEW", help="Another name for a column. May be repeated.")
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="COLUMN=TYPE", help="int, float, text, bool or list. May be repeated."),
    ] = None,
    separator: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Splits text cells into lists, in columns where it occurs.")
    ] = None,
    null: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="A cell that stands for nothing. May be repeated.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite what proteins have in columns that are there.")
    ] = False,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Remove an added column instead. May be repeated.")
    ] = None,
    db: Db = DEFAULT_DB,
    report_file: ReportFile = None,
    as_json: Json = False,
) -> None:
    """Add columns of your own to proteins, from a table: numbers, text, booleans, lists."""
    if bool(table) == bool(drop):
        raise typer.BadParameter("give --table or --drop, one of them", param_hint="--table")
    check_place(report_file)
    if drop:
        given = {
            "--key": key != "id",
            "--columns": columns is not None,
            "--rename": rename,
            "--type": types,
            "--separator": separator is not None,
            "--null": null,
            "--replace": replace,
            "--report": report_file,
        }
        if option := next((name for name, value in given.items() if value), None):
            raise typer.BadParameter("is for --table: it has no use with --drop", param_hint=option)
        open_store(db).drop_columns(drop)
        console.note(f"removed {', '.join(drop)}")
        if as_json:
            print(json.dumps({"removed": drop}))
        return
    from protvec import annotate as library

    column, _, header = key.partition("=")
    options = library.Options(
        key=column,
        key_column=header or None,
        columns=parse(columns),
        rename=_pairs(rename or [], "--rename"),
        types=_pairs(types or [], "--type"),
        separator=separator,
        nulls=null or [],
        replace=replace,
    )
    store = open_store(db)  # a wrong path is said before a long table is read
    report = library.annotate(store, library.open_sheet(table, stdin=sys.stdin.buffer), options)
    _show(report)
    deliver(report.to_dict(), report_file, as_json=as_json)


def _pairs(given: list[str], option: str) -> dict[str, str]:
    pairs = {}
    for text in given:
        left, _, right = text.rpartition("=")
        if not left or not right:
            raise typer.BadParameter(f"{text!r} is not of the form LEFT=RIGHT", param_hint=option)
        pairs[left.strip()] = right.strip()
    return pairs


def _show(report: library.Annotated) -> None:
    types = ", ".join(f"{name} ({kind})" for name, kind in report.columns.items())
    console.note(
        f"{types}: {plural(report.changed, 'protein')} changed, {report.proteins - report.changed:,} as before"
    )
    console.note(f"{plural(report.rows, 'row')} read; {plural(report.without, 'protein')} without a row")
    if report.repeated:
        console.note(f"{plural(report.repeated, 'row')} repeated, all cells alike")
    if report.unmatched:
        more = ", …" if len(report.unmatched) > SHOWN else ""
        count = plural(len(report.unmatched), "key matches", "keys match")
        console.warn(f"{count} no protein: {', '.join(report.unmatched[:SHOWN])}{more}")
        if more:
            console.note("--report FILE lists them all")
