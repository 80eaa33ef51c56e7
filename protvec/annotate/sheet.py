"""Tables as they come: TSV, CSV or Parquet, plain or gzip, and tables in memory."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protvec.errors import TableError
from protvec.store import InputFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    import pyarrow as pa

# What may separate the cells, by the end of a file's name: the first that occurs in the header does.
_SEPARATORS = {".csv": ",;\t"}
_DEFAULT_SEPARATORS = "\t,;"
_GZIP, _PARQUET, _ZIP = b"\x1f\x8b", b"PAR1", b"PK\x03\x04"
_LARGEST_CELL = 1 << 30


@dataclass(frozen=True, eq=False)
class Sheet:
    """A table in memory.

    Attributes:
        name: The file as the user named it.
        cells: The cells of each column, in order: text as it stands in the file, or plain values with None.
        types: The type of each column that has one; columns of text files have none.
        lines: The line that each row begins at; None where there are no lines.
        file: The file as the ledger has it; None for a table in memory.
    """

    name: str
    cells: dict[str, list[Any]]
    types: dict[str, pa.DataType]
    lines: list[int] | None = None
    file: InputFile | None = None

    def __len__(self) -> int:
        return len(next(iter(self.cells.values()), []))

    def fault(self, message: str, row: int | None = None) -> TableError:
        """An error of the table, or of one of its rows (from 0)."""
        if row is None:
            return TableError(message, place=self.name)
        place = f"{self.name}:{self.lines[row]}" if self.lines else f"{self.name}, row {row + 1}"
        return TableError(message, place=place)


def open_sheet(source: object, *, stdin: BinaryIO | None = None) -> Sheet:
    """Read a table.

    Args:
        source: A TSV, CSV or Parquet file, gzip or not (what it is shows in its bytes); ``-`` for ``stdin``; or
            an Arrow table, a pandas or polars frame, or a dict of columns.
        stdin: What ``-`` stands for.

    Raises:
        TableError: It cannot be read, has no header, two columns of one name, or a row of another length.
    """
    if not isinstance(source, str | Path):
        return _from_arrow(_as_arrow(source), "the table")
    name = "<stdin>" if str(source) == "-" and stdin else str(source)
    raw = _bytes(source, stdin, name)
    sheet = _from_bytes(_unpacked(raw, name), name)
    return replace(sheet, file=InputFile(name, hashlib.sha256(raw).hexdigest(), len(raw)))


def _from_bytes(data: bytes, name: str) -> Sheet:
    if data.startswith(_PARQUET):
        return _from_parquet(data, name)
    if data.startswith(_ZIP):
        raise TableError("a zip archive or an Excel workbook: save the sheet as TSV or CSV", place=name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise TableError("not UTF-8 text: save it as UTF-8", place=f"{name}:{line}") from error
    return _from_text(text, name)


def _bytes(source: str | Path, stdin: BinaryIO | None, name: str) -> bytes:
    try:
        return stdin.read() if stdin and str(source) == "-" else Path(source).read_bytes()
    except OSError as error:
        raise TableError(f"cannot be read: {error.strerror or error}", place=name) from error


def _unpacked(data: bytes, name: str) -> bytes:
    try:
        return gzip.decompress(data) if data.startswith(_GZIP) else data
    except (OSError, EOFError, zlib.error) as error:
        raise TableError(f"a damaged gzip file ({error})", place=name) from error


def _from_text(text: str, name: str) -> Sheet:
    suffix = Path(name.lower().removesuffix(".gz")).suffix
    rows = _rows(text, name, _SEPARATORS.get(suffix, _DEFAULT_SEPARATORS))
    first = next(rows, None)
    if first is None:
        raise TableError("empty: the first line has to name the columns", place=name)
    header = _header([cell.strip() for cell in first[1]], f"{name}:{first[0]}")
    columns: list[list[str]] = [[] for _ in header]
    lines = []
    for line, row in rows:
        if len(row) != len(header):
            raise TableError(f"{len(row)} cells, but the header names {len(header)} columns", place=f"{name}:{line}")
        lines.append(line)
        for column, cell in zip(columns, row, strict=True):
            column.append(cell)
    return Sheet(name, dict(zip(header, columns, strict=True)), {}, lines)


def _rows(text: str, name: str, separators: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line that it begins at; empty lines and lines of ``##`` are passed over."""
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith("##")), "")
    separator = next((each for each in separators if each in first), separators[0])
    limit = csv.field_size_limit(_LARGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    try:
        for row in reader:
            if any(row) and not row[0].startswith("##"):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"not a well-formed row, perhaps a stray quote ({error})", place=f"{name}:{line}") from error
    finally:
        csv.field_size_limit(limit)


def _header(names: list[str], place: str) -> list[str]:
    if "" in names:
        raise TableError(f"column {names.index('') + 1} has no name", place=place)
    if twice := [name for name in names if names.count(name) > 1]:
        raise TableError(f"two columns are named {twice[0]!r}", place=place)
    return names


def _from_parquet(data: bytes, name: str) -> Sheet:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"a damaged Parquet file ({str(error).splitlines()[0]})", place=name) from error
    return _from_arrow(table, name)


def _as_arrow(source: Any) -> pa.Table:  # noqa: ANN401
    import pyarrow as pa

    try:
        if isinstance(source, pa.Table):
            return source
        if hasattr(source, "to_arrow"):  # polars, Hits, datasets
            return source.to_arrow()
        if hasattr(source, "iloc"):  # pandas: an index with a name is a column
            named = source.reset_index() if any(source.index.names) else source
            return pa.Table.from_pandas(named, preserve_index=False)
        return pa.table(source)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise TableError(f"not a table: {str(error).splitlines()[0]}", place="the table") from error


def _from_arrow(table: pa.Table, name: str) -> Sheet:
    header = _header([str(column) for column in table.column_names], name)
    types = dict(zip(header, table.schema.types, strict=True))
    return Sheet(name, {each: table[place].to_pylist() for place, each in enumerate(header)}, types)
