"""Relatives of proteins in a database, and the profiles that these make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protvec.align import profile
from protvec.engine.base import pool
from protvec.errors import QueryError
from protvec.search.aligning import no_learned_pairs, of_relatives
from protvec.search.nearest import Wanted, check_any
from protvec.search.ranked import Asked, chains_in, rank

if TYPE_CHECKING:
    from typing_extensions import Self

    from protvec.align import Chain, Pairing, Scoring
    from protvec.search.aligning import Aligning
    from protvec.search.library import Library
    from protvec.store import Store
    from protvec.store.reader import Reader

# Of a profile: hits with E-values up to this, and so many of other sequences at most.
RELATED, RELATIVES = 0.1, 20


def no_profiles(store: Store, scoring: Scoring) -> str | None:
    """Why there are no profiles of proteins by this database; None where there are."""
    try:
        store.check_residues()
        check_any(store)
    except QueryError as error:
        return str(error)
    return no_learned_pairs(store, scoring)


@dataclass(frozen=True, eq=False)
class Profiles:
    """Makes profiles of proteins by their relatives in a database. For many threads.

    Attributes:
        view: The database, of one version.
        pairing: Learned scores of pairs, which a profile is of.
        how: How relatives are found.
    """

    view: Reader
    pairing: Pairing
    how: Aligning

    @classmethod
    def by(cls, store: Store, scoring: Scoring, *, threads: int | None, library: Library | None = None) -> Self:
        """Profiles for alignments that are scored so.

        Args:
            store: The database.
            scoring: Has learned scores of pairs.
            threads: At most so many; None for all cores.
            library: Of all proteins of the database, where there is one already.

        Raises:
            QueryError: there are none, by ``no_profiles``.
        """
        why = no_profiles(store, scoring)
        if why is not None or scoring.pairing is None:
            raise QueryError(str(why))
        return cls(store.pinned(), scoring.pairing, of_relatives(store, threads=threads, library=library))

    def of(self, protein: Chain) -> tuple[Chain, int]:
        """A protein as its relatives show it, and how many there are; without any, the protein as it is."""
        relatives = self.relatives(protein)
        if not relatives:
            return protein, 0
        return profile(protein, relatives, self.pairing, threads=self.how.threads), len(relatives)

    def relatives(self, protein: Chain) -> list[Chain]:
        """The hits of an aligned search whose sequence is another one, best first; of those with one sequence one."""
        asked = Asked("", pool(protein.residues), protein)
        rows = rank(self.view, asked, self._wanted).rows
        places: dict[str, int] = {}
        for place, sequence in enumerate(rows["sequence"].to_pylist()):
            places.setdefault(sequence, place)
        places.pop(protein.sequence, None)
        first = np.array(list(places.values())[:RELATIVES], np.int64)
        return list(chains_in(self.view, rows.take(first)))

    @property
    def _wanted(self) -> Wanted:
        return Wanted(
            k=self.how.candidates,
            where=None,
            min_score=None,
            columns=(),
            align=self.how,
            evalue=RELATED,
            segments=True,
        )
