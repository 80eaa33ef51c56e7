"""The alignment of likely pairs: its probabilities against all alignments written out, and when it is what is shown."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from alignments import RESIDUES, chain

from protvec.align import Scoring, likely, local_alignment, local_score, similarity
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


def plain_sums(weights: NDArray[np.longdouble], opened: float, longer: float) -> NDArray[np.longdouble]:
    """The weight of all local alignments that end with each pair, in numbers that go to 1e4932."""
    pair, right, down = np.zeros((3, weights.shape[0] + 1, weights.shape[1] + 1), np.longdouble)
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            pair[i + 1, j + 1] = weights[i, j] * (1 + pair[i, j] + right[i, j] + down[i, j])
            right[i + 1, j + 1] = pair[i + 1, j] * opened + right[i + 1, j] * longer
            down[i + 1, j + 1] = (pair[i, j + 1] + right[i, j + 1]) * opened + down[i, j + 1] * longer
    return pair[1:, 1:]


@pytest.mark.skipif(np.finfo(np.longdouble).maxexp < 10_000, reason="long doubles are no longer than others here")
def test_sums_of_any_size_fit() -> None:
    rng = np.random.default_rng(4)
    scores = rng.normal(0, 0.5, (60, 50)).astype(np.float32)
    scores[np.arange(45), np.arange(45)] += 30  # exp(1300) and more in all
    scores[np.arange(20, 45), np.arange(25, 50)] += 30.56  # as good, less the gap
    weights = np.exp(scores.astype(np.longdouble))
    ending = plain_sums(weights, np.exp(-10), np.exp(-1))
    beginning = plain_sums(weights[::-1, ::-1].T, np.exp(-10), np.exp(-1)).T[::-1, ::-1]
    expected = ending / ending.sum() * (beginning / weights)
    assert np.log(ending.sum()) > 1000
    assert ((expected > 0.05) & (expected < 0.95)).sum() > 1
    found = probabilities(scores, 10.0, 1.0, 1.0)
    np.testing.assert_allclose(found, expected.astype(float), rtol=1e-6, atol=1e-20)


def test_what_is_too_long_is_the_best_alignment(monkeypatch: pytest.MonkeyPatch) -> None:
    query, target = chain("ACDEFGHIKL" * 30), chain("ACDEFGHIKLMN" * 25, seed=1)
    best = local_alignment(query, target, MIXED.of_scores)
    warm = replace(MIXED, temperature=4.0)
    assert local_alignment(query, target, warm) != best
    monkeypatch.setattr(likely, "CELLS", 80_000)
    assert local_alignment(query, target, warm) == best
