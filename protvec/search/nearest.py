"""The nearest proteins of one vector, as hits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.errors import FilterError, QueryError
from protvec.search.hits import Hits

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.store import Store

DEFAULT_K = 10
DEFAULT_COLUMNS = ("length", "gene", "organism", "description")
LEADING_COLUMNS = ("query", "target", "rank", "score")


def search_vector(
    store: Store,
    vector: NDArray[np.float32],
    *,
    query: str,
    k: int = DEFAULT_K,
    where: str | None = None,
    min_score: float | None = None,
    columns: Sequence[str] | None = None,
) -> Hits:
    """The k proteins whose vectors have the highest cosine with a vector, exactly.

    Args:
        store: The database.
        vector: ndarray, shape=(D,).
        query: Name of the query in the hits.
        k: How many hits at most.
        where: SQL condition on the metadata; only proteins that meet it are candidates.
        min_score: Leave out hits below this cosine.
        columns: Metadata columns of the hits; by default length, gene, organism and description.

    Raises:
        QueryError: k, min_score or the vector cannot be used.
        FilterError: the condition is no SQL, or names a column that is not there.
    """
    wanted = check(store, k=k, where=where, min_score=min_score, columns=columns)
    table = store.search(vector, k=k, where=where, columns=wanted)
    if min_score is not None:
        table = _at_least(table, min_score)
    return Hits(query, _as_hits(table, query, wanted))


def check(
    store: Store,
    *,
    k: int,
    where: str | None,
    min_score: float | None,
    columns: Sequence[str] | None,
) -> list[str]:
    """Check the settings of a search before anything is embedded for it.

    Returns:
        The metadata columns of the hits, without those that every hit has.

    Raises:
        QueryError, FilterError: as ``search_vector``.
    """
    if k < 1:
        raise QueryError(f"k is {k}; it must be at least 1")
    if min_score is not None and not -1 <= min_score <= 1:
        raise QueryError(f"the lowest score is {min_score:g}; a cosine lies between -1 and 1")
    if where is not None:
        store.check_filter(where)
    there = [name for name in store.columns if name not in ("id", "vector")]
    wanted = DEFAULT_COLUMNS if columns is None else columns
    for name in wanted:
        if name not in there and name not in LEADING_COLUMNS:
            raise FilterError(f"there is no column {name!r}; there are {', '.join((*LEADING_COLUMNS, *there))}")
    return [name for name in dict.fromkeys(wanted) if name not in LEADING_COLUMNS]


def _at_least(table: pa.Table, score: float) -> pa.Table:
    import pyarrow.compute as pc

    return table.filter(pc.greater_equal(table["score"], score))


def _as_hits(table: pa.Table, query: str, columns: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    leading = {
        "query": pa.array([query] * len(table), pa.string()),
        "target": table["id"],
        "rank": pa.array(range(1, len(table) + 1), pa.int32()),
        "score": table["score"],
    }
    return pa.table(leading | {name: table[name] for name in columns})
