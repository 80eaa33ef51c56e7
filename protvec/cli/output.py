"""Files that commands write with ``-o`` and ``--report``: whole, or as they were."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from protvec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write. What was there is replaced once all is written, and kept where that fails.

    Raises:
        InputError: It cannot be written: the disk is full, no such directory, no permission.
    """
    from protvec.exchange.files import replacing

    if path.exists() and not path.is_file():  # a pipe, or a device such as /dev/stdout
        try:
            with path.open("wb") as stream:
                yield stream
        except BrokenPipeError:
            raise
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
        return
    with replacing(path.resolve(), force=True) as temporary, temporary.open("wb") as stream:
        yield stream
