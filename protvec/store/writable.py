"""Whether a place takes commits at all, asked before the first of them."""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError

if TYPE_CHECKING:
    from types import TracebackType

    from protvec.store.location import Location

PROBE = ".protvec-probe-"


def check_writable(root: Location) -> None:
    """Check that files can be made in a local directory and linked: lance commits by a hard link.

    Without that look a commit fails as well, but leaves behind the files that it was to make visible.

    Raises:
        DatabaseError: The directory is read-only, the disk is full, or its file system has no hard links.
    """
    if not root.is_local:
        return
    try:
        handle, file = tempfile.mkstemp(prefix=PROBE, dir=root.path)
    except FileNotFoundError as error:
        raise DatabaseError(f"{root}: it has been removed by somebody since it was opened") from error
    except OSError as error:
        raise DatabaseError(f"{root}: cannot be written: {error.strerror or error}") from error
    os.close(handle)
    link = Path(f"{file}-link")
    try:
        link.hardlink_to(file)
    except OSError as error:
        raise DatabaseError(
            f"{root}: its file system makes no hard links ({error.strerror or error}), and every commit needs one: "
            "write the database on a local disk or in an object store; here it can only be read"
        ) from error
    finally:
        for path in (link, Path(file)):
            with suppress(OSError):
                path.unlink()


class WriteLock:
    """One writer at a time in this process (lance sees to the others); the first checks the place."""

    def __init__(self, root: Location) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._checked = False

    def check(self) -> None:
        """Check the place, unless that has been done. Raises as ``check_writable`` does."""
        if not self._checked:
            check_writable(self._root)
            self._checked = True

    def __enter__(self) -> None:
        self.check()
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
