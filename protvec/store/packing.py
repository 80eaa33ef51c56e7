"""Residue arrays encoded into the memory of the record batches that are written: nothing is copied on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from protvec.errors import DatabaseError
from protvec.store.rows import Stored
from protvec.store.system import new_memory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.store.codec import Codec

    Array = NDArray[np.float32] | Stored

# Of a record batch. Lance writes small ones twice as fast as large ones: it copies them, and their copies stay in the
# processor's cache and in memory that is used again.
BATCH_BYTES = 4 << 20


class Packed:
    """The arrays of a commit as they will be stored, gathered one by one.

    Attributes:
        codec: What they are encoded with.
        nbytes: Of those encoded, without scales.
    """

    def __init__(self, codec: Codec, dimension: int) -> None:
        self.codec = codec
        self.nbytes = 0
        self._dimension = dimension
        self._blocks: list[Block] = []

    def add(self, digest: str, array: Array) -> None:
        """Encode an array, or take one as another database stores it.

        Args:
            digest: Of its sequence.
            array: ndarray, shape=(L, D), dtype=float32.

        Raises:
            ValueError: Another shape.
            DatabaseError: A value that the codec cannot hold.
        """
        size = encoded_size(digest, array, self.codec, self._dimension)
        if not self._blocks or self._blocks[-1].left < size:
            memory = new_memory(-(-max(size, BATCH_BYTES) // 4)).view(np.uint8)
            self._blocks.append(Block(self.codec, self._dimension, memory))
        self._blocks[-1].add(digest, array)
        self.nbytes += size

    @property
    def digests(self) -> list[str]:
        """Of the sequences, in the order in which they came."""
        return [digest for block in self._blocks for digest in block.digests]

    def batches(self, schema: pa.Schema, wanted: Collection[str]) -> Iterator[pa.RecordBatch]:
        """Rows of ``residues``, of those that are wanted."""
        for block in self._blocks:
            yield block.record_batch(schema, wanted)

    def rows(self) -> Iterator[tuple[str, Stored]]:
        """Each digest with its array as it is encoded."""
        return (row for block in self._blocks for row in block.rows())


class Block:
    """A piece of memory that arrays are encoded into, one after the other.

    Attributes:
        digests: Of those that are in it.
        left: Bytes that are free.
    """

    def __init__(self, codec: Codec, dimension: int, memory: NDArray[np.uint8]) -> None:
        self.digests: list[str] = []
        self.left = len(memory)
        self._codec, self._dimension, self._memory = codec, dimension, memory
        self._lengths: list[int] = []
        self._ends = [0]
        self._scales: list[NDArray[np.uint8]] = []

    def add(self, digest: str, array: Array) -> None:
        """As of ``Packed``; there must be room for it.

        Raises:
            DatabaseError: A value that the codec cannot hold.
        """
        length = array.length if isinstance(array, Stored) else len(array)
        begin = self._ends[-1]
        end = begin + length * self._codec.bytes_per_residue(self._dimension)
        scales = np.empty(self._codec.bytes_per_sequence(self._dimension), np.uint8)
        self._encode(digest, array, self._memory[begin:end], scales)
        self.digests.append(digest)
        self._lengths.append(length)
        self._ends.append(end)
        self._scales.append(scales)
        self.left -= end - begin

    def record_batch(self, schema: pa.Schema, wanted: Collection[str] | None = None) -> pa.RecordBatch:
        """Rows of ``residues`` in this memory; those that are wanted, if not all are, are copied."""
        import pyarrow as pa

        count = len(self.digests)
        scales = np.concatenate(self._scales) if self._scales else np.empty(0, np.uint8)
        each = self._codec.bytes_per_sequence(self._dimension)
        columns = {
            "digest": pa.array(self.digests, pa.string()),
            "length": pa.array(self._lengths, pa.int32()),
            "codec": pa.array([self._codec.name] * count, pa.string()),
            "scales": _binary(np.arange(count + 1) * each, scales) if each else pa.nulls(count, pa.large_binary()),
            "data": _binary(np.array(self._ends), self._memory[: self._ends[-1]]),
        }
        batch = pa.record_batch([columns[name] for name in schema.names], schema=schema)
        if wanted is None or all(digest in wanted for digest in self.digests):
            return batch
        return batch.filter(pa.array([digest in wanted for digest in self.digests]))

    def rows(self) -> Iterator[tuple[str, Stored]]:
        """Each digest with its array as it is encoded, in this memory."""
        for number, digest in enumerate(self.digests):
            data = self._memory[self._ends[number] : self._ends[number + 1]].data
            scales = self._scales[number].tobytes() or None
            yield digest, Stored(self._lengths[number], self._codec.name, scales, data)

    def _encode(self, digest: str, array: Array, codes: NDArray[np.uint8], scales: NDArray[np.uint8]) -> None:
        if isinstance(array, Stored):
            if array.codec == self._codec.name:
                codes[:] = np.frombuffer(array.data, np.uint8)
                scales[:] = np.frombuffer(array.scales or b"", np.uint8)
                return
            array = array.decode()
        try:
            self._codec.encode_into(array, codes, scales)
        except OverflowError as error:
            raise DatabaseError(f"{digest}: {error}; store another codec") from error


def encoded_size(digest: str, array: Array, codec: Codec, dimension: int) -> int:
    """Bytes that an array takes in a codec, without its scales.

    Raises:
        ValueError: It has not the shape of residues of that many dimensions.
    """
    if isinstance(array, Stored):
        if not array.fits(dimension):
            raise ValueError(f"residues of {digest}: not {array.length} of dimension {dimension} in {array.codec}")
        return array.length * codec.bytes_per_residue(dimension)
    if array.ndim != 2 or array.shape[1] != dimension or not len(array):
        raise ValueError(f"residues of {digest}: shape {array.shape} is not (L, {dimension})")
    return len(array) * codec.bytes_per_residue(dimension)


def _binary(offsets: NDArray[np.int64], memory: NDArray[np.uint8]) -> pa.Array:
    """The Arrow column whose values lie between the offsets, in that memory."""
    import pyarrow as pa

    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(memory)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)
