"""A map written to a file, whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from protvec.errors import ExchangeError
from protvec.files import replacing
from protvec.projection.chart import check_suffix

if TYPE_CHECKING:
    from pathlib import Path

    from protvec.projection.chart import Chart


def write(chart: Chart, path: Path) -> None:
    """See ``Chart.write``; what was there is replaced once all is written."""
    suffix = check_suffix(path)
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            write_to(chart, file, suffix)
    except OSError as error:
        raise ExchangeError(f"cannot be written: {error.strerror or error}", file=str(path)) from error


def write_to(chart: Chart, file: BinaryIO, suffix: str) -> None:
    """Write it to an open file, in the format of that ending."""
    if suffix == ".html":
        from protvec.projection.page import page

        file.write(page(chart).encode())
    elif suffix == ".tsv":
        rows = chart.to_arrow().to_pylist()
        names = list(rows[0]) if rows else ["id", "x", "y", "placed"]
        lines = [names, *([_cell(row[name]) for name in names] for row in rows)]
        file.write("".join("\t".join(line) + "\n" for line in lines).encode())
    else:
        from protvec.projection.picture import draw

        draw(chart, file, suffix[1:])


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ";".join(map(str, value))
    text = f"{value:.6g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
    return " ".join(text.split())
