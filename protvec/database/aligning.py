"""Two proteins aligned: stored ones, or sequences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from protvec.align import Chain, Paired, local_alignment, profile, scoring_for
from protvec.database.looking import Looking
from protvec.database.options import AlignedOptions, checked
from protvec.engine.base import pool
from protvec.errors import QueryError
from protvec.search.aligned import Asked, chains_of, search_aligned
from protvec.search.compared import Party, stored_parties
from protvec.search.query import as_queries

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protvec.align import Alignment, Scoring
    from protvec.engine.base import Encoder
    from protvec.fasta import Record
    from protvec.search import Query


# Of a profile: hits with E-values up to this, and so many of them at most.
RELATED, RELATIVES = 1e-3, 20


class Aligning(Looking):
    """The methods of ``Database`` that align."""

    def align(
        self,
        query: str | Query | Record,
        target: str | Query | Record,
        *,
        scoring: Scoring | None = None,
        plot: str | Path | None = None,
        profiles: bool = False,
    ) -> Alignment:
        """The best local alignment of two proteins by their residues.

        Args:
            query: The id of a protein of the database, whose stored residues are taken; else a sequence or a record,
                which is embedded.
            target: The other.
            scoring: What residues and gaps score; by default what suits the model.
            plot: Draw how alike all residues are, with the alignment, into this .png or .svg file; needs matplotlib.
            profiles: Choose the pairs by what each protein's relatives in the database say too: see ``profiled``.

        Raises:
            QueryError: one is neither an id nor a sequence, the database keeps no residues, or it cannot be drawn.
            ModelError: the weights of the model cannot be had.
        """
        how = scoring or scoring_for(self.store.space.model)
        one, two = self._both(query, target, how, profiles=profiles)
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
        profiles: bool = False,
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
        one, two = self._both(query, target, how, profiles=profiles)
        return Paired.of(one.chain, two.chain, how, names=(one.name, two.name), dots=dots)

    def _both(
        self, query: str | Query | Record, target: str | Query | Record, how: Scoring, *, profiles: bool
    ) -> list[Party]:
        parties = self.parties([query, target])
        return self.profiled(parties, how) if profiles else parties

    def parties(self, proteins: Iterable[str | Query | Record]) -> list[Party]:
        """Proteins with their residues, in their order: ids of the database are read, all else is embedded."""
        asked = list(proteins)
        ids = self.store.known([each for each in asked if isinstance(each, str)])
        stored = {party.name: party for party in stored_parties(self.store, list(ids))} if ids else {}
        others = list(as_queries(each for each in asked if not (isinstance(each, str) and each in ids)))
        embedded = iter(embedded_parties(self.encoder(), others) if others else [])
        return [stored[each] if isinstance(each, str) and each in stored else next(embedded) for each in asked]

    def profiled(self, parties: Iterable[Party], scoring: Scoring | None = None) -> list[Party]:
        """Proteins with profiles: what pairs of residues are likely is said by their relatives in the database too.

        Relatives are the first 20 hits of an aligned search with E-values up to 0.001. Scores stay as they are.

        Args:
            parties: As ``parties`` gives them.
            scoring: As for ``align``.

        Raises:
            QueryError: the scoring has no learned scores of pairs, or the database keeps no residues.
        """
        pairing = (scoring or scoring_for(self.store.space.model)).pairing
        if pairing is None:
            raise QueryError(f"no scores of pairs were learned for {self.store.space.model}: no profiles without them")
        view = self.store.pinned()
        options: AlignedOptions = {"align": True, "k": RELATIVES, "evalue": RELATED}
        wanted = checked(view, options, AlignedOptions, threads=self.settings.threads)
        found = []
        for party in parties:
            asked = Asked(party.name, pool(party.chain.residues), party.chain, party.name)
            hits = search_aligned(view, asked, wanted)
            relatives = chains_of(view, hits.to_arrow()["target"].to_pylist())
            others = [each for each in relatives if each.sequence != party.chain.sequence]
            found.append(replace(party, chain=profile(party.chain, others, pairing)))
        return found


def embedded_parties(encoder: Encoder, queries: list[Query]) -> list[Party]:
    """Sequences with their residues."""
    arrays = encoder.encode(query.sequence for query in queries)
    return [
        Party(query.id, query.description or None, Chain(query.sequence, residues))
        for query, residues in zip(queries, arrays, strict=True)
    ]
