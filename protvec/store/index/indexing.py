"""Building, refreshing and dropping the indexes of a database."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError, QueryError
from protvec.store.changes import Changes
from protvec.store.index import parts, vectors
from protvec.store.index.record import KEY, KINDS, VECTOR_INDEX, IndexInfo, Record, indexes_of, record_of, usable
from protvec.store.memory import bytes_coded
from protvec.store.scoring import scoring_of
from protvec.store.sweep import remove_unfinished_indexes
from protvec.store.tables import commit

if TYPE_CHECKING:
    from collections.abc import Callable

    from lance import LanceDataset

    from protvec.store.index.parts import IndexWorkers

# Columns that conditions are about, and what suits them. Below so many rows lance reads the column as quickly.
_SCALAR = {
    "id": "BTREE",
    "length": "BTREE",
    "digest": "BTREE",
    "taxid": "BITMAP",
    "organism": "BITMAP",
    "dataset": "BITMAP",
}
SCALAR_ROWS = 100_000
# An index that lacks more than this share of the rows, and at least so many, is extended after an ingest.
_BEHIND, _BEHIND_ROWS = 0.1, 10_000


class Indexing(Changes):
    """The indexes of ``proteins``."""

    def indexes(self) -> list[IndexInfo]:
        """The indexes that there are, with the rows that each covers."""
        return indexes_of(self._current()[0])

    def index(
        self,
        kind: str = "auto",
        *,
        target_recall: float | None = None,
        notify: Callable[[str], None] | None = None,
        workers: IndexWorkers | None = None,
    ) -> list[IndexInfo]:
        """Build the indexes that a database of this size is to have, and have it keep to that.

        An index of vectors is tuned: it looks into as few of its parts as reach the recall on vectors of this
        database. Other processes read and write meanwhile.

        Args:
            kind: ``auto``: an index of vectors where their bytes do not fit the memory for searches; ``exact``: none;
                or ``ivf_flat`` or ``ivf_sq``.
            target_recall: The share of the true ten nearest that it should find; 0.98 unless it was said before.
            notify: Called with a line of text for each that is built.
            workers: Who builds the index of vectors, in parts; this process, as one, by default.

        Raises:
            QueryError: An unknown kind, or a recall that is not above 0 and at most 1.
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        if kind not in KINDS:
            raise QueryError(f"there is no index {kind!r}: take {', '.join(KINDS)}")
        if target_recall is not None and not 0 < target_recall <= 1:
            raise QueryError(f"the recall to reach is {target_recall:g}: it must be above 0 and at most 1")
        self.migrate()
        say = notify or (lambda _: None)
        before = record_of(self._newest()[0])
        target = before.target if target_recall is None else target_recall
        remove_unfinished_indexes(self._newest()[0])
        self._build_scalar(say)
        self._build_vector(Record(kind=kind, target=target), say, workers)
        return indexes_of(self._newest()[0])

    def drop_indexes(self) -> int:
        """Remove all indexes, and build none until ``index`` is called: every search is exact.

        Returns:
            How many there were.

        Raises:
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        self.migrate()
        names = [index.name for index in self._newest()[0].describe_indices()]
        for name in names:
            self._drop(name)
        self._note(Record(kind="exact"))
        return len(names)

    def keep_indexes(self, notify: Callable[[str], None] | None = None) -> None:
        """Build what pays by now, and extend what has fallen behind; an ingest calls this at its end.

        What cannot be done now, because of the disk or of other writers, is left for the next time.
        """
        say = notify or (lambda _: None)
        with suppress(DatabaseError):
            handle = self._newest()[0]
            record = record_of(handle)
            if record.kind == "auto" and record.built is None and self._chosen(handle, "auto"):
                self._build_scalar(say)
                self._build_vector(record, say)
            elif record.built and usable(handle, scoring_of(handle.schema).column) is None:
                self._build_vector(record, say)  # of another search space than that of now
            elif any(self._behind(each) for each in indexes_of(handle)):
                say("adding the new proteins to the indexes")
                commit(handle, lambda target: target.optimize.optimize_indices())
                self._newest()

    def _behind(self, index: IndexInfo) -> bool:
        return index.pending > max(_BEHIND_ROWS, _BEHIND * index.indexed)

    def _chosen(self, handle: LanceDataset, kind: str) -> str | None:
        """The index of vectors to build, if any."""
        if kind == "auto":
            fits = bytes_coded(int(handle.count_rows()), self.space.dimension) <= self.search_memory
            return None if fits else "ivf_sq"
        return None if kind == "exact" else kind

    def _build_scalar(self, say: Callable[[str], None]) -> None:
        handle = self._newest()[0]
        if int(handle.count_rows()) < SCALAR_ROWS:
            return
        there = {name for index in handle.describe_indices() for name in index.field_names}
        for column, kind in _SCALAR.items():
            if column not in there:
                say(f"indexing {column}")
                commit(handle, partial(_index_column, column=column, kind=kind))
        self._newest()

    def _build_vector(self, wanted: Record, say: Callable[[str], None], workers: IndexWorkers | None = None) -> None:
        handle = self._newest()[0]
        kind = self._chosen(handle, wanted.kind) if handle.count_rows() else None
        if kind is None:
            if any(index.name == VECTOR_INDEX for index in handle.describe_indices()):
                self._drop(VECTOR_INDEX)
            self._note(dataclasses.replace(wanted, built=None, recall=None))
            return
        handle = self._filled(handle)
        say(f"indexing {handle.count_rows():,} vectors ({kind})")
        column = scoring_of(handle.schema).column
        if workers is None:
            handle, _ = commit(handle, lambda target: vectors.build(target, kind, scoring_of(target.schema).column))
        else:
            handle = parts.build(handle, kind, column, storage=self.location.storage, workers=workers)
        record = vectors.tuned(handle, dataclasses.replace(wanted, built=kind), scoring_of(handle.schema).column)
        self._note(record)
        say(f"{kind}: recall@10 {record.recall:.3f} measured on this database, target {record.target:g}")

    def _drop(self, name: str) -> None:
        commit(self._newest()[0], lambda target: target.drop_index(name))
        self._newest()

    def _note(self, record: Record) -> None:
        commit(self._newest()[0], lambda target: target.update_config({KEY: record.to_json()}))
        self._newest()


def _index_column(dataset: LanceDataset, *, column: str, kind: str) -> None:
    dataset.create_scalar_index(column, kind, name=f"protvec_{column}")
