"""How large a table is, and keeping it small."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from protvec.store.tables import commit

if TYPE_CHECKING:
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
        target.checkout_latest()
        target.cleanup_old_versions(older_than=timedelta(seconds=keep_seconds), error_if_tagged_old_versions=False)

    commit(dataset, change)


def sizes(dataset: LanceDataset) -> dict[str, int]:
    """Bytes of a table on disk: ``total``, and of that ``old``, what its latest version does not use."""
    root = Path(dataset.uri)
    total = sum(_size(file) for file in root.rglob("*"))
    return {"total": total, "old": max(0, total - _live(dataset, root))}


def _live(dataset: LanceDataset, root: Path) -> int:
    """Data, deletion and index files of the latest version, and its manifest."""
    size = 0
    for fragment in dataset.get_fragments():
        size += sum(_size(root / "data" / file.path) for file in fragment.data_files())
        if deletions := fragment.deletion_file():
            size += _size(root / deletions)
    size += sum(_size(file) for file in (root / "_indices").rglob("*"))
    manifests = sorted((root / "_versions").glob("*.manifest"))  # named so that the newest sorts first
    return size + (_size(manifests[0]) if manifests else 0)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size if file.is_file() else 0
    except FileNotFoundError:  # another process cleaned up meanwhile
        return 0
