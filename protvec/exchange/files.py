"""Which format a file has, and a file that is there whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from protvec.errors import ExchangeError, ProtvecError

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".fasta": "fasta",
    ".fa": "fasta",
    ".faa": "fasta",
    ".fas": "fasta",
    ".npy": "npy",
    ".npz": "npz",
    ".h5": "h5",
    ".hdf5": "h5",
    ".hdf": "h5",
}
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))


def format_of(path: str | Path, given: str | None = None) -> str:
    """The format that was asked for, or the one that the file's name says.

    Raises:
        ExchangeError: Neither is known.
    """
    if given is not None:
        if given not in FORMATS:
            raise ExchangeError(f"no format {given!r}: there are {', '.join(FORMATS)}", file=str(path))
        return given
    name = Path(path).name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    compressed = name != Path(path).name.lower()
    if suffix not in SUFFIXES or (compressed and SUFFIXES[suffix] != "fasta"):
        known = ", ".join(SUFFIXES)
        raise ExchangeError(f"the name does not say which format: end it in one of {known}", file=str(path))
    return SUFFIXES[suffix]


def ids_beside(path: str | Path) -> Path:
    """Where the ids of an ``.npy`` file are: it has no place for them."""
    return Path(f"{path}.ids.txt")


@contextmanager
def replacing(path: Path, *, force: bool) -> Iterator[Path]:
    """A file to write beside ``path``, which takes that name when all went well and is removed otherwise.

    A kill leaves ``path`` as it was, and beside it a hidden file that ends in ``.part``.

    Raises:
        ExchangeError: There is a file already (unless ``force``), no such directory, or the disk's refusal.
    """
    check_target(path, force=force)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except ProtvecError:
        raise
    except OSError as error:
        raise ExchangeError(f"cannot be written: {error.strerror or error}", file=str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def check_target(path: Path, *, force: bool) -> None:
    """Look whether a file may be written there.

    Raises:
        ExchangeError: A directory, no such directory, or a file that is there already (unless ``force``).
    """
    if path.is_dir():
        raise ExchangeError("a directory: name a file", file=str(path))
    if path.exists() and not force:
        raise ExchangeError(
            "there is such a file already: choose another name, or --force to replace it", file=str(path)
        )
    if not path.parent.is_dir():
        raise ExchangeError(f"there is no directory {path.parent}", file=str(path))
