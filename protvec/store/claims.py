"""Saying to other processes what this one is embedding, so that nobody does it twice.

A claim is a lock of one byte, at an offset made of the sequence's digest, of one of some empty files in the database's
directory. The operating system drops it when the process ends, however it ends; nothing is ever written. Who gives
all back touches the first file, so that others look at the database again before they take what was just stored. Where
the file system has no locks, or in an object store, everything can be claimed by everybody: work is done
twice then, and stored once.

There are several files as the system goes through all locks of one for each that is taken: thousands in a single file
take 0.1 ms each.
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

NAMES = tuple(f".claims-{number:x}" for number in range(16))


class Claims:
    """What this process is embedding. Two of one process do not see each other."""

    def __init__(self, database: Location) -> None:
        self._files: list[int] = []
        self._seen = 0
        if database.is_local:
            with suppress(OSError):  # a directory that others own: their files may be written, but none made
                for name in NAMES:
                    self._files.append(os.open(database.join(name).path, os.O_RDWR | os.O_CREAT, 0o666))
            if len(self._files) < len(NAMES):
                self._close_files()
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
        if not self._files:
            return True
        file, offset = self._place(digest)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
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
            if self._files:
                file, offset = self._place(digest)
                fcntl.lockf(file, fcntl.LOCK_UN, 1, offset)

    def close(self) -> None:
        """Give everything back."""
        if self._files:
            with suppress(OSError):
                os.utime(self._files[0])
        self._close_files()

    def _close_files(self) -> None:
        while self._files:
            os.close(self._files.pop())

    def _touched(self) -> int:
        """When the first file was touched, in nanoseconds."""
        return os.fstat(self._files[0]).st_mtime_ns if self._files else self._seen

    def _place(self, digest: str) -> tuple[int, int]:
        """A file, and an offset in it below 2^56. Of two digests that share both, which is rare, one waits."""
        number = int.from_bytes(base64.urlsafe_b64decode(digest.removeprefix("SQ."))[:8], "big")
        return self._files[number % len(self._files)], number >> 8
