"""Inserting rows by key at the speed of an append, and the rows that two processes inserted at once."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError
from protvec.store import durable
from protvec.store.filters import KEYS_PER_FILTER, LANCE_ERRORS, in_lists
from protvec.store.tables import commit, failure, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa
    from lance import LanceDataset


def insert(dataset: LanceDataset, key: str, batches: Iterable[pa.RecordBatch]) -> LanceDataset | None:
    """Append rows whose keys the table lacks, in one commit, while they are being made.

    Lance's own ``merge_insert`` takes three times as long, as it joins the rows with the table and copies them on the
    way. It would notice that another process inserts the same keys at the same time; an append does not. So
    the version that the append is based on is looked at afterwards: where it has some of the keys already, the later
    of two rows goes. Until then there are two alike, which no reader minds; where a kill comes between,
    ``remove_doubled`` in the next run sees to them.

    Args:
        dataset: A handle on a version that has none of the keys.
        key: The column.
        batches: The rows, keys all different. What is raised by it ends the insertion, with nothing written.

    Returns:
        A handle on the version with the rows; None where there were none.
    """
    staged = _Staged(dataset, key, batches)
    if not staged.keys:
        return None
    newest, own = commit(dataset, staged.append)
    if own.version != dataset.version + 1:  # others wrote meanwhile
        remove_doubled(newest, key, staged.keys)
    return own


class _Staged:
    """Rows in files that no version has yet, safe on the disk."""

    def __init__(self, dataset: LanceDataset, key: str, batches: Iterable[pa.RecordBatch]) -> None:
        import pyarrow as pa
        from lance.fragment import write_fragments

        self.keys: list[str] = []
        self._key = key
        self._error: BaseException | None = None
        rows = self._watched(batches)
        try:
            if (first := next(rows, None)) is None:
                return
            reader = pa.RecordBatchReader.from_batches(first.schema, itertools.chain([first], rows))
            before = durable.files(dataset.uri)
            self._fragments = write_fragments(reader, dataset, mode="append")
            durable.sync(dataset.uri, before)
        except LANCE_ERRORS as error:
            if self._error is not None:  # lance wraps what the batches raised
                raise self._error from error
            raise DatabaseError(f"{dataset.uri}: cannot be written: {failure(error)}") from error

    def _watched(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches, their keys and the error that ends them noted."""
        try:
            for batch in batches:
                if not batch.num_rows:
                    continue
                self.keys += batch.column(self._key).to_pylist()
                yield batch
        except BaseException as error:
            self._error = error
            raise

    def append(self, target: LanceDataset) -> LanceDataset:
        """Have a version with them."""
        import lance

        operation = lance.LanceOperation.Append(self._fragments)
        return lance.LanceDataset.commit(target, operation, read_version=target.version)


def remove_doubled(dataset: LanceDataset, key: str, keys: Sequence[str]) -> int:
    """Remove all but the first of the rows with the same key, of those keys; how many.

    Two processes that do it at once remove the same rows.
    """
    import pyarrow as pa

    def change(target: LanceDataset) -> int:
        parts = [read(target, where=part, columns=[key], with_row_address=True) for part in in_lists(key, keys)]
        rows = pa.concat_tables(parts).sort_by("_rowaddr")
        first = rows.group_by(key).aggregate([("_rowaddr", "min")])["_rowaddr_min"]
        later = sorted(set(rows["_rowaddr"].to_pylist()).difference(first.to_pylist()))
        for start in range(0, len(later), KEYS_PER_FILTER):
            target.delete(f"_rowaddr IN ({', '.join(map(str, later[start : start + KEYS_PER_FILTER]))})")
        return len(later)

    return commit(dataset, change)[1] if keys else 0
