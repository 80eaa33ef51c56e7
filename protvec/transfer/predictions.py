"""The answer: labels with what speaks for them, a sequence that is also a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protvec.search.listing import Listing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa


@dataclass(frozen=True)
class Prediction:
    """A label for a protein.

    Attributes:
        query: The protein.
        label: The label.
        ri: Its reliability index, 0 to 1.
        target: The most similar labelled protein that has it: the evidence.
        score: Of the search, as in ``Hit``.
        evalue: How many hits this good chance gives; None where the search gives none.
        identity: Identical residues of the alignment, in percent; None without alignment.
        coverage: The share of the query that is aligned, 0 to 1; None without alignment.
        support: How many of the neighbours have the label.
        neighbours: How many neighbours were asked.
        direct: Whether one of them has the label itself, and not only one that implies it.
    """

    query: str
    label: str
    ri: float
    target: str
    score: float
    evalue: float | None
    identity: float | None
    coverage: float | None
    support: int
    neighbours: int
    direct: bool


COLUMNS = tuple(Prediction.__dataclass_fields__)


class Predictions(Listing[Prediction]):
    """Labels for proteins, each protein's most reliable first: a sequence of ``Prediction`` that is also a table.

    Attributes:
        queries: How many proteins were asked for.
        abstained: The proteins that get no label, with the reason.
        columns: The columns that were written; empty where nothing was stored.
    """

    def __init__(
        self, table: pa.Table, *, queries: int, abstained: Mapping[str, str], columns: Iterable[str] = ()
    ) -> None:
        super().__init__(table)
        self.queries = queries
        self.abstained = dict(abstained)
        self.columns = tuple(columns)

    def _row(self, values: dict[str, Any]) -> Prediction:
        return Prediction(**values)

    def __repr__(self) -> str:
        return f"<Predictions: {len(self)} labels, {len(self.abstained)} of {self.queries} proteins without>"


def table_of(rows: Iterable[Prediction]) -> pa.Table:
    """The rows as a table."""
    import pyarrow as pa

    kinds = {"query": pa.string(), "label": pa.string(), "target": pa.string(), "direct": pa.bool_()}
    kinds |= {"support": pa.int32(), "neighbours": pa.int32()}
    listed = list(rows)
    arrays = {name: pa.array([getattr(row, name) for row in listed], kinds.get(name, pa.float64())) for name in COLUMNS}
    return pa.table(arrays)
