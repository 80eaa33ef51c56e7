"""Two proteins aligned: stored ones, or sequences."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from protvec.align import Chain, Paired, local_alignment, scoring_for
from protvec.database.looking import Looking
from protvec.search.compared import Party, stored_parties
from protvec.search.library import Library
from protvec.search.query import as_queries
from protvec.search.related import Profiles, no_profiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from protvec.align import Alignment, Scoring
    from protvec.engine.base import Encoder
    from protvec.fasta import Record
    from protvec.search import Query


class Aligning(Looking):
    """The methods of ``Database`` that align."""

    def align(
        self,
        query: str | Query | Record,
        target: str | Query | Record,
        *,
        scoring: Scoring | None = None,
        plot: str | Path | None = None,
        profiles: bool | None = None,
    ) -> Alignment:
        """The best local alignment of two proteins by their residues.

        Args:
            query: The id of a protein of the database, whose stored residues are taken; else a sequence or a record,
                which is embedded.
            target: The other.
            scoring: What residues and gaps score; by default what suits the model.
            plot: Draw how alike all residues are, with the alignment, into this .png or .svg file; needs matplotlib.
            profiles: Whether pairs are chosen by what each protein's relatives in the database say too: see
                ``profiled``. None for yes where that can be, by ``no_profiles``.

        Raises:
            QueryError: one is neither an id nor a sequence, the database keeps no residues, or it cannot be drawn.
            ModelError: the weights of the model cannot be had.
        """
        how = scoring or scoring_for(self.store.space.model)
        one, two = self._both(query, target, how, profiles)
        found = local_alignment(one.chain, two.chain, how)
        if plot is not None:
            from protvec.align.plot import check_plot, dot_plot

            kind = check_plot(str(plot))
            with Path(plot).open("wb") as file:
                dot_plot(one.chain, two.chain, how, found, file, format=kind, names=(one.name, two.name))
        return found

    def compare(
        self,
        query: str | Query | Record,
        target: str | Query | Record,
        *,
        scoring: Scoring | None = None,
        dots: int | None = None,
        profiles: bool | None = None,
    ) -> Paired:
        """As ``align``, with what a picture of it needs: names, lengths, and how alike all residues are.

        Args:
            query: As for ``align``.
            target: As for ``align``.
            scoring: As for ``align``.
            dots: Rows and columns of the picture at most; None for no picture.
            profiles: As for ``align``.

        Raises:
            QueryError: As ``align``; or there are to be no dots.
            ModelError: As ``align``.
        """
        how = scoring or scoring_for(self.store.space.model)
        one, two = self._both(query, target, how, profiles)
        found = Paired.of(one.chain, two.chain, how, names=(one.name, two.name), dots=dots)
        return replace(found, relatives=(one.relatives, two.relatives))

    def _both(
        self, query: str | Query | Record, target: str | Query | Record, how: Scoring, profiles: bool | None
    ) -> list[Party]:
        parties = self.parties([query, target])
        if profiles is None:
            profiles = self.no_profiles(how) is None
        return list(self.profiled(parties, how)) if profiles else parties

    def parties(self, proteins: Iterable[str | Query | Record]) -> list[Party]:
        """Proteins with their residues, in their order: ids of the database are read, all else is embedded."""
        asked = list(proteins)
        ids = self.store.known([each for each in asked if isinstance(each, str)])
        stored = {party.name: party for party in stored_parties(self.store, list(ids))} if ids else {}
        others = list(as_queries(each for each in asked if not (isinstance(each, str) and each in ids)))
        embedded = iter(embedded_parties(self.encoder(), others) if others else [])
        return [stored[each] if isinstance(each, str) and each in stored else next(embedded) for each in asked]

    def no_profiles(self, scoring: Scoring | None = None) -> str | None:
        """Why alignments are without profiles; None where they have them. See ``profiled``.

        Args:
            scoring: As for ``align``.
        """
        return no_profiles(self.store, scoring or scoring_for(self.store.space.model))

    def profiled(self, parties: Iterable[Party], scoring: Scoring | None = None) -> Iterator[Party]:
        """Proteins with profiles: what pairs of residues are likely is said by their relatives in the database too.

        Relatives are the first 20 hits of an aligned search that have other sequences, with E-values up to 0.1.
        Scores stay as they are, and proteins without relatives. Of a protein that comes again one profile is made.

        Args:
            parties: As ``parties`` gives them.
            scoring: As for ``align``.

        Raises:
            QueryError: there are no profiles, by ``no_profiles``.
        """
        how = scoring or scoring_for(self.store.space.model)
        profiles = Profiles.by(self.store, how, threads=self.settings.threads, library=self._library)
        return _profiled(parties, profiles)

    @cached_property
    def _library(self) -> Library:
        """The letters of all proteins: kept for the next alignment."""
        return Library(None)

    def close(self) -> None:
        """As ``Core.close``, and let the letters go."""
        super().close()
        self.__dict__.pop("_library", None)


def _profiled(parties: Iterable[Party], profiles: Profiles) -> Iterator[Party]:
    made: dict[str, tuple[Party, Party]] = {}  # by the sequence: before and after
    for party in parties:
        before, after = made.get(party.chain.sequence, (None, party))
        if before is None or not np.array_equal(before.chain.residues, party.chain.residues):
            chain, relatives = profiles.of(party.chain)
            after = replace(party, chain=chain, relatives=relatives)
            made[party.chain.sequence] = party, after
        yield replace(after, name=party.name, header=party.header)


def embedded_parties(encoder: Encoder, queries: list[Query]) -> list[Party]:
    """Sequences with their residues."""
    arrays = encoder.encode(query.sequence for query in queries)
    return [
        Party(query.id, query.description or None, Chain(query.sequence, residues))
        for query, residues in zip(queries, arrays, strict=True)
    ]
