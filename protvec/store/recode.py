"""Changing the codec of residue arrays that are there, in steps that a kill cannot spoil.

The database first says that it has the new codec, so that writers use it from then on; then the rows are
replaced, part by part. A row carries its own codec: at every moment all of them can be read, and what a kill
left undone is found by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.errors import DatabaseError, QueryError
from protvec.store.arrays import read_arrays
from protvec.store.codec import CODECS, bytes_per_residue, bytes_per_sequence
from protvec.store.encoding import encoded
from protvec.store.filters import in_lists, quote
from protvec.store.location import free_bytes
from protvec.store.parts import in_parts
from protvec.store.tables import delete_rows, read, update
from protvec.words import size as in_words

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import pyarrow as pa
    from lance import LanceDataset

    from protvec.store.view import Handles

# Of float32 arrays: what a step holds in memory, several times over, and writes in one commit.
_PART_BYTES = 128 << 20
_SPARE = 64 << 20  # of disk, beside the arrays themselves


def check(path: str, present: str, codec: str) -> None:
    """Refuse what cannot be done.

    Raises:
        QueryError: The database has no residue arrays that could be given a codec.
    """
    if present == "none" != codec:
        raise QueryError(
            f"{path} keeps no residue arrays (codec none), so there are none to recode: "
            f"ingest its FASTA files into a new database with --residues {codec}"
        )


def is_finer(codec: str, than: str) -> bool:
    """Whether a codec keeps more than another: what the other lost does not come back with it."""
    return list(CODECS).index(codec) < list(CODECS).index(than)


def pending(residues: LanceDataset, codec: str) -> pa.Table:
    """Digest and length of the arrays that are in another codec."""
    return read(residues, where=f"codec != {quote(codec)}", columns=["digest", "length"])


def check_space(path: str, rows: pa.Table, codec: str, dimension: int) -> None:
    """Refuse what will not fit: the old arrays stay on the disk until the end, beside the new ones.

    Raises:
        DatabaseError: Says how much is missing.
    """
    import pyarrow.compute as pc

    length = pc.sum(rows["length"]).as_py() or 0
    per_row = bytes_per_sequence(codec, dimension)
    arrays = int(length * bytes_per_residue(codec, dimension) + rows.num_rows * per_row)
    free = free_bytes(path)
    if arrays and free is not None and arrays + _SPARE > free:  # of none there are none: it makes room
        raise DatabaseError(
            f"{path}: {codec} needs {in_words(arrays + _SPARE)} beside the present arrays, {in_words(_SPARE)} of that "
            f"to spare, and {in_words(free)} are free on that disk: make room first"
        )


def run(
    newest: Callable[[], Handles],
    lock: AbstractContextManager[object],
    codec: str,
    dimension: int,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Replace, or with ``none`` remove, every array of another codec; how many these were.

    Args:
        newest: Gives handles on the newest version.
        lock: Held for each part: other threads may write between two of them.
        codec: The new one.
        dimension: D.
        progress: Called with the arrays done so far, and all that there are to do.
    """
    done = 0
    while (rows := pending(newest()[1], codec)).num_rows:  # again, for what a writer has added in the old codec
        total = done + rows.num_rows
        arrays = zip(rows["digest"].to_pylist(), rows["length"].to_pylist(), strict=True)
        for part in in_parts(arrays, lambda pair: 4 * pair[1] * dimension, _PART_BYTES):
            with lock:
                _recode(newest()[1], [digest for digest, _ in part], codec, dimension)
            done += len(part)
            if progress:
                progress(done, total)
    return done


def _recode(residues: LanceDataset, digests: list[str], codec: str, dimension: int) -> None:
    """One part, in one commit; arrays that were deleted meanwhile stay deleted."""
    if not CODECS[codec].keeps:
        for sql in in_lists("digest", digests):
            delete_rows(residues, sql)
        return
    import pyarrow as pa

    arrays = read_arrays(residues, digests, dimension=dimension)
    rows = encoded(
        arrays.items(), CODECS[codec], dimension=dimension, expected=arrays.keys(), known=(), schema=residues.schema
    )
    update(residues, "digest", pa.Table.from_batches(rows, schema=residues.schema))
