"""How large a table is, and keeping it small."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError
from protvec.store.filters import LANCE_ERRORS, brief
from protvec.store.tables import commit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from lance import LanceDataset

# Fragments of at least this many rows are never rewritten again, which bounds the work of a compaction.
# 1,024 residue arrays of 400 x 768 in float16 are 630 MB.
_ROWS_PER_FRAGMENT = {"proteins": 16_384, "residues": 1_024}
_BATCH_ROWS = {"proteins": 1_024, "residues": 32}


def compact(dataset: LanceDataset, name: str, *, keep_seconds: float) -> None:
    """Join small fragments, drop deleted rows, and remove versions older than ``keep_seconds``."""

    def change(target: LanceDataset) -> None:
        target.optimize.compact_files(
            target_rows_per_fragment=_ROWS_PER_FRAGMENT[name], batch_size=_BATCH_ROWS[name], num_threads=1
        )

    # What was joined is on the disk, by the end of the first commit, before what it was joined from may go.
    compacted, _ = commit(dataset, change)
    commit(compacted, lambda target: clean(target, keep_seconds))


def clean(target: LanceDataset, keep_seconds: float) -> None:
    """Remove versions older than ``keep_seconds``."""
    target.cleanup_old_versions(older_than=timedelta(seconds=keep_seconds), error_if_tagged_old_versions=False)


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
