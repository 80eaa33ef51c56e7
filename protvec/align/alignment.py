"""An alignment of two sequences: where it is, how good it is, and what it looks like."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.align.scoring import blosum62, letters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Alignment:
    """A local alignment. Positions count from 1, and the last is a part of it, as BLAST prints them.

    Attributes:
        score: What it was scored with; 0 where nothing could be aligned, and then all else is 0 or empty.
        query_start: First aligned residue of the query.
        query_end: Last aligned residue of the query.
        target_start: First aligned residue of the target.
        target_end: Last aligned residue of the target.
        length: Columns, gaps included.
        identical: Pairs of the same residue; two unknown ones (X) are not the same.
        positives: Pairs that BLOSUM62 scores above 0.
        mismatches: Pairs that are not identical.
        gap_opens: Gaps.
        gaps: Residues across from gaps.
        query_coverage: The part of the query from its first to its last aligned residue, 0 to 1.
        target_coverage: The same of the target.
        cigar: As in SAM, with the query as the read: M is a pair, I a residue of the query across from a gap, D one
            of the target.
        query_line: The aligned part of the query, with ``-`` for gaps.
        middle: Between the lines: the letter of an identical pair, ``+`` for another positive, else a blank.
        target_line: The aligned part of the target.
    """

    score: float
    query_start: int
    query_end: int
    target_start: int
    target_end: int
    length: int
    identical: int
    positives: int
    mismatches: int
    gap_opens: int
    gaps: int
    query_coverage: float
    target_coverage: float
    cigar: str
    query_line: str
    middle: str
    target_line: str

    @property
    def identity(self) -> float:
        """The part of the columns that are identical, 0 to 1."""
        return self.identical / self.length if self.length else 0.0

    @classmethod
    def from_steps(cls, query: str, target: str, *, score: float, start: tuple[int, int], steps: str) -> Alignment:
        """Describe a path.

        Args:
            query: The sequence.
            target: The sequence.
            score: Of the alignment.
            start: First aligned residues, from 0.
            steps: One letter a column, ``M``, ``I`` or ``D``.
        """
        row, column = start
        height, width = len(steps) - steps.count("D"), len(steps) - steps.count("I")
        query_line = _gapped(query[row : row + height], steps, "D")
        target_line = _gapped(target[column : column + width], steps, "I")
        middle = _middle(query_line, target_line)
        runs = [(letter, sum(1 for _ in run)) for letter, run in groupby(steps)]
        identical, pairs = sum(map(str.isalpha, middle)), steps.count("M")
        return cls(
            score=score,
            query_start=row + bool(steps),
            query_end=row + height,
            target_start=column + bool(steps),
            target_end=column + width,
            length=len(steps),
            identical=identical,
            positives=identical + middle.count("+"),
            mismatches=pairs - identical,
            gap_opens=sum(letter != "M" for letter, _ in runs),
            gaps=len(steps) - pairs,
            query_coverage=height / len(query),
            target_coverage=width / len(target),
            cigar="".join(f"{number}{letter}" for letter, number in runs),
            query_line=query_line,
            middle=middle,
            target_line=target_line,
        )

    def pairs(self) -> NDArray[np.int64]:
        """The aligned residues: ndarray, shape=(N, 2), of the query and of the target, from 0."""
        query = np.array([letter != "-" for letter in self.query_line], bool)
        target = np.array([letter != "-" for letter in self.target_line], bool)
        places: NDArray[np.int64] = (
            np.stack([np.cumsum(query) + self.query_start, np.cumsum(target) + self.target_start], axis=1) - 2
        )
        paired: NDArray[np.int64] = places[query & target]
        return paired

    def picture(self, query: str = "query", target: str = "target", *, width: int = 60) -> str:
        """Three lines for every so many columns, with the positions at both ends.

        Args:
            query: Name of the query.
            target: Name of the target.
            width: Columns in a line.
        """
        lines = zip(*(_wrapped(line, width) for line in (self.query_line, self.middle, self.target_line)), strict=True)
        names = max(len(query), len(target))
        digits = len(str(max(self.query_end, self.target_end)))
        blocks, row, column = [], self.query_start, self.target_start
        for above, between, below in lines:
            rows, columns = len(above) - above.count("-"), len(below) - below.count("-")
            blocks.append(
                f"{query:<{names}} {row:>{digits}} {above} {row + max(rows - 1, 0)}\n"
                f"{'':<{names + digits + 2}}{between}".rstrip()
                + f"\n{target:<{names}} {column:>{digits}} {below} {column + max(columns - 1, 0)}\n"
            )
            row, column = row + rows, column + columns
        return "\n".join(blocks)

    def to_dict(self) -> dict[str, Any]:
        """All of it as one flat dict, ``identity`` included."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"identity": self.identity}


def _gapped(part: str, steps: str, gap: str) -> str:
    """Letters of one sequence, and ``-`` at the steps that have none of it."""
    following = iter(part)
    return "".join("-" if step == gap else next(following) for step in steps)


def _middle(query: str, target: str) -> str:
    pairs = np.array([a != "-" != b for a, b in zip(query, target, strict=True)], bool)
    above, below = (letters(line.replace("-", "X")) for line in (query, target))
    positive = blosum62()[above, below] > 0
    same = (above == below) & pairs & (above != ord("X") - ord("A"))
    return "".join(
        letter.upper() if identical else "+" if plus else " "
        for letter, identical, plus in zip(query, same, positive & pairs, strict=True)
    )


def _wrapped(line: str, width: int) -> Iterator[str]:
    return (line[start : start + width] for start in range(0, len(line), width))
