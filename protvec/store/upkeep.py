"""How large a table is, and keeping it small."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError
from protvec.store.filters import LANCE_ERRORS, brief
from protvec.store.tables import commit, latest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from lance import LanceDataset

# Fragments of at least this many rows are compact: they are not rewritten again but to drop deleted rows. That
# bounds the work. 1,024 residue arrays of 400 x 768 are 320 MB in int8, 630 MB in float16.
_ROWS_PER_FRAGMENT = {"proteins": 16_384, "residues": 1_024, "ledger": 1_024}
_BATCH_ROWS = {"proteins": 1_024, "residues": 32, "ledger": 64}
# One commit rewrites at most about this many compact fragments: a kill or a conflict undoes no more than that.
_FRAGMENTS_AT_ONCE = 4
# Without being asked, fragments are joined once there are as many of one size as make one of the next: 16 of less than
# 1/64 of a compact one, 8 of less than 1/8, 8 of less than a compact one. So a row is rewritten three times at most,
# however it came in, and there are never many fragments.
_SIZES = ((64, 16), (8, 8), (1, 8))
# Of a fragment's rows: with more deleted, it is rewritten; less when somebody asks for a compaction.
_DELETED, _DELETED_BY_HAND = 0.1, 0.01
# Versions between two clean-ups that nobody asked for.
_VERSIONS = 32
# Nobody reads a version that is older: reads follow the newest, and a stream over the database takes what it reads
# from the newest too. A snapshot is never removed.
KEEP_SECONDS = 3600.0


def compact(dataset: LanceDataset, name: str, *, keep_seconds: float) -> None:
    """Join small fragments, drop deleted rows, and remove versions older than ``keep_seconds``."""
    while _join(dataset, name, _ROWS_PER_FRAGMENT[name], deleted=_DELETED_BY_HAND):
        pass
    clean(dataset, keep_seconds=keep_seconds)


def maintain(dataset: LanceDataset, name: str, *, since: int | None) -> None:
    """Compact where that pays by now, and remove old versions now and then; a few milliseconds where there is nothing.

    Args:
        dataset: A handle on the newest version.
        name: The table.
        since: The version after which it was last maintained; None for the version that there is.
    """
    since = dataset.version - 4 if since is None else since  # an ingest makes two to four
    for size in _due(dataset, name):
        if _has_room(dataset, size):
            _join(dataset, name, size, deleted=_DELETED)
    if latest(dataset).version // _VERSIONS > since // _VERSIONS:
        clean(dataset, keep_seconds=KEEP_SECONDS)


def clean(dataset: LanceDataset, *, keep_seconds: float) -> None:
    """Remove versions older than that, but those of snapshots."""

    def change(target: LanceDataset) -> None:
        target.cleanup_old_versions(older_than=timedelta(seconds=keep_seconds), error_if_tagged_old_versions=False)

    commit(dataset, change)


def _due(dataset: LanceDataset, name: str) -> list[int]:
    """The sizes, in rows, below which there are enough fragments to join."""
    fragments = [fragment.metadata for fragment in dataset.get_fragments()]
    due, smallest = [], 0
    for part, enough in _SIZES:
        size = max(2, _ROWS_PER_FRAGMENT[name] // part)
        if sum(smallest <= each.num_rows < size for each in fragments) >= enough:
            due.append(size)
        smallest = size
    if not due and any(each.num_deletions > _DELETED * each.physical_rows for each in fragments):
        due.append(2)  # rewrites these alone
    return due


def _has_room(dataset: LanceDataset, rows: int) -> bool:
    """Whether fragments smaller than that fit on the disk a second time: the old ones stay for an hour."""
    if "://" in dataset.uri:
        return True
    small = [fragment for fragment in dataset.get_fragments() if fragment.metadata.num_rows < rows]
    needed = sum(_size(Path(dataset.uri, "data", file.path)) for each in small for file in each.data_files())
    return shutil.disk_usage(dataset.uri).free > 2 * needed


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # another process cleaned up meanwhile
        return 0


def _join(dataset: LanceDataset, name: str, rows: int, *, deleted: float) -> bool:
    """Join fragments smaller than so many rows, for one commit's worth of work; whether there were any."""

    def change(target: LanceDataset) -> bool:
        done = target.optimize.compact_files(
            target_rows_per_fragment=rows,
            max_source_rows=_FRAGMENTS_AT_ONCE * max(rows, _ROWS_PER_FRAGMENT[name]),
            materialize_deletions_threshold=deleted,
            batch_size=_BATCH_ROWS[name],
            num_threads=1,
        )
        return bool(done.fragments_removed)

    return commit(dataset, change)[1]


def sizes(dataset: LanceDataset) -> dict[str, int]:
    """Bytes of a table where it is stored: ``total``, and of that ``old``, what its latest version does not use."""
    try:
        listed = dataset.all_files().read_all()
    except LANCE_ERRORS as error:
        raise DatabaseError(f"{dataset.uri}: cannot be listed: {brief(error)}") from error
    files = dict(zip(listed["path"].to_pylist(), listed["size_bytes"].to_pylist(), strict=True))
    total = sum(files.values())
    return {"total": total, "old": max(0, total - sum(files.get(name, 0) for name in _live(dataset, files)))}


def _live(dataset: LanceDataset, files: Collection[str]) -> Iterator[str]:
    """Names of the data, deletion and index files of the latest version, and of its manifest."""
    for fragment in dataset.get_fragments():
        yield from (f"data/{file.path}" for file in fragment.data_files())
        if deletions := fragment.deletion_file():
            yield deletions
    yield from (name for name in files if name.startswith("_indices/"))
    yield from sorted(name for name in files if name.startswith("_versions/") and name.endswith(".manifest"))[:1]
