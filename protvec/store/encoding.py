"""Residue arrays as a stream of rows of ``residues``: some are encoded while others are being written."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from protvec.errors import DatabaseError
from protvec.store.packing import BATCH_BYTES, Block, Packed, encoded_size
from protvec.store.parts import in_parts
from protvec.store.rows import refuse_repeats
from protvec.store.system import THREADS, keep_memory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from concurrent.futures import Future

    import pyarrow as pa

    from protvec.store.codec import Codec
    from protvec.store.packing import Array

_AHEAD = 2 * THREADS  # record batches that are encoded, or being encoded, before they are asked for


def encoded(
    residues: Iterable[tuple[str, Array]] | Packed,
    codec: Codec,
    *,
    dimension: int,
    expected: Collection[str],
    known: Collection[str],
    schema: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    """Rows of ``residues``, in bounded memory; arrays that are known are left alone.

    Args:
        residues: Digest and array; or those of a commit, of which the expected ones are taken.
        codec: What to encode them with; what is in it already stays as it is.
        dimension: D.
        expected: The digests that there must be.
        known: Those of them that need not be written.
        schema: Of the table.

    Raises:
        ValueError: A digest that was not expected, is repeated, or a wrong shape.
        DatabaseError: A value that the codec cannot hold; at the end, no residues of some protein.
    """
    keep_memory()
    given: list[str] = []
    if isinstance(residues, Packed):
        given, wanted = residues.digests, set(expected).difference(known)
        if residues.codec.name == codec.name:
            yield from residues.batches(schema, wanted)
        else:  # another process has recoded the database meanwhile
            rows = ((digest, array) for digest, array in residues.rows() if digest in wanted)
            yield from _in_threads(rows, codec, dimension, schema)
    else:
        yield from _in_threads(_new(residues, given, expected, known), codec, dimension, schema)
    refuse_repeats(given, "digest")
    if missing := set(expected).difference(known, given):
        # Also what happens when another process deletes the sequence that was to be reused.
        raise DatabaseError(f"no residues of {len(missing)} sequences, such as {min(missing)}: run it again")


def _in_threads(
    rows: Iterable[tuple[str, Array]], codec: Codec, dimension: int, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Record batches in the order of the rows, some of them encoded before they are asked for."""
    running: deque[Future[pa.RecordBatch]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for part in in_parts(rows, lambda pair: pair[1].nbytes, BATCH_BYTES):
            running.append(pool.submit(_record_batch, part, codec, dimension, schema))
            if len(running) > _AHEAD:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _new(
    residues: Iterable[tuple[str, Array]], given: list[str], expected: Collection[str], known: Collection[str]
) -> Iterator[tuple[str, Array]]:
    """Arrays that are to be written; the digests of all are noted in ``given``."""
    for digest, array in residues:
        given.append(digest)
        if digest in known:
            continue
        if digest not in expected:
            raise ValueError(f"residues of {digest}, which no protein of this batch has")
        yield digest, array


def _record_batch(part: list[tuple[str, Array]], codec: Codec, dimension: int, schema: pa.Schema) -> pa.RecordBatch:
    """Rows whose bytes are encoded into the memory of the record batch itself."""
    size = sum(encoded_size(digest, array, codec, dimension) for digest, array in part)
    block = Block(codec, dimension, np.empty(size, np.uint8))
    for digest, array in part:
        block.add(digest, array)
    return block.record_batch(schema)
