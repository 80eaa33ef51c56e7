"""The map of an open database: its vectors for who makes one, and the places that were given."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from protvec.store.changes import Changes
from protvec.store.places.table import MapTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from protvec.store.places.record import MapRecord
    from protvec.store.places.table import Places

_BATCH_ROWS = 4096


class Distinct(NamedTuple):
    """One search vector for each distinct sequence.

    Attributes:
        digests: Of the sequences, ascending.
        vectors: ndarray, shape=(N, D), dtype=float32, each of length 1.
    """

    digests: list[str]
    vectors: NDArray[np.float32]


class Placing(Changes):
    """The map."""

    @property
    def map_record(self) -> MapRecord | None:
        """How the map was made that this database has; None where it has none."""
        return MapTable(self.location).record()

    def places(self) -> Places | None:
        """Where its sequences lie on the map; None where there is none.

        Raises:
            DatabaseError: The table is damaged.
        """
        return MapTable(self.location).get()

    def set_places(self, places: Places) -> None:
        """Have this map in place of any other, in one commit.

        Raises:
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        self.check_writable()
        with self._writing:
            MapTable(self.location).put(places)

    def drop_places(self) -> None:
        """Forget the map.

        Raises:
            DatabaseError: It cannot be removed.
        """
        self.check_writable()
        with self._writing:
            MapTable(self.location).drop()

    def distinct_vectors(self) -> Distinct:
        """The vectors that searches compare, of every distinct sequence, in the order of the digests.

        They take N x D x 4 bytes, and while they are read about as much again.
        """
        digest_of = dict(self._pairs())
        first: dict[str, str] = {}
        for id in sorted(digest_of):
            first.setdefault(digest_of[id], id)
        parts, digests = [], []
        for ids, matrix in self.iter_vectors(batch_size=_BATCH_ROWS):
            kept = [row for row, id in enumerate(ids) if first.get(digest_of.get(id, "")) == id]
            if kept:
                parts.append(_unit(self.project(matrix[kept])))
                digests += [digest_of[ids[row]] for row in kept]
        if not parts:
            return Distinct([], np.empty((0, self.space.dimension), np.float32))
        order = np.argsort(np.array(digests))
        return Distinct([digests[row] for row in order], np.concatenate(parts)[order])

    def _pairs(self) -> list[tuple[str, str]]:
        batches = self.iter_proteins(columns=["id", "digest"], batch_size=_BATCH_ROWS)
        return [pair for batch in batches for pair in zip(*batch.to_pydict().values(), strict=True)]


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of length 1: what is raw is not."""
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
