"""The answer: pairs, a sequence that is also a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from protvec.search.listing import Listing

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa


@dataclass(frozen=True)
class Pair:
    """Two proteins, each the nearest of the other's proteome.

    Attributes:
        query: Id of the protein of the one side.
        target: Id of the protein of the other.
        score: Cosine of their vectors.
        query_gap: How much farther from the query the next locus of the other side is; 0 where it is as near, None
            where there is no other.
        target_gap: The same, seen from the target.
        query_next: The protein of that next locus that is nearest to the query's locus.
        target_next: The same, seen from the target.
        query_ties: How many other loci of the other side are exactly as near to the query.
        target_ties: The same, seen from the target.
        query_locus: The locus of the query; its id where it has none.
        target_locus: The locus of the target.
        metadata: ``query.NAME`` and ``target.NAME``, as far as they were asked for.
    """

    query: str
    target: str
    score: float
    query_gap: float | None
    target_gap: float | None
    query_next: str | None
    target_next: str | None
    query_ties: int
    target_ties: int
    query_locus: str
    target_locus: str
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)


COLUMNS = tuple(name for name in Pair.__dataclass_fields__ if name != "metadata")


@dataclass(frozen=True)
class Counts:
    """What was compared, and what came of it.

    Attributes:
        queries: Proteins of the one side.
        targets: Proteins of the other.
        query_loci: Loci of the one side.
        target_loci: Loci of the other.
        ambiguous: Loci of the one side with a partner, but also another that is exactly as good, on either side.
        left_out: Those of them that are not among the pairs.
    """

    queries: int
    targets: int
    query_loci: int
    target_loci: int
    ambiguous: int
    left_out: int


class Pairs(Listing[Pair]):
    """Reciprocal best hits, in the order of the query's loci: a sequence of ``Pair`` that is also a table.

    Attributes:
        counts: What was compared.
    """

    def __init__(self, table: pa.Table, counts: Counts) -> None:
        super().__init__(table)
        self.counts = counts

    def _row(self, values: dict[str, Any]) -> Pair:
        return Pair(**{name: values.pop(name) for name in COLUMNS}, metadata=values)

    def __repr__(self) -> str:
        return f"<Pairs: {len(self)} of {self.counts.query_loci} and {self.counts.target_loci} loci>"
