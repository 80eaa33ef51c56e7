"""Residue arrays as a stream of rows of ``residues``: some are encoded while others are being written."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from protvec.errors import DatabaseError
from protvec.store.parts import in_parts
from protvec.store.rows import Stored, refuse_repeats
from protvec.store.system import THREADS, keep_memory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from concurrent.futures import Future

    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.store.codec import Codec

    Array = NDArray[np.float32] | Stored

# Of float32 that are encoded into one record batch. Lance writes small ones twice as fast as large ones: it copies
# them, and their copies stay in the processor's cache and in memory that is used again.
_BATCH_BYTES = 4 << 20
_AHEAD = 2 * THREADS  # record batches that are encoded, or being encoded, before they are asked for


def encoded(
    residues: Iterable[tuple[str, Array]],
    codec: Codec,
    *,
    dimension: int,
    expected: Collection[str],
    known: Collection[str],
    schema: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    """Rows of ``residues``, in bounded memory; arrays that are known are left alone.

    Args:
        residues: Digest and array.
        codec: What to encode them with; one that is ``Stored`` in it stays as it is.
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
    running: deque[Future[pa.RecordBatch]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for part in in_parts(_new(residues, given, expected, known), lambda pair: pair[1].nbytes, _BATCH_BYTES):
            running.append(pool.submit(_record_batch, part, codec, dimension, schema))
            if len(running) > _AHEAD:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    refuse_repeats(given, "digest")
    if missing := set(expected).difference(known, given):
        # Also what happens when another process deletes the sequence that was to be reused.
        raise DatabaseError(f"no residues of {len(missing)} sequences, such as {min(missing)}: run it again")


def packed(digest: str, array: NDArray[np.float32], codec: Codec) -> Stored | None:
    """One array in the codec; None where that keeps nothing.

    Raises:
        DatabaseError: A value that the codec cannot hold.
    """
    if not codec.keeps:
        return None
    try:
        data, scales = codec.encode(array)
    except OverflowError as error:
        raise DatabaseError(f"{digest}: {error}; store another codec") from error
    return Stored(len(array), codec.name, scales, data)


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
    import pyarrow as pa

    arrays = [_checked(digest, array, codec, dimension) for digest, array in part]
    lengths = [array.length if isinstance(array, Stored) else len(array) for array in arrays]
    data, data_column = _binary([length * codec.bytes_per_residue(dimension) for length in lengths])
    scales, scales_column = _binary([codec.bytes_per_sequence(dimension)] * len(part))
    for (digest, _), array, codes, scale in zip(part, arrays, data, scales, strict=True):
        if isinstance(array, Stored):
            codes[:] = np.frombuffer(array.data, np.uint8)
            scale[:] = np.frombuffer(array.scales or b"", np.uint8)
            continue
        try:
            codec.encode_into(array, codes, scale)
        except OverflowError as error:
            raise DatabaseError(f"{digest}: {error}; store another codec") from error
    columns = {
        "digest": pa.array([digest for digest, _ in part]),
        "length": pa.array(lengths, pa.int32()),
        "codec": pa.array([codec.name] * len(part)),
        "scales": scales_column if codec.bytes_per_sequence(dimension) else pa.nulls(len(part), pa.large_binary()),
        "data": data_column,
    }
    return pa.record_batch([columns[name] for name in schema.names], schema=schema)


def _checked(digest: str, array: Array, codec: Codec, dimension: int) -> Array:
    if isinstance(array, Stored):
        if array.codec == codec.name and array.fits(dimension):
            return array
        array = array.decode()
    if array.ndim != 2 or array.shape[1] != dimension or not len(array):
        raise ValueError(f"residues of {digest}: shape {array.shape} is not (L, {dimension})")
    return array


def _binary(sizes: list[int]) -> tuple[list[NDArray[np.uint8]], pa.Array]:
    """Pieces of memory of those sizes, and the Arrow column that they are the values of."""
    import pyarrow as pa

    offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    memory = np.empty(offsets[-1], np.uint8)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(memory)]
    column = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(sizes), buffers)
    return np.split(memory, offsets[1:-1]), column
