"""Putting proteins and their residues into a database."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from protvec.store.changes import Changes
from protvec.store.encoding import encoded
from protvec.store.inserting import insert
from protvec.store.packing import Packed
from protvec.store.rows import prepare
from protvec.store.schema import Description
from protvec.store.scoring.column import with_search
from protvec.store.segments.making import with_means
from protvec.store.tables import merge_counted, present, read_keys
from protvec.store.verify import check_commit, left_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import NDArray

    from protvec.store.entries import LogEntry
    from protvec.store.rows import Stored
    from protvec.store.tables import Merged


class Writing(Changes):
    """Inserts and replacements."""

    def write(
        self,
        proteins: pa.Table,
        residues: Iterable[tuple[str, NDArray[np.float32] | Stored]] | Packed,
        *,
        replace: bool = True,
        run: LogEntry | None = None,
        segments: Mapping[str, NDArray[np.float16]] | None = None,
    ) -> set[str]:
        """Insert proteins: one commit of each table, residues first.

        A kill between the two leaves residues that the next run of the same proteins uses.

        Args:
            proteins: Rows of ``proteins``; columns left out are null. ``protein_table`` makes one.
            residues: Digest and ndarray, shape=(L, D), dtype=float32, of each sequence in ``proteins`` that
                the database does not have yet; those it has are left alone. Consumed once. Not looked at
                where the codec is ``none``. In place of an array, one that another database keeps. Or what
                ``packing`` gave, of which those in ``proteins`` are taken.
            replace: Whether proteins whose id is known are replaced or left as they are.
            run: The run of the ledger that this is a part of; its ``gained`` and its count ``written`` are
                added to. Without one, this is a run of its own.
            segments: What ``segment_rule`` cut, by digest. Those of others are made from the residues that are stored.

        Returns:
            Ids that were known, and were left as they are.

        Raises:
            ValueError: Repeated keys, null or unknown columns, zero or NaN vectors, residues missing or of
                the wrong shape. Nothing is written then.
            DatabaseError: The disk, other writers that keep getting in first, a value that is too large
                for the codec, or the table has not what was written.
        """
        if not proteins.num_rows:
            return set()
        with self._writing, self._part_of(run, "write") as entry:
            handle, residue_handle = self._newest()
            self._take(Description.from_schema(handle.schema, path=self.path))  # another process may have recoded it
            table = prepare(proteins, handle.schema)
            digests = sorted(set(table["digest"].to_pylist()))
            having = self._add_residues(residue_handle, digests, residues) if self._codec.keeps else ()
            ids = table["id"].to_pylist()
            merged = self._merge(
                handle, lambda target: with_means(table, target, segments or {}, having), replace=replace
            )
            entry.gained += merged.inserted
            there = check_commit(merged, table, replaced=replace)
            alone = set() if replace else left_alone(merged, ids)
            entry.counts["written"] = entry.counts.get("written", 0) + table.num_rows - len(alone)
            if self._codec.keeps:
                now = set(there.values() if _is_newest(merged) else _digests(merged.newest, ids))
                self._restore(sorted(now.intersection(digests)), *having)
                before = set() if merged.inserted == len(ids) else _digests(handle, ids)
                self._drop_orphans(sorted(before.union(digests) - now))
            self._newest()
            return alone

    def replace_rows(self, rows: pa.Table) -> None:
        """Replace known proteins as they are given, with the search vectors of their own; nothing else changes.

        Raises:
            DatabaseError: The disk, or other writers that keep getting in first.
        """

        def whole(target: LanceDataset) -> pa.Table:
            return with_search(rows, target.schema, self._transforms).select(target.schema.names).cast(target.schema)

        with self._writing:
            merge_counted(self._newest()[0], "id", whole, replace=True)
            self._newest()

    def _merge(self, handle: LanceDataset, table: Callable[[LanceDataset], pa.Table], *, replace: bool) -> Merged:
        """Merge rows with their search vectors, also where another process begins to have some at the same time."""
        written: list[str] = []

        def rows(target: LanceDataset) -> pa.Table:
            made = with_search(table(target), target.schema, self._transforms)
            written[:] = made.column_names
            return made

        merged = merge_counted(handle, "id", rows, replace=replace)
        return merged._replace(newest=self._filled(merged.newest, but=written))

    def packing(self) -> Packed | None:
        """What residue arrays are gathered in for ``write``, encoded; None where this database keeps none."""
        return Packed(self._codec, self.space.dimension) if self._codec.keeps else None

    def note_precision(self, precision: str) -> None:
        """Record the arithmetic that the first vectors are made in; once it is recorded, it stays.

        Raises:
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        if self.precision is not None:
            return
        with self._writing:
            handle, _ = self._newest()
            description = Description.from_schema(handle.schema, path=self.path)
            if description.precision is None:
                self._describe(handle, dataclasses.replace(description, precision=precision))
            else:
                self._take(description)

    def _add_residues(
        self,
        handle: LanceDataset,
        digests: list[str],
        residues: Iterable[tuple[str, NDArray[np.float32] | Stored]] | Packed,
    ) -> tuple[LanceDataset, ...]:
        """Commit the arrays that the table lacks; handles on versions that have all of them between them.

        Not the newest: another process may have removed some by then.
        """
        rows = encoded(
            residues,
            self._codec,
            dimension=self.space.dimension,
            expected=set(digests),
            known=present(handle, "digest", digests),
            schema=handle.schema,
        )
        own = insert(handle, "digest", rows)
        return (handle,) if own is None else (handle, own)


def _is_newest(merged: Merged) -> bool:
    """Whether nobody has written since."""
    return bool(merged.newest.version == merged.own.version)


def _digests(handle: LanceDataset, ids: Sequence[str]) -> set[str]:
    """Of the proteins with those ids."""
    return set(read_keys(handle, "id", ids, ["digest"])["digest"].to_pylist())
