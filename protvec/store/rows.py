"""Checks of what is about to be written: a row that breaks an invariant is never committed."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protvec.errors import DatabaseError
from protvec.store.codec import codec_named
from protvec.store.columns import user_columns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.store.codec import Codec

    _Row = tuple[str, int, str, bytes | None, bytes]  # the columns of ``residues``

# So much of float32 is encoded at once, into one record batch: memory holds the encoded bytes twice for that alone.
_BATCH_BYTES = 32 << 20
_THREADS = min(4, os.cpu_count() or 1)


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
    data: bytes

    @property
    def nbytes(self) -> int:
        """Of the bytes."""
        return len(self.data)

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

    if unknown := [name for name in proteins.column_names if name not in schema.names]:
        raise ValueError(f"unknown columns: {', '.join(unknown)}")
    columns = []
    added = user_columns(schema).keys() - set(proteins.column_names)
    schema = pa.schema([field for field in schema if field.name not in added], metadata=schema.metadata)
    for field in schema:
        if field.name in proteins.column_names:
            columns.append(_cast(proteins[field.name], field))
        else:
            columns.append(pa.chunked_array([pa.nulls(proteins.num_rows, field.type)]))
        if not field.nullable and columns[-1].null_count:
            raise ValueError(f"column {field.name} has {columns[-1].null_count} nulls or is missing")
    table = pa.table(columns, schema=schema)
    _refuse_repeats(table["id"].to_pylist(), "id")
    _refuse_bad_vectors(table)
    return table


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    import pyarrow as pa

    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"column {field.name} is {column.type}, not {field.type}") from error


def encode(
    residues: Iterable[tuple[str, NDArray[np.float32] | Stored]],
    codec: Codec,
    *,
    dimension: int,
    expected: Collection[str],
    known: Collection[str],
    schema: pa.Schema,
) -> pa.Table:
    """Residue arrays as rows of ``residues``. Those that are known are left alone.

    Raises:
        ValueError: A digest that no protein of the batch has, is repeated, or a wrong shape.
        DatabaseError: A value that the codec cannot hold, or no residues of some protein.
    """
    import pyarrow as pa

    given: list[str] = []
    batches: list[pa.RecordBatch] = []
    pending: list[tuple[str, NDArray[np.float32] | Stored]] = []
    with ThreadPoolExecutor(_THREADS) as pool:

        def encoded() -> pa.RecordBatch:
            return _record_batch(list(pool.map(lambda each: _row(each[0], each[1], codec, dimension), pending)), schema)

        for digest, array in residues:
            given.append(digest)
            if digest in known:
                continue
            if digest not in expected:
                raise ValueError(f"residues of {digest}, which no protein of this batch has")
            pending.append((digest, array))
            if sum(array.nbytes for _, array in pending) >= _BATCH_BYTES:
                batches.append(encoded())
                pending = []
        batches.append(encoded())
    _refuse_repeats(given, "digest")
    if missing := set(expected).difference(known, given):
        # Also what happens when another process deletes the sequence that was to be reused.
        raise DatabaseError(f"no residues of {len(missing)} sequences, such as {min(missing)}: run it again")
    return pa.Table.from_batches(batches, schema=schema)


def _row(digest: str, array: NDArray[np.float32] | Stored, codec: Codec, dimension: int) -> _Row:
    if isinstance(array, Stored):
        if array.codec == codec.name:
            return digest, array.length, array.codec, array.scales, array.data
        array = array.decode()
    if array.ndim != 2 or array.shape[1] != dimension or not len(array):
        raise ValueError(f"residues of {digest}: shape {array.shape} is not (L, {dimension})")
    try:
        data, scales = codec.encode(array)
    except OverflowError as error:
        raise DatabaseError(f"{digest}: {error}; store another codec") from error
    return digest, len(array), codec.name, scales, data


def _record_batch(rows: list[_Row], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    columns: list[Sequence[object]] = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.record_batch(arrays, schema=schema)


def _refuse_repeats(keys: list[str], name: str) -> None:
    if len(set(keys)) < len(keys):
        seen: set[str] = set()
        first = next(key for key in keys if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"{name} {first!r} is repeated inside one batch")


def _refuse_bad_vectors(table: pa.Table) -> None:
    dimension = table.schema.field("vector").type.list_size
    vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(-1, dimension)
    good = np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)
    if not good.all():
        worst = int(np.flatnonzero(~good)[0])
        raise ValueError(f"the vector of {table['id'][worst].as_py()!r} is zero or not finite")
