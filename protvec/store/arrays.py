"""Residue arrays read from ``residues``: many at once, or as a stream in bounded memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from protvec.store.codec import codec_named
from protvec.store.filters import in_lists
from protvec.store.lookup import Lookup
from protvec.store.parts import in_parts
from protvec.store.system import THREADS, keep_memory, new_memory
from protvec.store.tables import stream, take_addresses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[np.float32]]
    Row = tuple[str, str, int, pa.Buffer | None, pa.Buffer]  # digest, codec, length, scales, data

_COLUMNS = ["digest", "codec", "length", "scales", "data"]


class Residues(NamedTuple):
    """The residues of one protein.

    Attributes:
        id: Of the protein.
        digest: Of its sequence.
        array: ndarray, shape=(L, D), dtype=float32.
    """

    id: str
    digest: str
    array: NDArray[np.float32]


_ROWS_AT_ONCE = 25  # that a thread reads and then decodes, while another reads
# Bytes of decoded arrays that share a block of memory; a caller who keeps one array keeps its block.
_BLOCK = 4 << 20


def array_lookup() -> Lookup:
    """Knows where arrays are and how they are stored, for who reads again and again with ``read_arrays``."""
    return Lookup("digest", ["codec", "length"])


def read_arrays(
    dataset: LanceDataset, digests: Sequence[str], *, dimension: int, lookup: Lookup | None = None
) -> Arrays:
    """The arrays of those digests that the table has, decoded: ndarray, shape=(L, D), dtype=float32, each.

    Args:
        dataset: A handle on ``residues``.
        digests: Which, all different.
        dimension: D.
        lookup: An ``array_lookup``, of this table.
    """
    rows = (lookup or array_lookup()).find(dataset, digests)
    if rows.num_rows <= 1:
        return dict(_taken(dataset, rows, dimension))
    keep_memory()
    share = min(_even(rows.num_rows, _ROWS_AT_ONCE), -(-rows.num_rows // THREADS))
    chunks = [rows.slice(start, share) for start in range(0, rows.num_rows, share)]
    with ThreadPoolExecutor(THREADS) as pool:
        parts = pool.map(lambda chunk: _taken(dataset, chunk, dimension), chunks)
        return {digest: array for part in parts for digest, array in part}


def iter_arrays(dataset: LanceDataset, ids: dict[str, list[str]], *, batch_size: int) -> Iterator[list[Residues]]:
    """The arrays of many proteins, not in their order.

    Args:
        dataset: A handle on ``residues``.
        ids: Ids by digest. Those whose arrays were found are taken out.
        batch_size: Arrays in memory at once.
    """
    batch: list[Residues] = []
    wheres = in_lists("digest", sorted(ids))
    for row in (row for where in wheres for row in _rows(dataset, where, batch_size=batch_size)):
        digest, array = _decoded(row)
        batch += [Residues(identifier, digest, array) for identifier in ids.pop(digest, ())]
        if len(batch) >= batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def arrow_schema(dimension: int) -> pa.Schema:
    """Of ``record_batch``."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("digest", pa.string(), nullable=False),
            pa.field("length", pa.int32(), nullable=False),
            pa.field("residues", pa.list_(pa.list_(pa.float32(), dimension)), nullable=False),
        ]
    )


def record_batch(residues: Sequence[Residues], dimension: int) -> pa.RecordBatch:
    """Id, digest and array of some proteins as Arrow, the values of all arrays in one buffer."""
    import pyarrow as pa

    schema = arrow_schema(dimension)
    lengths = [len(each.array) for each in residues]
    values = np.concatenate([each.array.reshape(-1) for each in residues])
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    lists = pa.FixedSizeListArray.from_arrays(pa.array(values), dimension)
    columns = [
        pa.array([each.id for each in residues], pa.string()),
        pa.array([each.digest for each in residues], pa.string()),
        pa.array(lengths, pa.int32()),
        pa.ListArray.from_arrays(offsets, lists).cast(schema.field("residues").type),
    ]
    return pa.record_batch(columns, schema=schema)


def _rows(dataset: LanceDataset, where: str, *, batch_size: int) -> Iterator[Row]:
    """The rows as they are stored; their bytes are not copied."""
    # Late: digests are looked at first, and bytes are read of the rows that are wanted alone.
    options = {"columns": _COLUMNS, "late_materialization": True, "batch_size": batch_size}
    for batch in stream(dataset, where=where, user=None, **options):
        yield from rows_of(batch)


def _taken(dataset: LanceDataset, rows: pa.Table, dimension: int) -> list[tuple[str, NDArray[np.float32]]]:
    """Rows that a lookup found, decoded. What it knows of them is not read again."""
    taken = take_addresses(dataset, rows["_rowaddr"].to_numpy(), ["scales", "data"])
    for name in ("digest", "codec", "length"):
        taken = taken.append_column(name, rows[name])
    found = (row for batch in taken.to_batches() for row in rows_of(batch))
    blocks = in_parts(found, lambda row: 4 * dimension * row[2], _BLOCK)  # of memory that is decoded into
    return [pair for block in blocks for pair in _decoded_block(block, dimension)]


def rows_of(batch: pa.RecordBatch) -> Iterator[Row]:
    """The rows of a batch that has at least the columns of ``Row``."""
    digests, codecs, lengths, scales, data = (batch.column(name) for name in _COLUMNS)
    for i in range(batch.num_rows):
        scale = scales[i].as_buffer() if scales[i].is_valid else None
        yield digests[i].as_py(), codecs[i].as_py(), lengths[i].as_py(), scale, data[i].as_buffer()


def _decoded_block(rows: list[Row], dimension: int) -> list[tuple[str, NDArray[np.float32]]]:
    ends = np.cumsum([length for _, _, length, _, _ in rows])
    parts = np.split(new_memory(int(ends[-1]) * dimension).reshape(-1, dimension), ends[:-1])
    return [_decoded(row, out=part) for row, part in zip(rows, parts, strict=True)]


def _even(count: int, most: int) -> int:
    """The size of as few equal parts of so many as have no more than ``most`` each."""
    return -(-count // -(-count // most))


def _decoded(row: Row, *, out: NDArray[np.float32] | None = None) -> tuple[str, NDArray[np.float32]]:
    """Each row says how it is stored."""
    digest, codec, length, scales, data = row
    raw = None if scales is None else memoryview(scales)
    return digest, codec_named(codec).decode(memoryview(data), raw, length=length, out=out)
