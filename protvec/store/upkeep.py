"""How large a table is, and keeping it small."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError
from protvec.store.filters import LANCE_ERRORS, brief
from protvec.store.tables import commit, latest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from lance import LanceDataset, LanceFragment

# Fragments of at least this many bytes, or of this many rows, are compact: they are not rewritten again but to drop
# deleted rows. That bounds the work. An ingest writes larger ones from the start (``ingest.commits``), where it can.
_COMPACT_BYTES = 32 << 20
_ROWS_PER_FRAGMENT = {"proteins": 16_384, "residues": 1_024, "ledger": 1_024}
_BATCH_ROWS = {"proteins": 1_024, "residues": 32, "ledger": 64}
# One commit rewrites at most about this many compact fragments: a kill or a conflict undoes no more than that.
_FRAGMENTS_AT_ONCE = 4
# Without being asked, fragments are joined once there are as many of one size as make one of the next: 16 of less than
# 1/64 of a compact one, 8 of less than 1/8, 8 of less than a compact one. So a row is rewritten three times at most,
# however it came in, and there are never many fragments.
_SIZES = ((64, 16), (8, 8), (1, 8))
# The files of joined fragments stay for an hour beside the new ones. Of the largest size, so much is joined that these
# are no more than this part of the table, or so many bytes; the rest waits for a later hour.
_SPARE, _SPARE_BYTES = 0.05, 32 << 20
# Of a fragment's rows: with more deleted, it is rewritten; less when somebody asks for a compaction.
_DELETED, _DELETED_BY_HAND = 0.1, 0.01
# Versions between two clean-ups that nobody asked for.
_VERSIONS = 32
# Nobody reads a version that is older: reads follow the newest, and a stream over the database takes what it reads
# from the newest too. A snapshot is never removed.
KEEP_SECONDS = 3600.0


def compact(dataset: LanceDataset, name: str, *, keep_seconds: float) -> None:
    """Join small fragments, drop deleted rows, and remove versions older than ``keep_seconds``."""
    rows = _compact_rows(dataset, name)
    while _join(dataset, name, rows, deleted=_DELETED_BY_HAND, most=_FRAGMENTS_AT_ONCE * rows):
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
            _join(dataset, name, size, deleted=_DELETED, most=_most(dataset, name, size))
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
    due, smallest, compact_rows = [], 0, _compact_rows(dataset, name)
    for part, enough in _SIZES:
        size = max(2, compact_rows // part)
        if sum(smallest <= each.num_rows < size for each in fragments) >= enough:
            due.append(size)
        smallest = size
    if not due and any(each.num_deletions > _DELETED * each.physical_rows for each in fragments):
        due.append(2)  # rewrites these alone
    return due


def _compact_rows(dataset: LanceDataset, name: str) -> int:
    """The rows of a compact fragment, at the table's own bytes a row."""
    fragments = dataset.get_fragments()
    rows = sum(fragment.metadata.physical_rows for fragment in fragments)
    size = sum(_live_bytes(fragment) for fragment in fragments)
    return int(max(2, min(_ROWS_PER_FRAGMENT[name], _COMPACT_BYTES * rows // max(1, size))))


def _most(dataset: LanceDataset, name: str, rows: int) -> int:
    """How many rows may be rewritten to join fragments smaller than that; those of the largest size in moderation."""
    compact_rows = _compact_rows(dataset, name)
    if rows < compact_rows:
        return _FRAGMENTS_AT_ONCE * compact_rows
    taken = sizes(dataset)
    live = taken["total"] - taken["old"]
    left = max(_SPARE_BYTES, _SPARE * live) - taken["old"]
    return int(dataset.count_rows() * left / max(1, live))


def _live_bytes(fragment: LanceFragment) -> int:
    return sum(file.file_size_bytes or 0 for file in fragment.data_files())


def _has_room(dataset: LanceDataset, rows: int) -> bool:
    """Whether fragments smaller than that fit on the disk a second time: the old ones stay for an hour."""
    if "://" in dataset.uri:
        return True
    small = [fragment for fragment in dataset.get_fragments() if fragment.metadata.num_rows < rows]
    return shutil.disk_usage(dataset.uri).free > 2 * sum(map(_live_bytes, small))


def _join(dataset: LanceDataset, name: str, rows: int, *, deleted: float, most: int) -> bool:
    """Join fragments smaller than ``rows``, of ``most`` rows together; whether there were any."""
    if most < 2:
        return False

    def change(target: LanceDataset) -> bool:
        done = target.optimize.compact_files(
            target_rows_per_fragment=rows,
            max_source_rows=most,
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
