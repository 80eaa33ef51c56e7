"""A database on disk: one directory, one embedding space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.store import layout, snapshots
from protvec.store.codec import DEFAULT_CODEC, codec_named
from protvec.store.deleting import Deleting
from protvec.store.editing import Editing
from protvec.store.index.indexing import Indexing
from protvec.store.keeping import Keeping
from protvec.store.location import locate
from protvec.store.places.keeping import Placing
from protvec.store.schema import SCHEMA_VERSION, Description
from protvec.store.scoring.calibrating import Calibrating
from protvec.store.searching import SEARCH_MEMORY, check_memory
from protvec.store.tables import new_session
from protvec.store.versioning import Versioning
from protvec.store.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from protvec.space import Space
    from protvec.store.location import Location


class Store(Writing, Deleting, Editing, Keeping, Versioning, Indexing, Calibrating, Placing):
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
        search_memory: Bytes that vectors may take in memory for searches.
    """

    @classmethod
    def create(
        cls,
        path: str | Path,
        space: Space,
        *,
        codec: str = DEFAULT_CODEC,
        precision: str | None = None,
        storage_options: Mapping[str, str] | None = None,
        search_memory: int | None = None,
        segments: bool = True,
    ) -> Store:
        """Make an empty database.

        A creation that was killed half-way is taken up by the next.

        Args:
            path: Its directory, which must not be there or be empty, or its URL in an object store.
            space: Of its vectors.
            codec: How it keeps residues.
            precision: The arithmetic that its vectors are made in, if that is known.
            storage_options: Credentials and settings of the object store.
            search_memory: As for ``open``.
            segments: Whether it keeps vectors of segments of long proteins.

        Raises:
            DatabaseExistsError: There is a database, or something else, at the path.
            DatabaseLocationError: A mistyped place, or one that cannot be reached.
            QueryError: An unknown codec, or memory below 0.
        """
        from protvec import __version__

        root = locate(path, storage_options)
        description = Description(space, codec_named(codec).name, precision, SCHEMA_VERSION, __version__)
        layout.create(root, description, segments=segments)
        check_memory(search_memory)
        return cls._open(root, search_memory=search_memory)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        at: str | None = None,
        read_consistency_seconds: float = 1.0,
        storage_options: Mapping[str, str] | None = None,
        search_memory: int | None = None,
    ) -> Store:
        """Open a database.

        Args:
            path: Its directory, or its URL in an object store.
            at: The name of a snapshot: read that version, and refuse to write.
            read_consistency_seconds: How long another process's commit may stay unseen.
            storage_options: Credentials and settings of the object store, beside those in the environment.
            search_memory: Bytes that vectors may take in memory for searches; 2 GiB by default.

        Raises:
            DatabaseNotFoundError: There is nothing at the path; names similar directories beside it.
            DatabaseFormatError: Not a protvec database, a table is missing, or a newer schema.
            SnapshotNotFoundError: It has no snapshot of that name; names similar ones.
            DatabaseLocationError: A mistyped place, or one that cannot be reached.
            QueryError: Memory below 0.
        """
        check_memory(search_memory)
        root = locate(path, storage_options)
        return cls._open(root, at=at, seconds=read_consistency_seconds, search_memory=search_memory)

    @classmethod
    def _open(
        cls, root: Location, *, at: str | None = None, seconds: float = 1.0, search_memory: int | None = None
    ) -> Store:
        memory = SEARCH_MEMORY if search_memory is None else search_memory
        session = new_session(memory)
        description, handles = layout.open_tables(root, session=session)
        if at is not None:
            description, handles = snapshots.checkout(handles, root.path, at)
        store = cls(root, description, handles, seconds=seconds, session=session, at=at)
        store.search_memory = memory
        return store
