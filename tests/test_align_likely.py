"""The alignment of likely pairs: its probabilities against all alignments written out, and when it is what is shown."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from alignments import RESIDUES, chain

from protvec.align import Scoring, likely, local_alignment, local_score, scoring_for, similarity
from protvec.align.likely import likely_pairs, probabilities

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MIXED = Scoring(enhance="none", offset=0.5, blosum=0.5, gap_open=4.0, gap_extend=0.5, temperature=1.5)


def alignments(height: int, width: int, after: tuple[int, int] | None = None) -> Iterator[list[tuple[int, int]]]:
    """Every local alignment: rising pairs, at least one, that begin behind one."""
    row, column = after or (-1, -1)
    for i in range(row + 1, height):
        for j in range(column + 1, width):
            yield [(i, j)]
            for rest in alignments(height, width, (i, j)):
                yield [(i, j), *rest]


def weight(pairs: list[tuple[int, int]], scores: NDArray[np.float32], scoring: Scoring) -> float:
    total = 0.0
    for number, (i, j) in enumerate(pairs):
        total += float(scores[i, j])
        if number:
            for gap in (i - pairs[number - 1][0] - 1, j - pairs[number - 1][1] - 1):
                total -= scoring.gap_open + (gap - 1) * scoring.gap_extend if gap else 0
    return math.exp(total / scoring.temperature)


@pytest.mark.parametrize(("query", "target"), [("ACDE", "CDFW"), ("WAC", "ACDEF"), ("A", "AC"), ("CCC", "CC")])
def test_probabilities_are_shares_of_all_alignments(query: str, target: str) -> None:
    scores = similarity(chain(query), chain(target), MIXED)
    expected = np.zeros(scores.shape)
    for pairs in alignments(*scores.shape):
        for pair in pairs:
            expected[pair] += weight(pairs, scores, MIXED)
    expected /= sum(weight(pairs, scores, MIXED) for pairs in alignments(*scores.shape))
    found = probabilities(scores, MIXED.gap_open, MIXED.gap_extend, MIXED.temperature)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_pairs_have_the_greatest_sum() -> None:
    rng = np.random.default_rng(5)
    scores = rng.normal(0, 2, (5, 4)).astype(np.float32)
    found = [(int(i), int(j)) for i, j in likely_pairs(scores, 2.0, 0.5, 2.0)]
    probability = probabilities(scores, 2.0, 0.5, 2.0) - likely.THRESHOLD
    best = max(([], *alignments(5, 4)), key=lambda pairs: sum(probability[pair] for pair in pairs))
    assert sum(probability[pair] for pair in found) == pytest.approx(sum(probability[pair] for pair in best))


def test_a_low_temperature_is_the_best_alignment_and_scores_stay() -> None:
    rng = np.random.default_rng(2)
    query = chain("".join(rng.choice(list(RESIDUES), 60)))
    target = chain(query.sequence[10:30] + query.sequence[34:55], seed=3)
    scoring = replace(MIXED, offset=1.0, temperature=0.0)
    best = local_alignment(query, target, scoring)
    cold, warm = (local_alignment(query, target, replace(scoring, temperature=t)) for t in (0.05, 3.0))
    assert best.score == cold.score == warm.score == local_score(query, target, scoring)
    assert cold == best
    for found in (best, warm):  # whatever is shown is an alignment of these two
        assert found.query_line.replace("-", "") == query.sequence[found.query_start - 1 : found.query_end]
        assert found.target_line.replace("-", "") == target.sequence[found.target_start - 1 : found.target_end]


def test_residues_left_out_on_one_diagonal_are_pairs() -> None:
    query = chain("WCWCWCACDEFHKWCWCW")
    target = chain("WCWCWCGGGGGGGWCWCW")
    found = local_alignment(query, target, Scoring(enhance="none", cosine=0, blosum=1, offset=0, temperature=1.0))
    assert (found.cigar, found.gap_opens) == ("18M", 0)


def test_what_is_beyond_doubt_or_too_long_is_the_best_alignment(monkeypatch: pytest.MonkeyPatch) -> None:
    query, target = chain("ACDEFGHIKL" * 30), chain("ACDEFGHIKLMN" * 25, seed=1)
    scoring = replace(scoring_for("near"), temperature=0.01)
    assert local_score(query, target, scoring) > likely.HIGHEST * scoring.temperature
    assert local_alignment(query, target, scoring) == local_alignment(query, target, scoring.of_scores)
    warm = replace(scoring, temperature=40.0)
    assert local_alignment(query, target, warm) != local_alignment(query, target, scoring.of_scores)
    monkeypatch.setattr(likely, "CELLS", 80_000)
    assert local_alignment(query, target, warm) == local_alignment(query, target, scoring.of_scores)
