"""Residues that no protein has any more: what a kill between two commits leaves, and when it may go.

A writer commits residues before their proteins, so residues without a protein are of one of two kinds: those
of a protein that is about to be committed, which must stay, and those whose last protein was deleted or
replaced by a run that was killed before it had removed them too.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from protvec.store.filters import LANCE_ERRORS
from protvec.store.tables import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from lance import LanceDataset

# No commit takes longer than this between residues and proteins: what has waited longer, waits in vain.
GRACE_SECONDS = 600.0
_STALE_SECONDS = 3600.0
_VERSIONS = 100  # of proteins that are looked at for former owners


def forsaken(proteins: LanceDataset, residues: LanceDataset) -> list[str]:
    """Digests of residues that no protein has, and that no writer is about to use.

    Those are the residues that some protein did have in an earlier version, and those that have been without
    one for ten minutes.
    """
    loose = orphans(proteins, residues)
    found: set[str] = set()
    if loose:
        found = loose & _digests_at(residues, GRACE_SECONDS)
    for version in _earlier(proteins):
        if found == loose:
            break
        found |= loose & set(_digests(version).to_pylist())
    return sorted(found)


def remove_temporary(uri: str) -> int:
    """Remove what killed writers left half-written of a table on a local disk; how many files.

    Lance writes a file under a name that begins with ``.tmp``, without a pause, and renames it. One that nobody has
    written to for an hour has nobody who will. (A writer that was asleep for so long, with its machine, fails to
    rename it, and says so.)
    """
    removed = 0
    for file in [] if "://" in uri else Path(uri, "data").glob(".tmp*"):
        with contextlib.suppress(OSError):  # another process is at it as well
            if time.time() - file.stat().st_mtime > _STALE_SECONDS:
                file.unlink()
                removed += 1
    return removed


def remove_unfinished_indexes(dataset: LanceDataset) -> int:
    """Remove the directories of indexes on a local disk that no version has, and nobody has written to for an hour.

    A build that is killed leaves one, of as many bytes as the index would take; lance keeps it for a week.

    Returns:
        How many there were.
    """
    folder = Path(dataset.uri, "_indices")
    if "://" in dataset.uri or not folder.is_dir():
        return 0
    stale = {each.name: each for each in folder.iterdir() if time.time() - _touched(each) > _STALE_SECONDS}
    for name in _index_names(dataset):
        stale.pop(name, None)
    with contextlib.suppress(*LANCE_ERRORS):  # a version that another process has just removed: the next time
        for version in dataset.versions() if stale else []:
            for name in _index_names(dataset.checkout_version(version["version"])):
                stale.pop(name, None)
        for each in stale.values():
            shutil.rmtree(each, ignore_errors=True)
        return len(stale)
    return 0


def _touched(folder: Path) -> float:
    """When something in a directory was last written; now where that cannot be told."""
    try:
        return max(each.stat().st_mtime for each in (folder, *folder.iterdir()))
    except OSError:
        return time.time()


def _index_names(dataset: LanceDataset) -> list[str]:
    return [str(segment.uuid) for index in dataset.describe_indices() for segment in index.segments]


def is_exact(proteins: LanceDataset, residues: LanceDataset) -> bool:
    """Whether there are as many residue arrays as sequences: the usual case, and quickly seen."""
    import pyarrow.compute as pc

    return bool(residues.count_rows() == pc.count_distinct(_digests(proteins)).as_py())


def repeated(residues: LanceDataset) -> list[str]:
    """Digests of residues that are there twice: a process was killed that had just inserted them beside another."""
    import pyarrow.compute as pc

    counts = pc.value_counts(_digests(residues))
    return list(counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist())


def orphans(proteins: LanceDataset, residues: LanceDataset) -> set[str]:
    """Digests of residues that no protein has."""
    import pyarrow.compute as pc

    if is_exact(proteins, residues):
        return set()  # residues that are missing are not looked for here
    owned, kept = pc.unique(_digests(proteins)), _digests(residues)
    return set(kept.filter(pc.invert(pc.is_in(kept, value_set=owned))).to_pylist())


def _digests(dataset: LanceDataset) -> pa.ChunkedArray:
    return read(dataset, columns=["digest"])["digest"]


def _digests_at(dataset: LanceDataset, seconds: float) -> set[str]:
    """The digests that were there so long ago."""
    limit = time.time() - seconds
    old = [version["version"] for version in dataset.versions() if version["timestamp"].timestamp() <= limit]
    return set(_digests(dataset.checkout_version(max(old))).to_pylist()) if old else set()


def _earlier(dataset: LanceDataset) -> Iterator[LanceDataset]:
    """Earlier versions, the newest first, as far as they are still there."""
    with contextlib.suppress(*LANCE_ERRORS):
        for version in range(dataset.version - 1, max(0, dataset.version - 1 - _VERSIONS), -1):
            yield dataset.checkout_version(version)
