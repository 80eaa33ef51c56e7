"""Options of the commands that read FASTA files into rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from protvec.cli.options import ResidueCodec
from protvec.errors import InputError

if TYPE_CHECKING:
    from protvec.ingest import Options
    from protvec.store import Store

Files: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="FASTA...", help="FASTA files, plain or .gz; - for standard input.")
]
NewResidues: TypeAlias = Annotated[
    ResidueCodec | None,
    typer.Option(
        "--residues",
        help="How a new database keeps residue arrays.  [default: int8]",
        show_default=False,
    ),
]
Dataset: TypeAlias = Annotated[
    str | None, typer.Option("--dataset", help="Name stored with every record, such as AtCol-0.")
]
Organism: TypeAlias = Annotated[
    str | None, typer.Option("--organism", help="Organism of records whose header names none.")
]
Taxid: TypeAlias = Annotated[
    int | None, typer.Option("--taxid", min=1, help="NCBI taxonomy id of records whose header names none.")
]
Update: TypeAlias = Annotated[
    bool, typer.Option("--update", help="Replace known proteins whose sequence or header differs.")
]
Fix: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--fix",
        metavar="WHAT",
        help="Repair sequences that would be skipped: stops (inner * becomes X), gaps, digits (both are removed), "
        "symbols (become X), or all. May be repeated.",
    ),
]
SkipInvalid: TypeAlias = Annotated[
    bool, typer.Option("--skip-invalid", help="Exit with 0 also when records were skipped.")
]
AllowNucleotides: TypeAlias = Annotated[
    bool, typer.Option("--allow-nucleotides", help="Do not refuse a file that looks like nucleotides.")
]


def reading(
    dataset: str | None,
    organism: str | None,
    taxid: int | None,
    *,
    update: bool,
    fix: list[str] | None,
    allow_nucleotides: bool,
) -> Options:
    """What the options say of how records are treated."""
    from protvec.ingest import Options

    return Options(
        dataset=dataset,
        organism=organism,
        taxid=taxid,
        update=update,
        fix=_fixes(fix or []),
        nucleotides_ok=allow_nucleotides,
    )


def check_codec(store: Store, asked: str | None) -> None:
    """Refuse to keep residues otherwise than a database does.

    Raises:
        InputError: It keeps them in another codec than the one that was asked for.
    """
    if asked not in (None, store.codec):
        raise InputError(f"{store.path} keeps residue arrays as {store.codec}, not {asked}")


def _fixes(given: list[str]) -> frozenset[str]:
    from protvec.fasta import FIXES

    names = {name.strip() for value in given for name in value.split(",")}
    if unknown := sorted(names - {*FIXES, "all"}):
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(FIXES)}, all", param_hint="--fix")
    return frozenset(FIXES if "all" in names else names)
