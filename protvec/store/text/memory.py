"""An index of the words of an open database, in memory: made fragment by fragment, and again only of what is new."""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from protvec.store.tables import read
from protvec.store.text.ranking import SEARCHED, Prepared, bm25, count, name_scores, pattern, prepared

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from lance import LanceDataset, LanceFragment
    from numpy.typing import NDArray

    from protvec.store.text.terms import Text

# Searches by text after which the index is made: a command that asks once lets lance look through the table.
_SEARCHES = 1
_SMALL = 4096  # proteins, of which it is made at once
_SHARE = 4  # of the memory for searches: one part of so many
_BYTES = 400  # that a protein takes in it, more or less
# Places of a name that are looked up one by one; of a commoner one, all names are looked through.
_PLACES = 5000

Key = tuple[int, str, str]  # a fragment, its files, and that of its deleted rows


class Matches(NamedTuple):
    """All proteins that match, in no order.

    Attributes:
        ids: Theirs.
        scores: ndarray, dtype=float64.
        addresses: ndarray, dtype=uint64: where the rows are.
    """

    ids: pa.Array
    scores: NDArray[np.float64]
    addresses: NDArray[np.uint64]


_NOTHING = Matches(None, np.zeros(0), np.zeros(0, np.uint64))


@dataclass(frozen=True)
class Part:
    """The texts of one fragment, and where each word is.

    Attributes:
        ids: Of its rows.
        addresses: ndarray, dtype=uint64, of its rows.
        texts: What is looked through.
        flat: The bytes of all names, one row after another.
        lengths: ndarray, dtype=float64: the words that each row has.
        vocabulary: The words that there are, sorted.
        starts: ndarray: where in ``places`` those of each word start; one more.
        places: ndarray: the rows that have each word, as often as they have it.
    """

    ids: pa.Array
    addresses: NDArray[np.uint64]
    texts: Prepared
    flat: bytes
    lengths: NDArray[np.float64]
    vocabulary: pa.Array
    starts: NDArray[np.int64]
    places: NDArray[np.int32]

    @property
    def nbytes(self) -> int:
        """What it takes."""
        arrow = (self.ids, self.texts.words, self.texts.names, self.vocabulary)
        numbers = (self.addresses, self.lengths, self.starts, self.places)
        return sum(each.nbytes for each in (*arrow, *numbers))

    def times(self, term: tuple[str, ...]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """The rows that have a term, and how often."""
        if len(term) == 1:
            rows, times = np.unique(self._having(term[0]), return_counts=True)
            return rows, times.astype(np.float64)
        rows = min((np.unique(self._having(word)) for word in term), key=len)
        counted = count(self.texts.words.take(rows), pattern(term))
        return rows[counted > 0], counted[counted > 0]

    def named(self, name: str) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The rows with a name that has the text in it, and what that is worth."""
        found = list(islice(_finds(self.flat, name.encode()), _PLACES + 1))
        if len(found) > _PLACES:
            rows = np.arange(len(self.ids), dtype=np.intp)
        else:
            rows = np.unique(np.searchsorted(self._offsets, np.array(found, np.int64), side="right") - 1)
        worth = name_scores(self.texts.names.take(rows), name)
        return rows[worth > 0], worth[worth > 0]

    @cached_property
    def _offsets(self) -> NDArray[np.int32]:
        return np.frombuffer(self.texts.names.buffers()[1], np.int32)[: len(self.ids)]

    def _having(self, word: str) -> NDArray[np.int32]:
        at = bisect_left(range(len(self.vocabulary)), word, key=lambda place: self.vocabulary[place].as_py())
        if at == len(self.vocabulary) or self.vocabulary[at].as_py() != word:
            return self.places[:0]
        return self.places[self.starts[at] : self.starts[at + 1]]


@dataclass(eq=False)
class Words:
    """The index of the version that was last asked for. Threads and views of other versions share one.

    Attributes:
        last: The last answer, and what it is to; a text beside many queries is asked for again with each.
    """

    last: tuple[object, Matches] = field(default_factory=lambda: (None, _NOTHING))
    _parts: dict[Key, Part] = field(default_factory=dict)
    _asked: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, handle: LanceDataset, *, memory: int) -> list[Part] | None:
        """The parts of a version, if there is the memory for them and they pay by now.

        Args:
            handle: On the version.
            memory: Bytes for searches.
        """
        rows = int(handle.count_rows())
        with self._lock:
            self._asked += 1
            if rows * _BYTES > memory // _SHARE or (self._asked <= _SEARCHES and rows > _SMALL):
                return None
            fragments = {_key(fragment): fragment for fragment in handle.get_fragments()}
            for key, fragment in fragments.items():
                if key not in self._parts:
                    self._parts[key] = _part(handle, fragment)
            self._parts = {key: self._parts[key] for key in fragments}
            return list(self._parts.values())


def matching(parts: list[Part], text: Text) -> Matches:
    """What the parts have that matches: as ``ranking.scores`` has it, without looking at every protein."""
    import pyarrow as pa

    proteins = sum(len(part.ids) for part in parts)
    totals = [np.zeros(len(part.ids)) for part in parts]
    for term in text.terms:
        found = [part.times(term) for part in parts]
        having = sum(len(rows) for rows, _ in found)
        for total, part, (rows, times) in zip(totals, parts, found, strict=True):
            total[rows] += bm25(times, part.lengths[rows], having, proteins)
    if text.name is not None:
        for total, part in zip(totals, parts, strict=True):
            places, worth = part.named(text.name)
            total[places] += worth
    kept = [np.flatnonzero(total) for total in totals]
    return Matches(
        pa.concat_arrays([pa.array([], pa.string()), *(p.ids.take(rows) for p, rows in zip(parts, kept, strict=True))]),
        np.concatenate([np.zeros(0), *(total[rows] for total, rows in zip(totals, kept, strict=True))]),
        np.concatenate([np.zeros(0, np.uint64), *(p.addresses[rows] for p, rows in zip(parts, kept, strict=True))]),
    )


def _key(fragment: LanceFragment) -> Key:
    files = [file.path for file in fragment.data_files()]
    return (
        fragment.fragment_id,
        " ".join([*files, *map(str, fragment.metadata.overlays)]),
        fragment.deletion_file() or "",
    )


def _part(handle: LanceDataset, fragment: LanceFragment) -> Part:
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = read(handle, fragments=[fragment], columns=list(SEARCHED), with_row_address=True)
    words, names = prepared(rows)
    flat = names.buffers()[2].to_pybytes() if len(names) and names.buffers()[2] is not None else b""
    split = pc.split_pattern(pc.utf8_trim(words, " "), "  ")
    lengths = pc.list_value_length(split).to_numpy(zero_copy_only=False)
    tokens = split.flatten()
    owner = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    real = pc.not_equal(tokens, "").to_numpy(zero_copy_only=False)  # of a row without words, one that is none
    encoded = tokens.dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    codes = rank[encoded.indices.to_numpy()][real]
    return Part(
        rows["id"].combine_chunks(),
        rows["_rowaddr"].to_numpy(),
        Prepared(words, pa.StringArray.from_buffers(len(names), names.buffers()[1], pa.py_buffer(flat))),
        flat,
        np.bincount(owner[real], minlength=len(lengths)).astype(np.float64),
        encoded.dictionary.take(order),
        np.searchsorted(np.sort(codes), np.arange(len(order) + 1)),
        owner[real][np.argsort(codes, kind="stable")],
    )


def _finds(whole: bytes, part: bytes) -> Iterator[int]:
    at = whole.find(part)
    while at >= 0:
        yield at
        at = whole.find(part, at + 1)
