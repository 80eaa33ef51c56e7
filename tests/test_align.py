"""Local alignment of residues: against plain references, in blocks, by threads; and what is said of an alignment."""

from __future__ import annotations

import math
from dataclasses import replace
from threading import Thread

import numpy as np
import pytest
from alignments import RESIDUES, chain, plain_score, plain_similarity, score_of
from hypothesis import given, settings
from hypothesis import strategies as st

from protvec.align import (
    Chain,
    Scoring,
    align_many,
    local_alignment,
    local_score,
    matrix,
    score_many,
    scoring_for,
    similarity,
)
from protvec.align.scoring import CLASSICAL, blosum62
from protvec.errors import QueryError

SEQUENCES = st.text(RESIDUES, min_size=1, max_size=40)
SCORINGS = st.builds(
    Scoring,
    enhance=st.sampled_from(["none", "rows", "columns", "both"]),
    offset=st.sampled_from([0.0, 0.3, 1.5]),
    blosum=st.sampled_from([0.0, 0.3]),
    gap_open=st.sampled_from([1.0, 3.0, 7.0]),
    gap_extend=st.sampled_from([0.0, 0.5, 1.0]),
)


@settings(max_examples=60, deadline=None)
@given(SEQUENCES, SEQUENCES, SCORINGS)
def test_is_the_best_alignment_by_its_definition(query: str, target: str, scoring: Scoring) -> None:
    a, b = chain(query, seed=1), chain(target, seed=2)
    if len(a) > 1 and len(b) > 1:  # else a deviation is 0
        np.testing.assert_allclose(similarity(a, b, scoring), plain_similarity(a, b, scoring), rtol=1e-3, atol=1e-3)
    scores = similarity(a, b, scoring)
    found = local_alignment(a, b, scoring)
    assert found.score == pytest.approx(plain_score(scores, scoring), rel=1e-4, abs=1e-4)
    assert found.score == pytest.approx(score_of(found, scores, scoring), rel=1e-4, abs=1e-4)
    assert found.score == local_score(a, b, scoring)


@settings(max_examples=60, deadline=None)
@given(SEQUENCES, SEQUENCES)
def test_blosum62_alone_is_what_biopython_finds(query: str, target: str) -> None:
    from Bio.Align import PairwiseAligner, substitution_matrices

    aligner = PairwiseAligner(mode="local", open_gap_score=-12, extend_gap_score=-1)
    aligner.substitution_matrix = substitution_matrices.load("BLOSUM62")
    assert local_score(chain(query), chain(target), CLASSICAL) == aligner.score(query, target)


@settings(max_examples=40, deadline=None)
@given(SEQUENCES, SEQUENCES, SCORINGS, st.integers(1, 200))
def test_blocks_change_nothing(query: str, target: str, scoring: Scoring, cells: int) -> None:
    a, b = chain(query, seed=1), chain(target, seed=2)
    whole = local_alignment(a, b, scoring)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix, "BLOCK_CELLS", cells)
        blocks = local_alignment(a, b, scoring)
        assert local_score(a, b, scoring) == pytest.approx(whole.score, rel=1e-5, abs=1e-5)
    assert blocks.score == pytest.approx(whole.score, rel=1e-5, abs=1e-5)
    assert (blocks.cigar, blocks.query_start) == (whole.cigar, whole.query_start)


def test_many_are_what_each_is_alone() -> None:
    rng = np.random.default_rng(3)
    query = chain("".join(rng.choice(list(RESIDUES), 70)))
    targets = [chain("".join(rng.choice(list(RESIDUES), 1 + n % 50)), seed=n) for n in range(300)]
    alone = [local_score(query, target, Scoring()) for target in targets]
    for threads in (1, 3, None):
        scores = score_many(query, iter(targets), Scoring(), threads=threads)
        assert (scores.dtype, scores.shape) == (np.float32, (300,))
        np.testing.assert_array_equal(scores, np.float32(alone))
    found = align_many(query, targets, Scoring())
    assert found == [local_alignment(query, target, Scoring()) for target in targets]
    assert len(score_many(query, [], Scoring())) == 0


def test_products_of_other_threads_are_as_they_were() -> None:
    from threadpoolctl import threadpool_info

    def threads() -> list[int]:
        return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]

    before = threads()
    a, b = chain("ACDEFGHIKL" * 20), chain("ACDEFGHIKL" * 20)
    work = [Thread(target=score_many, args=(a, [b] * n, Scoring())) for n in (30, 200, 5)]
    for each in work:
        each.start()
    for each in work:
        each.join()
    assert threads() == before


def test_a_long_pair_takes_little_memory() -> None:
    import tracemalloc

    query = chain(RESIDUES * 500)  # 10,000 residues: a matrix of them would be 400 MB
    target = Chain(query.sequence[2000:9000], query.residues[2000:9000])
    local_score(chain("ACD"), chain("ACD"), Scoring())  # compiled
    tracemalloc.start()
    found = local_alignment(query, target, Scoring())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.cigar, found.query_start, found.query_end) == ("7000M", 2001, 9000)
    assert peak < 150e6


def test_a_matrix_that_is_too_large_is_refused() -> None:
    titin = chain("A" * 35_000, dimension=2)
    with pytest.raises(QueryError, match=r"35,000 x 35,000 residues make a matrix of 4\.9 GB"):
        similarity(titin, titin, Scoring())


def test_says_where_and_how_good() -> None:
    scoring = replace(CLASSICAL, gap_open=3.0)
    found = local_alignment(chain("WWWACDEFGHIKLAX"), chain("ACDEYGHWWIKLAXWP"), scoring)
    assert found.picture("q", "t", width=8) == (
        "q  4 ACDEFGH- 10\n     ACDE+GH\nt  1 ACDEYGHW 8\n\nq 11 -IKLA 14\n      IKLA\nt  9 WIKLA 13\n"
    )
    assert (found.query_start, found.query_end, found.target_start, found.target_end) == (4, 14, 1, 13)
    assert (found.length, found.identical, found.positives, found.mismatches) == (13, 10, 11, 1)
    assert (found.gap_opens, found.gaps, found.cigar) == (1, 2, "7M2D4M")
    assert (found.identity, found.query_coverage, found.target_coverage) == (10 / 13, 11 / 15, 13 / 16)
    assert found.pairs().tolist() == [[3 + n, n] for n in range(7)] + [[10 + n, 9 + n] for n in range(4)]
    turned = local_alignment(chain("ACDEYGHWWIKLAXWP"), chain("WWWACDEFGHIKLAX"), scoring)
    assert (turned.cigar, turned.target_start, turned.gaps) == ("7M2I4M", 4, 2)


def test_nothing_to_align() -> None:
    found = local_alignment(chain("WWW"), chain("GGGG"), CLASSICAL)
    assert (found.score, found.cigar, found.length, found.identity) == (0, "", 0, 0)
    assert (found.query_start, found.query_end, found.target_start, found.target_end) == (0, 0, 0, 0)
    assert found.picture() == ""
    assert found.pairs().shape == (0, 2)


def test_one_residue_and_equal_residues_have_no_deviation() -> None:
    same = Chain("ACD", np.ones((3, 4), np.float32))
    for enhance in ("rows", "columns", "both"):
        scores = similarity(
            same, Chain("A", np.ones((1, 4), np.float32)), Scoring(enhance=enhance, offset=0.5, blosum=0)
        )
        np.testing.assert_array_equal(scores, np.full((3, 1), -0.5, np.float32))
    zeros = Chain("ACD", np.zeros((3, 4), np.float32))
    assert np.isfinite(similarity(zeros, same, Scoring())).all()


def test_letters_that_blosum62_lacks() -> None:
    scores = blosum62()
    at = {letter: ord(letter) - ord("A") for letter in "UCOKJLXW"}
    assert scores[at["U"], at["W"]] == scores[at["C"], at["W"]]
    assert scores[at["O"], at["K"]] == 5
    assert scores[at["J"], at["L"]] == 4
    assert scores[at["X"], at["X"]] == -1
    assert chain("acd").codes.tolist() == chain("ACD").codes.tolist()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Scoring(enhance="row"), "no enhancement is named 'row'"),
        (lambda: Scoring(gap_open=-1), "gap_open is -1"),
        (lambda: Scoring(offset=math.nan), "offset is nan"),
        (lambda: Scoring(gap_open=1, gap_extend=2), "gap_extend is 2, more than gap_open, 1"),
        (lambda: Chain("AC", np.zeros((3, 4), np.float32)), r"2 letters, but residues of shape \(3, 4\)"),
        (lambda: Chain("", np.zeros((0, 4), np.float32)), "0 letters"),
        (lambda: Chain("A-C", np.zeros((3, 4), np.float32)), "residue 2 is '-'"),
        (lambda: Chain("AéC", np.zeros((3, 4), np.float32)), "residue 2 is 'é'"),
        (lambda: local_score(chain("A", dimension=4), chain("A", dimension=8), Scoring()), "of 4 and 8 dimensions"),
    ],
)
def test_what_cannot_be_used_is_named(make: object, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        make()  # type: ignore[operator]


def test_every_model_has_a_scoring() -> None:
    assert scoring_for("near") != scoring_for("ankh-base") == scoring_for("prott5")
