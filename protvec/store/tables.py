"""One Lance table: handles that follow other writers, and commits that survive them.

protvec goes through ``lance`` rather than ``lancedb``: the same format and the same engine, at a
quarter of the import time (``lancedb`` loads its HTTP client, generated API classes and pydantic).
"""

from __future__ import annotations

import copy
import random
import re
import time
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from protvec.errors import DatabaseError, DatabaseFormatError, ProtvecError
from protvec.store import durable
from protvec.store.damage import opening_failure, read_failure
from protvec.store.filters import LANCE_ERRORS, brief, explain, in_lists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import pyarrow as pa
    from lance import LanceDataset, Session
    from numpy.typing import NDArray

    from protvec.store.location import Location

T = TypeVar("T")

_ATTEMPTS = 6
_FORMAT = "2.2"
# Lance's defaults let caches grow to 7 GiB; a laptop has other uses for them.
_INDEX_CACHE = 512 << 20
_METADATA_CACHE = 128 << 20


def index_cache_bytes(search_memory: int) -> int:
    """What an index may take in memory: half of that for searches; parts of it that do not fit are read again."""
    return max(_INDEX_CACHE, search_memory // 2)


def new_session(search_memory: int = 0) -> Session:
    """A bounded cache, shared by the tables of one database."""
    import lance

    size = index_cache_bytes(search_memory)
    return lance.Session(index_cache_size_bytes=size, metadata_cache_size_bytes=_METADATA_CACHE)


def create_table(where: Location, schema: pa.Schema, rows: pa.RecordBatchReader | None = None) -> bool:
    """Make a table, empty or with its rows, in one commit; False if there is one already."""
    import lance

    try:
        lance.write_dataset(
            schema.empty_table() if rows is None else rows,
            where.path,
            mode="create",
            data_storage_version=_FORMAT,
            storage_options=where.storage,
        )
        durable.sync(where.path, set())
    except LANCE_ERRORS as error:
        if "already exists" in str(error).lower() or _is_conflict(error):
            return False
        raise DatabaseError(f"{where}: cannot be created: {failure(error)}") from error
    return True


def open_table(where: Location, *, session: Session | None = None) -> LanceDataset | None:
    """The table at its latest version; None if there is none (or none whose first commit was finished)."""
    import lance

    try:
        return lance.dataset(where.path, session=session, storage_options=where.storage)
    except LANCE_ERRORS as error:
        if re.search(r"not found|does not exist|No such file", str(error)):
            return None
        raise opening_failure(where, error) from error


def latest(dataset: LanceDataset) -> LanceDataset:
    """A handle on the newest version. The given one stays as it is: other threads may read through it."""
    fresh = copy.copy(dataset)
    try:
        fresh.checkout_latest()
    except LANCE_ERRORS as error:
        raise read_failure(dataset, error) from error
    return fresh


def commit(dataset: LanceDataset, change: Callable[[LanceDataset], T]) -> tuple[LanceDataset, T]:
    """Apply a change to the newest version, again after a conflict with another writer, and see it on the disk.

    Returns:
        A handle on the version with the change, and what ``change`` returned.

    Raises:
        DatabaseError: It failed, or others kept getting in first.
    """
    for attempt in range(_ATTEMPTS):
        # A handle on which a commit conflicted keeps failing: every attempt has its own.
        fresh = latest(dataset)
        try:
            before = durable.files(fresh.uri)
            result = change(fresh)
            durable.sync(fresh.uri, before)
        except LANCE_ERRORS as error:
            if isinstance(error, ProtvecError):  # the change itself found what it says
                raise
            if not _is_conflict(error):
                raise _unwritten(dataset, error) from error
            last = error
            time.sleep(random.uniform(0.05, 0.2) * 2**attempt)  # noqa: S311 - not a secret
        else:
            return latest(fresh), result
    raise DatabaseError(f"{dataset.uri}: other writers got in first {_ATTEMPTS} times ({brief(last)}): try again")


class Merged(NamedTuple):
    """What a merge did.

    Attributes:
        newest: A handle on the newest version, which may have commits of other writers too.
        own: A handle on the version that this merge made.
        inserted: Rows whose key was new.
        replaced: Rows whose key was known.
    """

    newest: LanceDataset
    own: LanceDataset
    inserted: int
    replaced: int


def merge(dataset: LanceDataset, key: str, rows: pa.Table, *, replace: bool) -> LanceDataset:
    """Insert rows by key in one commit; rows whose key is known are replaced or left alone."""
    return merge_counted(dataset, key, rows, replace=replace).newest


def merge_counted(
    dataset: LanceDataset, key: str, rows: pa.Table | Callable[[LanceDataset], pa.Table], *, replace: bool
) -> Merged:
    """``merge``, and what it did. Of rows that depend on the version they are merged into, give what makes them.

    A scalar index on the key would silently switch off the detection of two writers of one key:
    ``use_index(False)`` keeps it on.
    """

    def change(target: LanceDataset) -> tuple[LanceDataset, dict[str, int]]:
        builder = target.merge_insert(key).when_not_matched_insert_all().use_index(False)
        if replace:
            builder = builder.when_matched_update_all()
        if not callable(rows):
            return target, builder.execute(rows)
        try:
            return target, builder.execute(rows(target))
        except LANCE_ERRORS as error:
            if "different schema" in str(error):  # lance tried again on a version without one of their columns
                raise OSError(f"conflict of columns: {error}") from error
            raise

    newest, (own, done) = commit(dataset, change)
    return Merged(newest, own, done["num_inserted_rows"], done["num_updated_rows"])


def update(dataset: LanceDataset, key: str, rows: pa.Table) -> None:
    """Replace the rows that have those keys, in one commit; keys that are not there are left out."""

    def change(target: LanceDataset) -> None:
        target.merge_insert(key).when_matched_update_all().use_index(False).execute(rows)

    commit(dataset, change)


def overwrite(dataset: LanceDataset, rows: pa.Table, storage: dict[str, str] | None) -> LanceDataset:
    """Have these rows, with the metadata of their schema, in place of all that there are; a handle on that version."""
    import lance

    def change(target: LanceDataset) -> None:
        lance.write_dataset(rows, target.uri, mode="overwrite", data_storage_version=_FORMAT, storage_options=storage)

    return commit(dataset, change)[0]


def drop_table(where: Location) -> None:
    """Remove a table with all its versions, in whatever state it is; nothing where there is none."""
    import lance

    try:
        lance.LanceDataset.drop(where.path, storage_options=where.storage)
    except LANCE_ERRORS as error:
        if not re.search(r"not found|does not exist|No such file", str(error), re.IGNORECASE):
            raise DatabaseError(f"{where}: cannot be removed: {brief(error)}") from error


def delete_rows(dataset: LanceDataset, where: str) -> int:
    """Remove rows in one commit; how many."""
    return int(commit(dataset, lambda target: target.delete(where))[1]["num_deleted_rows"])


def read(dataset: LanceDataset, *, where: str | None = None, user: str | None = None, **options: object) -> pa.Table:
    """Read rows as a table.

    Args:
        dataset: A handle.
        where: The filter to apply.
        user: The part of it that the user wrote, if any: errors are about that.
        options: Of ``lance.LanceDataset.scanner``.
    """
    try:
        return dataset.scanner(filter=where, **options).to_table()
    except LANCE_ERRORS as error:
        raise explain(error, dataset, user) from error


def read_keys(dataset: LanceDataset, key: str, keys: Sequence[str], columns: Sequence[str]) -> pa.Table:
    """The rows with those keys, in no order. Keys that are not there are left out."""
    import pyarrow as pa

    some = keys if keys and dataset.count_rows() else ()  # a filter of many keys takes its time to be parsed
    parts = [read(dataset, where=part, columns=list(columns)) for part in in_lists(key, some)]
    return pa.concat_tables(parts) if parts else dataset.schema.empty_table().select(list(columns))


def present(dataset: LanceDataset, key: str, keys: Sequence[str]) -> set[str]:
    """Those of the keys that the table has."""
    return set(read_keys(dataset, key, keys, [key])[key].to_pylist())


def stream(
    dataset: LanceDataset, *, where: str | None, user: str | None, **options: object
) -> Iterator[pa.RecordBatch]:
    """Read rows as batches, all from one version of the table."""
    try:
        yield from dataset.scanner(filter=where, **options).to_batches()
    except LANCE_ERRORS as error:
        raise explain(error, dataset, user) from error


def count(dataset: LanceDataset, where: str) -> int:
    """How many rows meet a condition."""
    try:
        return int(dataset.count_rows(where))
    except LANCE_ERRORS as error:
        raise explain(error, dataset, None) from error


def _unwritten(dataset: LanceDataset, error: Exception) -> DatabaseError:
    """What to raise for an error of a commit, which may be that it met a damaged file."""
    found = read_failure(dataset, error)
    if isinstance(found, DatabaseFormatError):
        return found
    return DatabaseError(f"{dataset.uri}: cannot be written: {failure(error)}")


def failure(error: Exception) -> str:
    """What stopped a write, and where it helps, what to do."""
    if re.search(r"No space left|[Qq]uota exceeded", str(error)):
        return "the disk is full: make room and run it again; what was committed is safe"
    return brief(error)


def take_addresses(dataset: LanceDataset, addresses: NDArray[np.uint64], columns: Sequence[str]) -> pa.Table:
    """Rows by their address, in that order: the place of a row in this version, as ``_rowaddr`` gives it.

    That is the number of its fragment, and 32 bits of its offset there.

    ``LanceDataset.take`` wants offsets among the rows that are not deleted; this goes to the fragments themselves.
    """
    import pyarrow as pa

    try:
        return dataset._take_rows(pa.array(addresses, pa.uint64()), columns=list(columns))  # noqa: SLF001
    except LANCE_ERRORS as error:
        raise explain(error, dataset, None) from error


def _is_conflict(error: Exception) -> bool:
    return re.search(r"conflict|concurrent|contention", str(error), re.IGNORECASE) is not None
