"""Where proteins are cut, and the vectors of the segments: means of residues, as ``vector`` is that of all of them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from protvec.store.codec import compiled
from protvec.store.scoring.record import SEGMENTS

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

METADATA_KEY = b"protvec.segments"
# Residues of a segment, and from one to the next: found by measurement (docs/segments.md).
WINDOW, STEP = 120, 60
_EVERY = 2  # segment of a query is compared
_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Rule:
    """How proteins are cut into windows that overlap. One that is hardly longer than a window is its own segment.

    Attributes:
        window: Residues of a segment.
        step: At most so many residues from the begin of one to that of the next.
    """

    window: int = WINDOW
    step: int = STEP

    @property
    def longest(self) -> int:
        """Residues of the longest protein that is not cut."""
        return self.window * 3 // 2

    def count(self, length: int) -> int:
        """How many segments a protein of that length has: 0 of one that is not cut."""
        return 0 if length <= self.longest else -(-(length - self.window) // self.step) + 1

    def counts(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """``count`` of many lengths."""
        counts = -(-(lengths - self.window) // self.step) + 1
        return np.where(lengths > self.longest, counts, 0)

    def within(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Residues of the segments of proteins of those lengths."""
        return np.where(lengths > self.longest, self.window, lengths)

    def starts(self, length: int) -> list[int]:
        """Where the segments of a protein begin, from 0: evenly spaced, the last one ends with the protein."""
        last = self.count(length) - 1
        return [number * (length - self.window) // last for number in range(last + 1)]

    def cut(self, residues: NDArray[np.float32]) -> NDArray[np.float16]:
        """The vectors of the segments: the mean of the residues of each.

        Args:
            residues: ndarray, shape=(L, D).

        Returns:
            ndarray, shape=(number of segments, D), dtype=float16. Numbers beyond its range become its largest.
        """
        means = self._sums(np.ascontiguousarray(residues, np.float32))
        means /= self.window
        return np.clip(means, -_LARGEST, _LARGEST).astype(np.float16)

    def _sums(self, residues: NDArray[np.float32]) -> NDArray[np.float32]:
        """The sum of the residues of each segment: ndarray, shape=(number of segments, D), dtype=float32."""
        starts = self.starts(len(residues))
        if kernels := compiled.after(residues.nbytes):
            sums: NDArray[np.float32] = kernels.sums(residues, np.array(starts), self.window)
            return sums
        return np.stack([residues[start : start + self.window].sum(axis=0) for start in starts])

    def pieces(self, residues: NDArray[np.float32]) -> Pieces | None:
        """The segments of a query; None where it is not cut.

        Args:
            residues: ndarray, shape=(L, D).
        """
        if not self.count(len(residues)):
            return None
        return Pieces.of(self.cut(residues).astype(np.float32), len(residues), self)

    def place(self, length: int, number: int) -> tuple[int, int]:
        """Where a segment is: its first residue, from 1, and its last; all of a protein that is not cut.

        Args:
            length: Of the protein.
            number: Which segment, from 0.
        """
        if not self.count(length):
            return 1, length
        start = self.starts(length)[number]
        return start + 1, start + self.window

    @staticmethod
    def bytes_each(dimension: int) -> int:
        """What a segment takes on disk: its mean, and its vector in the search space."""
        return 3 * dimension

    def to_json(self) -> str:
        """As text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


@dataclass(frozen=True, eq=False)
class Pieces:
    """The segments of a query that are compared: every other one of all, as those of the proteins overlap.

    Attributes:
        means: ndarray, shape=(number of segments, D), dtype=float32.
        numbers: Which these are of all segments.
        length: Residues of the query.
        rule: How it was cut.
    """

    means: NDArray[np.float32]
    numbers: list[int]
    length: int
    rule: Rule

    @classmethod
    def of(cls, means: NDArray[np.float32], length: int, rule: Rule) -> Pieces:
        """Those of all segments of a query; the first and the last are among them."""
        last = len(means) - 1
        some = -(-last // _EVERY)
        numbers = [number * last // some for number in range(some + 1)]
        return cls(means[numbers], numbers, length, rule)

    def place(self, number: int) -> tuple[int, int]:
        """Where one of them is: its first residue, from 1, and its last."""
        return self.rule.place(self.length, self.numbers[number])


def keeping(schema: pa.Schema, rule: Rule) -> pa.Schema:
    """A schema of ``proteins`` with segments."""
    import pyarrow as pa

    metadata = {**(schema.metadata or {}), METADATA_KEY: rule.to_json()}
    return schema.append(pa.field(SEGMENTS, pa.large_binary())).with_metadata(metadata)


def rule_of(schema: pa.Schema) -> Rule | None:
    """How the database of a schema of ``proteins`` cuts; None where it keeps no segments."""
    text = (schema.metadata or {}).get(METADATA_KEY)
    return None if text is None or schema.get_field_index(SEGMENTS) < 0 else _read(text)


@lru_cache(maxsize=16)  # asked for each protein of an ingest
def _read(text: bytes) -> Rule | None:
    try:
        values = json.loads(text)
        return Rule(int(values["window"]), int(values["step"]))
    except (ValueError, TypeError, KeyError):
        return None
