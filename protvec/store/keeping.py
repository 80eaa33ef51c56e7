"""Keeping a database small: joining fragments, removing old versions, changing the codec."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError
from protvec.store import recode
from protvec.store.changes import Changes
from protvec.store.codec import codec_named
from protvec.store.schema import LEDGER, PROTEINS, RESIDUES, Description
from protvec.store.tables import latest
from protvec.store.upkeep import KEEP_SECONDS, clean, compact, maintain

if TYPE_CHECKING:
    from collections.abc import Callable

    from lance import LanceDataset


class Keeping(Changes):
    """Maintenance."""

    def compact(self, *, keep_seconds: float = KEEP_SECONDS) -> None:
        """Join small fragments, drop deleted rows, and remove versions older than ``keep_seconds``.

        The work is bounded: what is already compact is not rewritten. Snapshots stay. A reader in another
        process goes on undisturbed as long as no single read of it takes longer than ``keep_seconds``.

        Raises:
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        self.migrate()
        with self._writing:
            self._sweep()
            self._each_table(lambda handle, name: compact(handle, name, keep_seconds=keep_seconds))

    def maintain(self) -> None:
        """Do some of ``compact`` where it pays by now; an ingest calls this after each commit.

        What cannot be done now, because of the disk or of other writers, is left for the next time.
        """
        since = self._maintained
        with suppress(DatabaseError), self._writing:
            self._maintained = self._each_table(lambda handle, name: maintain(handle, name, since=since.get(name)))

    def recode(
        self,
        codec: str,
        *,
        keep_seconds: float = KEEP_SECONDS,
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Change the codec of the database, and of every array in it. A kill does no harm: the next call goes on.

        What is read and written meanwhile, here or by other processes, is right at every moment. Arrays of a
        finer codec become no better than they were. ``none`` removes them. Snapshots keep theirs.

        Args:
            codec: Its name.
            keep_seconds: Versions older than that are removed at the end.
            progress: Called with the arrays done so far, and all that there are to do.

        Returns:
            The number of arrays that were changed or removed.

        Raises:
            QueryError: An unknown codec, or there are no arrays (codec ``none``).
            DatabaseError: The disk, too little room on it, or other writers that keep getting in first.
        """
        self.check_writable()
        recode.check(self.path, self.codec, codec_named(codec).name)
        rows = recode.pending(self._newest()[1], codec)
        recode.check_space(self.path, rows, codec, self.space.dimension)
        with self.ledger.running("recode", options={"from": self.codec, "to": codec}) as entry:
            self._note_codec(codec)
            done = recode.run(self._newest, self._writing, codec, self.space.dimension, progress)
            entry.counts["arrays"] = done
        with self._writing:
            self._each_table(lambda handle, _: clean(handle, keep_seconds=keep_seconds))
        self.settle()
        return done

    def _note_codec(self, codec: str) -> None:
        """Have everybody write this codec from now on."""
        with self._writing:
            handle, _ = self._newest()
            description = Description.from_schema(handle.schema, path=self.path)
            if description.codec != codec:
                self._describe(handle, dataclasses.replace(description, codec=codec))

    def _each_table(self, work: Callable[[LanceDataset, str], None]) -> dict[str, int]:
        """Do something to the newest version of each table; their versions after it."""
        proteins, residues = self._newest()
        tables = {PROTEINS: proteins, RESIDUES: residues, LEDGER: self.ledger.table()}
        there = {name: handle for name, handle in tables.items() if handle is not None}
        for name, handle in there.items():
            work(handle, name)
        self._newest()
        return {name: latest(handle).version for name, handle in there.items()}
