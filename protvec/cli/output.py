"""Files that commands write with ``-o`` and ``--report``: whole, or as they were."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, TypeAlias

import typer

from protvec.cli.formats import HEADERS, Format
from protvec.cli.options import OUTPUT
from protvec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

TableFormat: TypeAlias = Annotated[
    Format | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="table, tsv, csv, json, jsonl or parquet.  [default: by the name of FILE; table on a terminal, else tsv]",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Header: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="Begin with a line of the columns' names.  [default: tsv and csv do, m8 does not]",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
OutputFile: TypeAlias = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write there.", rich_help_panel=OUTPUT)
]
Force: TypeAlias = Annotated[bool, typer.Option("--force", help="Replace FILE.", rich_help_panel=OUTPUT)]
ReportFile: TypeAlias = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Write the report as JSON.")
]


def check_output(format: Format | None, header: bool | None, output: Path | None, force: bool) -> None:
    """Refuse options of output that have no use together.

    Raises:
        typer.BadParameter: ``--header`` for a format that has none, or ``--force`` without a file.
    """
    if header is not None and format is not None and format not in HEADERS:
        raise typer.BadParameter(f"{format.value} has none to leave out or add", param_hint="--header")
    check_force(output, force)


def check_force(output: Path | None, force: bool) -> None:
    """Refuse ``--force`` without a file.

    Raises:
        typer.BadParameter: As it says.
    """
    if force and output is None:
        raise typer.BadParameter("is for a file of -o", param_hint="--force")


def check_place(path: Path | None, *, force: bool = True) -> None:
    """Refuse a place for a file before the work that it is about is done.

    Raises:
        InputError: A directory, or in no directory that is there, or a file that is there (unless ``force``).
    """
    from protvec.exchange.files import check_target

    if path is not None and (path.is_file() or path.is_dir() or not path.exists()):  # not a pipe or a device
        check_target(path, force=force)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write. What was there is replaced once all is written, and kept where that fails.

    Raises:
        InputError: It cannot be written: the disk is full, no such directory, no permission.
    """
    from protvec.exchange.files import replacing

    if path.exists() and not path.is_file():  # a pipe, or a device such as /dev/stdout
        try:
            with path.open("wb") as stream:
                yield stream
        except BrokenPipeError:
            raise
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
        return
    with replacing(path.resolve(), force=True) as temporary, temporary.open("wb") as stream:
        yield stream


def deliver(content: dict[str, Any], file: Path | None, *, as_json: bool) -> None:
    """Write a report where it was asked for."""
    text = json.dumps(content, ensure_ascii=False)
    if file:
        with writing(file) as stream:
            stream.write(f"{text}\n".encode())
    if as_json:
        print(text)
