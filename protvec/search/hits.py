"""The answer to a query: a sequence of hits that is also a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

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
            text the match, of no upper bound; by both the sum of reciprocal ranks.
        metadata: The protein's other columns by name, as far as they were asked for. Of a search by vector and text
            also ``evidence``, which is ``vector``, ``text`` or ``both``, ``vector_rank`` and ``text_rank``, the places
            in the two rankings, and ``cosine``.
    """

    query: str
    target: str
    rank: int
    score: float
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """All of it as one flat dict."""
        return {
            "query": self.query,
            "target": self.target,
            "rank": self.rank,
            "score": self.score,
            **self.metadata,
        }


class Hits(Sequence[Hit]):
    """The hits of one query, best first.

    It is a sequence of ``Hit``: it has a length, can be indexed and iterated; and it is a table, through
    ``to_arrow``, ``to_pandas`` and ``to_dicts``.

    Attributes:
        query: Name of the query.
    """

    def __init__(self, query: str, table: pa.Table, index: IndexUse) -> None:
        self.query = query
        self._how = index
        self._table = table

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

    def to_arrow(self) -> pa.Table:
        """A table with the columns query, target, rank, score, and the metadata asked for."""
        return self._table

    def to_pandas(self) -> pd.DataFrame:
        """The same as a pandas frame; needs pandas (``pip install 'protvec[pandas]'``)."""
        return self._table.to_pandas()

    def to_dicts(self) -> list[dict[str, Any]]:
        """The same as one dict a hit."""
        rows: list[dict[str, Any]] = self._table.to_pylist()
        return rows

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> list[Hit]: ...
    def __getitem__(self, index: int | slice) -> Hit | list[Hit]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"hit {index} of {len(self)}")
        row = self._table.slice(index % len(self), 1).to_pylist()[0]
        return Hit(row.pop("query"), row.pop("target"), row.pop("rank"), row.pop("score"), row)

    def __repr__(self) -> str:
        best = f", best {self[0].target} {self[0].score:.4f}" if len(self) else ""
        return f"<Hits of {self.query}: {len(self)}{best}>"
