"""Taking proteins out of a database, and residues that no protein has any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.store.changes import Changes
from protvec.store.filters import enclosed, in_lists
from protvec.store.tables import delete_rows, present, read, read_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protvec.store.entries import LogEntry


class Deleting(Changes):
    """Removals."""

    def delete(self, *, ids: Sequence[str] | None = None, where: str | None = None, run: LogEntry | None = None) -> int:
        """Remove proteins by id or by filter, and the residues that no protein refers to any more.

        Args:
            ids: Which, by id.
            where: Which, by filter.
            run: As for ``write``.

        Returns:
            The number of proteins removed.

        Raises:
            ValueError: Neither or both of ``ids`` and ``where`` are given.
            ProteinNotFoundError: Some of ``ids`` are not there; nothing is removed then.
            FilterError: The filter cannot be used.
        """
        if (ids is None) == (where is None):
            raise ValueError("give either ids or where")
        with self._writing:
            try:
                removed = self._delete(ids, where, run)
            finally:  # also of what another process added after it was looked for, or a killed deletion left
                self._sweep()
        if run is None:
            self.settle()
        return removed

    def _delete(self, ids: Sequence[str] | None, where: str | None, run: LogEntry | None) -> int:
        handle, residue_handle = self._newest()
        if ids is None:
            found = read(handle, where=enclosed(where), user=where, columns=["digest"])
            filters = [str(enclosed(where))] if found.num_rows else []
        else:
            ids = list(dict.fromkeys(ids))
            found = read_keys(handle, "id", ids, ["id", "digest"])
            self._check_found(handle, ids, found["id"].to_pylist())
            filters = list(in_lists("id", ids))
        if not filters:
            return 0
        if self._codec.keeps:  # a damaged table is found before anything is removed
            present(residue_handle, "digest", found["digest"].to_pylist())
        with self._part_of(run, "delete", ids=ids, where=where) as entry:
            before = entry.gained
            for sql in filters:
                entry.gained -= delete_rows(handle, sql)
            if self._codec.keeps:
                self._drop_orphans(sorted(set(found["digest"].to_pylist())))
            self._newest()
            return before - entry.gained

    def sweep(self) -> int:
        """Remove the residues that a killed ``write`` or ``delete`` left without a protein.

        Residues that another process is about to give a protein stay. Half-written files that nobody has written to
        for an hour go as well.

        Returns:
            The number of residue arrays removed.

        Raises:
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        with self._writing:
            return self._sweep()

    def drop_orphans(self, digests: Sequence[str]) -> int:
        """Remove the residues of those of these digests that no protein has.

        Returns:
            The number of residue arrays removed.

        Raises:
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        with self._writing:
            before = int(self._newest()[1].count_rows())
            self._drop_orphans(sorted(digests))
            return max(0, before - int(self._newest()[1].count_rows()))
