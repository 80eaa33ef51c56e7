"""Ungapped matches of words: against a plain reference, and as candidates of a search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from alignments import RESIDUES
from hypothesis import given
from hypothesis import strategies as st
from proteins import UBIQUITIN, random_sequence, write_fasta

import protvec
from protvec.align import letters
from protvec.align.scoring import blosum62
from protvec.align.words import APART, DROP, SIMILAR, Words

if TYPE_CHECKING:
    from pathlib import Path

FEW = st.text("ACDEW", min_size=1, max_size=30)  # so that words meet


def plain(query: str, target: str) -> int:
    """By the definition: every two words of a diagonal that are near to one another are extended both ways."""
    matrix = blosum62()[letters(query)][:, letters(target)].astype(int)
    best = 0
    for shift in range(-len(target) + 1, len(query)):
        diagonal = np.diagonal(matrix, -shift).tolist()
        last, done = -1, -1
        for place in range(len(diagonal) - 2):
            if sum(diagonal[place : place + 3]) < SIMILAR or place < done:
                continue
            if last >= 0 and place - last < 3:
                continue
            if last >= 0 and place - last <= APART:
                right, end = rise(diagonal[place:])
                left, _ = rise(diagonal[:place][::-1])
                best, done = max(best, right + left), place + end
            last = place
    return best


def rise(scores: list[int]) -> tuple[int, int]:
    """The highest sum of the first scores, before it has fallen by ``DROP``; and of how many."""
    total = top = end = 0
    for number, score in enumerate(scores, start=1):
        if total <= top - DROP:
            break
        total += score
        if total > top:
            top, end = total, number
    return top, end


@given(FEW, st.lists(FEW, max_size=6))
def test_the_best_match_of_each(query: str, targets: list[str]) -> None:
    ends = np.cumsum([len(target) for target in targets]).astype(np.int64)
    found = Words(letters(query)).scores(letters("".join(targets)), ends)
    assert found.tolist() == [plain(query, target) for target in targets]


def test_a_planted_stretch_is_the_best() -> None:
    rng = np.random.default_rng(1)
    others = ["".join(rng.choice(list(RESIDUES), 300)) for _ in range(50)]
    others[20] = others[20][:100] + UBIQUITIN[10:50] + others[20][140:]
    ends = np.cumsum([len(target) for target in others])
    found = Words(letters(UBIQUITIN)).scores(letters("".join(others)), ends)
    assert int(np.argmax(found)) == 20
    assert found[20] >= plain(UBIQUITIN[10:50], UBIQUITIN[10:50])


def test_what_vectors_miss_is_a_candidate(tmp_path: Path) -> None:
    planted = random_sequence(400, seed=1) + UBIQUITIN + random_sequence(300, seed=2)
    others = [(f"noise{n:03d}", random_sequence(60 + n, seed=n + 10)) for n in range(120)]
    database = protvec.create(tmp_path / "db.lancedb", model="near")
    database.ingest(write_fasta(tmp_path / "in.fa", [("planted", planted), *others]))
    assert "planted" not in database.search(UBIQUITIN, k=10, segments=False).ids
    for where in (None, "length > 70"):
        hits = database.search(UBIQUITIN, k=1, segments=False, align=True, candidates=10, where=where)
        assert hits.ids == ["planted"]
        assert (hits[0].metadata["tstart"], hits[0].metadata["tend"]) == (401, 476)
    assert database.search(UBIQUITIN, k=1, segments=False, align=True, candidates=10, where="length < 200").ids != [
        "planted"
    ]
    database.ingest(write_fasta(tmp_path / "more.fa", [("second", planted[::-1][:50] + UBIQUITIN)]))
    assert set(database.search(UBIQUITIN, k=2, segments=False, align=True, candidates=10).ids) == {"planted", "second"}
    for candidates in (4, 10, 60, 110, 500):
        ids = database.search(UBIQUITIN, k=candidates, segments=False, align=True, candidates=candidates).ids
        assert len(ids) == len(set(ids)) <= candidates
