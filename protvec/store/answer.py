"""How an answer was found, said with every answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class IndexUse:
    """How the nearest proteins of a query were found.

    Attributes:
        kind: ``exact``, or the kind of index that was asked, such as ``ivf_flat``; ``text`` where no vector was.
        exact: Whether no protein can have been missed.
        recall: For an index: the share of the true ten nearest that it finds, measured on vectors of this database.
        target: For an index: the recall that it was tuned to.
        indexed: Proteins that were compared, or are in the index.
        pending: Proteins that are not in the index yet, and were compared one by one.
    """

    kind: str
    exact: bool
    recall: float | None
    target: float | None
    indexed: int
    pending: int

    def __str__(self) -> str:
        if self.kind == "text":
            return f"exact: the ids, genes and descriptions of all of {self.indexed:,} proteins were looked through"
        if self.exact:
            return f"exact: compared with all of {self.indexed + self.pending:,} vectors"
        measured = "not measured" if self.recall is None else f"{self.recall:.3f} measured on this database"
        wanted = "" if self.target is None else f", target {self.target:g}"
        rest = f", {self.pending:,} not yet indexed and compared one by one" if self.pending else ""
        return f"approximate: {self.kind}, recall@10 {measured}{wanted}; {self.indexed:,} proteins indexed{rest}"


def exactly(rows: int) -> IndexUse:
    """Every one of the rows was compared."""
    return IndexUse("exact", exact=True, recall=None, target=None, indexed=rows, pending=0)


class Found(NamedTuple):
    """The rows nearest to several queries.

    Attributes:
        table: ``id``, the columns asked for and ``score`` (float64): the rows of the first query, best first, equal
            scores by id, then those of the second…
        counts: ndarray, shape=(N,): how many of the rows are of each query.
        how: How they were found.
    """

    table: pa.Table
    counts: NDArray[np.int64]
    how: IndexUse
