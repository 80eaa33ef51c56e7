"""The best local alignment of two proteins, or of one and many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protvec.align.alignment import Alignment
from protvec.align.matrix import Scores
from protvec.align.threads import map_threads

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from protvec.align.matrix import Chain
    from protvec.align.scoring import Scoring


def local_score(query: Chain, target: Chain, scoring: Scoring) -> float:
    """The score of the best local alignment, 0 where no pair of residues is worth aligning.

    Memory grows with the length of one protein, not with the product of both.
    """
    return _forward(Scores(query, target, scoring)).score


def local_alignment(query: Chain, target: Chain, scoring: Scoring) -> Alignment:
    """The local alignment of two proteins, with the score of the best one.

    Without a temperature it is the best one; of several equally good ones the one that ends first in the query. With
    one it has the pairs that are likely in view of all alignments: those that are in most of the good ones, by learned
    scores of pairs where ``scoring`` has such. Where no pair is likely, or the proteins are so long that memory would
    count (a product of the lengths above 4 million), the best one is what is given.

    Memory grows with the length of one protein, not with the product of both: blocks are gone through again, from
    the last to the first, to follow the way back.
    """
    scores = Scores(query, target, scoring)
    end = _forward(scores, keep=True)
    start, steps = _likely(scores, end.score, scoring) or _back(scores, end)
    return Alignment.from_steps(query.sequence, target.sequence, score=end.score, start=start, steps=steps)


def score_many(
    query: Chain, targets: Iterable[Chain], scoring: Scoring, *, threads: int | None = None
) -> NDArray[np.float32]:
    """The scores of one query and many targets.

    Args:
        query: The query.
        targets: N targets; consumed lazily, 256 at a time.
        scoring: How to score.
        threads: At most so many; None for as many as there are cores. The scores do not depend on it.

    Returns:
        ndarray, shape=(N,), dtype=float32.
    """
    query.prepare()
    found = map_threads(lambda target: local_score(query, target, scoring), targets, threads=threads)
    return np.fromiter(found, np.float32)


def align_many(
    query: Chain, targets: Iterable[Chain], scoring: Scoring, *, threads: int | None = None
) -> list[Alignment]:
    """The local alignments of one query with many targets, in the order of these; see ``score_many``."""
    query.prepare()
    if scoring.temperature and scoring.pairing is not None:
        query.describe_once(scoring.pairing)
    return list(map_threads(lambda target: local_alignment(query, target, scoring), targets, threads=threads))


@dataclass(frozen=True)
class _End:
    """Where the best alignment ends, and the state at the top of each block that leads there."""

    score: float
    row: int
    column: int
    tops: list[tuple[NDArray[np.float32], NDArray[np.float32]]]


def _forward(scores: Scores, *, keep: bool = False) -> _End:
    """Find where the best alignment ends."""
    from protvec.align import kernels

    best, down = np.zeros(scores.shape[1], np.float32), np.full(scores.shape[1], kernels.NEVER, np.float32)
    end, tops = _End(0.0, -1, -1, []), []
    for start, stop in scores.blocks():
        if keep:
            tops.append((best.copy(), down.copy()))
        score, row, column = kernels.advance(scores.rows(start, stop), *scores.gaps, best, down)
        if score > end.score:
            end = _End(score, start + row, column, tops)
    return end


def _likely(scores: Scores, score: float, scoring: Scoring) -> tuple[tuple[int, int], str] | None:
    """The first residues of the alignment of likely pairs, from 0, and its steps; None where the best one is asked."""
    if not scoring.temperature or not score:
        return None
    from protvec.align.likely import CELLS, likely_pairs

    height, width = scores.shape
    if height * width > CELLS:
        return None
    if scoring.pairing is None:
        pairs = likely_pairs(scores.rows(0, height), scoring.gap_open, scoring.gap_extend, scoring.temperature)
    else:
        described = (each.described(scoring.pairing) for each in (scores.query, scores.target))
        learned = scoring.pairing.scores(*described)
        pairs = likely_pairs(learned, *scoring.pairing.gaps, temperature=1.0)
    return ((int(pairs[0, 0]), int(pairs[0, 1])), _steps(pairs)) if len(pairs) else None


def _steps(pairs: NDArray[np.int64]) -> str:
    """A letter a column; residues that are left out on one diagonal are pairs too, as a gap of both says nothing."""
    parts = ["M"]
    for rows, columns in (np.diff(pairs, axis=0) - 1).tolist():
        parts.append("M" * (rows + 1) if rows == columns else "I" * rows + "D" * columns + "M")
    return "".join(parts)


def _back(scores: Scores, end: _End) -> tuple[tuple[int, int], str]:
    """The first residues of an alignment, from 0, and its steps."""
    from protvec.align import kernels

    if not end.score:
        return (0, 0), ""
    row, column, state, parts = end.row, end.column, kernels.PAIR, []
    for (start, stop), (best, down) in reversed(list(zip(scores.blocks(end.row + 1), end.tops, strict=False))):
        part = scores.rows(start, stop)[:, : column + 1]
        found = kernels.directions(part, *scores.gaps, best[: column + 1].copy(), down[: column + 1].copy())
        steps = np.empty(sum(found.shape), np.uint8)
        number, place, column, state = kernels.follow(found, row - start, column, state, steps)
        parts.append(steps[:number])
        row = start + place
        if state == kernels.STOP:
            break
    names = np.frombuffer(b" MDI", np.uint8)  # by the kinds of steps
    return (row + 1, column + 1), names[np.concatenate(parts)[::-1]].tobytes().decode()
