"""``protvec map``."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from protvec.cli import console
from protvec.cli.options import DEFAULT_DB, Db, Json, open_store
from protvec.cli.output import Force, check_force, check_place, writing


class Method(str, Enum):
    """What makes the coordinates."""

    auto = "auto"
    umap = "umap"
    pca = "pca"


def map_(
    db: Db = DEFAULT_DB,
    method: Annotated[
        Method,
        typer.Option(help="auto is the map that there is, else umap where umap-learn is installed, else pca."),
    ] = Method.auto,
    color: Annotated[
        str | None, typer.Option("--color", metavar="COLUMN", help="Colour points by this column of the proteins.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Draw it: .html (one file, opens anywhere), .png, .svg, or .tsv."
        ),
    ] = None,
    force: Force = False,
    again: Annotated[bool, typer.Option("--again", help="Compute it anew, whatever there is.")] = False,
    as_json: Json = False,
) -> None:
    """Map all proteins in two dimensions, near to those that are like them; keep the map in the database.

    Run it again after an ingest: proteins that came since are placed among their nearest.
    """
    if color is not None and output is None:
        raise typer.BadParameter("colours a picture: give a FILE with -o", param_hint="--color")
    check_force(output, force)
    from protvec.database import Database, Settings
    from protvec.projection.chart import check_suffix
    from protvec.projection.files import write_to

    suffix = None if output is None else _checked(output, check_suffix(output), force)
    chart = Database(open_store(db), Settings(notify=console.note)).map(method.value, color=color, again=again)
    if output is not None and suffix is not None:
        with writing(output) as file:
            write_to(chart, file, suffix)
    if as_json:
        print(json.dumps(chart.record.to_dict() | {"points": len(chart)}))
    else:
        print(f"{output or db}: {console.plural(len(chart), 'protein')}; {chart.record}")


def _checked(output: Path, suffix: str, force: bool) -> str:
    """The ending of the file to write, before anything is computed."""
    from protvec.projection.picture import check_matplotlib

    check_place(output, force=force)
    if suffix in (".png", ".svg"):
        check_matplotlib()
    return suffix
