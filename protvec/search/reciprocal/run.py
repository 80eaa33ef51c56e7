"""Two proteomes in, pairs out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protvec.errors import FilterError, QueryError
from protvec.search.nearest import check_min_score
from protvec.search.reciprocal.best import TIE, best_pairs
from protvec.search.reciprocal.mutual import Seen, View, look, wanted
from protvec.search.reciprocal.pairs import Counts, Pairs
from protvec.search.reciprocal.side import load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.search.reciprocal.best import Scores
    from protvec.search.reciprocal.side import Side
    from protvec.store import Store

TIES = ("first", "all", "drop")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What counts as a pair.

    Attributes:
        query_where: SQL condition on the proteins of the one side.
        target_where: On those of the other.
        collapse: Whether proteins of one locus are one.
        locus: The column that names loci; by default ``locus``, else ``gene`` with the organism.
        ties: What becomes of partners that are exactly as good as one another: the ``first`` in the order of the
            loci, each locus in one pair at most; ``all`` of them; or none (``drop``).
        min_score: Leave out pairs below this cosine.
        columns: Columns of the proteins to bring along.
    """

    query_where: str | None = None
    target_where: str | None = None
    collapse: bool = True
    locus: str | None = None
    ties: str = "first"
    min_score: float | None = None
    columns: Sequence[str] = ()


def rbh(
    queries: Store, targets: Store, options: Options, *, progress: Callable[[int, int], None] | None = None
) -> Pairs:
    """Pairs of loci, each the nearest of the other among all of its side.

    Args:
        queries: The database of the one side.
        targets: That of the other; it may be the same, with other conditions.
        options: What counts.
        progress: Called with the proteins compared so far, and how many there are.

    Raises:
        SpaceMismatchError: the vectors of the two are of different models.
        QueryError: an option, a side without proteins, or proteins that are on both sides.
        FilterError: a condition or a column cannot be used.
    """
    _check(queries, targets, options)
    ours = queries.pinned()
    theirs = ours if targets is queries else targets.pinned()
    one = load(ours, options.query_where, collapse=options.collapse, locus=options.locus)
    two = load(theirs, options.target_where, collapse=options.collapse, locus=options.locus)
    if ours.path == theirs.path:
        _check_apart(one, two, ours.path)
    scores = best_pairs(one, two, progress)
    seen = Seen(look(scores.query, scores, scores.target), look(scores.target, scores, scores.query))
    mutual = seen.one.is_best & seen.two.is_best
    tied = (seen.one.ties[scores.query] > 0) | (seen.two.ties[scores.target] > 0)
    kept = np.nonzero(mutual & wanted(scores, mutual, tied, options.ties))[0]
    ambiguous = np.unique(scores.query[mutual & tied])
    if options.min_score is not None:
        kept = kept[scores.score[kept] >= options.min_score]
    counts = Counts(
        len(one.ids),
        len(two.ids),
        len(one.loci),
        len(two.loci),
        len(ambiguous),
        len(np.setdiff1d(ambiguous, scores.query[kept])),
    )
    table = _table(one, two, scores, seen, kept)
    for side, store in (("query", ours), ("target", theirs)):
        for name, values in _metadata(store, table[side], options.columns).items():
            table = table.append_column(f"{side}.{name}", values)
    return Pairs(table, counts)


def _check(queries: Store, targets: Store, options: Options) -> None:
    targets.check_space(queries.space)
    if options.ties not in TIES:
        raise QueryError(f"ties is {options.ties!r}: it is one of {', '.join(TIES)}")
    check_min_score(options.min_score)
    if options.locus is not None and not options.collapse:
        raise QueryError("a column of loci has no use where they are not collapsed")
    for store, where in ((queries, options.query_where), (targets, options.target_where)):
        if where is not None:
            store.check_filter(where)
        for name in (*options.columns, *([options.locus] if options.locus else [])):
            if name == "vector" or name not in store.columns:
                there = ", ".join(each for each in store.columns if each != "vector")
                raise FilterError(f"there is no column {name!r} in {store.path}; there are {there}")


def _check_apart(one: Side, two: Side, path: str) -> None:
    """A protein that is on both sides would be its own best hit."""
    both = {*one.ids} & {*two.ids}
    if both:
        raise QueryError(
            f"{len(both):,} proteins of {path} are on both sides, such as {min(both)!r}: "
            "name two datasets, or conditions that no protein meets both of"
        )


def _table(one: Side, two: Side, scores: Scores, seen: Seen, kept: NDArray[np.int64]) -> pa.Table:
    import pyarrow as pa

    kept = kept[np.lexsort((scores.target[kept], scores.query[kept]))]
    score = scores.score[kept]

    def ids(side: Side, rows: NDArray[np.int64]) -> pa.Array:
        return pa.array([side.ids[row] for row in rows.tolist()], pa.string())

    def gap(view: View) -> pa.Array:
        following = view.next[kept]
        apart = score - scores.score[following]
        return pa.array(np.where(apart < TIE, 0.0, apart), mask=following < 0)

    def next_id(view: View, side: Side, place: int) -> pa.Array:
        following = view.next[kept]
        rows = scores.pair[following, place].tolist()
        return pa.array(
            [side.ids[row] if at >= 0 else None for row, at in zip(rows, following, strict=True)], pa.string()
        )

    def loci(side: Side, places: NDArray[np.int64]) -> pa.Array:
        return pa.array([side.loci[place] for place in places.tolist()], pa.string())

    return pa.table(
        {
            "query": ids(one, scores.pair[kept, 0]),
            "target": ids(two, scores.pair[kept, 1]),
            "score": pa.array(score),
            "query_gap": gap(seen.one),
            "target_gap": gap(seen.two),
            "query_next": next_id(seen.one, two, 1),
            "target_next": next_id(seen.two, one, 0),
            "query_ties": pa.array(seen.one.ties[scores.query[kept]], pa.int32()),
            "target_ties": pa.array(seen.two.ties[scores.target[kept]], pa.int32()),
            "query_locus": loci(one, scores.query[kept]),
            "target_locus": loci(two, scores.target[kept]),
        }
    )


def _metadata(store: Store, ids: pa.ChunkedArray, columns: Sequence[str]) -> dict[str, pa.ChunkedArray]:
    if not columns:
        return {}
    rows = store.get(ids.to_pylist(), columns=list(dict.fromkeys(columns)))
    return {name: rows[name] for name in rows.column_names}
