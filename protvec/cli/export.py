"""``protvec export``."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from protvec.cli import console
from protvec.cli.console import duration, plural
from protvec.cli.fields import parse
from protvec.cli.options import DEFAULT_DB, At, Db, Json, Where, open_store
from protvec.words import size


class FileFormat(str, Enum):
    """What kind of file to write."""

    parquet = "parquet"
    fasta = "fasta"
    npy = "npy"
    npz = "npz"
    h5 = "h5"


class Level(str, Enum):
    """Vectors, or residue arrays."""

    protein = "protein"
    residue = "residue"


class Number(str, Enum):
    """Type of the numbers in a file."""

    float32 = "float32"
    float16 = "float16"


def export(
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write there: .parquet, .fasta or .fa (also .gz), .npy, .npz or .h5."
        ),
    ],
    db: Db = DEFAULT_DB,
    at: At = None,
    format: Annotated[
        FileFormat | None, typer.Option(help="Kind of file.  [default: by the name of FILE]", show_default=False)
    ] = None,
    per: Annotated[
        Level, typer.Option(help="Vectors of proteins, or arrays of residues too (parquet, h5).")
    ] = Level.protein,
    where: Where = None,
    ids: Annotated[list[str] | None, typer.Option("--id", help="A protein to write. May be repeated.")] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Columns of a parquet file.  [default: all]", show_default=False)
    ] = None,
    dtype: Annotated[
        Number | None,
        typer.Option(
            help="Type of the numbers.  [default: float32; float16 for residues in h5, and of a database in float16]",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write proteins to a file: parquet, FASTA, NumPy or HDF5."""
    from protvec.database import Database

    if ids and where:
        raise typer.BadParameter("give --id or --where, not both", param_hint="--id")
    database = Database(open_store(db, at=at))
    with console.counting("Writing") as progress:
        done = database.export(
            output,
            format=format.value if format else None,
            level=per.value,
            ids=ids or None,
            where=where,
            columns=parse(columns),
            dtype=dtype.value if dtype else None,
            force=force,
            progress=progress,
        )
    if as_json:
        print(json.dumps(done.to_dict(), ensure_ascii=False))
    what = "" if done.dtype is None else f", {'residue arrays' if per is Level.residue else 'vectors'} as {done.dtype}"
    console.note(f"{output}: {plural(done.proteins, 'protein')}{what}, {size(done.bytes)}, {duration(done.seconds)}")
