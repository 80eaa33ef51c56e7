"""HDF5 in the layout that the field shares: one dataset a protein, at the root, named by its id.

UniProt's downloads, EAT, bio_embeddings, biotrainer and protspace write or read it: ``(D,)`` a protein, or ``(L, D)``
with all residues. In HDF5 a ``/`` in a name makes a group, which those readers stumble over. bio_embeddings puts
numbers in place of ids, EAT and ProtT5's scripts turn ``/`` and ``.`` into ``_``, which cannot be undone. Here the
name stays the id, except that ``/`` becomes ``%2F`` and ``%`` becomes ``%25``; the id as it is stands in the attribute
``original_id``, as with bio_embeddings and biotrainer. The file has the attribute ``model_name``, as for protspace.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from protvec.errors import ExchangeError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from protvec.exchange.writers import Part, Target

ORIGINAL_ID, MODEL_NAME, ABOUT = "original_id", "model_name", "protvec"


def h5py(file: str) -> ModuleType:
    """The package, which is an extra.

    Raises:
        ExchangeError: It is not installed.
    """
    try:
        import h5py as package
    except ImportError as error:
        raise ExchangeError("HDF5 needs the package h5py: pip install 'protvec[h5]'", file=file) from error
    loaded: ModuleType = package
    return loaded


def key_of(id: str) -> str:
    """The name of a protein's dataset: different ids have different ones, and none makes a group.

    >>> key_of("sp|P12345|AATM_RABIT"), key_of("chr1/12-80"), key_of(".")
    ('sp|P12345|AATM_RABIT', 'chr1%2F12-80', '%2E')
    """
    escaped = id.replace("%", "%25").replace("/", "%2F")
    return "%2E" if escaped == "." else escaped  # a single dot is the group itself


class _Stream:
    """The file that HDF5 writes to, which never tells it of an error.

    After a write that failed, as on a full disk, the HDF5 library repeats it for as long as there is something left
    to write, and then crashes the process (h5py 3.16). Here the first error is kept for ``check``.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self._failure: OSError | None = None

    def check(self) -> None:
        """Raise the first error, if there was one."""
        if self._failure is not None:
            raise self._failure

    def write(self, data: bytes) -> int:
        if self._failure is None:
            try:
                view = memoryview(data)
                while view:
                    view = view[self._file.write(view) :]
            except OSError as error:
                self._failure = error
        return len(data)

    def truncate(self, size: int) -> int:
        if self._failure is None:
            try:
                self._file.truncate(size)
            except OSError as error:
                self._failure = error
        return size

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:  # h5py knows a file by this, though it reads with ``readinto``
        return self._file.read(size) or b""

    def readinto(self, buffer: bytearray) -> int:
        return self._file.readinto(buffer)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class Hdf5:
    """See the module; a ``Writer``."""

    def __init__(self, target: Target) -> None:
        """Open the file."""
        self._target = target
        self._stream = _Stream(target.path)
        self._file = h5py(target.name).File(self._stream, "w")
        self._file.attrs[MODEL_NAME] = target.about["space"]["model"]
        self._file.attrs[ABOUT] = json.dumps(target.about, sort_keys=True)

    def write(self, part: Part) -> None:
        """See ``Writer``."""
        arrays: Any = part.vectors if part.residues is None else part.residues
        for id, array in zip(part.ids, arrays, strict=True):
            if "\0" in id:
                raise ExchangeError(f"HDF5 cannot hold the id {id!r}", file=self._target.name)
            dataset = self._file.create_dataset(key_of(id), data=self._target.typed(array, id=id))
            dataset.attrs[ORIGINAL_ID] = id
            self._stream.check()

    def close(self) -> int:
        """See ``Writer``."""
        count = len(self._file)
        self.abandon()
        self._stream.check()
        return count

    def abandon(self) -> None:
        """See ``Writer``."""
        self._file.close()
        self._stream.close()
