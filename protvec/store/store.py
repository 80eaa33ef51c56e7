"""A database on disk: one directory, one embedding space."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError
from protvec.store import columns, layout, recode, snapshots
from protvec.store.codec import DEFAULT_CODEC, codec_named
from protvec.store.filters import enclosed, in_lists
from protvec.store.ledger import Ledger
from protvec.store.location import locate
from protvec.store.reader import Reader
from protvec.store.rows import encode, prepare
from protvec.store.schema import LEDGER, METADATA_KEY, PROTEINS, RESIDUES, SCHEMA_VERSION, Description
from protvec.store.sweep import forsaken
from protvec.store.tables import (
    commit,
    delete_rows,
    latest,
    merge,
    merge_counted,
    new_session,
    present,
    read,
    read_keys,
)
from protvec.store.upkeep import KEEP_SECONDS, clean, compact, maintain
from protvec.store.verify import check_commit, left_alone
from protvec.store.writable import WriteLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from lance import LanceDataset, Session
    from numpy.typing import NDArray

    from protvec.space import Space
    from protvec.store.ledger import LogEntry
    from protvec.store.location import Location
    from protvec.store.reader import Handles
    from protvec.store.rows import Stored
    from protvec.store.snapshots import Snapshot


class Store(Reader):
    """An open database. One may be used from many threads.

    Reads follow what other processes commit, within ``read_consistency_seconds``; each call sees one
    version of ``proteins``. Do not fork a process that holds one: start new ones with ``spawn`` and open
    the path there.

    Attributes:
        path: Absolute path of the directory, or URL.
        location: The same with the options that it takes to get there.
        space: The embedding space of its vectors.
        codec: How residues are stored; ``none`` where they are not.
        precision: The arithmetic that the vectors were made with, if it was said.
        schema_version: Of its tables.
        created_with: The version of protvec that made it.
        ledger: What was done to it.
    """

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

    @classmethod
    def create(
        cls,
        path: str | Path,
        space: Space,
        *,
        codec: str = DEFAULT_CODEC,
        precision: str | None = None,
        storage_options: Mapping[str, str] | None = None,
    ) -> Store:
        """Make an empty database.

        A creation that was killed half-way is taken up by the next.

        Raises:
            DatabaseExistsError: There is a database, or something else, at the path.
            DatabaseLocationError: A mistyped place, or one that cannot be reached.
            QueryError: An unknown codec.
        """
        from protvec import __version__

        root = locate(path, storage_options)
        description = Description(space, codec_named(codec).name, precision, SCHEMA_VERSION, __version__)
        layout.create(root, description)
        return cls._open(root)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        at: str | None = None,
        read_consistency_seconds: float = 1.0,
        storage_options: Mapping[str, str] | None = None,
    ) -> Store:
        """Open a database.

        Args:
            path: Its directory, or its URL in an object store.
            at: The name of a snapshot: read that version, and refuse to write.
            read_consistency_seconds: How long another process's commit may stay unseen.
            storage_options: Credentials and settings of the object store, beside those in the environment.

        Raises:
            DatabaseNotFoundError: There is nothing at the path; names similar directories beside it.
            DatabaseFormatError: Not a protvec database, a table is missing, or a newer schema.
            SnapshotNotFoundError: It has no snapshot of that name; names similar ones.
            DatabaseLocationError: A mistyped place, or one that cannot be reached.
        """
        return cls._open(locate(path, storage_options), at=at, seconds=read_consistency_seconds)

    @classmethod
    def _open(cls, root: Location, *, at: str | None = None, seconds: float = 1.0) -> Store:
        session = new_session()
        description, handles = layout.open_tables(root, session=session)
        if at is not None:
            description, handles = snapshots.checkout(handles, root.path, at)
        return cls(root, description, handles, seconds=seconds, session=session, at=at)

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

    def write(
        self,
        proteins: pa.Table,
        residues: Iterable[tuple[str, NDArray[np.float32] | Stored]],
        *,
        replace: bool = True,
        run: LogEntry | None = None,
    ) -> set[str]:
        """Insert proteins: one commit of each table, residues first.

        A kill between the two leaves residues that the next run of the same proteins uses.

        Args:
            proteins: Rows of ``proteins``; columns left out are null. ``protein_table`` makes one.
            residues: Digest and ndarray, shape=(L, D), dtype=float32, of each sequence in ``proteins`` that
                the database does not have yet; those it has are left alone. Consumed once. Not looked at
                where the codec is ``none``. In place of an array, one that another database keeps.
            replace: Whether proteins whose id is known are replaced or left as they are.
            run: The run of the ledger that this is a part of; its ``gained`` and its count ``written`` are
                added to. Without one, this is a run of its own.

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
            if self._codec.keeps:
                having = self._add_residues(residue_handle, digests, residues)
            ids = table["id"].to_pylist()
            before = read_keys(handle, "id", ids, ["digest"])["digest"].to_pylist()
            merged = merge_counted(handle, "id", table, replace=replace)
            handle = merged.newest
            entry.gained += merged.inserted
            check_commit(merged, table, replaced=replace)
            alone = set() if replace else left_alone(merged, ids)
            entry.counts["written"] = entry.counts.get("written", 0) + table.num_rows - len(alone)
            if self._codec.keeps:
                now = set(read_keys(handle, "id", ids, ["digest"])["digest"].to_pylist())
                self._restore(sorted(now.intersection(digests)), *having)
                self._drop_orphans(sorted({*before, *digests} - now))
            self._newest()
            return alone

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

    def add_columns(self, fields: Sequence[pa.Field]) -> list[str]:
        """Add columns of the user's own to ``proteins``, null in every row; those it has are left alone.

        Returns:
            Names of the columns that were added.

        Raises:
            ValueError: It has a column of that name and another type.
            QueryError: A column cannot have such a name.
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        import pyarrow as pa

        def change(target: LanceDataset) -> list[str]:
            new = [pa.field(field.name, field.type) for field in fields if field.name not in target.schema.names]
            if new:
                target.add_columns(pa.schema(new))
            return [field.name for field in new]

        with self._writing:
            handle, _ = self._newest()
            for field in fields:
                if field.name not in handle.schema.names:
                    columns.check_name(handle, field.name)
                elif (have := handle.schema.field(field.name).type) != field.type:
                    raise ValueError(f"column {field.name} is {have}, not {field.type}")
            if all(field.name in handle.schema.names for field in fields):
                return []
            added = commit(handle, change)[1]
            self._newest()
            return added

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
                return self._delete(ids, where, run)
            finally:  # also of what another process added after it was looked for, or a killed deletion left
                self._sweep()

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

        Residues that another process is about to give a protein stay.

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

    def _sweep(self) -> int:
        if not self._codec.keeps:
            return 0
        left = forsaken(*self._newest())
        if left:
            self._drop_orphans(left)
            self._newest()
        return len(left)

    def compact(self, *, keep_seconds: float = KEEP_SECONDS) -> None:
        """Join small fragments, drop deleted rows, and remove versions older than ``keep_seconds``.

        The work is bounded: what is already compact is not rewritten. Snapshots stay. A reader in another
        process goes on undisturbed as long as no single read of it takes longer than ``keep_seconds``.

        Raises:
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        with self._writing:
            self._sweep()
            self._each_table(lambda handle, name: compact(handle, name, keep_seconds=keep_seconds))

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
        return done

    def _note_codec(self, codec: str) -> None:
        """Have everybody write this codec from now on."""
        with self._writing:
            handle, _ = self._newest()
            description = Description.from_schema(handle.schema, path=self.path)
            if description.codec != codec:
                self._describe(handle, dataclasses.replace(description, codec=codec))

    def _describe(self, handle: LanceDataset, description: Description) -> None:
        """Commit what the database says about itself."""
        metadata = {METADATA_KEY.decode(): description.to_json()}
        commit(handle, lambda target: target.update_schema_metadata(metadata))
        self._newest()
        self._take(description)

    def maintain(self) -> None:
        """Do some of ``compact`` where it pays by now; an ingest calls this after each commit.

        What cannot be done now, because of the disk or of other writers, is left for the next time.
        """
        since = self._maintained
        with suppress(DatabaseError), self._writing:
            self._maintained = self._each_table(lambda handle, name: maintain(handle, name, since=since.get(name)))

    def _each_table(self, work: Callable[[LanceDataset, str], None]) -> dict[str, int]:
        """Do something to the newest version of each table; their versions after it."""
        proteins, residues = self._newest()
        tables = {PROTEINS: proteins, RESIDUES: residues, LEDGER: self.ledger.table()}
        there = {name: handle for name, handle in tables.items() if handle is not None}
        for name, handle in there.items():
            work(handle, name)
        self._newest()
        return {name: latest(handle).version for name, handle in there.items()}

    def set_columns(self, schema: pa.Schema, reads: Sequence[str], values: Callable[[pa.Table], pa.Table]) -> None:
        """Set columns of the user's own for some proteins, and make those that are not there.

        Args:
            schema: The columns.
            reads: Other columns that ``values`` wants to see.
            values: Given a table of ``id``, ``reads`` and those of the columns that are there, of all proteins:
                a table of ``id`` and all of the columns, of the proteins to set. Asked again where another
                writer got in first; what it raises is raised, and nothing is changed.

        Raises:
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        with self._writing:
            columns.set_columns(self._newest()[0], schema, reads, values)
            self._newest()

    def drop_columns(self, names: Sequence[str]) -> None:
        """Remove columns that users added.

        Raises:
            QueryError: One is not there, or is protvec's own.
        """
        with self._writing:
            columns.drop_columns(self._newest()[0], names)
            self._newest()
            self.ledger.record("annotate --drop", options={"columns": list(names)})

    def snapshot(self, name: str) -> Snapshot:
        """Keep the present version readable under a name, whatever happens to the database later.

        Raises:
            QueryError: The name cannot be used, or is taken.
            DatabaseError: The disk, or proteins without their residues.
        """
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
                return name
            with self.ledger.running("restore", options={"snapshot": name}) as entry:
                before = snapshots.make_backup(self._newest, self.path)
                entry.options["before"] = before
                entry.gained = snapshots.restore(self._newest, name)
                self._newest()
                self._take(description)
                self.migrate()  # the snapshot may be older than the ledger
            return before

    def _part_of(self, run: LogEntry | None, command: str, **options: object) -> AbstractContextManager[LogEntry]:
        """The run given, or one of its own."""
        return self.ledger.running(command, options=options) if run is None else nullcontext(run)

    def _add_residues(
        self, handle: LanceDataset, digests: list[str], residues: Iterable[tuple[str, NDArray[np.float32] | Stored]]
    ) -> tuple[LanceDataset, ...]:
        """Commit the arrays that the table lacks; handles on versions that have all of them between them.

        Not the newest: another process may have removed some by then.
        """
        rows = encode(
            residues,
            self._codec,
            dimension=self.space.dimension,
            expected=set(digests),
            known=present(handle, "digest", digests),
            schema=handle.schema,
        )
        return (handle, merge_counted(handle, "digest", rows, replace=False).own) if rows.num_rows else (handle,)

    def _drop_orphans(self, digests: list[str]) -> None:
        """Remove the residues of these digests unless a protein has them.

        Another process may add such a protein at the same time, relying on the residues. It looks again
        after its commit (``_restore`` in ``write``), and so does this after its own: whichever looks last
        sees the other. Only what this handle has is removed: else there would be nothing to put back from.
        """
        handle, residue_handle = self._newest()
        orphans = sorted(present(residue_handle, "digest", digests) - present(handle, "digest", digests))
        for sql in in_lists("digest", orphans):
            delete_rows(residue_handle, sql)
        if orphans:
            handle, _ = self._newest()
            self._restore(sorted(present(handle, "digest", orphans)), residue_handle)

    def _restore(self, digests: list[str], *versions: LanceDataset) -> None:
        """Put residues that another process has just removed back, from versions that have them."""
        _, residue_handle = self._newest()
        missing = sorted(set(digests) - present(residue_handle, "digest", digests))
        for version in versions:
            if missing:
                rows = read_keys(version, "digest", missing, residue_handle.schema.names)
                if rows.num_rows:
                    merge(residue_handle, "digest", rows.cast(residue_handle.schema), replace=False)
                missing = sorted(set(missing) - set(rows["digest"].to_pylist()))
