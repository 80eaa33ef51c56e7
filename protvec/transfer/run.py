"""Hits become labels: which neighbours count, what they say together, and where it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from protvec.errors import FilterError, QueryError
from protvec.store import kind_of
from protvec.store.near import near_names
from protvec.transfer.labels import find_labels
from protvec.transfer.predictions import Prediction, Predictions, table_of
from protvec.transfer.vote import Neighbour, similarity, vote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protvec.search.hits import Hits
    from protvec.store import Store
    from protvec.transfer.labels import Labels
    from protvec.transfer.ontology import Ontology
    from protvec.transfer.vote import Vote

DEFAULT_K = 3
DEFAULT_MIN_RI = 0.5
# Where a hit's evidence is, beside its score, in tables of hits that have it.
_EVIDENCE = {"evalue": "evalue", "identity": "pident", "coverage": "qcov"}
_LOOKED_AT = 10_000  # labelled proteins that say what the labels are


@dataclass(frozen=True, kw_only=True)
class Options:
    """How labels are transferred.

    Attributes:
        column: The column of labels, of text or lists.
        k: How many of the nearest labelled proteins are asked.
        min_ri: Labels below this reliability index are not given.
        evalue: Hits above this E-value are no neighbours; None: all are.
        separator: Splits cells of text.
        ontology: The ontology that the labels are terms of.
    """

    column: str
    k: int = DEFAULT_K
    min_ri: float = DEFAULT_MIN_RI
    evalue: float | None = None
    separator: str | None = None
    ontology: Ontology | None = None


class Transfer:
    """One column of labels, ready to be transferred.

    Attributes:
        options: What was asked for.
        labelled: SQL condition of the proteins that have labels.
        unlabelled: The contrary.
        columns: Columns that the hits have to bring.
        labels: What the labels are.
    """

    def __init__(self, store: Store, options: Options) -> None:
        """Check it all, and look at the labels.

        Raises:
            QueryError: An option, the column's type, or no protein has a label.
            FilterError: There is no such column.
            InputError: The labels are not of the ontology.
        """
        if not 0 <= options.min_ri <= 1:
            raise QueryError(f"the lowest reliability is {options.min_ri:g}; it lies between 0 and 1")
        if options.evalue is not None and not options.evalue >= 0:
            raise QueryError(f"the highest E-value is {options.evalue:g}; it must be at least 0")
        self.options = options
        self.labelled = _labelled(store, options.column)
        self.unlabelled = f"NOT ({self.labelled})"
        self.columns = (options.column,)
        self.labels = self._find_labels(store)

    def _find_labels(self, store: Store) -> Labels:
        column = self.options.column
        batches = store.iter_proteins(columns=[column], where=self.labelled)
        cells = (cell for batch in batches for cell in batch[column].to_pylist())
        looked_at = list(islice(cells, _LOOKED_AT))
        if not looked_at:
            raise QueryError(f"no protein of {store.path} has a value in {column}: there is nothing to transfer")
        return find_labels(column, looked_at, separator=self.options.separator, ontology=self.options.ontology)

    def neighbours(self, hits: Hits, *, without: str | None = None) -> list[Neighbour]:
        """The hits that count, best first.

        Args:
            hits: All labelled.
            without: Leave out proteins of this digest.
        """
        limit, found = self.options.evalue, []
        for row in hits.to_dicts():
            labels = self.labels.of(row[self.options.column])
            evidence: dict[str, float | None] = {name: row.get(source) for name, source in _EVIDENCE.items()}
            chance = evidence["evalue"]
            if limit is not None and chance is None:
                raise QueryError("these hits have no E-values: leave out --evalue, or search with alignment")
            too_far = limit is not None and chance is not None and chance > limit
            if labels and not too_far and (without is None or row["digest"] != without):
                # The score may be of an alignment. An E-value says how far to trust that; of a vector alone the cosine
                # does, as in goPredSim: it ranks neighbours where none is beyond chance.
                aligned = evidence["identity"] is not None
                near = similarity(row.get("cosine", row["score"]), chance if aligned else None)
                found.append(Neighbour(row["target"], labels, near, {"score": row["score"], **evidence}))
        return found[: self.options.k]

    def predict(self, query: str, neighbours: list[Neighbour]) -> tuple[list[Prediction], str]:
        """The labels of one protein, most reliable first; where there are none, the reason."""
        if not neighbours:
            return [], "no labelled protein is near"
        votes = vote(neighbours, self.labels)
        passed = self.labels.told([label for label, its in votes.items() if its.ri >= self.options.min_ri])
        if not passed:
            best = max(votes, key=lambda label: votes[label].ri)
            its = votes[best]
            return [], f"the best, {best} of {its.best.id}, has a reliability of {its.ri:.3g} only"
        rows = [_prediction(query, label, votes[label], len(neighbours)) for label in passed]
        return sorted(rows, key=lambda row: (-row.ri, row.label)), ""

    def run(self, answers: Iterable[Hits]) -> Predictions:
        """The labels of each query."""
        rows: list[Prediction] = []
        abstained: dict[str, str] = {}
        queries = 0
        for hits in answers:
            queries += 1
            told, reason = self.predict(hits.query, self.neighbours(hits))
            rows.extend(told)
            if reason:
                abstained[hits.query] = reason
        return Predictions(table_of(rows), queries=queries, abstained=abstained)


def _prediction(query: str, label: str, its: Vote, neighbours: int) -> Prediction:
    return Prediction(
        query=query,
        label=label,
        ri=its.ri,
        target=its.best.id,
        support=its.support,
        neighbours=neighbours,
        direct=its.direct,
        **its.best.evidence,
    )


def _labelled(store: Store, column: str) -> str:
    """The condition that a protein has labels.

    Raises:
        FilterError: There is no such column.
        QueryError: It is of another type than text or lists.
    """
    if column not in store.columns:
        near = near_names(column, store.columns)
        hint = f"; near: {', '.join(near)}" if near else "; `protvec annotate` adds one"
        raise FilterError(f"there is no column {column!r}{hint}")
    stored = store.schema.field(column).type
    kind = kind_of(stored)
    if kind == "list" and kind_of(stored.value_type) == "text":
        return f"coalesce(array_length({column}), 0) > 0"
    if kind == "text":
        return f"({column} IS NOT NULL AND {column} != '')"
    raise QueryError(f"{column} holds no labels: a column of text or of lists of texts is wanted")
