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
        meeting: Proteins that meet the condition, where the index was left aside and all of these were compared; or of
            which the index found the nearest, by looking into more of its parts than without a condition.
        scoring: Which cosines the scores are: ``raw``, or the kind and the beginning of the key of the search space,
            such as ``whitened-1f0c9a2e``. Scores of one name are on one scale.
        segments: Segments of proteins that were compared as well, all of them; None where none were.
        without: Why segments were left out, where the database keeps some.
    """

    kind: str
    exact: bool
    recall: float | None
    target: float | None
    indexed: int
    pending: int
    meeting: int | None = None
    scoring: str = "raw"
    segments: int | None = None
    without: str = ""

    def __str__(self) -> str:
        scoring = "" if self.scoring == "raw" else f"; {self.scoring} cosines"
        segments = "" if self.segments is None else f"; and with all of {self.segments:,} segments"
        return f"{self._found()}{segments}{scoring}{self.without and f'; {self.without}'}"

    def _found(self) -> str:
        if self.kind == "text":
            return f"exact: the ids, genes and descriptions of all of {self.indexed:,} proteins were looked through"
        if self.exact and self.meeting is not None:
            return f"exact: compared with all of {self.meeting:,} vectors that meet the condition, not by the index"
        if self.exact:
            return f"exact: compared with all of {self.indexed + self.pending:,} vectors"
        measured = "not measured" if self.recall is None else f"{self.recall:.3f} measured on this database"
        wanted = "" if self.target is None else f", target {self.target:g}"
        rest = f", {self.pending:,} not yet indexed and compared one by one" if self.pending else ""
        some = "" if self.meeting is None else f", {self.meeting:,} meet the condition"
        return f"approximate: {self.kind}, recall@10 {measured}{wanted}; {self.indexed:,} proteins indexed{rest}{some}"


class Cut(NamedTuple):
    """The segments of several queries.

    Attributes:
        vectors: ndarray, shape=(P, D), dtype=float32: those of the first query, then those of the second…
        counts: ndarray, shape=(Q,): how many each has, at least 1.
    """

    vectors: NDArray[np.float32]
    counts: NDArray[np.int64]


class FoundSegments(NamedTuple):
    """The proteins with the segments nearest to those of several queries.

    Attributes:
        table: ``id``, the columns asked for, ``score`` (float64), and ``segment`` and ``piece`` (int32): which segment
            of the protein has the score with which of the query, from 0. Ordered as that of ``Found``; of equal scores
            with the k-th there are all.
        counts: ndarray, shape=(N,): how many of the rows are of each query.
        segments: How many were compared.
        version: Of ``proteins``.
    """

    table: pa.Table
    counts: NDArray[np.int64]
    segments: int
    version: int


def exactly(rows: int, *, meeting: int | None = None) -> IndexUse:
    """Every one of the rows was compared, or of those that meet a condition."""
    return IndexUse("exact", exact=True, recall=None, target=None, indexed=rows, pending=0, meeting=meeting)


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
