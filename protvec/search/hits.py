"""The answer to a query: a sequence of hits that is also a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from protvec.search.listing import Listing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from protvec.align import Alignment
    from protvec.store import IndexUse


# What a search by vector and text says of a hit beside its score.
EVIDENCE = ("evidence", "vector_rank", "text_rank", "cosine")


@dataclass(frozen=True)
class Hit:
    """One protein of the database that answers a query.

    Attributes:
        query: Name of the query.
        target: Id of the protein.
        rank: 1 for the best.
        score: What the hits are ranked by; higher is better. By vector the cosine of the two vectors, -1 to 1; by
            text the match, of no upper bound; by both the sum of reciprocal ranks; of a search that aligns the score
            of the alignment.
        evalue: How many unrelated proteins chance would give a score this good in this search; None of a search by
            text alone.
        bits: The score in bits, whatever the database: the E-value is 2**-bits times the sequences searched.
        metadata: The protein's other columns by name, as far as they were asked for. Of a search by vector and text
            also ``evidence``, which is ``vector``, ``text`` or ``both``, ``vector_rank`` and ``text_rank``, the places
            in the two rankings, and ``cosine``. Of one that aligns ``cosine`` and what docs/alignment.md lists, such
            as ``qstart`` and ``cigar``.
    """

    query: str
    target: str
    rank: int
    score: float
    evalue: float | None = None
    bits: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """All of it as one flat dict."""
        return {
            "query": self.query,
            "target": self.target,
            "rank": self.rank,
            "score": self.score,
            "evalue": self.evalue,
            "bits": self.bits,
            **self.metadata,
        }


class Hits(Listing[Hit]):
    """The hits of one query, best first: a sequence of ``Hit`` that is also a table.

    Attributes:
        query: Name of the query.
        alignments: The alignment of each hit, of a search that aligns; else none.
        chance: What its E-values were fitted on, in words; empty where it has none.
    """

    def __init__(
        self,
        query: str,
        table: pa.Table,
        index: IndexUse,
        alignments: Sequence[Alignment] = (),
        *,
        chance: str = "",
    ) -> None:
        super().__init__(table)
        self.query = query
        self.alignments = tuple(alignments)
        self.chance = chance
        self._how = index

    @property
    def index(self) -> IndexUse:  # type: ignore[override]  # says more than where in a sequence an element is
        """How they were found: exactly, or by which index and with what recall."""
        return self._how

    @property
    def ids(self) -> list[str]:
        """Ids of the proteins, best first."""
        ids: list[str] = self._table["target"].to_pylist()
        return ids

    @property
    def scores(self) -> list[float]:
        """Their scores, highest first."""
        scores: list[float] = self._table["score"].to_pylist()
        return scores

    def _row(self, values: dict[str, Any]) -> Hit:
        query, target, rank, score = (values.pop(name) for name in ("query", "target", "rank", "score"))
        return Hit(query, target, rank, score, values.pop("evalue", None), values.pop("bits", None), values)

    def __repr__(self) -> str:
        best = f", best {self[0].target} {self[0].score:.4f}" if len(self) else ""
        return f"<Hits of {self.query}: {len(self)}{best}>"
