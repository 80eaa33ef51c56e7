"""Hits as text for people and programs. Every format but the table writes one query at a time as it comes."""

from __future__ import annotations

import csv
import json
import sys
from contextlib import ExitStack
from enum import Enum
from itertools import chain
from typing import TYPE_CHECKING, Any

from protvec.cli.output import writing
from protvec.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO, TextIO

    from protvec.search import Hits

DEFAULT_COLUMNS = ("query", "target", "score", "length", "gene", "organism", "description")


class Format(str, Enum):
    """How to print hits."""

    table = "table"
    tsv = "tsv"
    csv = "csv"
    json = "json"
    jsonl = "jsonl"
    parquet = "parquet"


def write(answers: Iterator[Hits], format: Format | None, columns: Sequence[str] | None, output: Path | None) -> None:
    """Write the hits of every query in one format, to a file or to standard output.

    The first answer is computed before the file is opened, so that a query that fails leaves it as it was.
    """
    chosen = format or _default(output)
    names = list(columns or DEFAULT_COLUMNS)
    if chosen is Format.parquet and output is None and sys.stdout.isatty():
        raise QueryError("parquet is binary: name a file with -o, or send standard output to one")
    first = next(answers, None)
    everything = answers if first is None else chain([first], answers)
    with ExitStack() as stack:
        stream: BinaryIO = sys.stdout.buffer if output is None else stack.enter_context(writing(output))
        if chosen is Format.parquet:
            _parquet(everything, names, stream)
            return
        text = stack.enter_context(_Text(stream))
        _WRITERS[chosen](everything, names, text)


def _default(output: Path | None) -> Format:
    return Format.table if output is None and sys.stdout.isatty() else Format.tsv


def _rows(answers: Iterable[Hits], names: Sequence[str]) -> Iterator[list[Any]]:
    for hits in answers:
        for hit in hits.to_dicts():
            yield [hit[name] for name in names]


def _plain(value: object) -> str:
    """A cell of a text table: no line ends, no tabs, lists joined by commas, scores in six digits."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return " ".join(str(value).split()) if isinstance(value, str) else str(value)


def _tsv(answers: Iterable[Hits], names: Sequence[str], stream: TextIO) -> None:
    stream.write("\t".join(names) + "\n")
    stream.writelines("\t".join(map(_plain, row)) + "\n" for row in _rows(answers, names))


def _csv(answers: Iterable[Hits], names: Sequence[str], stream: TextIO) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_plain(value) for value in row] for row in _rows(answers, names))


def _json(answers: Iterable[Hits], names: Sequence[str], stream: TextIO) -> None:
    """One array with an object for each query, also for those without hits."""
    separator = "[\n"
    for hits in answers:
        rows = [dict(zip(names, row, strict=True)) for row in _rows([hits], names)]
        stream.write(separator + json.dumps({"query": hits.query, "hits": rows}, ensure_ascii=False))
        separator = ",\n"
    stream.write("\n]\n" if separator != "[\n" else "[]\n")


def _jsonl(answers: Iterable[Hits], names: Sequence[str], stream: TextIO) -> None:
    stream.writelines(
        json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in _rows(answers, names)
    )


def _table(answers: Iterable[Hits], names: Sequence[str], stream: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=stream)
    numbers = {"score", "rank", "length", "taxid"}
    shown = [name for name in names if name != "query"]
    for hits in answers:
        table = Table(title=f"{hits.query}: {len(hits)} hits", title_justify="left", box=None, pad_edge=False)
        for name in shown:
            right = name in numbers
            # The last column gives way on a narrow terminal; ids and numbers are never cut.
            table.add_column(name, justify="right" if right else "left", no_wrap=name != shown[-1], overflow="ellipsis")
        for row in _rows([hits], shown):
            table.add_row(*(Text(f"{v:.4f}" if isinstance(v, float) else _plain(v)) for v in row))
        console.print(table)


def _parquet(answers: Iterable[Hits], names: Sequence[str], stream: BinaryIO) -> None:
    import pyarrow.parquet as pq

    writer = None
    for hits in answers:
        table = hits.to_arrow().select(names)
        writer = writer or pq.ParquetWriter(stream, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


class _Text:
    """UTF-8 text on a binary stream that stays open afterwards, as standard output must."""

    def __init__(self, stream: BinaryIO) -> None:
        import io

        self._wrapper = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=False)

    def __enter__(self) -> TextIO:
        return self._wrapper

    def __exit__(self, *failure: object) -> None:
        self._wrapper.flush()
        self._wrapper.detach()


_WRITERS: dict[Format, Callable[[Iterable[Hits], Sequence[str], TextIO], None]] = {
    Format.table: _table,
    Format.tsv: _tsv,
    Format.csv: _csv,
    Format.json: _json,
    Format.jsonl: _jsonl,
}
