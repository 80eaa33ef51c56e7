"""Which proteins align best with a query, of those whose vectors or letters are near to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from protvec.align import Chain, score_many
from protvec.search.chance import of_alignments
from protvec.search.nearest import search_vector
from protvec.store import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.search.aligning import Aligning
    from protvec.search.hits import Hits
    from protvec.search.nearest import Wanted
    from protvec.store import IndexUse
    from protvec.store.reader import Reader

_AT_ONCE = 256  # arrays of candidates in memory


@dataclass(frozen=True, eq=False)
class Asked:
    """A query that can be aligned.

    Attributes:
        name: In the hits.
        vector: ndarray, shape=(D,).
        chain: Its sequence and its residues.
        exclude: Id of a protein that is left out, or None.
    """

    name: str
    vector: NDArray[np.float32]
    chain: Chain
    exclude: str | None = None


@dataclass(frozen=True, eq=False)
class Ranked:
    """Hits in their order, not aligned yet.

    Attributes:
        rows: The hits: target, cosine as score, E-value, bits, digest, sequence, and the columns that were asked for.
        found_by: How the nearest were found.
        chance: What E-values come from.
    """

    rows: pa.Table
    found_by: IndexUse
    chance: str


def rank(view: Reader, asked: Asked, wanted: Wanted) -> Ranked:
    """The hits of a query by the scores of their best local alignments: see ``search_aligned``.

    Args:
        view: The database, of one version.
        asked: The query.
        wanted: What to find, with ``align``.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    how = wanted.align
    assert how is not None
    table, found_by, share = _candidates(view, asked, wanted, how)
    scores = _scores(view, asked.chain, table, how)
    chance = of_alignments(view, asked.chain, how, among=wanted.among)
    bits = chance.bits(scores.astype(np.float64), pc.utf8_length(table["sequence"]).to_numpy())
    order = np.argsort(-bits, kind="stable")  # the table is in the order of the cosines, and equal ones of the ids
    evalues = chance.evalues(bits, share=share)
    good = (scores > 0) & (evalues <= (np.inf if wanted.evalue is None else wanted.evalue))
    order = order[good[order]][: wanted.k]
    rows = table.take(order).drop_columns(["evalue", "bits"])
    rows = rows.append_column("evalue", pa.array(evalues[order])).append_column("bits", pa.array(bits[order]))
    return Ranked(rows, found_by, chance.explained(0))


def chains_of(store: Reader, ids: Sequence[str]) -> list[Chain]:
    """Stored proteins, as they are aligned, in the order of their ids."""
    rows = store.get(ids, columns=["digest", "sequence"])
    digests = rows["digest"].to_pylist()
    arrays = store.arrays(digests)
    return [Chain(sequence, arrays[each]) for sequence, each in zip(rows["sequence"].to_pylist(), digests, strict=True)]


def _candidates(view: Reader, asked: Asked, wanted: Wanted, how: Aligning) -> tuple[pa.Table, IndexUse, float]:
    """The proteins to align: half of them by ungapped matches of letters, the others by their vectors.

    Returns:
        The proteins by their cosines, how the nearest were found, and the share of unrelated proteins that may be
        among them, as if all were the nearest: matches of letters go together with alignments at least as cosines do.
    """
    import pyarrow as pa

    number = max(wanted.k, how.candidates)
    columns = tuple(dict.fromkeys((*wanted.columns, "digest", "sequence")))
    plain = replace(wanted, k=number, columns=columns, align=None, evalue=None)

    rule = view.segment_rule
    pieces = None if rule is None else rule.pieces(asked.chain.residues)

    def nearest(which: Wanted) -> Hits:
        length = len(asked.chain)
        return search_vector(
            view, asked.vector, which, query=asked.name, exclude=asked.exclude, pieces=pieces, length=length
        )

    near = nearest(plain)
    table = near.to_arrow()
    share = _share(table, number)
    if how.library is None or len(near) < number:  # there are no others
        return table, near.index, share
    matching = how.library.best(view, asked.chain.codes, number // 2, threads=how.threads)
    others = set(matching) - set(near.ids[: number - len(matching)])
    if others:
        condition = f"id IN ({', '.join(map(quote, sorted(others)))})"
        more = nearest(plain.limited_to(condition)).to_arrow()
        kept = [place for place, id in enumerate(near.ids) if id not in others][: number - len(more)]
        table = pa.concat_tables([table.take(kept), more])
        table = table.sort_by([("score", "descending"), ("target", "ascending")])
    return table, near.index, share


def _share(table: pa.Table, asked: int) -> float:
    """The share of unrelated proteins that are candidates: those with the cosine of the last one or a higher one."""
    if table.num_rows < asked:
        return 1.0  # whoever is no candidate was left out by a condition
    return float(2.0 ** -table["bits"][-1].as_py())


def _scores(view: Reader, query: Chain, table: pa.Table, how: Aligning) -> NDArray[np.float32]:
    """The score of each row; proteins of one sequence are aligned once."""
    digests = table["digest"].combine_chunks().dictionary_encode()
    places = digests.indices.to_numpy()
    _, first = np.unique(places, return_index=True)
    scores = score_many(query, chains_in(view, table.take(first)), how.scoring, threads=how.threads)
    every: NDArray[np.float32] = scores[places]
    return every


def chains_in(view: Reader, table: pa.Table) -> Iterator[Chain]:
    """The rows as they are aligned, a number of arrays in memory at once."""
    rows: Iterator[tuple[str, str]] = zip(table["digest"].to_pylist(), table["sequence"].to_pylist(), strict=True)
    while part := list(islice(rows, _AT_ONCE)):
        arrays = view.arrays([digest for digest, _ in part])
        yield from (Chain(sequence, arrays[digest]) for digest, sequence in part)
