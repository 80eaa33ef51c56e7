"""Proteins that share a stretch of letters with a query: candidates for an alignment that a mean vector misses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protvec.align import letters, map_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from protvec.store.reader import Reader

# Residues that are kept in memory, a byte each; of larger databases the sequences are read for every query.
KEPT = 256 << 20
_PROTEINS = 4096  # that a thread looks through at once


@dataclass(frozen=True, eq=False)
class Shelf:
    """Some proteins.

    Attributes:
        ids: Their ids.
        codes: ndarray: the codes of their residues, one after another.
        ends: ndarray, shape=(N,): where each ends.
    """

    ids: list[str]
    codes: NDArray[np.uint8]
    ends: NDArray[np.int64]


class Library:
    """The sequences of those proteins of a database that meet a condition. For many threads."""

    def __init__(self, where: str | None) -> None:
        self._where = where
        self._kept: tuple[str, list[Shelf]] = ("", [])  # and the version they are of

    def best(self, view: Reader, query: NDArray[np.uint8], number: int, *, threads: int | None = None) -> list[str]:
        """The ids of the proteins with the best ungapped matches, best first.

        Args:
            view: The database, of one version.
            query: ndarray, shape=(L,): codes of the query's letters.
            number: How many at most.
            threads: At most so many; None for all cores.
        """
        from protvec.align.words import Words

        words = Words(query)

        def looked(shelf: Shelf) -> list[tuple[int, str]]:
            scores = words.scores(shelf.codes, shelf.ends)
            order = np.argsort(-scores, kind="stable")[:number]
            return [(-int(scores[place]), shelf.ids[place]) for place in order if scores[place]]

        found = (pair for part in map_threads(looked, self._shelves(view), threads=threads) for pair in part)
        return [id for _, id in sorted(found)[:number]]

    def _shelves(self, view: Reader) -> Iterator[Shelf]:
        """All sequences, which are kept where they are not too many."""
        version = view.mark()
        kept_version, kept = self._kept
        if kept_version == version:
            yield from kept
            return
        shelves: list[Shelf] = []
        residues = 0
        for batch in view.iter_proteins(columns=["id", "sequence"], where=self._where, batch_size=_PROTEINS):
            shelf = _shelf(batch["id"].to_pylist(), batch["sequence"].to_pylist())
            residues += len(shelf.codes)
            if residues <= KEPT:
                shelves.append(shelf)
            yield shelf
        if residues <= KEPT:
            self._kept = version, shelves


def _shelf(ids: list[str], sequences: list[str]) -> Shelf:
    return Shelf(ids, letters("".join(sequences)), np.cumsum([len(each) for each in sequences]))
