"""Which format a file has, and what is written to one."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from protvec import files
from protvec.errors import ExchangeError, ProtvecError

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

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
    """``protvec.files.replacing``, with errors for users.

    Raises:
        ExchangeError: There is a file already (unless ``force``), no such directory, or the disk's refusal.
    """
    check_target(path, force=force)
    try:
        with files.replacing(path) as temporary:
            yield temporary
    except ProtvecError:
        raise
    except OSError as error:
        raise ExchangeError(f"cannot be written: {error.strerror or error}", file=str(path)) from error


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


def add_array(archive: zipfile.ZipFile, name: str, array: NDArray[np.generic]) -> None:
    """Put an array into an ``.npz`` file. ``numpy.savez`` takes some names, such as ``file``, for its own arguments.

    Args:
        archive: The file, open to write.
        name: Of the array, whatever it is.
        array: Of numbers or text, of any shape.
    """
    from numpy.lib import format as npy

    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        npy.write_array(member, array, allow_pickle=False)
