"""Labels from the nearest labelled proteins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from protvec.database.searching import Searching
from protvec.errors import QueryError
from protvec.search import CANDIDATES
from protvec.store import quote
from protvec.store.filters import both

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protvec.fasta import Record
    from protvec.search import Query
    from protvec.transfer import Predictions, Quality, Transfer

DEFAULT_K, DEFAULT_MIN_RI = 3, 0.5


class Transferring(Searching):
    """The methods of ``Database`` that transfer labels."""

    def transfer(
        self,
        column: str,
        to: str | Path | Iterable[str | Query | Record] | None = None,
        *,
        k: int = DEFAULT_K,
        min_ri: float = DEFAULT_MIN_RI,
        evalue: float | None = None,
        align: bool = False,
        candidates: int = CANDIDATES,
        graph: str | Path | None = None,
        separator: str | None = None,
        where: str | None = None,
        query_where: str | None = None,
        into: str | None = None,
        replace: bool = False,
        dry_run: bool = False,
    ) -> Predictions:
        """Labels for sequences, or for the proteins here that have none, from the nearest that have some.

        What is predicted for proteins of the database is stored in columns of its own, lists with one element a label:
        ``COLUMN_transferred``, and with ``_ri``, ``_from`` and ``_evalue`` behind it the reliability index, the protein
        that the label comes from, and the E-value of that hit. The column itself is never changed.
        docs/transfer.md says how the reliability index is made and what it means.

        Args:
            column: The column of labels: text, or lists of texts.
            to: A FASTA file, or sequences: these are predicted, and nothing is stored. By default the proteins of the
                database whose column is empty.
            k: How many of the nearest labelled proteins are asked.
            min_ri: Labels below this reliability index, 0 to 1, are not given.
            evalue: Leave out neighbours above this E-value.
            align: Take the neighbours that align best, as ``search`` does; gives identity and coverage.
            candidates: How many of the labelled proteins with the highest cosines are aligned.
            graph: An ontology in OBO format that the labels are terms of: each implies those above it.
            separator: Splits cells of text into labels; GO terms and EC numbers need none.
            where: SQL condition on the proteins that labels are taken from.
            query_where: SQL condition on the proteins without labels.
            into: Another name for ``COLUMN_transferred``.
            replace: Ask for proteins again that have labels from an earlier transfer, and replace those.
            dry_run: Store nothing.

        Raises:
            QueryError: an option; or no protein has a label; or ``into`` is a column that no transfer made.
            FilterError: there is no such column, or a condition cannot be used.
            InputError: the graph cannot be read, or the labels are none of its terms.
        """
        from protvec.transfer import Place, store_predictions

        ready = self._ready(column, k=k, min_ri=min_ri, evalue=evalue, graph=graph, separator=separator)
        # A protein that shares a domain need not have the labels of the whole: an alignment says its coverage.
        how: dict[str, Any] = {"k": k, "columns": ready.columns, "align": align, "candidates": candidates}
        how["segments"] = align
        how["where"] = both(where, ready.labelled)
        if to is not None:
            if replace or query_where is not None or into is not None:
                raise QueryError("query_where, into and replace are for proteins of the database, not for sequences")
            return ready.run(self.search_many(_queries(to), **how))
        place = Place(into or f"{column}_transferred")
        self.store.check_writable()
        again = place.check(self.store) and not replace
        asked = both(query_where, both(place.empty if again else None, ready.unlabelled))
        found = ready.run(self.search_all(**how, query_where=asked))
        if not dry_run and found.queries:
            store_predictions(self.store, found, ready.options, place, replace=replace)
        return found

    def check_transfer(
        self,
        column: str,
        *,
        k: int = DEFAULT_K,
        evalue: float | None = None,
        align: bool = False,
        candidates: int = CANDIDATES,
        graph: str | Path | None = None,
        separator: str | None = None,
        where: str | None = None,
        sample: int | None = None,
    ) -> list[Quality]:
        """How good ``transfer`` is on labels that are known: each protein's are predicted from other sequences.

        Args:
            column: As for ``transfer``, like the next six.
            k: How many neighbours.
            evalue: Leave out neighbours above this E-value.
            align: Take the neighbours that align best.
            candidates: How many are aligned.
            graph: An ontology in OBO format.
            separator: Splits cells of text.
            where: SQL condition on the labelled proteins, asked for and taken from.
            sample: So many of them, always the same: those of the lowest digests; by default all.

        Returns:
            Coverage, precision and recall by threshold of the reliability index.

        Raises:
            As ``transfer``.
        """
        from protvec.transfer import MORE, check, known_labels

        ready = self._ready(column, k=k, min_ri=0.0, evalue=evalue, graph=graph, separator=separator)
        condition = both(where, ready.labelled)
        known = known_labels(ready, self.store, condition, sample)
        asked = condition if sample is None else f"id IN ({', '.join(map(quote, known))})"
        columns = [*ready.columns, "digest"]
        answers = self.search_all(
            k=k + MORE,
            where=condition,
            columns=columns,
            query_where=asked,
            align=align,
            candidates=candidates,
            segments=align,
        )
        return check(ready, answers, known)

    def _ready(
        self,
        column: str,
        *,
        k: int,
        min_ri: float,
        evalue: float | None,
        graph: str | Path | None,
        separator: str | None,
    ) -> Transfer:
        from protvec.transfer import Options, Transfer, read_ontology

        ontology = None if graph is None else read_ontology(graph)
        options = Options(column=column, k=k, min_ri=min_ri, evalue=evalue, separator=separator, ontology=ontology)
        return Transfer(self.store, options)


def _queries(to: str | Path | Iterable[str | Query | Record]) -> Iterable[str | Query | Record]:
    from protvec.search.query import read_queries

    return read_queries(to) if isinstance(to, str | Path) else to
