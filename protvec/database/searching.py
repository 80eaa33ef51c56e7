"""Nearest neighbours of sequences, of stored proteins and of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.align import Chain
from protvec.database.looking import Looking
from protvec.database.options import AlignedOptions, ProteomeOptions, SearchOptions, checked
from protvec.engine.base import embed
from protvec.search import nearest
from protvec.search.aligned import search_aligned
from protvec.search.combined import search_text
from protvec.search.like import search_like
from protvec.search.proteome import search_ids, search_proteome
from protvec.search.query import as_queries
from protvec.search.ranked import Asked
from protvec.store import digest, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import ArrayLike
    from typing_extensions import Unpack

    from protvec.database.core import Core
    from protvec.fasta import Record
    from protvec.search import Hits, Query


class Searching(Looking):
    """The methods of ``Database`` that search it."""

    def search(
        self,
        query: str | Query | Record,
        *,
        exclude_self: bool = False,
        **options: Unpack[AlignedOptions],
    ) -> Hits:
        """The proteins most like a sequence.

        Args:
            query: Residues, or a record of ``protvec.fasta.read``.
            exclude_self: Leave out the query itself: the protein of its id or, for a bare sequence, of its sequence.
            **options: ``k``, ``where``, ``min_score``, ``evalue``, ``columns``, ``scoring``, ``text``, ``align`` and
                ``candidates``: see ``AlignedOptions``.

        Raises:
            QueryError: the sequence or a setting cannot be used; or the database keeps no residues to align.
            FilterError: the condition is no SQL, or names a column that is not there.
            ModelError: the weights of the model cannot be had.
        """
        (hits,) = self.search_many([query], exclude_self=exclude_self, **options)
        return hits

    def search_many(
        self,
        queries: Iterable[str | Query | Record],
        *,
        exclude_self: bool = False,
        **options: Unpack[AlignedOptions],
    ) -> Iterator[Hits]:
        """The hits of each of many sequences, in their order, as they become ready. See ``search``."""
        wanted = checked(self.store, options, AlignedOptions, threads=self.settings.threads)
        return self._embedded(queries, wanted, exclude_self)  # checked before the model is loaded

    def _embedded(
        self, queries: Iterable[str | Query | Record], wanted: nearest.Wanted, exclude_self: bool
    ) -> Iterator[Hits]:
        pending: list[Query] = []

        def sequences() -> Iterator[str]:
            for query in as_queries(queries):
                pending.append(query)
                yield query.sequence

        for embedding in embed(self.encoder(), sequences()):
            query = pending.pop(0)
            if wanted.align is not None:
                limited = wanted.limited_to(_not_itself(query)) if exclude_self else wanted
                chain = Chain(query.sequence, embedding.residues)
                yield search_aligned(self.store, Asked(query.id, embedding.vector, chain), limited)
                continue
            own = query.id if exclude_self and query.named else None  # no condition of its own: see Passing
            limited = wanted.limited_to(_not_itself(query)) if exclude_self and not query.named else wanted
            rule = self.store.segment_rule
            pieces = None if rule is None else rule.pieces(embedding.residues)
            length = len(query.sequence)
            yield nearest.search_vector(
                self.store, embedding.vector, limited, query=query.id, exclude=own, pieces=pieces, length=length
            )

    def search_id(
        self,
        id: str,
        *,
        exclude_self: bool = False,
        **options: Unpack[AlignedOptions],
    ) -> Hits:
        """The proteins most like one of the database. Needs no model. See ``search``.

        Raises:
            ProteinNotFoundError: it is not there; the message names similar ids.
        """
        (hits,) = self.search_ids([id], exclude_self=exclude_self, **options)
        return hits

    def search_ids(
        self,
        ids: Sequence[str],
        *,
        against: Core | None = None,
        exclude_self: bool = False,
        **options: Unpack[AlignedOptions],
    ) -> Iterator[Hits]:
        """The hits of each of several proteins of the database, in the order of the ids. Needs no model.

        Args:
            ids: The proteins.
            against: Search this database of the same model instead.
            exclude_self: Leave the protein of the query's id out of its hits.
            **options: As for ``search``: see ``AlignedOptions``.

        Raises:
            ProteinNotFoundError: one is not there; the message names similar ids.
            SpaceMismatchError: the vectors of the two databases are of different models.
        """
        searched = self.store if against is None else against.store
        searched.check_space(self.store.space)
        wanted = checked(searched, options, AlignedOptions, threads=self.settings.threads)
        return search_ids(self.store, searched, ids, wanted, leave_out_self=exclude_self)

    def search_vector(
        self,
        vector: ArrayLike,
        *,
        query: str = "vector",
        **options: Unpack[SearchOptions],
    ) -> Hits:
        """The proteins whose vectors are nearest to a vector. Needs no model. See ``search``.

        Args:
            vector: ndarray, shape=(D,).
            query: Name of the query in the hits.
            **options: As for ``search``: see ``SearchOptions``.

        Raises:
            QueryError: the vector has another length, or is zero or not finite.
        """
        wanted = checked(self.store, options, SearchOptions)
        return nearest.search_vector(self.store, vector, wanted, query=query)

    def search_vectors(
        self,
        vectors: Iterable[ArrayLike],
        *,
        names: Iterable[str] | None = None,
        exclude: Iterable[str | None] | None = None,
        **options: Unpack[SearchOptions],
    ) -> Iterator[Hits]:
        """The hits of each of many vectors, in their order: the same as one by one, and several times quicker.

        Args:
            vectors: Each an ndarray, shape=(D,); or one ndarray, shape=(N, D). Read as they are needed.
            names: A name for each in the hits; without them, ``vector 1``, ``vector 2``…
            exclude: For each vector the id of a protein that is left out of its hits, or None.
            **options: As for ``search``: see ``SearchOptions``.

        Raises:
            QueryError: a vector has another length, or is zero or not finite; or there are fewer or more names
                than vectors.
        """
        wanted = checked(self.store, options, SearchOptions)
        return nearest.search_stream(self.store, vectors, wanted, names=names, exclude=exclude)

    def search_like(
        self,
        ids: Sequence[str],
        *,
        unlike: Sequence[str] = (),
        **options: Unpack[SearchOptions],
    ) -> Hits:
        """The proteins most like several of the database, and unlike others. Needs no model.

        The query is the mean of their vectors, each scaled to length 1, less half the mean of those of ``unlike``
        (Rocchio 1971): scores are cosines with it. None of these proteins is among the hits.

        Args:
            ids: Proteins to be near to.
            unlike: Proteins to be far from.
            **options: As for ``search``: see ``SearchOptions``.

        Raises:
            ProteinNotFoundError: one is not there; the message names similar ids.
            QueryError: there is no id, one is named twice, or the vectors cancel one another out.
        """
        wanted = checked(self.store, options, SearchOptions)
        return search_like(self.store, ids, unlike, wanted)

    def search_text(
        self, text: str, *, k: int = 10, where: str | None = None, columns: Sequence[str] | None = None
    ) -> Hits:
        """The proteins whose ids, genes and descriptions match a text best. Needs no model.

        An id, a gene or a part of one comes first: what is the text, then what begins with it, then what contains it.
        After that count words and, in quotation marks or with hyphens, words that follow one another, by BM25; no word
        has to be there. Upper and lower case are the same. Every protein is looked at, with an index or without.

        Args:
            text: Such as ``AT1G01010``, ``FBX``, ``F-box``, or ``auxin "efflux carrier"``.
            k: How many hits at most.
            where: SQL condition on the metadata.
            columns: Metadata columns of the hits; by default length, gene, organism and description.

        Raises:
            QueryError: there is nothing in the text to look for, a quotation mark is not closed, or k is below 1.
            FilterError: the condition is no SQL, or names a column that is not there.
        """
        wanted = nearest.check(self.store, k=k, where=where, columns=columns)
        return search_text(self.store, text, wanted)

    def search_all(
        self,
        *,
        include_self: bool = False,
        query_where: str | None = None,
        after: str | None = None,
        **options: Unpack[ProteomeOptions],
    ) -> Iterator[Hits]:
        """The hits of every protein of the database, in the order of the ids, in bounded memory. Needs no model.

        All answers are of the database as it is when the first is asked for.

        Args:
            include_self: Let a protein be among its own hits.
            query_where: A condition on the proteins that are queries.
            after: Go on after the protein of this id, as a run that was stopped has to.
            **options: As for ``search``: see ``ProteomeOptions``.

        Raises:
            QueryError: k or min_score cannot be used.
            FilterError: a condition is no SQL, or names a column that is not there.
        """
        wanted = checked(self.store, options, ProteomeOptions, threads=self.settings.threads)
        return search_proteome(
            self.store, self.store, wanted, query_where=query_where, after=after, leave_out_self=not include_self
        )

    def search_against(
        self,
        other: Core,
        *,
        query_where: str | None = None,
        after: str | None = None,
        **options: Unpack[ProteomeOptions],
    ) -> Iterator[Hits]:
        """The hits of every protein of this database in another of the same model, in the order of the ids.

        Args:
            other: The database that is searched.
            query_where: A condition on the proteins of this database that are queries.
            after: Go on after the protein of this id, as a run that was stopped has to.
            **options: As for ``search``: see ``ProteomeOptions``.

        Raises:
            SpaceMismatchError: the vectors of the two are of different models.
            QueryError: k or min_score cannot be used.
            FilterError: a condition is no SQL, or names a column that is not there.
        """
        wanted = checked(other.store, options, ProteomeOptions, threads=self.settings.threads)
        return search_proteome(self.store, other.store, wanted, query_where=query_where, after=after)


def _not_itself(query: Query) -> str:
    """The condition that leaves out the query: by its id where it has one, by its sequence where not."""
    return f"id != {quote(query.id)}" if query.named else f"digest != {quote(digest(query.sequence))}"
