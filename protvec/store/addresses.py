"""Where the arrays of one version of ``residues`` are, kept so that reading some by digest is a lookup, not a scan."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from protvec.store.filters import in_lists
from protvec.store.tables import read, row_addresses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lance import LanceDataset
    from numpy.typing import NDArray

# In memory 50 bytes a row; of a larger table the digests are looked for in the table each time.
_MOST_ROWS = 4_000_000


class _Known(NamedTuple):
    """The rows of one version, by digest.

    Attributes:
        version: Of ``residues``.
        digests: ndarray of bytes, ascending.
        addresses: ndarray, dtype=uint64, of each.
    """

    version: int
    digests: NDArray[np.bytes_]
    addresses: NDArray[np.uint64]


def looked_for(handle: LanceDataset, digests: Sequence[str]) -> NDArray[np.uint64]:
    """The addresses of those of these digests that the table has, ascending, from the table itself."""
    found = [row_addresses(handle, where) for where in in_lists("digest", digests)]
    return np.sort(np.concatenate(found)) if found else np.empty(0, np.uint64)


class Addresses:
    """The addresses of the version that was asked for last. May be used from several threads at once."""

    def __init__(self) -> None:
        self._known: _Known | None = None
        self._lock = threading.Lock()

    def find(self, handle: LanceDataset, digests: Sequence[str]) -> NDArray[np.uint64]:
        """The addresses of those of these digests that the table has, ascending."""
        known = self._of(handle)
        if known is None:
            return looked_for(handle, digests)
        wanted = np.array(digests, dtype=np.bytes_)
        places = np.searchsorted(known.digests, wanted)
        inside = places < len(known.digests)
        places, wanted = places[inside], wanted[inside]
        return np.sort(known.addresses[places[known.digests[places] == wanted]])

    def _of(self, handle: LanceDataset) -> _Known | None:
        """All rows of a version; None where they are too many."""
        with self._lock:
            known = self._known
        if known is None or known.version != handle.version:
            if handle.count_rows() > _MOST_ROWS:
                return None
            known = _read(handle)
            with self._lock:
                self._known = known
        return known


def _read(handle: LanceDataset) -> _Known:
    table = read(handle, columns=["digest"], with_row_address=True)
    digests = np.array(table["digest"].to_pylist(), dtype=np.bytes_)
    order = np.argsort(digests, kind="stable")
    return _Known(int(handle.version), digests[order], table["_rowaddr"].to_numpy()[order])
