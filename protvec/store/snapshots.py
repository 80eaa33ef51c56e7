"""Versions of a database under a name: Lance tags on both tables, which no clean-up removes.

A snapshot is there once both tables carry its tag. Its pair is checked after it is tagged, since two tables
cannot be read at one moment: every protein must have its residues in it.
"""

from __future__ import annotations

import copy
import re
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from protvec.errors import DatabaseError, QueryError, SnapshotNotFoundError
from protvec.store import durable
from protvec.store.codec import codec_named
from protvec.store.filters import LANCE_ERRORS, brief
from protvec.store.inserting import insert
from protvec.store.near import near_names
from protvec.store.schema import Description
from protvec.store.tables import commit, read, read_keys
from protvec.store.verify import growth

if TYPE_CHECKING:
    from collections.abc import Callable

    from lance import LanceDataset

    from protvec.store.view import Handles

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ATTEMPTS = 5
_PAUSE = 0.2  # seconds, longer with each attempt
_COPIED_AT_ONCE = 256  # residue arrays: some 160 MB of 400 x 768 in float16


@dataclass(frozen=True)
class Snapshot:
    """A version of a database that stays readable until it is deleted.

    Attributes:
        name: Its name.
        created: When it was made, in UTC.
        proteins: The number of proteins in it.
        bytes: Data that only it keeps on disk: what the present version and other snapshots use is not counted.
    """

    name: str
    created: datetime
    proteins: int
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values; the time as ISO 8601."""
        return {
            "name": self.name,
            "created": self.created.isoformat(timespec="seconds"),
            "proteins": self.proteins,
            "bytes": self.bytes,
        }


def check_name(name: str) -> None:
    """Refuse what would not be a file name everywhere.

    Raises:
        QueryError: Says what a name may consist of.
    """
    if not _NAME.fullmatch(name) or ".." in name or name.endswith((".", ".lock")):
        raise QueryError(
            f"{name!r} cannot name a snapshot: up to 100 of A-Z a-z 0-9 . _ -, the first a letter or digit, "
            "no two dots together, none at the end"
        )


def make(newest: Callable[[], Handles], path: str, name: str, *, complete: bool = True) -> Snapshot:
    """Tag the newest version of both tables.

    Args:
        newest: Gives handles on it.
        path: Of the database.
        name: Of the snapshot.
        complete: Refuse a database in which proteins lack their residues.

    Raises:
        QueryError: The name cannot be used, or is taken.
        DatabaseError: Some proteins have no residues, or writers keep getting between the two tables.
    """
    check_name(name)
    handles = newest()
    taken = names(handles)
    if same := [other for other in taken if other.lower() == name.lower()]:
        raise QueryError(f"{path}: there is a snapshot {same[0]!r} already: take another name, or delete it first")
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE * attempt)  # a deletion takes proteins first and their residues after
            handles = newest()
        missing = _missing(*handles)
        if missing and (complete or attempt < _ATTEMPTS - 1):
            continue
        for handle in handles:
            _tag(handle, name)
        # Where another process tags under the same name, whoever looks last sees the pair of both.
        pair = _checkout(handles, name)
        if [table.version for table in pair] == [table.version for table in handles] or not _missing(*pair):
            return next(snapshot for snapshot in snapshots(handles) if snapshot.name == name)
        missing = _missing(*pair)
    remove(handles, path, name, quiet=True)
    raise DatabaseError(f"{path}: {missing} sequences have no residues, so no snapshot was made; try again")


def names(handles: Handles) -> list[str]:
    """Names of the snapshots, oldest first."""
    proteins, residues = (_tags(handle) for handle in handles)
    return sorted(proteins.keys() & residues.keys(), key=lambda name: proteins[name]["created_at"])


def snapshots(handles: Handles) -> list[Snapshot]:
    """All snapshots, oldest first."""
    there = names(handles)
    pairs = {name: _checkout(handles, name) for name in there}
    sizes: dict[str, dict[str, int]] = {name: {} for name in there}
    users = Counter(path for table in handles for path in _files(table))
    for name, pair in pairs.items():
        for table in pair:
            sizes[name] |= _files(table)
        users.update(sizes[name].keys())
    tags = _tags(handles[0])
    return [
        Snapshot(
            name,
            tags[name]["created_at"],
            pairs[name][0].count_rows(),
            sum(size for path, size in sizes[name].items() if users[path] == 1),
        )
        for name in there
    ]


def checkout(handles: Handles, path: str, name: str) -> tuple[Description, Handles]:
    """The tables as they were.

    Raises:
        SnapshotNotFoundError: There is none of that name; names those that are near.
    """
    _check_there(handles, path, name)
    pair = _checkout(handles, name)
    return Description.from_schema(pair[0].schema, path=path), pair


def remove(handles: Handles, path: str, name: str, *, quiet: bool = False) -> None:
    """Untag both tables; also what the making of a snapshot left when it was killed.

    Raises:
        SnapshotNotFoundError: There is none of that name, and not ``quiet``.
    """
    tagged = [handle for handle in handles if name in _tags(handle)]
    if not tagged and not quiet:
        _check_there(handles, path, name)
    for handle in tagged:
        _untag(handle, name)


def make_backup(newest: Callable[[], Handles], path: str) -> str:
    """The name of a snapshot of the newest version: one that is there, or a new one named after the time."""
    if there := named_like(newest()):
        return there
    name = datetime.now(timezone.utc).strftime("before-restore-%Y%m%dT%H%M%S")
    taken = sum(other.startswith(name) for other in names(newest()))
    return make(newest, path, f"{name}-{taken + 1}" if taken else name, complete=False).name


def named_like(handles: Handles) -> str | None:
    """The newest snapshot with the content of these handles, of whatever version."""
    return next((name for name in reversed(names(handles)) if is_at(handles, name)), None)


def is_at(handles: Handles, name: str) -> bool:
    """Whether the content is that of a snapshot already."""
    return all(map(_is_same, handles, _checkout(handles, name)))


def _is_same(table: LanceDataset, other: LanceDataset) -> bool:
    """Whether two versions have the same columns, and the same rows in the same files."""
    if not table.schema.equals(other.schema, check_metadata=True):
        return False
    files, others = ([fragment.metadata.to_json() for fragment in each.get_fragments()] for each in (table, other))
    return files == others


def restore(newest: Callable[[], Handles], name: str) -> int:
    """Make the content of a snapshot the newest version of both tables.

    At every moment each protein has its residues, also after a kill: residues first hold those of both
    versions, then ``proteins`` goes back in one commit, then ``residues``. What other processes commit
    meanwhile comes on top.

    Returns:
        By how many rows ``proteins`` grew.
    """
    proteins, residues = newest()
    old_proteins, old_residues = _checkout((proteins, residues), name)
    if not _keeps(old_proteins):
        changed = _revert(proteins, name)
        _revert(residues, name)
        return growth(proteins.checkout_version(changed)) or 0
    if _digests(proteins) <= _digests(old_residues):
        reverted = _revert(residues, name)
        changed = _revert(proteins, name)
    else:
        _copy(old_residues, residues, _digests(old_proteins) - _digests(residues))
        changed = _revert(proteins, name)
        reverted = _revert(residues, name)
    _put_back(newest, old_residues, reverted - 1)
    return growth(proteins.checkout_version(changed)) or 0


def _revert(dataset: LanceDataset, name: str) -> int:
    """One commit, of no data: the table is again what it was. The number of the new version.

    What other writers commit at the same time does not stop it; they try again on top of it.
    """

    def change(target: LanceDataset) -> int:
        old = target.checkout_version(name)
        old.restore()
        return int(old.version)

    return commit(dataset, change)[1]


def _put_back(newest: Callable[[], Handles], snapshot: LanceDataset, version: int) -> None:
    """Residues that another process removed, as nothing had them, or added just before the table was reverted."""
    proteins, residues = newest()
    missing = _digests(proteins) - _digests(residues)
    for source in (snapshot, version):
        if missing:
            table = residues.checkout_version(source) if isinstance(source, int) else source
            found = missing & _digests(table)
            _copy(table, residues, found)
            missing -= found


def _copy(source: LanceDataset, target: LanceDataset, digests: set[str]) -> None:
    """Insert these residue arrays, which a handle on the other table lacks."""
    ordered = sorted(digests)
    for start in range(0, len(ordered), _COPIED_AT_ONCE):
        rows = read_keys(source, "digest", ordered[start : start + _COPIED_AT_ONCE], target.schema.names)
        insert(target, "digest", rows.cast(target.schema).to_batches())


def _tag(handle: LanceDataset, name: str) -> None:
    """Give the version of a handle the name, also where a killed process left the name on another."""
    own = copy.copy(handle)  # tags are changed through a handle that no other thread reads through
    try:
        before = durable.files(handle.uri)
        if name in _tags(handle):
            own.tags.delete(name)
        own.tags.create(name, handle.version)
        durable.sync(handle.uri, before)
    except LANCE_ERRORS as error:
        raise DatabaseError(f"{handle.uri}: snapshot {name!r} cannot be made: {brief(error)}") from error


def _untag(handle: LanceDataset, name: str) -> None:
    try:
        copy.copy(handle).tags.delete(name)
    except LANCE_ERRORS as error:
        if "not found" not in str(error).lower():  # else another process was first
            raise DatabaseError(f"{handle.uri}: snapshot {name!r} cannot be deleted: {brief(error)}") from error


def _tags(handle: LanceDataset, *, attempts: int = _ATTEMPTS) -> dict[str, dict[str, Any]]:
    """The tags of a table with their versions and times."""
    try:
        return dict(handle.tags.list())
    except LANCE_ERRORS as error:
        if attempts > 1 and "not found" in str(error).lower():  # one was deleted after they were listed
            return _tags(handle, attempts=attempts - 1)
        raise DatabaseError(f"{handle.uri}: snapshots cannot be read: {brief(error)}") from error


def _checkout(handles: Handles, name: str) -> Handles:
    try:
        proteins, residues = (handle.checkout_version(name) for handle in handles)
    except LANCE_ERRORS as error:
        raise DatabaseError(f"{handles[0].uri}: snapshot {name!r} cannot be read: {brief(error)}") from error
    return proteins, residues


def _check_there(handles: Handles, path: str, name: str) -> None:
    there = names(handles)
    if name in there:
        return
    near = near_names(name, there)
    hint = f"near: {', '.join(near)}" if near else f"there are {', '.join(there[-5:])}" if there else "there are none"
    raise SnapshotNotFoundError(f"{path}: no snapshot {name!r}; {hint}", near=near)


def _files(table: LanceDataset) -> dict[str, int]:
    """Data files of a version, and their bytes."""
    files = (file for fragment in table.get_fragments() for file in fragment.data_files())
    return {file.path: file.file_size_bytes or 0 for file in files}


def _missing(proteins: LanceDataset, residues: LanceDataset) -> int:
    """How many sequences have no residues where all should have."""
    return len(_digests(proteins) - _digests(residues)) if _keeps(proteins) else 0


def _keeps(proteins: LanceDataset) -> bool:
    return codec_named(Description.from_schema(proteins.schema, path=proteins.uri).codec).keeps


def _digests(dataset: LanceDataset) -> set[str]:
    return set(read(dataset, columns=["digest"])["digest"].to_pylist())
