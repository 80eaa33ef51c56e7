"""The one object that a program uses: a database of proteins, with the model that its vectors are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.database.aligning import Aligning
from protvec.database.changing import Changing
from protvec.database.comparing import Comparing
from protvec.database.mapping import Mapped
from protvec.database.moving import Moving
from protvec.database.settings import Settings, SettingsOptions
from protvec.database.transferring import Transferring
from protvec.database.upkeep import Upkeep
from protvec.store import DEFAULT_CODEC, Store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from typing_extensions import Unpack


class Database(Aligning, Changing, Comparing, Mapped, Moving, Transferring, Upkeep):
    """A database of proteins: a directory that LanceDB reads, with vectors of one model.

    Keep one open for the life of a program. It may be used from several threads at once, and it sees what
    another process adds, after about a second. The model is loaded when a sequence first has to be embedded;
    searches by id or by vector never need it.

    Example:
        >>> db = protvec.open("plants.lancedb")                  # doctest: +SKIP
        >>> for hit in db.search("MKTAYIAKQRQISFVKSHFSRQ", k=3):  # doctest: +SKIP
        ...     print(hit.target, hit.score, hit.metadata["description"])
    """


def open(
    path: str | Path,
    *,
    at: str | None = None,
    storage_options: Mapping[str, str] | None = None,
    search_memory: int | None = None,
    **settings: Unpack[SettingsOptions],
) -> Database:
    """Open a database that is there.

    Args:
        path: The directory, or ``s3://…``, ``gs://…``, ``az://…``.
        at: The name of a snapshot: read the database as it was then, and refuse to change it.
        storage_options: Credentials and settings of the object store, beside those of its environment variables.
        search_memory: Bytes that vectors may take in memory for searches, 2 GiB by default: of 768 dimensions those of
            550,000 proteins, or of 2.4 million rounded. A database that needs more gets an index.
        **settings: See ``Settings``: model, offline, engine, precision, threads, device, latency, notify.

    Raises:
        DatabaseNotFoundError: there is nothing at the path.
        DatabaseFormatError: it is not a protvec database, or one of a newer version.
        DatabaseLocationError: the path is mistyped, or the object store cannot be reached.
        SnapshotNotFoundError: it has no snapshot of that name.
        QueryError: ``search_memory`` is below 0.
        TypeError: an unknown setting.
    """
    store = Store.open(path, at=at, storage_options=storage_options, search_memory=search_memory)
    return Database(store, Settings(**settings))


def create(
    path: str | Path,
    *,
    residues: str = DEFAULT_CODEC,
    segments: bool = True,
    storage_options: Mapping[str, str] | None = None,
    search_memory: int | None = None,
    **settings: Unpack[SettingsOptions],
) -> Database:
    """Make a new, empty database for the vectors of one model.

    Args:
        path: The directory, its parents are made; or ``s3://…``, ``gs://…``, ``az://…``.
        residues: How residue arrays are kept: ``int8``, ``int4``, ``float16``, or ``none`` to keep vectors only.
        segments: Keep vectors of segments of long proteins too, which find domains that they share.
        storage_options: Credentials and settings of the object store, beside those of its environment variables.
        search_memory: Bytes that vectors may take in memory for searches, 2 GiB by default: of 768 dimensions those of
            550,000 proteins, or of 2.4 million rounded. A database that needs more gets an index.
        **settings: See ``Settings``; ``model`` is a name or a checkpoint directory, by default ``ankh-base``.

    Raises:
        DatabaseExistsError: there is something at the path.
        DatabaseLocationError: the path is mistyped, or the object store cannot be reached.
        ModelError: there is no such model, or its weights cannot be had.
    """
    chosen = Settings(**settings)
    checkpoint = chosen.checkpoint()
    store = Store.create(
        path,
        checkpoint.space,
        codec=residues,
        segments=segments,
        storage_options=storage_options,
        search_memory=search_memory,
    )
    return Database(store, chosen)
