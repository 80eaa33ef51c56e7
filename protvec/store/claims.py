"""Saying to other processes what this one is embedding, so that nobody does it twice.

A claim is a lock of one byte, at an offset made of the sequence's digest, of an empty file in the database's
directory. The operating system drops it when the process ends, however it ends; nothing is ever written. Who gives
all back touches the file, so that others look at the database again before they take what was just stored. Where
the file system has no locks, or in an object store, everything can be claimed by everybody: work is done
twice then, and stored once.
"""

from __future__ import annotations

import base64
import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protvec.store.location import Location

NAME = ".claims"


class Claims:
    """What this process is embedding. Two of one process do not see each other."""

    def __init__(self, database: Location) -> None:
        self._descriptor: int | None = None
        self._seen = 0
        if database.is_local:
            try:
                self._descriptor = os.open(database.join(NAME).path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError:  # a directory that others own: their files may be written, but none made
                self._descriptor = None
        self.look()

    def look(self) -> None:
        """Say that the database is looked at from here on."""
        self._seen = self._touched()

    @property
    def outdated(self) -> bool:
        """Whether another process has given back what it had since the last look: it may be in the database now."""
        return self._touched() != self._seen

    def take(self, digest: str) -> bool:
        """Claim a sequence; False if another process has, or may have stored it since the last look."""
        if self._descriptor is None:
            return True
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(digest))
        except (BlockingIOError, PermissionError):  # POSIX allows both for a lock that somebody has
            return False
        except OSError:  # no locks here
            self.close()
        if self.outdated:
            self.give_back([digest])
            return False
        return True

    def give_back(self, digests: Iterable[str]) -> None:
        """Let others have these."""
        for digest in digests:
            if self._descriptor is not None:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _offset(digest))

    def close(self) -> None:
        """Give everything back."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.utime(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _touched(self) -> int:
        """When the file was touched, in nanoseconds."""
        return self._seen if self._descriptor is None else os.fstat(self._descriptor).st_mtime_ns


def _offset(digest: str) -> int:
    """A place in the file, below 2^56: two digests that share one are rare, and then one waits for the other."""
    return int.from_bytes(base64.urlsafe_b64decode(digest.removeprefix("SQ."))[:7], "big")
