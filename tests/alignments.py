"""A plain local alignment, cell by cell, to check the fast one against."""

from __future__ import annotations

import numpy as np

from protvec.align import Alignment, Chain, Scoring
from protvec.align.scoring import blosum62, letters

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"


def chain(sequence: str, *, dimension: int = 16, seed: int = 0) -> Chain:
    """A protein whose residues have embeddings by their letters, and some noise."""
    letters_of = np.random.default_rng(7).standard_normal((26, dimension)).astype(np.float32)
    noise = np.random.default_rng(seed).standard_normal((len(sequence), dimension)).astype(np.float32)
    return Chain(sequence, letters_of[letters(sequence)] + noise / 2)


def plain_similarity(query: Chain, target: Chain, scoring: Scoring) -> np.ndarray:
    """The matrix of residue scores by its definition, in float64."""
    unit = [c.residues / np.linalg.norm(c.residues.astype(np.float64), axis=1, keepdims=True) for c in (query, target)]
    cosines = unit[0] @ unit[1].T
    by_row, by_column = (
        (cosines - cosines.mean(axis=axis, keepdims=True)) / cosines.std(axis=axis, keepdims=True) for axis in (1, 0)
    )
    forms = {"none": cosines, "rows": by_row, "columns": by_column, "both": (by_row + by_column) / 2}
    letter_scores = blosum62()[letters(query.sequence)][:, letters(target.sequence)]
    return scoring.cosine * forms[scoring.enhance] - scoring.offset + scoring.blosum * letter_scores


def plain_score(scores: np.ndarray, scoring: Scoring) -> float:
    """The score of the best local alignment of a matrix: three tables, each cell by its definition."""
    height, width = scores.shape
    best, right, down = (np.full((height + 1, width + 1), start) for start in (0.0, -np.inf, -np.inf))
    for i in range(1, height + 1):
        for j in range(1, width + 1):
            right[i, j] = max(best[i, j - 1] - scoring.gap_open, right[i, j - 1] - scoring.gap_extend)
            down[i, j] = max(best[i - 1, j] - scoring.gap_open, down[i - 1, j] - scoring.gap_extend)
            best[i, j] = max(0.0, best[i - 1, j - 1] + scores[i - 1, j - 1], right[i, j], down[i, j])
    return float(best.max())


def score_of(alignment: Alignment, scores: np.ndarray, scoring: Scoring) -> float:
    """What the columns of an alignment add up to."""
    if not alignment.cigar:
        return 0.0
    total, row, column = 0.0, alignment.query_start - 1, alignment.target_start - 1
    for number, kind in steps(alignment.cigar):
        if kind == "M":
            total += sum(scores[row + n, column + n] for n in range(number))
        else:
            total -= scoring.gap_open + (number - 1) * scoring.gap_extend
        row += number if kind in "MI" else 0
        column += number if kind in "MD" else 0
    assert (row, column) == (alignment.query_end, alignment.target_end)
    return total


def steps(cigar: str) -> list[tuple[int, str]]:
    """A CIGAR string as numbers and letters."""
    found, number = [], ""
    for letter in cigar:
        if letter.isdigit():
            number += letter
        else:
            found.append((int(number), letter))
            number = ""
    return found
