"""Hits by segments beside those by whole proteins: each protein has the score of the nearest of its vectors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from protvec.store import Cut, Found

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.store import FoundSegments, Pieces
    from protvec.store.reader import Reader

# What a search with segments says of every hit, beside its score.
OF_SEGMENTS = ("by", "qstart", "qend", "tstart", "tend")


def cut_queries(store: Reader, vectors: NDArray[np.float32], pieces: Sequence[Pieces | None] | None) -> Cut:
    """The segments of queries as they are compared: a query that is not cut is its own.

    Args:
        store: The database that is searched.
        vectors: ndarray, shape=(N, D): the mean vectors of the queries.
        pieces: Of each query; None for one that is not cut.
    """
    given = [None] * len(vectors) if pieces is None else pieces
    means = [vectors[row : row + 1] if each is None else each.means for row, each in enumerate(given)]
    return Cut(store.project_segments(np.concatenate(means)), np.array([len(each) for each in means], np.int64))


def with_segments(found: Found, near: FoundSegments, *, k: int) -> Found:
    """The k nearest of both, each protein by its best score; of equal ones as a whole protein.

    That is exact where both are: of the k nearest by either score each is among the k nearest by one of them.

    Args:
        found: By whole proteins.
        near: By segments.
        k: How many for each query.
    """
    import pyarrow as pa

    none = pa.array(np.full(found.table.num_rows, -1, np.int32))
    whole = found.table.append_column("segment", none).append_column("piece", none)
    names = near.table.column_names  # from memory and from the disk they differ in what may be null
    table = pa.concat_tables([pa.table({name: each[name] for name in names}) for each in (whole, near.table)])
    queries = len(found.counts)
    query = np.concatenate([np.repeat(np.arange(queries), each.counts) for each in (found, near)])
    ids = table["id"].combine_chunks().dictionary_encode()
    place, score = ids.indices.to_numpy(), table["score"].to_numpy()
    order = np.lexsort((table["segment"].to_numpy(), -score, place, query))
    first = np.ones(len(order), bool)
    first[1:] = (place[order][1:] != place[order][:-1]) | (query[order][1:] != query[order][:-1])
    order = order[first]
    rank = np.empty(len(ids.dictionary), np.int64)
    rank[np.argsort(np.array(ids.dictionary.to_pylist(), dtype=object))] = np.arange(len(rank))
    order = order[np.lexsort((rank[place[order]], -score[order], query[order]))]
    sorted_query = query[order]
    order = order[np.arange(len(order)) - np.searchsorted(sorted_query, sorted_query) < k]
    counts = np.bincount(query[order], minlength=queries)
    return Found(table.take(pa.array(order)), counts, replace(found.how, segments=near.segments))


def places(
    table: pa.Table, query: NDArray[np.int64], pieces: Sequence[Pieces | None] | None, store: Reader
) -> dict[str, pa.Array]:
    """What found each hit, and where the segments are that are alike: of a hit by whole proteins nothing.

    Args:
        table: The hits, with ``length``, ``segment`` and ``piece``.
        query: ndarray, shape=(H,): which query each is of.
        pieces: Of each query.
        store: The database that was searched.
    """
    import pyarrow as pa

    rule = store.segment_rule
    assert rule is not None
    values: dict[str, list[object]] = {name: [] for name in OF_SEGMENTS}
    columns = (table[name].to_pylist() for name in ("length", "segment", "piece"))
    for number, length, segment, piece in zip(query.tolist(), *columns, strict=True):
        cut = None if pieces is None else pieces[number]
        if segment < 0:
            row: tuple[object, ...] = ("protein", None, None, None, None)
        else:
            of_query = (None, None) if cut is None else cut.place(piece)
            row = ("segment", *of_query, *rule.place(length, segment))
        for name, value in zip(OF_SEGMENTS, row, strict=True):
            values[name].append(value)
    return {name: pa.array(each, pa.string() if name == "by" else pa.int32()) for name, each in values.items()}
