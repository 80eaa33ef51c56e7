"""Columns of hits, kept in memory: taking fifty rows of a table takes longer than finding them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from protvec.store.tables import read

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.store.memory.rows import Rows

# Searches in one version after which columns are read as a whole: others may write all the time.
_SEARCHES = 3
_SHARE = 8  # of the memory for searches: one part of so many


@dataclass(eq=False)
class Columns:
    """Columns of the version that was last asked for. Threads share one; views of other versions have their own."""

    _rows: Rows | None = None
    _searches: int = 0
    _table: pa.Table | None = None
    _at: NDArray[np.intp] | None = None
    _large: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fork(self) -> Columns:
        """The same for a view of this version alone."""
        with self._lock:
            return Columns(self._rows, self._searches, self._table, self._at, set(self._large))

    def take(self, rows: Rows, places: NDArray[np.intp], names: Sequence[str], *, memory: int) -> pa.Table | None:
        """Columns of rows, if they are in memory, or are to be by now.

        Args:
            rows: Of which version.
            places: ndarray of int: which rows, in the order of the result.
            names: The columns.
            memory: Bytes for searches.
        """
        with self._lock:
            if self._rows is not rows:
                self._rows, self._searches, self._table, self._at = rows, 0, None, None
            self._searches += 1
            if self._searches <= _SEARCHES or not self._large.isdisjoint(names):
                return None
            self._load(rows, names, memory // _SHARE)
            table, at = self._table, self._at
        if table is None or at is None or not set(names) <= set(table.column_names):
            return None
        return table.select(list(names)).take(at[places])

    def _load(self, rows: Rows, names: Sequence[str], room: int) -> None:
        import pyarrow as pa

        there = [] if self._table is None else self._table.column_names
        lacking = [name for name in names if name not in there]
        if not lacking:
            return
        found = read(rows.handle, columns=lacking, with_row_address=True, scan_in_order=True)
        addresses = found["_rowaddr"].to_numpy()
        if self._at is None:
            order = np.argsort(addresses, kind="stable")
            near = np.searchsorted(addresses[order], rows.addresses)  # of a row that is deleted, anything
            self._at = order[np.minimum(near, len(order) - 1)] if len(order) else order
        table = self._table
        for name in lacking:
            column = found[name].combine_chunks()
            if column.nbytes + (0 if table is None else table.nbytes) > room:
                self._large.add(name)
            else:
                table = pa.table({name: column}) if table is None else table.append_column(name, column)
        self._table = table
