"""Snapshots of an open database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.store import snapshots
from protvec.store.changes import Changes

if TYPE_CHECKING:
    from protvec.store.snapshots import Snapshot


class Versioning(Changes):
    """Making, forgetting and restoring snapshots."""

    def snapshot(self, name: str) -> Snapshot:
        """Keep the present version readable under a name, whatever happens to the database later.

        Raises:
            QueryError: The name cannot be used, or is taken.
            DatabaseError: The disk, or proteins without their residues.
        """
        snapshots.check_name(name)
        self.migrate()
        with self._writing:
            return snapshots.make(self._newest, self.path, name)

    def delete_snapshot(self, name: str) -> None:
        """Forget a snapshot; a compaction frees what only it kept.

        Raises:
            SnapshotNotFoundError: There is none of that name; names similar ones.
        """
        with self._writing:
            snapshots.remove(self._newest(), self.path, name)

    def restore(self, name: str) -> str:
        """Make the content of a snapshot that of the database, as a new version.

        What was there becomes a snapshot of its own first. Proteins that another process adds meanwhile stay.

        Returns:
            The name of the snapshot that has what was there before: the same where there is nothing to do.

        Raises:
            SnapshotNotFoundError: There is none of that name; names similar ones.
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        with self._writing:
            description, _ = snapshots.checkout(self._newest(), self.path, name)
            if snapshots.is_at(self._newest(), name):
                before = name
            else:
                with self.ledger.running("restore", options={"snapshot": name}) as entry:
                    before = snapshots.make_backup(self._newest, self.path)
                    entry.options["before"] = before
                    entry.gained = snapshots.restore(self._newest, name)
                    self._newest()
                    self._take(description)
                    self.migrate()  # the snapshot may be older than the ledger
        self.settle()
        return before
