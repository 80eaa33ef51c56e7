"""What chance gives: E-values and bits of hits, from scores of the query with a sample of the database.

The sample is of distinct sequences, the same for the same database; nobody says which of them are related to the
query. See docs/statistics.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protvec.align import Chain, Scoring, score_many
from protvec.errors import QueryError
from protvec.statistics import (
    ANY_ALIGNMENT,
    COSINE_ALIGNMENT,
    EDGES,
    Z_ALIGNMENT,
    Usual,
    cosine_prior,
    fisher,
    fit_many,
    log_chosen,
    log_p,
    segment_prior,
)
from protvec.store import matrix_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from protvec.search.aligning import Aligning
    from protvec.statistics import Null, Prior
    from protvec.store import Cut, Sample
    from protvec.store.reader import Reader
    from protvec.store.segments import Rule
    from protvec.transform import Transform

# Distinct sequences whose vectors a query is compared with, and with which it is aligned.
COMPARED, ALIGNED = 512, 64
# As many are aligned where nothing is known of such scores before.
_ALIGNED_UNKNOWN = 200
# What is known of the scores of alignments, by how they are scored.
PRIORS = {
    Scoring(enhance="none", offset=1.5, blosum=1.0, gap_open=10.0, gap_extend=1.0, cosine=13.5): COSINE_ALIGNMENT,
    Scoring(enhance="both", offset=1.5, blosum=0.3, gap_open=7.0, gap_extend=1.0): Z_ALIGNMENT,
}
# Between alignment scores and cosines of unrelated proteins, where both are high (docs/statistics.md).
CORRELATION = 0.45
# Cosines above this are of the query itself, or of what cannot be told from it.
_ITSELF = 1 - 1e-6
# Of a query with itself where one of the two is rounded to bytes.
_ITSELF_ROUNDED = 0.999
_DECIMALS = 4
# A protein is compared as a whole and by segments: chance has more ways to make it a hit, by as much as was measured.
_LOOKS = 1.3


@dataclass(frozen=True)
class OfSegments:
    """What segments of unrelated proteins score, for each of several queries.

    Attributes:
        nulls: Of one segment of each query with one of a protein.
        counts: ndarray, shape=(Q,): segments of each query.
        rule: How the proteins are cut.
    """

    nulls: Sequence[Null]
    counts: NDArray[np.int64]
    rule: Rule

    def of(self, query: int) -> OfSegments:
        """That of one query."""
        return OfSegments([self.nulls[query]], self.counts[query : query + 1], self.rule)

    def log_p(
        self, scores: NDArray[np.float64], lengths: NDArray[np.int64], query: NDArray[np.int64] | None
    ) -> NDArray[np.float64]:
        """How likely the best of all pairs of segments is this good: as if no pair were like another."""
        pairs = self.counts[0 if query is None else query] * np.maximum(self.rule.counts(lengths), 1)
        one = log_p(self.nulls, scores, self.rule.within(lengths), query, looks=_LOOKS)
        found: NDArray[np.float64] = np.minimum(one + np.log(pairs), 0.0)
        return found


@dataclass(frozen=True)
class Chance:
    """What unrelated proteins score, for each of several queries.

    Attributes:
        nulls: One for each.
        sequences: Distinct sequences that are searched, which E-values count hits among.
        what: What is scored.
        segments: What segments score, where these are compared too.
        kinds: ndarray, shape=(Q,): how unusual each query is, see ``kinds_of``; None where that is not known.
    """

    nulls: Sequence[Null]
    sequences: float
    what: str
    segments: OfSegments | None = None
    kinds: NDArray[np.int64] | None = None

    def bits(
        self,
        scores: NDArray[np.float64],
        lengths: ArrayLike,
        query: NDArray[np.int64] | None = None,
        *,
        segments: NDArray[np.int32] | None = None,
    ) -> NDArray[np.float64]:
        """Scores in bits, to four decimals: to less than the last digits of sums that depend on their order.

        Args:
            scores: ndarray, shape=(H,): of hits of all the queries.
            lengths: H numbers of residues, of the proteins.
            query: ndarray, shape=(H,): which query each is of; None where there is one.
            segments: ndarray, shape=(H,): below 0 for a hit by whole proteins; None where all are.
        """
        if self.segments is None or segments is None:
            p = log_p(self.nulls, scores, lengths, query)
        else:
            whole = log_p(self.nulls, scores, lengths, query, looks=_LOOKS)
            p = np.where(segments < 0, whole, self.segments.log_p(scores, np.asarray(lengths), query))
        bits: NDArray[np.float64] = np.round(-p / math.log(2), _DECIMALS)
        return bits + 0.0  # no -0

    def of(self, query: int) -> Chance:
        """That of one query."""
        kinds = None if self.kinds is None else self.kinds[query : query + 1]
        return Chance([self.nulls[query]], self.sequences, self.what, self.segments and self.segments.of(query), kinds)

    def evalues(self, bits: NDArray[np.float64], *, share: float = 1.0) -> NDArray[np.float64]:
        """E-values of scores in bits.

        Args:
            bits: The scores.
            share: Of unrelated proteins that were chosen by their vectors to be scored.
        """
        log_p = log_chosen(-bits * math.log(2), share, CORRELATION)
        evalues: NDArray[np.float64] = self.sequences * np.exp(log_p)
        return evalues

    def explained(self, query: int) -> str:
        """Which null a query has, in a line."""
        null = self.nulls[query]
        among = f"E-values: hits expected by chance among {self.sequences:,.0f} distinct sequences"
        if self.segments is not None:
            among += ", each compared as a whole and by segments"
        if not null.scores:
            return f"{among}; null: prior alone, as there is nothing to fit it on"
        left = f", {null.left_out:,} left out as homologues'" if null.left_out else ""
        prior = "a prior"
        if self.kinds is not None and self.kinds[query] > 0:
            prior += f" of queries of unusual composition (kind {self.kinds[query]} of {len(EDGES)})"
        return f"{among}; null: fitted on this query's {self.what} with {null.scores:,} of them{left}, and {prior}"


def check_evalue(evalue: float | None) -> None:
    """Refuse a highest E-value that no hit can have.

    Raises:
        QueryError: it is below 0, or no number.
    """
    if evalue is not None and not evalue >= 0:
        raise QueryError(f"the highest E-value is {evalue:g}; it must be a number, 0 at the least")


def of_vectors(
    view: Reader,
    projected: NDArray[np.float32],
    *,
    among: str | None,
    scoring: str | None,
    cut: Cut | None = None,
    kinds: NDArray[np.int64] | None = None,
) -> Chance:
    """What cosines of unrelated proteins are.

    Args:
        view: The database that is searched.
        projected: ndarray, shape=(N, D): queries in its search space.
        among: The condition that the searched proteins meet.
        scoring: As for ``Store.find``.
        cut: The segments of the queries, where these are compared too.
        kinds: ndarray, shape=(N,): how unusual each query is, see ``kinds_of``.
    """
    view = view.still()  # all of one version, whatever others write
    sample, vectors = view.sample(COMPARED), _vectors(view, scoring)
    wide = projected.astype(np.float64)
    # Rounded, as the last digits of a product depend on the queries beside one.
    cosines = (wide / np.linalg.norm(wide, axis=1, keepdims=True) @ vectors.T).astype(np.float32)
    kind = "raw" if scoring == "raw" else view.scoring.kind
    prior = cosine_prior(kind, projected.shape[1])
    lengths = sample.table["length"].to_numpy()
    nulls = fit_many(_unlike(cosines), lengths, query_lengths=[200] * len(projected), prior=prior, kinds=kinds)
    segments = None
    if cut is not None:
        segments = _of_segments(view, cut, lengths, segment_prior(kind, projected.shape[1]), kinds)
    return Chance(nulls, _sequences(view, among), "cosines", segments, kinds)


def kinds_of(
    view: Reader, vectors: NDArray[np.float32], lengths: Sequence[int], *, scoring: str | None
) -> NDArray[np.int64] | None:
    """How unusual queries are: how far their vectors are from the mean of the database, for their lengths.

    Args:
        view: The database that is searched.
        vectors: ndarray, shape=(N, D): queries as the model gives them.
        lengths: N numbers of residues.
        scoring: As for ``Store.find``.

    Returns:
        ndarray, shape=(N,): from 0, the ordinary, see ``Usual.kinds``; None where cosines are not of whitened vectors,
        or of too few proteins to tell.
    """
    compared = view.scoring
    if scoring == "raw" or compared.key is None or compared.kind != "whitened":
        return None
    space = view.transform(compared.key)
    usual = view.of_version("usual", lambda: _usual(view, space))
    return None if usual is None else usual.kinds(space.distances(vectors), lengths)


def _usual(view: Reader, space: Transform) -> Usual | None:
    table = view.sample(COMPARED).table
    far = space.distances(matrix_of(table["vector"])) if table.num_rows else np.zeros(0)
    return Usual.fit(far, table["length"].to_numpy(), dimension=space.dimension, fitted_on=space.proteins)


def _of_segments(
    view: Reader, cut: Cut, lengths: NDArray[np.int64], prior: Prior, kinds: NDArray[np.int64] | None
) -> OfSegments:
    """One segment of each query with one of each protein of the sample, in turn."""
    rule = view.segment_rule
    assert rule is not None
    vectors = view.of_version("segments of the sample", lambda: _segments(view))
    firsts = np.cumsum(cut.counts) - cut.counts
    turn = firsts[:, None] + np.arange(len(vectors)) % cut.counts[:, None]
    # Rounded, as the last digits of a sum depend on how it is taken.
    cosines = np.array([np.einsum("ij,ij->i", cut.vectors[row], vectors) for row in turn]).astype(np.float32)
    scores, usual = _unlike(cosines, _ITSELF_ROUNDED), [200] * len(cut.counts)
    nulls = fit_many(scores, rule.within(lengths), query_lengths=usual, prior=prior, kinds=kinds)
    return OfSegments(nulls, cut.counts, rule)


def _unlike(cosines: NDArray[np.float32], itself: float = _ITSELF) -> NDArray[np.float64]:
    """Fisher's z, without those of the query itself."""
    return np.where(cosines > itself, np.nan, fisher(cosines))


def of_alignments(view: Reader, query: Chain, how: Aligning, *, among: str | None) -> Chance:
    """What scores of alignments with unrelated proteins are: proteins at random, not those with the nearest vectors.

    Args:
        view: The database that is searched.
        query: The query.
        how: How hits are aligned.
        among: The condition that the searched proteins meet.
    """
    prior = PRIORS.get(how.scoring.of_scores, ANY_ALIGNMENT)
    sample = view.sample(_ALIGNED_UNKNOWN if prior is ANY_ALIGNMENT else ALIGNED)
    chains = view.of_version(("chains", sample.table.num_rows), lambda: _chains(view, sample))
    others = [chain for chain in chains if chain.sequence != query.sequence]
    scores = score_many(query, others, how.scoring, threads=how.threads).astype(np.float64)
    lengths = [len(chain) for chain in others]
    nulls = fit_many(scores[None], lengths, query_lengths=[len(query)], prior=prior)
    return Chance(nulls, _sequences(view, among), "alignment scores")


def _vectors(view: Reader, scoring: str | None) -> NDArray[np.float64]:
    """The sample's vectors in the search space, each of length 1: ndarray, shape=(M, D)."""

    def made() -> NDArray[np.float64]:
        table = view.sample(COMPARED).table
        if not table.num_rows:
            return np.zeros((0, view.space.dimension))
        vectors = view.project(matrix_of(table["vector"]), scoring=scoring).astype(np.float64)
        unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    return view.of_version(("vectors", scoring), made)


def _segments(view: Reader) -> NDArray[np.float64]:
    """A segment of each protein of the sample, each of length 1: ndarray, shape=(M, D)."""
    dimension = view.space.dimension
    chosen = np.zeros((view.sample(COMPARED).table.num_rows, dimension))
    for row, value in enumerate(view.sample(COMPARED).table["segments"].to_pylist()):
        if value:  # rows that another client of Lance added have none
            codes = np.frombuffer(value, np.int8).reshape(-1, dimension)
            chosen[row] = codes[row % len(codes)]
    unit: NDArray[np.float64] = chosen / np.maximum(np.linalg.norm(chosen, axis=1, keepdims=True), 1)
    return unit


def _chains(view: Reader, sample: Sample) -> list[Chain]:
    digests = sample.table["digest"].to_pylist()
    arrays = view.arrays(digests)
    sequences = sample.table["sequence"].to_pylist()
    return [Chain(sequence, arrays[digest]) for sequence, digest in zip(sequences, digests, strict=True)]


def _sequences(view: Reader, among: str | None) -> float:
    """Distinct sequences among the proteins that meet a condition, if they are as often the same as all are."""
    sample = view.sample(COMPARED)
    if among is None:
        return sample.sequences
    count = view.of_version(("count", among), lambda: view.count(among))
    return count * sample.sequences / max(sample.proteins, 1)
