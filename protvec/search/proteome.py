"""Stored proteins as queries: some by id, or every one of a database in the order of their ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.search.aligned import search_stored
from protvec.search.nearest import BLOCK, check_any, search_block

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from protvec.search.hits import Hits
    from protvec.search.nearest import Wanted
    from protvec.store import Pieces, Store
    from protvec.store.reader import Reader


def search_ids(
    queries: Store, targets: Store, ids: Sequence[str], wanted: Wanted, *, leave_out_self: bool = False
) -> Iterator[Hits]:
    """The hits of some proteins of one database in another, or in the same, in the order of their ids.

    Args:
        queries: The database whose proteins are the queries.
        targets: The database that is searched.
        ids: The proteins.
        wanted: What to find.
        leave_out_self: Whether the protein of the query's id is left out of its hits.

    Raises:
        ProteinNotFoundError: one is not there.
    """
    for start in range(0, len(ids), BLOCK):
        part = ids[start : start + BLOCK]
        vectors, pieces = queries.queries(part)
        yield from _block(queries, targets, part, vectors, pieces, wanted, leave_out_self)


def search_proteome(
    queries: Store,
    targets: Store,
    wanted: Wanted,
    *,
    query_where: str | None = None,
    after: str | None = None,
    leave_out_self: bool = False,
) -> Iterator[Hits]:
    """The hits of each protein of one database in another, or in the same.

    Which proteins are asked for is settled at the first step, and all answers are of the targets as they are then.

    Args:
        queries: The database whose proteins are the queries.
        targets: The database that is searched.
        wanted: What to find.
        query_where: SQL condition: only these proteins are queries.
        after: Only proteins whose id sorts after this one.
        leave_out_self: Whether the protein of the query's id is left out of its hits.

    Raises:
        SpaceMismatchError: the vectors of the two cannot be compared.
        QueryError: one of them has no proteins.
    """
    targets.check_space(queries.space)
    check_any(queries)
    if query_where is not None:
        queries.check_filter(query_where)
    return _stream(queries, targets, wanted, query_where, after, leave_out_self)


def _stream(
    queries: Store, targets: Store, wanted: Wanted, query_where: str | None, after: str | None, leave_out_self: bool
) -> Iterator[Hits]:
    asked, searched = queries.pinned(), targets.pinned()
    for ids, vectors, pieces in asked.iter_queries(where=query_where, after=after, batch_size=BLOCK):
        yield from _block(asked, searched, ids, vectors, pieces, wanted, leave_out_self)


def _block(
    asked: Reader,
    searched: Reader,
    ids: Sequence[str],
    vectors: NDArray[np.float32],
    pieces: Sequence[Pieces | None],
    wanted: Wanted,
    leave_out_self: bool,
) -> Iterable[Hits]:
    if wanted.align is not None:
        return search_stored(asked, searched, ids, vectors, wanted, leave_out_self=leave_out_self)
    lengths = asked.get(ids, columns=["length"])["length"].to_pylist()
    left_out = ids if leave_out_self else None
    return search_block(searched, vectors, wanted, names=ids, exclude=left_out, pieces=pieces, lengths=lengths)
