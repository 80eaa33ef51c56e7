"""The vectors of the rows that meet a condition: all of them, where a database as a whole does not fit the memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protvec.store.filters import LANCE_ERRORS, enclosed, explain
from protvec.store.memory.cache import bytes_needed
from protvec.store.memory.codes import Codes, encode
from protvec.store.memory.rows import Rows, meeting

if TYPE_CHECKING:
    from lance import LanceDataset

    from protvec.store.scoring.compared import Compared

_FEW = 20_000
# Bytes that are gone through in some 40 ms: of vectors that take more, an index finds the nearest sooner.
_MOST = 400 << 20
# Searches under one condition after which its vectors are rounded to bytes, if they are not fewer.
_SEARCHES, _ROUNDED_ROWS = 3, 2048
_CONDITIONS = 64  # whose counts are remembered
_SHARE = 2  # of the memory for searches, for the vectors of all conditions: one part of so many


@dataclass(eq=False)
class Condition:
    """A condition and a version.

    Attributes:
        count: How many rows meet it.
        asked: How often it was asked for.
        rows: Their vectors, once they have been read.
        codes: The same rounded to bytes, after some more searches.
    """

    count: int
    asked: int = 0
    rows: Rows | None = None
    codes: Codes | None = None

    @property
    def few(self) -> bool:
        """Whether their vectors are read sooner than an index has been looked through."""
        return self.count <= _FEW


@dataclass(eq=False)
class Passing:
    """What is known of the last conditions. Threads share one."""

    _known: OrderedDict[tuple[int, str, str], Condition] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def at(self, handle: LanceDataset, where: str, compared: Compared, *, memory: int) -> Condition:
        """The rows of a version that meet a condition.

        Their vectors are read if they are few, or asked for again, and fit a share of the memory for searches.

        Args:
            handle: On the version.
            where: The user's filter.
            compared: Which vectors.
            memory: Bytes for searches.

        Raises:
            FilterError: It cannot be used.
        """
        key = int(handle.version), where, compared.column
        with self._lock:
            known = self._known.get(key)
        if known is None:
            known = Condition(_count(handle, where))
        known.asked += 1
        room = memory // _SHARE
        dimension = handle.schema.field("vector").type.list_size
        pays = known.few or known.asked > 1
        if known.rows is None and pays and bytes_needed(known.count, dimension) <= min(room, _MOST):
            known.rows = meeting(handle, where, compared)
        rows, many = known.rows, known.asked > _SEARCHES and known.count > _ROUNDED_ROWS
        if rows is not None and rows.vectors is not None and known.codes is None and many:
            known.codes = encode(rows.vectors, rows.inverse)
        with self._lock:
            self._known[key] = known
            self._known.move_to_end(key)
            self._forget(room, dimension)
        return known

    def _forget(self, room: int, dimension: int) -> None:
        """Let go what was not asked for longest."""
        taken = 0
        for number, (key, each) in enumerate(reversed(list(self._known.items()))):
            taken += 0 if each.rows is None else bytes_needed(len(each.rows), dimension)
            if number >= _CONDITIONS or taken > room:
                del self._known[key]


def _count(handle: LanceDataset, where: str) -> int:
    try:
        return int(handle.count_rows(enclosed(where)))
    except LANCE_ERRORS as error:
        raise explain(error, handle, where) from error
