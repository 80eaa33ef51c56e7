"""Answers as the bytes of a file, one query after another: each can be written, and gone on with, as it comes."""

from __future__ import annotations

import csv
import io
import json
import math
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from protvec.cli.fields import ALIGNMENT, FIELDS
from protvec.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, BinaryIO

    import pyarrow as pa

    from protvec.cli.layout import Answer, Layout


class Format(str, Enum):
    """How to print hits."""

    table = "table"
    tsv = "tsv"
    csv = "csv"
    m8 = "m8"
    json = "json"
    jsonl = "jsonl"
    parquet = "parquet"


SUFFIXES = {
    ".tsv": Format.tsv,
    ".csv": Format.csv,
    ".m8": Format.m8,
    ".json": Format.json,
    ".jsonl": Format.jsonl,
    ".ndjson": Format.jsonl,
    ".parquet": Format.parquet,
    ".pq": Format.parquet,
}
# Formats with a line of column names, and whether they have it unless told otherwise: BLAST's has none.
HEADERS = {Format.tsv: True, Format.csv: True, Format.m8: False}
_ROW_GROUP = 64 << 10  # rows


def format_for(output: Path | None, *, terminal: bool) -> Format:
    """The format where none is asked for: by the name of the file, for a person a table, else tsv.

    Raises:
        QueryError: the name promises compression.
    """
    if output is None:
        return Format.table if terminal else Format.tsv
    if output.suffix.lower() in (".gz", ".bz2", ".xz", ".zst"):
        raise QueryError(
            f"{output}: hits are not compressed here: write {output.stem} and compress it, or take parquet"
        )
    return SUFFIXES.get(output.suffix.lower(), Format.tsv)


# What a table never cuts beside numbers, and the least room for a text.
_IDS = ("query", "target")
_TEXT = 8


class Writer:
    """Makes the bytes of one format. What is written depends on the answers alone, not on where a run stopped.

    Attributes:
        spooled: Whether the bytes become the file only by ``convert``.
    """

    spooled = False

    def __init__(self, layout: Layout, *, header: bool = False, begun: bool = False) -> None:
        """Write these columns.

        Args:
            layout: The columns.
            header: Begin with a line of their names, in text.
            begun: Whether answers are in the file already.
        """
        self.layout = layout
        self._header = header
        self._begun = begun

    def add(self, answer: Answer) -> bytes:
        """The next answer."""
        text = self._text(answer) if self._begun else self._head() + self._text(answer)
        self._begun = True
        return text.encode()

    def flush(self) -> bytes:
        """What ``add`` has kept back so far."""
        return b""

    def end(self) -> bytes:
        """What comes after the last answer."""
        return b""

    def _head(self) -> str:
        return ""

    def _text(self, answer: Answer) -> str:
        raise NotImplementedError


class Tabs(Writer):
    """Tab-separated values without quotes: one line a hit, whatever is in its texts."""

    def _head(self) -> str:
        return "\t".join(self.layout.names) + "\n" if self._header else ""

    def _text(self, answer: Answer) -> str:
        _check_ids(answer)
        return "".join("\t".join(map(_plain, row)) + "\n" for row in self.layout.rows(answer))


class Commas(Writer):
    """Comma-separated values, quoted where they have to be; also one line a hit."""

    def _head(self) -> str:
        return self._lines([self.layout.names]) if self._header else ""

    def _text(self, answer: Answer) -> str:
        _check_ids(answer)
        return self._lines([[_plain(value) for value in row] for row in self.layout.rows(answer)])

    @staticmethod
    def _lines(rows: list[list[str]]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue()


class JsonLines(Writer):
    """One object a hit."""

    def _text(self, answer: Answer) -> str:
        names = self.layout.names
        return "".join(json_text(dict(zip(names, row, strict=True))) + "\n" for row in self.layout.rows(answer))


class Json(Writer):
    """One array with an object for each query, also for those without hits."""

    def add(self, answer: Answer) -> bytes:
        """The next answer."""
        before = ",\n" if self._begun else "[\n"
        self._begun = True
        names = self.layout.names
        hits = [dict(zip(names, row, strict=True)) for row in self.layout.rows(answer)]
        return f"{before}{json_text({'query': answer.query, 'hits': hits})}".encode()

    def end(self) -> bytes:
        """The end of the array."""
        return b"\n]\n" if self._begun else b"[]\n"


class Records(Json):
    """One array with an object a row, for what is no list of hits."""

    def add(self, answer: Answer) -> bytes:
        """All rows."""
        names = self.layout.names
        rows = [json_text(dict(zip(names, row, strict=True))) for row in self.layout.rows(answer)]
        self._begun = bool(rows)
        return ("[\n" + ",\n".join(rows)).encode() if rows else b""


class Pretty(Writer):
    """A table for each query, for a person to read; ids and numbers are never cut, and E-values rise."""

    _NUMBERS = (
        "score",
        "rank",
        "length",
        "taxid",
        "qlen",
        "tlen",
        "vrank",
        "trank",
        "cosine",
        "query_gap",
        "target_gap",
        "ri",
        "evalue",
        "identity",
        "coverage",
        "support",
        "neighbours",
        *(each.name for each in FIELDS if each.side == ALIGNMENT and each.name not in ("cigar", "qaln", "taln")),
    )

    def __init__(
        self,
        layout: Layout,
        *,
        width: int | None = None,
        colour: bool = False,
        begun: bool = False,
        noun: str = "hit",
        pairwise: bool = False,
    ) -> None:
        """Write for a terminal so many columns wide."""
        super().__init__(layout, begun=begun)
        self._noun = noun
        self._pairwise = pairwise
        self._width = width or 120
        self._colour = colour

    def _text(self, answer: Answer) -> str:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        names, rows = self.layout.names, _by_evalue(self.layout.names, self.layout.rows(answer))
        query = answer.query  # in the title, and nowhere else where all rows are of it
        shown = [
            place for place, name in enumerate(names) if name != "query" or any(row[place] != query for row in rows)
        ]
        title = Text(f"{query}: {len(rows)} {self._noun}{'' if len(rows) == 1 else 's'}")
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        needed = 0
        for place in shown:
            right = names[place] in self._NUMBERS
            whole = right or names[place] in _IDS
            width = max(len(names[place]), *(len(_short(row[place])) for row in rows)) if whole and rows else None
            needed += (width or _TEXT) + 2
            # Texts give way on a narrow terminal, the last by further lines.
            table.add_column(
                Text(names[place]),
                justify="right" if right else "left",
                min_width=width,
                no_wrap=whole or place != shown[-1],
                overflow="ellipsis",
            )
        for row in rows:
            table.add_row(*(Text(_short(row[place])) for place in shown))
        text = io.StringIO()
        width = max(self._width, needed)
        console = Console(file=text, width=width, force_terminal=self._colour, legacy_windows=False)
        console.print(table)
        return text.getvalue() + (_pictures(answer, self._width) if self._pairwise else "")


def _by_evalue(names: list[str], rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Hits that were ranked by cosine, in the order of their E-values, which differs by the lengths of the proteins."""
    if not {"evalue", "score"} <= set(names) or "rank" in names:
        return rows
    evalues, scores = ([row[names.index(name)] for row in rows] for name in ("evalue", "score"))
    if None in evalues or None in scores or scores != sorted(scores, reverse=True):
        return rows
    return [rows[place] for place in sorted(range(len(rows)), key=evalues.__getitem__)]


def _pictures(answer: Answer, width: int) -> str:
    """The alignment of each hit."""
    text = ""
    for target, found in zip(answer.hits.to_arrow()["target"].to_pylist(), answer.alignments, strict=True):
        about = f"score {found.score:.1f}, {found.identical}/{found.length} identical, {found.positives} positive"
        columns = max(20, min(60, width - max(len(answer.query), len(target)) - 16))
        text += f"\n{target}: {about}, {found.gaps} in gaps\n\n{found.picture(answer.query, target, width=columns)}"
    return text + "\n"


class Batches(Writer):
    """An Arrow stream, which can be gone on with at any place; ``convert`` makes a Parquet file of it."""

    spooled = True

    def __init__(self, layout: Layout, *, types: Mapping[str, pa.DataType], begun: bool = False) -> None:
        """Write with the types that columns of queries have in their database."""
        super().__init__(layout, begun=begun)
        self._types = types
        self._kept: list[pa.Table] = []
        self._rows = 0

    def add(self, answer: Answer) -> bytes:
        """Keep the next answer, and give what was kept once it is much."""
        table = self.layout.to_arrow(answer, self._types)
        self._kept.append(table)
        self._rows += table.num_rows
        return self.flush() if self._rows >= _ROW_GROUP or not self._begun else b""

    def flush(self) -> bytes:
        """What was kept."""
        import pyarrow as pa

        if not self._kept:
            return b""
        table = pa.concat_tables(self._kept).combine_chunks()
        head = b"" if self._begun else table.schema.serialize().to_pybytes()
        self._begun, self._kept, self._rows = True, [], 0
        return head + b"".join(batch.serialize().to_pybytes() for batch in table.to_batches())

    def end(self) -> bytes:
        """What was kept."""
        return self.flush()


def convert(stream: BinaryIO, target: BinaryIO) -> None:
    """Write the Arrow stream of ``Batches`` as Parquet, in row groups that do not depend on how it was written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pa.ipc.open_stream(stream) as batches, pq.ParquetWriter(target, batches.schema) as writer:
        rest = batches.schema.empty_table()
        for batch in batches:
            rest = pa.concat_tables([rest, pa.Table.from_batches([batch])])
            while rest.num_rows >= _ROW_GROUP:
                writer.write_table(rest.slice(0, _ROW_GROUP).combine_chunks())
                rest = rest.slice(_ROW_GROUP)
        if rest.num_rows:
            writer.write_table(rest.combine_chunks())


def _check_ids(answer: Answer) -> None:
    """Refuse ids that a line cannot hold: no id is changed in silence."""
    table = answer.hits.to_arrow()
    for id in (answer.query, *table["query"].to_pylist(), *table["target"].to_pylist()):
        if any(character in id for character in "\t\n\r"):
            raise QueryError(f"the id {id!r} has a tab or a line end in it: take --format jsonl, json or parquet")


def _plain(value: object) -> str:
    """A cell of text: no line ends, no tabs, lists joined by commas, numbers in six digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text.replace("\r\n", " ").translate(_FLAT)


_FLAT = str.maketrans("\t\n\r", "   ")


def _short(value: object) -> str:
    if not isinstance(value, float) or not math.isfinite(value):
        return _plain(value)
    if 0 < abs(value) < 0.001:
        return f"{value:.1e}"  # such as an E-value
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.1f}"


def json_text(value: object, *, indent: int | None = None) -> str:
    """JSON; what is not a number is null, as JSON has no word for it, and what it has no type for is text."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, default=str)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, indent=indent, default=str)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


TEXTS: Mapping[Format, Callable[..., Writer]] = {
    Format.tsv: Tabs,
    Format.csv: Commas,
    Format.m8: Tabs,
    Format.json: Json,
    Format.jsonl: JsonLines,
}
