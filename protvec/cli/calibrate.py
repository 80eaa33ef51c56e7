"""``protvec calibrate``."""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated

import typer

from protvec.cli import console
from protvec.cli.options import DEFAULT_DB, Db, Json, open_store


class Scoring(str, Enum):
    """What scores are."""

    auto = "auto"
    raw = "raw"
    centred = "centred"
    whitened = "whitened"


def calibrate(
    db: Db = DEFAULT_DB,
    scoring: Annotated[
        Scoring,
        typer.Option(help="auto is what suits the number of proteins; raw is the plain cosines of the mean vectors."),
    ] = Scoring.auto,
    segments: Annotated[
        bool | None,
        typer.Option(
            "--segments/--no-segments",
            help="Keep vectors of segments of long proteins, made from their residues, or none.  [default: as before]",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fit the search space, in which searches compare, to the proteins that are there now.

    Ingest does it by itself, and again when a database has doubled. The vectors themselves stay as they are; scores of
    before and after are on different scales.
    """
    fitted = open_store(db).calibrate(scoring.value, segments=segments, notify=console.note)
    if as_json:
        print(json.dumps(fitted.to_dict()))
    else:
        print(f"{db}: searches compare {fitted}")
