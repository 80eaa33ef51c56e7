"""Naming the file behind a failure to read a table."""

from __future__ import annotations

import copy
import re
import shlex
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError, DatabaseFormatError
from protvec.store.filters import LANCE_ERRORS, brief

if TYPE_CHECKING:
    from lance import LanceDataset

    from protvec.store.location import Location

# How lance says that what it finds in a file, or instead of one, is not what was written.
_DAMAGE = (
    r"[Nn]ot found|No such file|failed to fill whole buffer|corrupt|file size is too small|Invalid range|magic|prost"
    r"|decode|out of bounds|unexpected end|InvalidFlatbuffer|Range .* not|miniblock|panicked"
)
_GONE = r"[Nn]ot found: \S*_versions"


def read_failure(dataset: LanceDataset, error: Exception) -> DatabaseError:
    """What to raise for an error of a read: the file that is missing or cut short, or lance's own words."""
    if not re.search(_DAMAGE, str(error)):
        return DatabaseError(f"{dataset.uri}: cannot be read: {brief(error)}")
    try:
        newest = copy.copy(dataset)
        newest.checkout_latest()
        fault = _faulty_file(newest)
    except LANCE_ERRORS as again:
        if re.search(_GONE, str(again)):
            return DatabaseError(f"{dataset.uri}: it has been removed by somebody since it was opened")
        return DatabaseError(f"{dataset.uri}: cannot be read: {brief(again)}")
    if fault is None and _faulty_file(dataset) is not None:
        return DatabaseError(f"{dataset.uri}: version {dataset.version} was cleaned up while it was read: read again")
    root = shlex.quote(dataset.uri.rpartition("/")[0])
    return DatabaseFormatError(
        f"{dataset.uri}: damaged: {fault or brief(error)}; `protvec check --db {root}` says what is lost"
    )


def opening_failure(where: Location, error: Exception) -> DatabaseError:
    """What to raise where the newest version of a table cannot be opened."""
    if where.is_local and re.search(_DAMAGE, str(error)):
        newest = min((name for name in where.join("_versions").entries() if name.endswith(".manifest")), default="")
        return DatabaseFormatError(
            f"{where}: damaged: its newest version, _versions/{newest}, cannot be read ({brief(error)}): "
            "restore that file from a copy, or remove it to have the version before"
        )
    return DatabaseError(f"{where}: cannot be opened: {brief(error)}")


def _faulty_file(dataset: LanceDataset) -> str | None:
    """The first data file that is missing or has another size than it was written with."""
    listed = dataset.all_files().read_all()
    sizes = dict(zip(listed["path"].to_pylist(), listed["size_bytes"].to_pylist(), strict=True))
    for fragment in dataset.get_fragments():
        for file in fragment.data_files():
            size = sizes.get(f"data/{file.path}")
            if size is None:
                return f"data/{file.path} is missing"
            if file.file_size_bytes and size != file.file_size_bytes:
                return f"data/{file.path} has {size:,} bytes of {file.file_size_bytes:,}"
    return None
