"""The segments of one version of ``proteins`` in memory, made from those of the version before."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from protvec.store.filters import LANCE_ERRORS, enclosed, explain
from protvec.store.memory.rows import fragment_key
from protvec.store.tables import read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lance import LanceDataset, LanceFragment
    from numpy.typing import NDArray

    from protvec.store.memory.rows import Key
    from protvec.store.segments import Rule

_Number = TypeVar("_Number", bound=np.generic)

_FILTERS = 16  # whose proteins are remembered


def segment_bytes(segments: int, proteins: int, dimension: int) -> int:
    """Memory for so many segments of so many proteins."""
    return segments * (dimension + 4) + proteins * 24


class Part(NamedTuple):
    """The segments of one fragment.

    Attributes:
        codes: ndarray, shape=(S, D), dtype=int8.
        counts: ndarray, shape=(N,): how many are of each protein, at least 1.
        addresses: ndarray, shape=(N,), dtype=uint64: where the protein is in the table.
        lengths: ndarray, shape=(N,), dtype=int32: its residues.
        deletions: The file that names the deleted rows of the fragment, if any.
    """

    codes: NDArray[np.int8]
    counts: NDArray[np.int64]
    addresses: NDArray[np.uint64]
    lengths: NDArray[np.int32]
    deletions: str | None

    def of(self, kept: NDArray[np.bool_], deletions: str | None) -> Part:
        """Those of some of the proteins."""
        codes = self.codes[np.repeat(kept, self.counts)]
        return Part(codes, self.counts[kept], self.addresses[kept], self.lengths[kept], deletions)


@dataclass(frozen=True, eq=False)
class Segments:
    """The segments of one version. Never changed.

    Attributes:
        handle: On that version.
        rule: How proteins are cut.
        codes: ndarray, shape=(S, D), dtype=int8: their vectors, of whatever lengths.
        inverse: ndarray, shape=(S,), dtype=float32: one by the norm of each.
        starts: ndarray, shape=(N + 1,): where the segments of each protein begin.
        addresses: ndarray, shape=(N,), dtype=uint64: where the proteins are in the table.
        lengths: ndarray, shape=(N,), dtype=int32: residues of the proteins.
        parts: Those of each fragment.
    """

    handle: LanceDataset
    rule: Rule
    codes: NDArray[np.int8]
    inverse: NDArray[np.float32]
    starts: NDArray[np.int64]
    addresses: NDArray[np.uint64]
    lengths: NDArray[np.int32]
    parts: dict[Key, Part]

    @property
    def version(self) -> int:
        """Of ``proteins``."""
        return int(self.handle.version)

    def meeting(self, where: str) -> NDArray[np.bool_]:
        """Which proteins meet a condition: ndarray, shape=(N,).

        Raises:
            FilterError: It cannot be used.
        """
        table = read(self.handle, where=enclosed(where), user=where, columns=[], with_row_address=True)
        return np.isin(self.addresses, table["_rowaddr"].to_numpy())


def load(handle: LanceDataset, rule: Rule, column: str, before: Segments | None = None) -> Segments:
    """The segments of a version; what is known of the one before is not read again.

    Args:
        handle: On the version.
        rule: How proteins are cut.
        column: Which has the vectors.
        before: Those of another version, of the same column.
    """
    known = {} if before is None else before.parts
    parts = {}
    for fragment in handle.get_fragments():
        key = fragment_key(fragment, handle, [column])
        old = known.get(key)
        part = None if old is None else _followed(handle, fragment, old)
        parts[key] = _read(handle, fragment, column) if part is None else part
    return _joined(handle, rule, parts)


def _joined(handle: LanceDataset, rule: Rule, parts: dict[Key, Part]) -> Segments:
    dimension = handle.schema.field("vector").type.list_size
    codes = np.concatenate([np.empty((0, dimension), np.int8), *(part.codes for part in parts.values())])
    counts = _concatenated((part.counts for part in parts.values()), np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)])
    addresses = _concatenated((part.addresses for part in parts.values()), np.uint64)
    lengths = _concatenated((part.lengths for part in parts.values()), np.int32)
    views, at = {}, 0
    for key, part in parts.items():  # so that each is in memory once
        views[key] = part._replace(codes=codes[at : at + len(part.codes)])
        at += len(part.codes)
    return Segments(handle, rule, codes, _inverse_norms(codes), starts, addresses, lengths, views)


def _concatenated(arrays: Iterable[NDArray[_Number]], dtype: type[_Number]) -> NDArray[_Number]:
    return np.concatenate([np.empty(0, dtype), *arrays])


def _inverse_norms(codes: NDArray[np.int8]) -> NDArray[np.float32]:
    squares = np.empty(len(codes), np.float32)
    for start in range(0, len(codes), 4096):
        part = codes[start : start + 4096].astype(np.float32)
        squares[start : start + 4096] = np.einsum("ij,ij->i", part, part)
    return (1 / np.sqrt(np.maximum(squares, 1))).astype(np.float32)


def _followed(handle: LanceDataset, fragment: LanceFragment, part: Part) -> Part | None:
    """What is left of a fragment; None if it has rows that were not read, as after a restore."""
    deletions = fragment.deletion_file()
    if deletions == part.deletions:
        return part
    left = handle.scanner(fragments=[fragment], columns=[], with_row_address=True).to_table()["_rowaddr"].to_numpy()
    kept = np.isin(part.addresses, left)
    return part.of(kept, deletions) if int(kept.sum()) == len(left) else None


def _read(handle: LanceDataset, fragment: LanceFragment, column: str) -> Part:
    """The segments of a fragment. Rows that another client of Lance added have none, and are left out."""
    import pyarrow.compute as pc

    columns = ["length", column]
    options = {"fragments": [fragment], "with_row_address": True, "scan_in_order": True}
    try:
        table = handle.scanner(columns=columns, **options).to_table()
    except LANCE_ERRORS as error:
        raise explain(error, handle, None) from error
    dimension = handle.schema.field("vector").type.list_size
    table = table.filter(pc.is_valid(table[column]))
    chunks = [np.frombuffer(value.as_buffer(), np.int8) for value in table[column]]
    codes = np.concatenate([np.empty(0, np.int8), *chunks]).reshape(-1, dimension)
    counts = pc.binary_length(table[column]).to_numpy() // dimension
    lengths = table["length"].to_numpy().astype(np.int32)
    return Part(codes, counts.astype(np.int64), table["_rowaddr"].to_numpy(), lengths, fragment.deletion_file())


@dataclass(eq=False)
class SegmentCache:
    """The segments of the newest version that was asked for. Threads share one; what they get from it never changes."""

    _now: Segments | None = None
    _column: str = ""
    _filters: OrderedDict[str, NDArray[np.bool_]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def at(self, handle: LanceDataset, rule: Rule, column: str) -> Segments:
        """The segments of the version of a handle, or of a newer one that another thread asked for."""
        with self._lock:
            now = self._now if self._column == column else None
            if now is None or now.version < handle.version:
                self._now, self._column = load(handle, rule, column, now), column
                self._filters = OrderedDict()
            return self._now  # type: ignore[return-value]  # set above

    def fork(self, version: int) -> SegmentCache:
        """A cache for a view of this version alone: with what is here, if it is of that."""
        with self._lock:
            if self._now is None or self._now.version != version:
                return SegmentCache()
            return SegmentCache(self._now, self._column, OrderedDict(self._filters))

    def meeting(self, now: Segments, where: str) -> NDArray[np.bool_]:
        """Which proteins meet a condition.

        Raises:
            FilterError: It cannot be used.
        """
        with self._lock:
            if self._now is now and where in self._filters:
                self._filters.move_to_end(where)
                return self._filters[where]
        found = now.meeting(where)
        with self._lock:
            if self._now is now:
                self._filters[where] = found
                while len(self._filters) > _FILTERS:
                    self._filters.popitem(last=False)
        return found
