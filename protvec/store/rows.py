"""Checks of what is about to be written: a row that breaks an invariant is never committed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protvec.store.codec import codec_named
from protvec.store.columns import user_columns
from protvec.store.schema import matrix_of
from protvec.store.scoring.record import is_hidden, plain_names

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    _Row = tuple[str, int, str, bytes | None, bytes]  # the columns of ``residues``


@dataclass(frozen=True)
class Stored:
    """A residue array as a database keeps it: on its way to another one, it need not be decoded.

    Attributes:
        length: L.
        codec: Name of the codec.
        scales: Of the codec, where it has any.
        data: The bytes.
    """

    length: int
    codec: str
    scales: bytes | None
    data: bytes | memoryview

    @property
    def nbytes(self) -> int:
        """Of the bytes."""
        return len(self.data)

    def fits(self, dimension: int) -> bool:
        """Whether there are as many bytes as arrays of that many dimensions have in this codec."""
        codec = codec_named(self.codec)
        sizes = self.length * codec.bytes_per_residue(dimension), codec.bytes_per_sequence(dimension)
        return sizes == (len(self.data), len(self.scales or b""))

    def decode(self) -> NDArray[np.float32]:
        """ndarray, shape=(L, D), dtype=float32."""
        return codec_named(self.codec).decode(self.data, self.scales, length=self.length)


def prepare(proteins: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows in the table's own columns and types; columns left out are null.

    The user's columns that are left out stay out, so that a merge leaves what known proteins have there.

    Raises:
        ValueError: Unknown, missing or null columns, a wrong type, repeated ids, or a vector that is zero or
            not finite.
    """
    import pyarrow as pa

    proteins = proteins.select([name for name in proteins.column_names if not is_hidden(name)])
    if unknown := [name for name in proteins.column_names if name not in schema.names]:
        raise ValueError(f"unknown columns: {', '.join(unknown)}")
    columns = []
    added = user_columns(schema).keys() - set(proteins.column_names)
    fields = [schema.field(name) for name in plain_names(schema) if name not in added]
    schema = pa.schema(fields, metadata=schema.metadata)
    for field in schema:
        if field.name in proteins.column_names:
            columns.append(_cast(proteins[field.name], field))
        else:
            columns.append(pa.chunked_array([pa.nulls(proteins.num_rows, field.type)]))
        if not field.nullable and columns[-1].null_count:
            raise ValueError(f"column {field.name} has {columns[-1].null_count} nulls or is missing")
    table = pa.table(columns, schema=schema)
    refuse_repeats(table["id"].to_pylist(), "id")
    _refuse_bad_vectors(table)
    return table


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    import pyarrow as pa

    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"column {field.name} is {column.type}, not {field.type}") from error


def refuse_repeats(keys: list[str], name: str) -> None:
    """Refuse keys that are not distinct.

    Raises:
        ValueError: Names one that is repeated.
    """
    if len(set(keys)) < len(keys):
        seen: set[str] = set()
        first = next(key for key in keys if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"{name} {first!r} is repeated inside one batch")


def _refuse_bad_vectors(table: pa.Table) -> None:
    vectors = matrix_of(table["vector"])
    good = np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)
    if not good.all():
        worst = int(np.flatnonzero(~good)[0])
        raise ValueError(f"the vector of {table['id'][worst].as_py()!r} is zero or not finite")
