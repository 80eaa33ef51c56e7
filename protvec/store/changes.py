"""What everything that changes a database shares: one writer at a time, the ledger, and no orphans."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from protvec.errors import ColumnGoneError
from protvec.store import layout
from protvec.store.filters import in_lists
from protvec.store.inserting import insert, remove_doubled
from protvec.store.ledger import Ledger
from protvec.store.reader import Reader
from protvec.store.schema import METADATA_KEY, SCHEMA_VERSION, Description
from protvec.store.scoring.column import derived, fill
from protvec.store.scoring.record import SEGMENTS, key_of
from protvec.store.segments.making import fill_means
from protvec.store.segments.rule import rule_of
from protvec.store.sweep import forsaken, is_exact, remove_temporary, remove_unfinished_indexes, repeated
from protvec.store.tables import commit, delete_rows, present, read_keys
from protvec.store.writable import WriteLock

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from contextlib import AbstractContextManager

    from lance import LanceDataset, Session

    from protvec.store.entries import LogEntry
    from protvec.store.location import Location
    from protvec.store.view import Handles


class Changes(Reader):
    """A database that can be changed; the changes themselves are in the classes made of this one."""

    def __init__(
        self,
        location: Location,
        description: Description,
        handles: Handles,
        *,
        seconds: float,
        session: Session,
        at: str | None = None,
    ) -> None:
        """Use ``Store.create`` or ``Store.open``."""
        super().__init__(location, description, handles, seconds=seconds, at=at)
        self.ledger = Ledger(location, self.space, session=session, upgrade=self.migrate)
        self._writing = WriteLock(location)
        self._maintained: dict[str, int] = {}  # versions

    def migrate(self) -> bool:
        """Bring a database of an older schema version to this one; whether there was anything to do.

        Every write does it first. Readers of older versions of protvec refuse the database from then on.

        Raises:
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        self.check_writable()
        if self.schema_version >= SCHEMA_VERSION:
            return False
        handle = layout.migrate(self.location, self._newest()[0], self.ledger)
        self.schema_version = Description.from_schema(handle.schema, path=self.path).schema_version
        return True

    def check_writable(self) -> None:
        """Check that this is the newest version and lies where commits are possible.

        Raises:
            DatabaseError: It was opened at a snapshot; the directory is read-only; its file system has no hard links.
        """
        self._refuse_at_snapshot()
        self._writing.check()

    def settle(self) -> int:
        """Close the ledger's rows of runs that were killed, with the proteins that they left; how many there were.

        Nothing is done while any other run is under way: what that has added it has not said yet.

        Raises:
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        if self.ledger.table() is None:
            return 0
        before = self.ledger.accounts()
        if before.running or not before.killed:
            return 0
        rows = self._newest()[0].count_rows()
        accounts = self.ledger.accounts()
        if accounts.version != before.version:
            return 0  # somebody has begun or ended meanwhile; the next run comes
        self.ledger.settle_all(accounts.killed, rows - accounts.gained)
        return len(accounts.killed)

    def _part_of(self, run: LogEntry | None, command: str, **options: object) -> AbstractContextManager[LogEntry]:
        """The run given, or one of its own."""
        return self.ledger.running(command, options=options) if run is None else nullcontext(run)

    def _describe(self, handle: LanceDataset, description: Description) -> None:
        """Commit what the database says about itself."""
        metadata = {METADATA_KEY.decode(): description.to_json()}
        commit(handle, lambda target: target.update_schema_metadata(metadata))
        self._newest()
        self._take(description)

    def _filled(self, handle: LanceDataset, *, but: Collection[str] = ()) -> LanceDataset:
        """A handle on a version in which every row has what is made of others; some columns are complete already."""
        try:
            return self._fill_all(handle, but)
        except ColumnGoneError:  # what is there in its place, if anything, is to be filled as well
            return self._filled(self._newest()[0], but=but)

    def _fill_all(self, handle: LanceDataset, but: Collection[str]) -> LanceDataset:
        """As ``_filled``, of the columns that the handle has.

        Raises:
            ColumnGoneError: The newest version lacks one of them.
        """
        rule = rule_of(handle.schema)
        if rule is not None and SEGMENTS not in but:
            residues = self._newest()[1] if self._codec.keeps else None
            handle = fill_means(handle, rule, self.space.dimension, residues)
        for column in handle.schema.names:
            if column not in but and (key := key_of(column)) is not None:
                handle = fill(handle, derived(column, self._transforms.get(key)))
        return handle

    def _sweep(self) -> int:
        handles = self._newest()
        for handle in handles:
            remove_temporary(handle.uri)
        remove_unfinished_indexes(handles[0])
        if not self._codec.keeps:
            return 0
        if is_exact(*handles):
            return 0
        remove_doubled(handles[1], "digest", repeated(handles[1]))
        left = forsaken(*self._newest())
        if left:
            self._drop_orphans(left)
            self._newest()
        return len(left)

    def _drop_orphans(self, digests: list[str]) -> None:
        """Remove the residues of these digests unless a protein has them.

        Another process may add such a protein at the same time, relying on the residues. It looks again
        after its commit (``_restore`` in ``write``), and so does this after its own: whichever looks last
        sees the other. Only what this handle has is removed: else there would be nothing to put back from.
        """
        if not digests:
            return
        handle, residue_handle = self._newest()
        orphans = sorted(present(residue_handle, "digest", digests) - present(handle, "digest", digests))
        for sql in in_lists("digest", orphans):
            delete_rows(residue_handle, sql)
        if orphans:
            handle, _ = self._newest()
            self._restore(sorted(present(handle, "digest", orphans)), residue_handle)

    def _restore(self, digests: list[str], *versions: LanceDataset) -> None:
        """Put residues that another process has just removed back, from versions that have them between them."""
        _, residue_handle = self._newest()
        if _nothing_since(residue_handle, versions):
            return
        missing = sorted(set(digests) - present(residue_handle, "digest", digests))
        for version in versions:
            if missing:
                rows = read_keys(version, "digest", missing, residue_handle.schema.names)
                insert(residue_handle, "digest", rows.cast(residue_handle.schema).to_batches())
                missing = sorted(set(missing) - set(rows["digest"].to_pylist()))


def _nothing_since(handle: LanceDataset, versions: Sequence[LanceDataset]) -> bool:
    """Whether a version of a table is the last of some that follow one another: it lacks nothing that these have."""
    numbers = [version.version for version in versions]
    return numbers == list(range(int(handle.version) - len(numbers) + 1, int(handle.version) + 1))
