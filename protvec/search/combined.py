"""Hits by text, and by vector and text together.

Two rankings become one by reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): a protein gets
1 / (60 + its rank) of each ranking that has it. Ranks, not scores, are added: a cosine and the score of a text have no
scale in common. Proteins with equal scores in a ranking have equal ranks in it. The ranking by vector is cut after the
first hundred, or five times k; that by text has every protein that matches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protvec.search.chance import of_vectors
from protvec.search.hits import EVIDENCE, Hits
from protvec.statistics import fisher
from protvec.store import IndexUse, cosines, matrix_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.search.chance import Chance
    from protvec.search.nearest import Wanted
    from protvec.store import Found
    from protvec.store.reader import Reader

K = 60  # of the fusion, as its authors found it best
# How many of each ranking are fused, and how many times k at least.
DEPTH, TIMES_K = 100, 5


def search_text(store: Reader, text: str, wanted: Wanted) -> Hits:
    """The proteins whose ids, genes and descriptions match a text best.

    Args:
        store: The database.
        text: Words, phrases in quotation marks, an id or a gene, or a part of one.
        wanted: What to find; ``min_score`` has no meaning here.

    Raises:
        QueryError: there is nothing in the text to look for.
    """
    import pyarrow as pa

    found = store.find_text(text, k=wanted.k, where=wanted.where, columns=wanted.columns)
    number = found.table.num_rows
    leading = {
        "query": pa.array([text] * number, pa.string()),
        "target": found.table["id"],
        "rank": pa.array(range(1, number + 1), pa.int32()),
        "score": found.table["score"],
    }
    table = pa.table(leading | {name: found.table[name] for name in wanted.columns})
    return Hits(text, table, by_text(found.proteins))


def by_text(proteins: int) -> IndexUse:
    """How a text was looked for."""
    return IndexUse("text", exact=True, recall=None, target=None, indexed=proteins, pending=0)


def search_both(
    store: Reader,
    queries: NDArray[np.float32],
    text: str,
    wanted: Wanted,
    *,
    names: Sequence[str],
    exclude: Sequence[str | None],
    kinds: NDArray[np.int64] | None = None,
) -> list[Hits]:
    """The hits of several vectors, each ranked by the vector and by one text.

    Args:
        store: The database.
        queries: ndarray, shape=(N, D), in the database's search space.
        text: The text.
        wanted: What to find.
        names: N names of queries.
        exclude: For each query the id of a protein that is left out, or None.
        kinds: ndarray, shape=(N,): how unusual each query is, where that is known.
    """
    view = store.pinned()  # both rankings are of one version
    depth = max(DEPTH, TIMES_K * wanted.k) + any(each is not None for each in exclude)
    near = view.find(queries, k=depth, where=wanted.where, columns=[], scoring=wanted.scoring, projected=True)
    matching = _matching(view, text, wanted, depth)
    ends = np.cumsum(near.counts)
    fused = [
        _fused(_part(near, end - count, count), matching, query, wanted, left_out)
        for end, count, query, left_out in zip(ends, near.counts, queries, exclude, strict=True)
    ]
    about = _columns_of(view, fused, [*dict.fromkeys([*wanted.columns, "length"])])
    chance = of_vectors(view, queries, among=wanted.among, scoring=wanted.scoring, kinds=kinds)
    hits = []
    for number, (name, each) in enumerate(zip(names, fused, strict=True)):
        table = _table(name, each, about, wanted, chance.of(number))
        hits.append(Hits(name, table, near.how, chance=chance.explained(number)))
    return hits


def _matching(view: Reader, text: str, wanted: Wanted, depth: int) -> Matching:
    """The ranking by text, made once for all queries of one call."""
    key = view.version, wanted.where, depth
    if key not in wanted.rankings:
        wanted.rankings.clear()
        wanted.rankings[key] = Matching.of(view, text, wanted, depth)
    return wanted.rankings[key]


@dataclass(frozen=True)
class Matching:
    """The ranking by text.

    Attributes:
        ranks: Of every protein that matches, by id.
        ids: The first of them.
        vectors: ndarray, shape=(N, D): the vectors of these, as they are compared.
    """

    ranks: dict[str, int]
    ids: list[str]
    vectors: NDArray[np.float32]

    def rank(self, id: str, left_out: str | None) -> int | None:
        """Its rank among all but the one that is left out."""
        rank, other = self.ranks.get(id), self.ranks.get(left_out) if left_out is not None else None
        return rank if rank is None or other is None else rank - (other < rank)

    @classmethod
    def of(cls, view: Reader, text: str, wanted: Wanted, depth: int) -> Matching:
        """The ranking of a view, with the vectors of so many of its first."""
        found = view.find_text(text, k=depth, where=wanted.where, columns=["vector"])
        best = np.sort(found.matches.scores)[::-1]
        ranks = 1 + np.searchsorted(-best, -found.matches.scores)  # equal scores have equal ranks
        by_id = dict(zip(found.matches.ids.to_pylist(), ranks.tolist(), strict=True))
        vectors = matrix_of(found.table["vector"])
        if len(vectors):
            vectors = view.project(vectors, scoring=wanted.scoring)
        return cls(by_id, found.table["id"].to_pylist(), vectors)


@dataclass(frozen=True)
class _Fused:
    """A protein of one ranking or of both."""

    id: str
    cosine: float
    vector_rank: int | None
    text_rank: int | None

    @property
    def score(self) -> float:
        return sum(1 / (K + rank) for rank in (self.vector_rank, self.text_rank) if rank is not None)

    @property
    def evidence(self) -> str:
        return "both" if self.vector_rank and self.text_rank else "vector" if self.vector_rank else "text"


def _fused(
    near: list[tuple[str, float]],
    matching: Matching,
    query: NDArray[np.float32],
    wanted: Wanted,
    left_out: str | None,
) -> list[_Fused]:
    """The k best of both rankings; equal scores by cosine, then by id."""
    alike = cosines(matching.vectors, query).tolist() if matching.ids else []
    cosine = {id: score for id, score in [*zip(matching.ids, alike, strict=True), *near] if id != left_out}
    by_vector = _ranks({id: score for id, score in near if id != left_out})
    found = [_Fused(id, score, by_vector.get(id), matching.rank(id, left_out)) for id, score in cosine.items()]
    lowest = -1.0 if wanted.min_score is None else wanted.min_score
    good = [each for each in found if each.cosine >= lowest]
    return sorted(good, key=lambda each: (-each.score, -each.cosine, each.id))[: wanted.k]


def _ranks(scores: dict[str, float]) -> dict[str, int]:
    """The rank of each of what is sorted by score, from 1; equal scores have equal ranks."""
    ranks: dict[str, int] = {}
    rank, last = 0, None
    for place, (id, score) in enumerate(scores.items(), start=1):
        if score != last:
            rank, last = place, score
        ranks[id] = rank
    return ranks


def _part(near: Found, start: int, count: int) -> list[tuple[str, float]]:
    part = near.table.slice(start, count)
    return list(zip(part["id"].to_pylist(), part["score"].to_pylist(), strict=True))


def _columns_of(view: Reader, fused: list[list[_Fused]], columns: Sequence[str]) -> pa.Table:
    """The metadata of every hit, each read once; ``id`` is their key."""
    ids = list(dict.fromkeys(each.id for hits in fused for each in hits))
    return view.get(ids, columns=["id", *columns])


def _table(name: str, hits: list[_Fused], about: pa.Table, wanted: Wanted, chance: Chance) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = pa.array([each.id for each in hits], pa.string())
    rows = about.take(pc.index_in(ids, about["id"].combine_chunks()))
    cosines = np.array([each.cosine for each in hits], np.float64)
    bits = chance.bits(fisher(cosines), rows["length"].to_numpy())
    evalues = chance.evalues(bits)
    values = {
        "query": pa.array([name] * len(hits), pa.string()),
        "target": ids,
        "score": pa.array([each.score for each in hits], pa.float64()),
        "evalue": pa.array(evalues, pa.float64()),
        "bits": pa.array(bits, pa.float64()),
        "evidence": pa.array([each.evidence for each in hits], pa.string()),
        "vector_rank": pa.array([each.vector_rank for each in hits], pa.int32()),
        "text_rank": pa.array([each.text_rank for each in hits], pa.int32()),
        "cosine": pa.array(cosines, pa.float64()),
    }
    assert set(EVIDENCE) < values.keys()
    table = pa.table(values | {column: rows[column] for column in wanted.columns})
    if wanted.evalue is not None:
        table = table.filter(pa.array(evalues <= wanted.evalue))
    return table.add_column(2, "rank", pa.array(range(1, table.num_rows + 1), pa.int32()))
