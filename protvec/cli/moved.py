"""``protvec import`` and ``protvec merge``."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protvec.cli import console
from protvec.cli.console import duration, note, plural
from protvec.cli.ingest import SHOWN, show_skipped
from protvec.cli.options import DEFAULT_DB, Db, Json, ResidueCodec, create_store, open_if_there, open_store
from protvec.cli.reading import SkipInvalid
from protvec.words import some

if TYPE_CHECKING:
    from collections.abc import Callable

    from protvec.exchange import Moved
    from protvec.space import Space
    from protvec.store import Store


class VectorFormat(str, Enum):
    """What kind of file to read."""

    parquet = "parquet"
    npy = "npy"
    npz = "npz"
    h5 = "h5"


class Preference(str, Enum):
    """Which of two proteins with one id to take."""

    first = "first"
    last = "last"


Residues = Annotated[
    ResidueCodec | None,
    typer.Option("--residues", help="How a new database keeps residue arrays.", show_default=False),
]


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A .parquet, .h5, .npz or .npy file.")],
    db: Db = DEFAULT_DB,
    format: Annotated[
        VectorFormat | None, typer.Option(help="Kind of file.  [default: by the name of FILE]", show_default=False)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the model that made the vectors, where the file does not say."),
    ] = None,
    fasta: Annotated[
        list[str] | None,
        typer.Option("--fasta", metavar="FASTA", help="Sequences, matched by id or accession. May be repeated."),
    ] = None,
    ids: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ids of an .npy file, a line each.  [default: NAME.npy.ids.txt]"),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Name stored with every record that has none.")] = None,
    residues: Residues = None,
    update: Annotated[bool, typer.Option("--update", help="Replace known proteins that differ.")] = False,
    skip_invalid: SkipInvalid = False,
    as_json: Json = False,
) -> None:
    """Store the vectors of a file, and its residue arrays if it has any: parquet, HDF5 or NumPy."""
    from protvec import exchange

    options = exchange.ImportOptions(
        format=format.value if format else None,
        model=model,
        fasta=fasta or (),
        ids=ids,
        dataset=dataset,
        residues=residues.value if residues else None,
        update=update,
    )
    with console.counting("Reading") as progress:
        report = exchange.import_into(open_if_there(db), file, _maker(db), options, progress=progress)
    _show(report, "record", replace="--update", as_json=as_json)
    if report.skipped and not skip_invalid:
        raise console.Stop(1)


def merge(
    databases: Annotated[list[str], typer.Argument(metavar="DB...", help="Databases to copy, in this order.")],
    into: Annotated[
        str, typer.Option("--into", metavar="DB", help="Where: a new database, one that is there, or the first DB.")
    ],
    prefer: Annotated[
        Preference | None,
        typer.Option(help="Where one id has different sequences: take the first or the last.", show_default=False),
    ] = None,
    residues: Residues = None,
    as_json: Json = False,
) -> None:
    """Copy databases of one model into one, with their residue arrays; nothing is embedded."""
    from protvec import exchange

    stores = [open_store(path) for path in databases]
    with console.counting("Copying") as progress:
        report = exchange.merge_into(
            open_if_there(into),
            stores,
            _maker(into),
            prefer=prefer.value if prefer else None,
            residues=residues.value if residues else None,
            progress=progress,
        )
    _show(report, "protein", replace="--prefer last", as_json=as_json)
    if report.skipped:
        raise console.Stop(1)


def _maker(path: str) -> Callable[[Space, str], Store]:
    """How a database at the path is made."""
    return lambda space, codec: create_store(path, space, codec=codec)


def _show(report: Moved, noun: str, *, replace: str, as_json: bool) -> None:
    """Say what was done; ``replace`` is the option that replaces what differs."""
    note(
        f"{report.added:,} added, {report.reused:,} reused, {report.updated:,} updated, "
        f"{report.unchanged:,} unchanged, {len(report.skipped):,} skipped "
        f"of {plural(report.requested, noun)} in {duration(report.seconds)}"
    )
    if report.created:
        note(f"  {report.database} is new: vectors of {report.model}, residue arrays: {report.codec}")
    columns = ", ".join(report.stale_columns)
    for count, text in (
        (report.repeated, "repeated, id and vector alike: stored once"),
        (
            report.stale,
            f"with other {columns} than stored, left as they are: {replace} takes it",
        ),
        (report.kept, "with another sequence than stored, left as they are, as asked"),
    ):
        if count:
            note(f"  {plural(count, noun)} {text}")
    if report.recoded:
        note(f"  {plural(report.recoded, 'residue array')} recoded to {report.codec}")
    if report.columns_added:
        note(f"  columns added: {', '.join(report.columns_added)}")
    _name(f"stored without a sequence, as none was given for {noun}s", report.without_sequence)
    _name("sequences that no vector was there for", report.sequences_unused)
    show_skipped(report, f"`protvec log {report.run}`")
    if as_json:
        print(json.dumps(report.to_dict(), ensure_ascii=False))


def _name(what: str, ids: list[str]) -> None:
    if ids:
        console.warn(f"{what}: {some(ids, SHOWN)}")
