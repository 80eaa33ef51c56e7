"""What a search is asked for, and the table of its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protvec.store.answer import Found, IndexUse, exactly
from protvec.store.exact import search
from protvec.store.memory.rows import meeting
from protvec.store.memory.scan import nearest
from protvec.store.tables import take_addresses

if TYPE_CHECKING:
    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import NDArray

    from protvec.store.memory.rows import Rows
    from protvec.store.memory.scan import Nearest
    from protvec.store.scoring.compared import Compared


@dataclass(frozen=True)
class Asked:
    """A search.

    Attributes:
        handle: The version of ``proteins``.
        compared: Which of its vectors.
        queries: ndarray, shape=(N, D), dtype=float32: like these.
        k: Hits for each.
        where: The user's filter.
        names: Columns of the answer before ``score``.
    """

    handle: LanceDataset
    compared: Compared
    queries: NDArray[np.float32]
    k: int
    where: str | None
    names: list[str]


def scanned(asked: Asked) -> Found:
    """What reading the whole table finds."""
    import pyarrow as pa

    column = asked.compared.column
    tables = list(
        search(asked.handle, asked.queries, k=asked.k, where=asked.where, columns=asked.names, vectors=column)
    )
    counts = np.array([table.num_rows for table in tables], np.int64)
    how = exactly(int(asked.handle.count_rows()))
    return with_lacking(Found(pa.concat_tables(tables), counts, how), asked)


def with_lacking(found: Found, asked: Asked) -> Found:
    """The answer with the rows that have nothing in the column that was searched: they are compared one by one."""
    import pyarrow as pa

    fragments = asked.compared.lacking(asked.handle)
    if not fragments:
        return found
    rows = meeting(asked.handle, asked.where, asked.compared, fragments)
    more = found_in(rows, nearest(rows, None, asked.queries, k=asked.k), asked.names, found.how)
    query = pa.array(np.concatenate([np.repeat(np.arange(len(asked.queries)), each.counts) for each in (found, more)]))
    both = pa.concat_tables([found.table, more.table]).append_column("query", query)
    both = both.sort_by([("query", "ascending"), ("score", "descending"), ("id", "ascending")])
    query = both["query"].to_numpy()
    first = np.arange(len(query)) - np.searchsorted(query, query) < asked.k
    counts = np.bincount(query[first], minlength=len(asked.queries))
    return Found(both.filter(pa.array(first)).drop_columns(["query"]), counts, found.how)


def found_in(rows: Rows, near: Nearest, names: list[str], how: IndexUse, table: pa.Table | None = None) -> Found:
    """Rows in memory with their columns, which are read where they are not there."""
    if table is None:
        table = taken(rows, near.places, names)
    return Found(table.append_column("score", pa_array(near.scores)), near.counts, how)


def taken(rows: Rows, places: NDArray[np.intp], names: list[str]) -> pa.Table:
    """Columns of rows in memory, each row read once."""
    import pyarrow as pa

    if names == ["id"]:
        return pa.table({"id": rows.ids.take(pa_array(places))})
    unique, back = np.unique(places, return_inverse=True)
    if len(unique) == len(places):
        return take_addresses(rows.handle, rows.addresses[places], names)
    return take_addresses(rows.handle, rows.addresses[unique], names).take(pa_array(back))


def by_id(table: pa.Table, counts: NDArray[np.int64]) -> pa.Table:
    """Rows of several queries, each best first, with equal scores in the order of the ids."""
    score = table["score"].to_numpy()
    query = np.repeat(np.arange(len(counts)), counts)
    if not ((score[1:] == score[:-1]) & (query[1:] == query[:-1])).any():
        return table
    ids = np.array(table["id"].to_pylist(), dtype=object)
    ranks = np.empty(len(ids), np.intp)
    ranks[np.argsort(ids, kind="stable")] = np.arange(len(ids))
    return table.take(pa_array(np.lexsort((ranks, -score, query))))


def unnoted(table: pa.Table) -> pa.Table:
    """The columns without what a scan says of them besides, and rows in memory do not: an answer has one schema."""
    import pyarrow as pa

    return pa.table(table.columns, names=table.column_names)


def pa_array(values: NDArray[np.generic]) -> pa.Array:
    """As Arrow."""
    import pyarrow as pa

    return pa.array(values)
