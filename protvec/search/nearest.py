"""The nearest proteins of vectors, as hits: of one, of a block at once, of a stream in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from protvec.errors import FilterError, QueryError
from protvec.search.aligning import CANDIDATES, OF_ALIGNED, aligning
from protvec.search.chance import check_evalue, kinds_of, of_vectors
from protvec.search.combined import search_both
from protvec.search.hits import EVIDENCE, Hits
from protvec.search.segments import OF_SEGMENTS, cut_queries, places, with_segments
from protvec.statistics import fisher
from protvec.store import both, check_k, query_matrix
from protvec.store.text import parse_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray

    from protvec.align import Scoring
    from protvec.search.aligning import Aligning
    from protvec.search.chance import Chance
    from protvec.search.combined import Matching
    from protvec.store import Cut, Found, Pieces, Store
    from protvec.store.reader import Reader

_T = TypeVar("_T")

DEFAULT_K = 10
DEFAULT_COLUMNS = ("length", "gene", "organism", "description")
LEADING_COLUMNS = ("query", "target", "rank", "score", "evalue", "bits")
# Vectors that are compared at once.
BLOCK = 256


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a search is to find, checked.

    Attributes:
        k: How many hits at most.
        where: SQL condition on the metadata; only proteins that meet it are candidates.
        min_score: Leave out hits below this cosine.
        columns: Metadata columns of the hits, without those that every hit has.
        text: Rank by this text too.
        align: Rank by alignment, so.
        evalue: Leave out hits with a higher E-value.
        among: The condition of the proteins that are searched, which E-values count hits among: ``where`` without what
            leaves out the query itself.
        rankings: Those by the text, by version, condition and depth: it is the same for many queries.
        scoring: ``raw`` for cosines of the mean vectors themselves; None for those of the database's search space.
        segments: Whether segments are compared too, where the database has them.
    """

    k: int
    where: str | None
    min_score: float | None
    columns: tuple[str, ...]
    text: str | None = None
    align: Aligning | None = None
    evalue: float | None = None
    among: str | None = None
    rankings: dict[tuple[int, str | None, int], Matching] = field(default_factory=dict, compare=False, repr=False)
    scoring: str | None = None
    segments: bool = False

    def limited_to(self, condition: str) -> Wanted:
        """The same, with one more condition on the proteins."""
        return replace(self, where=both(self.where, condition))


def check(
    store: Store,
    *,
    k: int = DEFAULT_K,
    where: str | None = None,
    min_score: float | None = None,
    columns: Sequence[str] | None = None,
    text: str | None = None,
    align: bool | Scoring = False,
    candidates: int = CANDIDATES,
    threads: int | None = None,
    evalue: float | None = None,
    scoring: str | None = None,
    segments: bool = True,
    profiles: bool = False,
) -> Wanted:
    """Check the settings of a search before anything is embedded for it.

    Raises:
        QueryError: k, min_score, the text or the scoring cannot be used, nothing can be aligned, or there are no
            proteins.
        FilterError: the condition is no SQL, or names a column that is not there; or there is no such column.
    """
    check_k(k)
    check_min_score(min_score)
    check_evalue(evalue)
    if scoring not in (None, "raw"):
        raise QueryError(f"scoring {scoring!r}: leave it out for the search space of the database, or take raw")
    if where is not None:
        store.check_filter(where)
    if text is not None:
        parse_text(text)
    how = aligning(store, align, candidates=candidates, threads=threads, where=where, profiles=profiles)
    if how is not None and text is not None:
        raise QueryError("hits are ranked by alignment, or by vector and text: choose one")
    segments = segments and scoring is None and text is None
    if isinstance(columns, str):
        raise QueryError(f"columns is {columns!r}: give a list of names, as [{columns!r}]")
    there = [name for name in store.columns if name not in ("id", "vector")]
    leading = (*LEADING_COLUMNS, *_said(store, text=text is not None, align=how is not None, segments=segments))
    wanted = DEFAULT_COLUMNS if columns is None else columns
    for name in wanted:
        if name not in there and name not in leading:
            raise FilterError(f"there is no column {name!r}; there are {', '.join((*leading, *there))}")
    kept = tuple(name for name in dict.fromkeys(wanted) if name not in leading)
    check_any(store)
    return Wanted(
        k=k,
        where=where,
        min_score=min_score,
        columns=kept,
        text=text,
        align=how,
        scoring=scoring,
        evalue=evalue,
        among=where,
        segments=segments,
    )


def _said(store: Store, *, text: bool, align: bool, segments: bool) -> tuple[str, ...]:
    """What a search says of every hit beside ``LEADING_COLUMNS``."""
    if text:
        return EVIDENCE
    if align:
        return OF_ALIGNED
    return OF_SEGMENTS if segments and store.no_segments is None else ()


def check_any(store: Store) -> None:
    """Refuse a database without proteins, whose answers would look like those of queries without a hit.

    Raises:
        QueryError: there are none.
    """
    if not store.count():
        raise QueryError(f"{store.path} holds no proteins yet: there is nothing to search")


def check_min_score(min_score: float | None) -> None:
    """Refuse a lowest score that no cosine can have, or that every one has.

    Raises:
        QueryError: it is not between -1 and 1.
    """
    if min_score is not None and not -1 <= min_score <= 1:
        raise QueryError(f"the lowest score is {min_score:g}; a cosine lies between -1 and 1")


def search_vector(
    store: Reader,
    vector: ArrayLike,
    wanted: Wanted,
    *,
    query: str,
    exclude: str | None = None,
    projected: bool = False,
    pieces: Pieces | None = None,
    length: int | None = None,
) -> Hits:
    """The proteins whose vectors have the highest cosine with a vector.

    Args:
        store: The database.
        vector: ndarray, shape=(D,).
        wanted: What to find.
        query: Name of the query in the hits.
        exclude: Id of a protein that is left out.
        projected: Whether the vector is of the database's search space, as ``Store.project`` returns it: then it is
            compared with whole proteins alone.
        pieces: The segments of the query, of one that is cut.
        length: Residues of the query, where they are known: E-values know what kind of query it is then.

    Raises:
        QueryError: the vector cannot be used.
    """
    lengths = None if length is None else [length]
    (hits,) = search_block(
        store, [vector], wanted, names=[query], exclude=[exclude], projected=projected, pieces=[pieces], lengths=lengths
    )
    return hits


def search_block(
    store: Reader,
    vectors: ArrayLike | Sequence[ArrayLike],
    wanted: Wanted,
    *,
    names: Sequence[str],
    exclude: Sequence[str | None] | None = None,
    projected: bool = False,
    pieces: Sequence[Pieces | None] | None = None,
    lengths: Sequence[int] | None = None,
) -> list[Hits]:
    """The hits of several vectors, compared at once: the same as one by one.

    Args:
        store: The database.
        vectors: ndarray, shape=(N, D).
        wanted: What to find.
        names: N names of queries.
        exclude: For each query the id of a protein that is left out, or None.
        projected: As for ``search_vector``.
        pieces: N, the segments of each query, or None.
        lengths: N, the residues of each query; None where they are not known, as of what is projected.

    Raises:
        QueryError: a vector cannot be used.
    """
    store = store.still()  # all of one version, whatever others write
    queries = _projected(store, vectors, wanted, projected)
    kinds = None
    if lengths is not None:
        kinds = kinds_of(store, query_matrix(vectors, store.space.dimension), lengths, scoring=wanted.scoring)
    if wanted.text is not None:
        left_out = [None] * len(names) if exclude is None else exclude
        return search_both(store, queries, wanted.text, wanted, names=names, exclude=left_out, kinds=kinds)
    leave_out = exclude is not None and any(each is not None for each in exclude)
    number = wanted.k + leave_out
    found, cut = _found(store, vectors, queries, pieces, wanted, number, by_segments=not projected)
    query = np.repeat(np.arange(len(names)), found.counts)
    chance = of_vectors(store, queries, among=wanted.among, scoring=wanted.scoring, cut=cut, kinds=kinds)
    table = _with_chance(found.table, chance, query)
    if cut is not None:
        for name, values in places(table, query, pieces, store).items():
            table = table.append_column(f"_{name}", values)  # whatever the database's own columns are called
    keep = np.ones(len(query), bool)
    if leave_out:
        keep &= ~_are(table["id"], exclude or (), query)
        keep &= _ranks(query, keep) <= wanted.k
    if wanted.min_score is not None:
        keep &= table["score"].to_numpy() >= wanted.min_score
    if wanted.evalue is not None:
        keep &= table["evalue"].to_numpy() <= wanted.evalue
    if not keep.all():
        table, query = table.filter(keep), query[keep]
    whole = _as_hits(table, names, query, wanted.columns)
    ends = np.searchsorted(query, np.arange(len(names) + 1)).tolist()
    return [
        Hits(name, whole.slice(start, stop - start), found.how, chance=chance.explained(number))
        for number, (name, start, stop) in enumerate(zip(names, ends, ends[1:], strict=False))
    ]


def _found(
    store: Reader,
    vectors: ArrayLike | Sequence[ArrayLike],
    queries: NDArray[np.float32],
    pieces: Sequence[Pieces | None] | None,
    wanted: Wanted,
    k: int,
    *,
    by_segments: bool,
) -> tuple[Found, Cut | None]:
    """The nearest proteins, and the segments of the queries where these were compared too."""
    columns = list(dict.fromkeys([*wanted.columns, "length"]))
    found = store.find(queries, k=k, where=wanted.where, columns=columns, scoring=wanted.scoring, projected=True)
    if not (wanted.segments and by_segments):
        return found, None
    if (why := store.no_segments) is not None:
        said = why if store.scoring.segments_key is not None else ""
        return found._replace(how=replace(found.how, without=said)), None
    cut = cut_queries(store, query_matrix(vectors, store.space.dimension), pieces)
    near = store.find_segments(cut, k=k, where=wanted.where, columns=columns)
    return with_segments(found, near, k=k), cut


def _projected(
    store: Reader, vectors: ArrayLike | Sequence[ArrayLike], wanted: Wanted, projected: bool
) -> NDArray[np.float32]:
    """The queries in the search space.

    Raises:
        QueryError: one cannot be used.
    """
    queries = query_matrix(vectors, store.space.dimension)
    return queries if projected else store.project(queries, scoring=wanted.scoring)


def _with_chance(table: pa.Table, chance: Chance, query: NDArray[np.int64]) -> pa.Table:
    """The hits of several queries with their E-values and bits."""
    import pyarrow as pa

    segments = table["segment"].to_numpy() if "segment" in table.column_names else None
    bits = chance.bits(fisher(table["score"].to_numpy()), table["length"].to_numpy(), query, segments=segments)
    both = {"evalue": chance.evalues(bits), "bits": bits}
    table = table.drop_columns([name for name in both if name in table.column_names])
    for name, values in both.items():
        table = table.append_column(name, pa.array(values))
    return table


def search_stream(
    store: Reader,
    vectors: Iterable[ArrayLike],
    wanted: Wanted,
    *,
    names: Iterable[str] | None = None,
    exclude: Iterable[str | None] | None = None,
) -> Iterator[Hits]:
    """The hits of any number of vectors, in their order, a block of them in memory at once.

    Args:
        store: The database.
        vectors: Each an ndarray, shape=(D,).
        wanted: What to find.
        names: As many names of queries; without them, ``vector 1``, ``vector 2``…
        exclude: For each query the id of a protein that is left out, or None.

    Raises:
        QueryError: a vector cannot be used, or there are not as many names as vectors.
    """
    rest, called = iter(vectors), None if names is None else iter(names)
    left_out = None if exclude is None else iter(exclude)
    done = 0
    while block := list(islice(rest, BLOCK)):
        if called is None:
            labels = [f"vector {i}" for i in range(done + 1, done + len(block) + 1)]
        else:
            labels = _as_many(called, len(block), "name")
        without = None if left_out is None else _as_many(left_out, len(block), "protein to leave out")
        yield from search_block(store, block, wanted, names=labels, exclude=without)
        done += len(block)
    for others, what in ((called, "name"), (left_out, "protein to leave out")):
        if others is not None and next(others, _END) is not _END:
            raise QueryError(f"there are {done} vectors, and more than one {what} for each")


_END = object()


def _as_many(values: Iterator[_T], number: int, what: str) -> list[_T]:
    taken = list(islice(values, number))
    if len(taken) < number:
        raise QueryError(f"there are fewer than one {what} for each vector")
    return taken


def _are(ids: pa.ChunkedArray, exclude: Sequence[str | None], query: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each row is the protein that its query leaves out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    unwanted = pa.array(exclude, pa.string()).take(pa.array(query))
    same: NDArray[np.bool_] = pc.equal(ids, unwanted).fill_null(False).to_numpy()
    return same


def _ranks(query: NDArray[np.int64], keep: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The place of each row among those of its query that are kept, from 1."""
    so_far = np.cumsum(keep)
    first = np.searchsorted(query, query)
    ranks: NDArray[np.int64] = so_far - (so_far - keep)[first]
    return ranks


def _as_hits(table: pa.Table, names: Sequence[str], query: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    everyone = np.ones(len(query), bool)
    leading = {
        "query": pa.array(names, pa.string()).take(pa.array(query)),
        "target": table["id"],
        "rank": pa.array(_ranks(query, everyone), pa.int32()),
        "score": table["score"],
        "evalue": table["evalue"],
        "bits": table["bits"],
    }
    leading |= {name: table[f"_{name}"] for name in OF_SEGMENTS if f"_{name}" in table.column_names}
    return pa.table(leading | {name: table[name] for name in columns})
