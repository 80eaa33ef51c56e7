"""Tables beside databases: records that are to be embedded, and words that several processes must agree on.

A commit of lance happens once, on a disk (a hard link) as in an object store (put if absent): of several processes that
make the same table, one does. That is what this rests on.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from protvec.store.filters import LANCE_ERRORS, explain
from protvec.store.schema import METADATA_KEY
from protvec.store.tables import create_table, open_table
from protvec.store.writable import check_writable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa
    from lance import LanceDataset

    from protvec.store.location import Location

_ROWS = 1_024  # in a batch


class Work:
    """An open table of records; it is never changed.

    Attributes:
        about: The text that it was made with.
    """

    def __init__(self, dataset: LanceDataset, about: str) -> None:
        """Use ``open_work``."""
        self.about = about
        self._dataset = dataset

    def rows(self, first: int, count: int) -> Iterator[pa.RecordBatch]:
        """So many rows from one on, in their order, in bounded memory.

        Raises:
            DatabaseError: They cannot be read.
        """
        if not count:
            return
        try:
            scanner = self._dataset.scanner(offset=first, limit=count, batch_size=_ROWS, scan_in_order=True)
            yield from scanner.to_batches()
        except LANCE_ERRORS as error:
            raise explain(error, self._dataset, None) from error


def create_work(where: Location, schema: pa.Schema, batches: Iterable[pa.RecordBatch], about: str) -> bool:
    """Make a table of records in one commit; False if there is one already.

    What a creation that was killed has left there does no harm, and may be another's that is under way: it stays.

    Raises:
        DatabaseError: The place takes no commits, or the disk is full.
    """
    import pyarrow as pa

    where.parent.make()
    check_writable(where.parent)
    if open_table(where) is not None:
        return False
    schema = schema.with_metadata({METADATA_KEY: about})
    rows = (batch.replace_schema_metadata(schema.metadata) for batch in batches)
    return create_table(where, schema, pa.RecordBatchReader.from_batches(schema, rows))


def open_work(where: Location) -> Work | None:
    """The table; None where there is none."""
    dataset = open_table(where)
    if dataset is None:
        return None
    return Work(dataset, (dataset.schema.metadata or {}).get(METADATA_KEY, b"").decode())


def note_once(where: Location, text: str) -> str:
    """Leave a word at a place, unless somebody has left one before; the word that is there then."""
    import pyarrow as pa

    create_table(where, pa.schema([pa.field("word", pa.string())], metadata={METADATA_KEY: text}))
    return noted(where) or text


def noted(where: Location) -> str | None:
    """The word at a place; None where there is none."""
    work = open_work(where)
    return None if work is None else work.about


def remove(where: Location) -> None:
    """Remove a table, or a directory of tables, with all that is in it; nothing happens where there is none."""
    import lance

    if where.is_local:
        shutil.rmtree(Path(where.path), ignore_errors=True)
        return
    for name in sorted(where.entries()):
        if name.endswith((".lance", ".lancedb")) and not where.name.endswith(".lance"):
            remove(where.join(name))
    if where.name.endswith(".lance") and open_table(where) is not None:
        lance.LanceDataset.drop(where.path, where.storage or {})
