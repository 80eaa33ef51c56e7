"""What is made of one version of a database, and kept as long as it is the newest that was asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_T = TypeVar("_T")

_VERSIONS = 2  # a view of one before may still be asked
_MOST = 64  # of one version


class Made:
    """Values by version and key. Threads and views share one; two threads may make the same value at once."""

    def __init__(self) -> None:
        self._values: OrderedDict[int, OrderedDict[Hashable, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, version: int, key: Hashable, make: Callable[[], _T]) -> _T:
        """The value, made if it is not there."""
        with self._lock:
            known = self._values.get(version)
            if known is not None and key in known:
                known.move_to_end(key)  # conditions come and go; samples stay
                return cast(_T, known[key])
        value = make()
        with self._lock:
            kept = self._values.setdefault(version, OrderedDict())
            kept[key] = value
            while len(kept) > _MOST:
                kept.popitem(last=False)
            while len(self._values) > _VERSIONS:
                self._values.popitem(last=False)
        return value
