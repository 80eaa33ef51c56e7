"""Hits re-ranked by the local alignment of their stored residues with those of the query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.align import align_many
from protvec.search.aligning import ALIGNED
from protvec.search.hits import Hits
from protvec.search.ranked import Asked, chains_in, chains_of, rank
from protvec.search.related import Profiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.align import Alignment
    from protvec.search.nearest import Wanted
    from protvec.store.reader import Reader

_TEXTS = ("cigar", "qaln", "taln")
_SHARES = ("pident", "fident", "qcov", "tcov")
_QUERIES = 32  # stored ones, whose arrays are in memory together


def search_stored(
    queries: Reader,
    targets: Reader,
    ids: Sequence[str],
    vectors: NDArray[np.float32],
    wanted: Wanted,
    *,
    leave_out_self: bool,
) -> Iterator[Hits]:
    """The hits of stored proteins of one database in another, or in the same. See ``search_aligned``.

    Args:
        queries: The database of the queries.
        targets: The database that is searched.
        ids: The queries.
        vectors: ndarray, shape=(N, D), theirs.
        wanted: What to find, with ``align``.
        leave_out_self: Whether the protein of the query's id is left out of its hits.
    """
    for start in range(0, len(ids), _QUERIES):
        part = ids[start : start + _QUERIES]
        for id, chain, vector in zip(part, chains_of(queries, part), vectors[start : start + _QUERIES], strict=True):
            asked = Asked(id, vector, chain, id if leave_out_self else None)
            yield search_aligned(targets, asked, wanted)


def search_aligned(store: Reader, asked: Asked, wanted: Wanted) -> Hits:
    """The proteins that align best with a query, of those whose vectors are nearest to its vector.

    They are in the order of their E-values, which is that of the scores but for the lengths of the proteins; equal ones
    in the order of the cosines, then of the ids. Proteins of which nothing can be aligned are no hits.

    Args:
        store: The database.
        asked: The query.
        wanted: What to find, with ``align``.
    """
    how = wanted.align
    assert how is not None
    view = store.pinned()
    ranked = rank(view, asked, wanted)
    query, targets = asked.chain, chains_in(view, ranked.rows)
    if how.relatives is not None and how.scoring.pairing is not None:
        profiles = Profiles(view, how.scoring.pairing, how.relatives)
        query, targets = profiles.of(query)[0], (profiles.of(each)[0] for each in targets)
    found = align_many(query, targets, how.scoring, threads=how.threads)
    table = table_of(ranked.rows, found, wanted.columns)
    return Hits(asked.name, table, ranked.found_by, found, chance=ranked.chance)


def table_of(rows: pa.Table, found: list[Alignment], columns: Iterable[str]) -> pa.Table:
    """The table of hits: rows with query, target, their cosine as score and the columns; and their alignments."""
    import pyarrow as pa

    kinds = (
        dict.fromkeys(ALIGNED, pa.int32()) | dict.fromkeys(_TEXTS, pa.string()) | dict.fromkeys(_SHARES, pa.float64())
    )
    values = {
        "query": rows["query"],
        "target": rows["target"],
        "rank": pa.array(range(1, len(found) + 1), pa.int32()),
        "score": pa.array([each.score for each in found], pa.float64()),
        **{name: rows[name] for name in ("evalue", "bits") if name in rows.column_names},
        "cosine": rows["score"],
    }
    values |= {name: pa.array(map(of, found), kinds[name]) for name, of in ALIGNED.items()}
    return pa.table(values | {name: rows[name] for name in columns})
