"""Import and merge by the paths of databases, which are made where there are none."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from protvec.errors import DatabaseNotFoundError
from protvec.exchange.importing import ImportOptions, import_into
from protvec.exchange.merging import merge_into
from protvec.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from protvec.exchange.report import Moved
    from protvec.space import Space


def import_file(
    file: str | Path,
    database: str | Path,
    *,
    format: str | None = None,
    model: str | None = None,
    fasta: str | Path | Sequence[str | Path] = (),
    ids: str | Path | None = None,
    dataset: str | None = None,
    residues: str | None = None,
    update: bool = False,
    storage_options: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Moved:
    """Store the vectors of a Parquet, HDF5 or NumPy file, and its residue arrays if it has any.

    Doing it again changes nothing; after an interruption it goes on.

    Args:
        file: An export of protvec, or vectors of any model: HDF5 with one dataset a protein, Parquet with the columns
            ``id`` and ``vector``, ``.npz`` with ``ids`` and ``vectors``, or ``.npy``.
        database: Where; a new database is made if there is none.
        format: ``parquet``, ``npy``, ``npz`` or ``h5``, whatever the suffix.
        model: Name of the model that made the vectors, where the file does not say.
        fasta: FASTA files with the sequences, matched by id or accession.
        ids: File with the ids of an ``.npy`` file, a line each, by default ``NAME.npy.ids.txt``.
        dataset: Name stored with every record that has none.
        residues: How a new database keeps residue arrays: ``int8``, ``int4``, ``float16`` or ``none``.
        update: Replace known proteins that differ.
        storage_options: Credentials and settings of the database's object store.
        progress: Called with records done and records in all.

    Returns:
        The report: added, reused, updated, unchanged, and skipped with reasons.

    Raises:
        ExchangeError: the file cannot be read, or does not say what is needed.
        SpaceMismatchError: the database holds vectors of another model.
        FastaError: the sequences cannot be read.
    """
    options = ImportOptions(
        format=format,
        model=model,
        fasta=fasta,
        ids=ids,
        dataset=dataset,
        residues=residues,
        update=update,
    )
    store = _opened(database, storage_options)
    return import_into(store, file, _creating(database, storage_options), options, progress=progress)


def merge(
    databases: Sequence[str | Path],
    into: str | Path,
    *,
    prefer: str | None = None,
    residues: str | None = None,
    storage_options: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Moved:
    """Copy the proteins of databases of one model into one, with their residues; nothing is embedded.

    Doing it again changes nothing; after an interruption it goes on.

    Args:
        databases: What to copy, in this order.
        into: Where; a new database is made if there is none. It may be the first of ``databases``.
        prefer: Of proteins with one id and different sequences (or metadata), take the ``first`` or the ``last``;
            None means that different sequences are an error.
        residues: How a new database keeps residue arrays; by default as the first does.
        storage_options: Credentials and settings of the object stores.
        progress: Called with proteins done and proteins in all, for each database.

    Returns:
        The report: added, reused, updated, unchanged, and skipped with reasons.

    Raises:
        SpaceMismatchError: two of them hold vectors of different models; nothing was written.
        QueryError: one id has different sequences, a database is merged into itself, or columns of one name have
            different types; nothing was written.
    """
    stores = [Store.open(path, storage_options=_for(path, storage_options)) for path in databases]
    options = _for(into, storage_options)
    target = _opened(into, options)
    return merge_into(target, stores, _creating(into, options), prefer=prefer, residues=residues, progress=progress)


def _for(path: str | Path, storage_options: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """The options for a database among others: a local one takes none."""
    return storage_options if "://" in str(path) else None


def _opened(path: str | Path, storage_options: Mapping[str, str] | None) -> Store | None:
    with suppress(DatabaseNotFoundError):
        return Store.open(path, storage_options=storage_options)
    return None


def _creating(path: str | Path, storage_options: Mapping[str, str] | None) -> Callable[[Space, str], Store]:
    return lambda space, codec: Store.create(path, space, codec=codec, storage_options=storage_options)
