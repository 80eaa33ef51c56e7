"""Where the rows of a table are, and some of their columns, kept so that finding some by key is no scan."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from protvec.store.filters import in_lists
from protvec.store.tables import read

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import NDArray

_Mark: TypeAlias = tuple[int, list[str]]

# In memory about 75 bytes a row; in a larger table keys are looked for each time.
_MOST_ROWS = 2_000_000


class _Kept(NamedTuple):
    """All rows of one version.

    Attributes:
        mark: Of the version.
        hashes: ndarray, dtype=int64, ascending: of the keys.
        rows: In the same order.
    """

    mark: _Mark
    hashes: NDArray[np.int64]
    rows: pa.Table


class Lookup:
    """Some columns of a table by key, from the version that was asked for last. Threads may share one.

    Whoever asks once, as a command does, pays for a look through the table alone: all rows are read when a version
    is asked for again.

    Args:
        key: The column of keys.
        columns: Those that are wanted beside it.
    """

    def __init__(self, key: str, columns: Sequence[str]) -> None:
        self._key = key
        self._columns = [key, *columns]
        self._kept: _Kept | None = None
        self._asked: _Mark | None = None
        self._lock = threading.Lock()

    def find(self, handle: LanceDataset, keys: Sequence[str]) -> pa.Table:
        """Rows of the table with those keys: the key, the columns, and ``_rowaddr``, by which they are ascending.

        Args:
            handle: On the version that is meant.
            keys: All different; those that are not there are left out.
        """
        kept = self._of(handle)
        rows = self._looked_for(handle, keys) if kept is None else _found(kept, self._key, keys)
        return rows.take(np.argsort(rows["_rowaddr"].to_numpy()))

    def _of(self, handle: LanceDataset) -> _Kept | None:
        """All rows of a version; None where they are too many, or nobody has asked for them before."""
        mark = _mark(handle)
        with self._lock:
            if self._kept is not None and self._kept.mark == mark:
                return self._kept
            again, self._asked = self._asked == mark, mark
        if not again or handle.count_rows() > _MOST_ROWS:
            return None
        kept = self._all(handle)
        with self._lock:
            self._kept = kept
        return kept

    def _all(self, handle: LanceDataset) -> _Kept:
        rows = read(handle, columns=self._columns, with_row_address=True)
        hashes = _hashes(rows[self._key].to_pylist())
        order = np.argsort(hashes)
        return _Kept(_mark(handle), hashes[order], rows.take(order).combine_chunks())

    def _looked_for(self, handle: LanceDataset, keys: Sequence[str]) -> pa.Table:
        import pyarrow as pa

        wheres = in_lists(self._key, keys) if keys else ["false"]
        return pa.concat_tables(
            [read(handle, where=where, columns=self._columns, with_row_address=True) for where in wheres]
        )


def _mark(handle: LanceDataset) -> _Mark:
    """What tells a version from any other, of a table that was removed and made again in its place as well."""
    last = handle.get_fragments()[-1:]
    return int(handle.version), [file.path for fragment in last for file in fragment.data_files()]


def _found(kept: _Kept, key: str, keys: Sequence[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    hashes = np.unique(_hashes(keys))
    first = np.searchsorted(kept.hashes, hashes, "left")
    count = np.searchsorted(kept.hashes, hashes, "right") - first  # more than one where two keys have one hash
    places = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
    rows = kept.rows.take(places)
    return rows.filter(pc.is_in(rows[key], value_set=pa.array(keys, pa.string())))


def _hashes(keys: Iterable[str]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, keys), np.int64)
