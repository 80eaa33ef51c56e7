"""What an open database keeps in memory for its searches, following its versions."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from protvec.store.filters import enclosed
from protvec.store.memory import codes, rows
from protvec.store.memory.rows import Allowed, Rows
from protvec.store.memory.scan import MANY, Nearest, nearest
from protvec.store.tables import read

if TYPE_CHECKING:
    from lance import LanceDataset
    from numpy.typing import NDArray

    from protvec.store.memory.codes import Codes
    from protvec.store.scoring.compared import Compared

# Searches after which vectors are rounded to bytes too: a command that asks once does not pay for it.
_SEARCHES = 3
# As many rows are in memory sooner than lance has looked through them.
_SMALL = 4096
# Fewer rows than this are compared sooner than their bytes are.
_ROUNDED_ROWS = 2048
_FILTERS = 16  # whose rows are remembered


def bytes_needed(count: int, dimension: int) -> int:
    """Memory for the vectors of so many proteins, and their rounded form."""
    return count * (5 * dimension + 64)


def bytes_coded(count: int, dimension: int) -> int:
    """Memory for their rounded form alone, with ids and addresses."""
    return count * (dimension + 96)


@dataclass(eq=False)
class Cache:
    """Vectors of the newest version that was asked for. Threads share one; what they get from it never changes."""

    _rows: Rows | None = None
    _codes: Codes | None = None
    _asked: int = 0
    _searches: int = 0
    _filters: OrderedDict[str, Allowed] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def at(self, handle: LanceDataset, compared: Compared, *, coded: bool = False) -> Rows:
        """The rows of the version of a handle, or of a newer one that another thread asked for.

        Args:
            handle: On the version.
            compared: Which of its vectors.
            coded: Keep their codes alone.
        """
        with self._lock:
            now = self._rows
            if now is None or now.version < handle.version:
                if now is None or (now.vectors is None) is not coded:
                    now = self._rows = self._codes = None  # two of them might not fit
                    self._rows = rows.load(handle, compared, coded=coded)
                else:
                    self._rows = rows.refreshed(now, handle, compared)
                self._filters = OrderedDict()
                if now is not None and now.moved != self._rows.moved:
                    self._codes = None
            return self._rows  # type: ignore[return-value]  # set above

    def known(self, version: int) -> Rows | None:
        """The rows of a version, where they are here."""
        with self._lock:
            return self._rows if self._rows is not None and self._rows.version == version else None

    def pays(self, queries: int, count: int, *, coded: bool = False) -> bool:
        """Whether to have the vectors in memory for so many queries now: not for the only one of a command.

        Codes always are: of so many vectors, lance takes longer to look through them, and gigabytes.
        """
        with self._lock:
            self._asked += queries
            return coded or self._rows is not None or self._asked > 1 or count <= _SMALL

    def fork(self, version: int) -> Cache:
        """A cache for a view of this version alone: with what is here, if it is of that."""
        with self._lock:
            if self._rows is None or self._rows.version != version:
                return Cache()
            return Cache(self._rows, self._codes, self._asked, self._searches, OrderedDict(self._filters))

    def nearest(self, now: Rows, queries: NDArray[np.float32], *, k: int, where: str | None) -> Nearest:
        """The k rows nearest to each query among those that meet a condition.

        Args:
            now: What ``at`` returned.
            queries: ndarray, shape=(N, D).
            k: How many for each.
            where: The user's filter.

        Raises:
            FilterError: It cannot be used.
        """
        allowed = now.everything if where is None else self._allowed(now, where)
        rounded = None if len(queries) >= MANY else self._rounded(now, len(queries))
        return nearest(now, rounded, queries, k=k, allowed=allowed)

    def _rounded(self, now: Rows, queries: int) -> Codes | None:
        """The bytes of the rows, if they are there or pay by now."""
        with self._lock:
            self._searches += queries
            if now.vectors is None:
                return now.codes
            if self._searches <= _SEARCHES or len(now) < _ROUNDED_ROWS:
                return None
            if self._rows is not None and self._rows.moved != now.moved:
                return None
            if self._codes is None:
                self._codes = codes.encode(now.vectors, now.inverse)
            self._codes = self._codes.extended(now.vectors, now.inverse)
            return self._codes.first(len(now))

    def _allowed(self, now: Rows, where: str) -> Allowed | None:
        with self._lock:
            known = self._filters.get(where) if self._rows is now else None
            if known is not None:
                self._filters.move_to_end(where)
                return known
        allowed = _meeting(now, where)
        with self._lock:
            if self._rows is now:
                self._filters[where] = allowed
                while len(self._filters) > _FILTERS:
                    self._filters.popitem(last=False)
        return allowed


def _meeting(now: Rows, where: str) -> Allowed:
    """The rows that meet a condition, as lance says."""
    table = read(now.handle, where=enclosed(where), user=where, columns=[], with_row_address=True)
    places = now.places(table["_rowaddr"].to_numpy())
    closed = np.ones(len(now), bool)
    closed[places] = False
    return Allowed(places, closed)
