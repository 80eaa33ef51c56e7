"""Getting a commit onto the disk: lance leaves that to the operating system, which takes its time.

Lance writes files and renames them, and never calls ``fsync`` (seen with ``strace``, pylance 13). A power cut
within the half minute that Linux may wait would leave a manifest whose data files are empty. Each commit is
therefore followed by ``fsync`` of what it wrote; the commit of ``proteins`` begins when that of ``residues`` is safe.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_DIRECTORIES = ("data", "_deletions", "_indices", "_transactions", "_refs", "_versions")
_AT_ONCE = 4


def files(uri: str) -> set[str]:
    """Every file of a table, by its path; none where the table is not on a disk of this machine."""
    if not _is_local(uri):
        return set()
    return {f"{folder}/{name}" for top in _tops(uri) for folder, _, names in os.walk(top) for name in names}


def sync(uri: str, known: set[str]) -> None:
    """Have the files that are not in ``known``, and the directories they are in, written to the disk.

    Args:
        uri: The table.
        known: Files that were there before, from ``files``.

    Raises:
        OSError: The disk did not take them.
    """
    new = files(uri) - known
    manifests = {file for file in new if "_versions" in Path(file).parts}
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # a file system gathers what is asked for at once
        for part in (new - manifests, manifests):  # a manifest comes after what it names
            folders = {str(Path(file).parent) for file in part}
            running = [pool.submit(_sync_file, file) for file in sorted(part)]
            running += [pool.submit(sync_directory, folder) for folder in sorted(folders)]
            for each in running:
                each.result()
    if new and not known:  # a new table: its own name has to last too
        for folder in (uri, str(Path(uri).parent), str(Path(uri).parent.parent)):
            sync_directory(folder)


def sync_directory(folder: str) -> None:
    """Have the names in a directory written to the disk, where the file system can."""
    try:
        _sync_file(folder)
    except OSError:  # not every network file system can sync a directory; the files are safe
        return


def _sync_file(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # another process cleaned up meanwhile
        return
    try:
        _flush(descriptor)
    finally:
        os.close(descriptor)


def _flush(descriptor: int) -> None:
    import fcntl

    full = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: there fsync stops at the drive's own cache
    if full is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, full)


def _tops(uri: str) -> list[str]:
    return [f"{uri}/{name}" for name in _DIRECTORIES]


def _is_local(uri: str) -> bool:
    return "://" not in uri
