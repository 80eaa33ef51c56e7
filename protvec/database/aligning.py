"""Two proteins aligned: stored ones, or sequences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from protvec.align import Chain, Paired, local_alignment, scoring_for
from protvec.database.looking import Looking
from protvec.search.compared import Party, stored_parties
from protvec.search.query import as_queries

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    ) -> Alignment:
        """The best local alignment of two proteins by their residues.

        Args:
            query: The id of a protein of the database, whose stored residues are taken; else a sequence or a record,
                which is embedded.
            target: The other.
            scoring: What residues and gaps score; by default what suits the model.
            plot: Draw how alike all residues are, with the alignment, into this .png or .svg file; needs matplotlib.

        Raises:
            QueryError: one is neither an id nor a sequence, the database keeps no residues, or it cannot be drawn.
            ModelError: the weights of the model cannot be had.
        """
        how = scoring or scoring_for(self.store.space.model)
        one, two = self.parties([query, target])
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
    ) -> Paired:
        """As ``align``, with what a picture of it needs: names, lengths, and how alike all residues are.

        Args:
            query: As for ``align``.
            target: As for ``align``.
            scoring: As for ``align``.
            dots: Rows and columns of the picture at most; None for no picture.

        Raises:
            QueryError: As ``align``; or there are to be no dots.
            ModelError: As ``align``.
        """
        how = scoring or scoring_for(self.store.space.model)
        one, two = self.parties([query, target])
        return Paired.of(one.chain, two.chain, how, names=(one.name, two.name), dots=dots)

    def parties(self, proteins: Iterable[str | Query | Record]) -> list[Party]:
        """Proteins with their residues, in their order: ids of the database are read, all else is embedded."""
        asked = list(proteins)
        ids = self.store.known([each for each in asked if isinstance(each, str)])
        stored = {party.name: party for party in stored_parties(self.store, list(ids))} if ids else {}
        others = list(as_queries(each for each in asked if not (isinstance(each, str) and each in ids)))
        embedded = iter(embedded_parties(self.encoder(), others) if others else [])
        return [stored[each] if isinstance(each, str) and each in stored else next(embedded) for each in asked]


def embedded_parties(encoder: Encoder, queries: list[Query]) -> list[Party]:
    """Sequences with their residues."""
    arrays = encoder.encode(query.sequence for query in queries)
    return [
        Party(query.id, query.description or None, Chain(query.sequence, residues))
        for query, residues in zip(queries, arrays, strict=True)
    ]
