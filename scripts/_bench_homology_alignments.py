"""Reference alignments, and how many of their residue pairs another alignment has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from protvec.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from _bench_homology import Domain
    from numpy.typing import NDArray

    Pairs = set[tuple[int, int]]

_STEP = re.compile(r"([0-9]+)([IDMP])")
_PATH = re.compile(r"(?:[0-9]+[IDMP])+")
_CELLS = 6  # of a line with a path, at least
_ROW = re.compile(r"[A-Za-z.*-]+")
# Letters that BLOSUM62 does not have, and what scores for them.
_STAND_INS = str.maketrans("UOJ", "CKL")


@dataclass(frozen=True)
class Reference:
    """Two sequences, and which of their residues belong together.

    Attributes:
        query: The name of the one.
        target: The name of the other.
        pairs: Places of residues in the two sequences, from 0.
        lengths: How long the sequences are.
        sequences: Both, where the file has them.
    """

    query: str
    target: str
    pairs: frozenset[tuple[int, int]]
    lengths: tuple[int, int]
    sequences: tuple[str, str] | None = None


def read_references(path: Path) -> list[Reference]:
    """A file of TM-align's paths, a ``.ali`` file, or every ``.ali`` file of a folder and of those in it.

    Raises:
        TableError: Nothing is there, or a line cannot be used; with file and line.
    """
    if path.is_dir():
        files = sorted(path.rglob("*.ali"))
        if not files:
            raise TableError("no .ali file in it", place=str(path))
        return [read_ali(file) for file in files]
    return [read_ali(path)] if path.suffix == ".ali" else read_paths(path)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise TableError("not UTF-8 text", place=str(path)) from error
    except OSError as error:
        raise TableError(f"cannot be read: {error.strerror or error}", place=str(path)) from error


# --- TM-align's paths --------------------------------------------------------------------------------------


def read_paths(path: Path) -> list[Reference]:
    """Lines of query, target, scores, the lengths of both, that of the alignment, and the path, with tabs between.

    In the path a number of steps and their kind follow one another: ``M`` and ``P`` are pairs, ``I`` is a residue of
    the target alone and ``D`` one of the query; or the other way round, where all lengths of the file say so. Empty
    cells do not count.
    """
    lines = [
        (f"{path}:{number}", *_path_line(line, f"{path}:{number}"))
        for number, line in enumerate(_lines(path), start=1)
        if line.strip()
    ]
    if not lines:
        raise TableError("no alignment in it", place=str(path))
    walked = [(place, query, target, lengths, *follow(steps)) for place, query, target, lengths, steps in lines]
    swapped = all(ends == lengths[::-1] for *_, lengths, _, ends in walked)
    found = []
    for place, query, target, lengths, pairs, ends in walked:
        if not swapped and ends != lengths:
            message = f"the path ends at residues {ends[0]} and {ends[1]} of {lengths[0]} and {lengths[1]}"
            raise TableError(message, place=place)
        right = {(b, a) for a, b in pairs} if swapped else pairs
        found.append(Reference(query, target, frozenset(right), lengths))
    return found


def _path_line(line: str, place: str) -> tuple[str, str, tuple[int, int], str]:
    """Query, target, their lengths, and the path."""
    cells = [cell.strip() for cell in line.split("\t") if cell.strip()]
    if len(cells) < _CELLS:
        message = f"{len(cells)} cells: at least query, target, three lengths and a path are needed"
    elif not _PATH.fullmatch(cells[-1]):
        message = f"{cells[-1][:40]!r} is no path: numbers with I, D, M or P behind each"
    elif not all(cell.isdigit() for cell in cells[-4:-1]):
        message = f"{' '.join(cells[-4:-1])!r} are no lengths of query, target and alignment"
    else:
        return cells[0], cells[1], (int(cells[-4]), int(cells[-3])), cells[-1]
    raise TableError(message, place=place)


def follow(path: str) -> tuple[Pairs, tuple[int, int]]:
    """The pairs of a path, and how many residues of query and target it goes through."""
    row = column = 0
    pairs = set()
    for count, step in _STEP.findall(path):
        number = int(count)
        if step in "MP":
            pairs.update((row + i, column + i) for i in range(number))
        row += number * (step != "I")
        column += number * (step != "D")
    return pairs, (row, column)


# --- MALISAM and MALIDUP -----------------------------------------------------------------------------------


def read_ali(path: Path) -> Reference:
    """Two rows of one length; letters in one column belong together where both are upper case, ``-`` or ``.`` are gaps.

    Lines that begin with ``>``, ``#`` or ``//`` and empty ones are passed over, and so is a name before a row. Longer
    alignments may come in blocks of two rows.
    """
    rows = ["", ""]
    count = 0
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip() or line.startswith((">", "#", "//")):
            continue
        row = line.split()[-1]
        if not _ROW.fullmatch(row):
            raise TableError(f"{row[:40]!r} is no row of an alignment", place=f"{path}:{number}")
        rows[count % 2] += row
        count += 1
        if count % 2 == 0 and len(rows[0]) != len(rows[1]):
            message = f"the second row ends at column {len(rows[1])}, the first at {len(rows[0])}"
            raise TableError(message, place=f"{path}:{number}")
    if count < 2 or count % 2:
        raise TableError(f"{count} rows: an alignment needs two", place=str(path))
    name = path.name.split(".")[0]
    query, _, target = name.partition("_")
    both = (_ungapped(rows[0]), _ungapped(rows[1]))
    return Reference(query, target or name, frozenset(columns(*rows)), (len(both[0]), len(both[1])), both)


def columns(above: str, below: str) -> Iterator[tuple[int, int]]:
    """The pairs of two rows; where nothing is in upper case, all letters count."""
    either = above + below
    small = either.islower()
    row = column = 0
    for a, b in zip(above, below, strict=True):
        if a.isalpha() and b.isalpha() and (small or (a.isupper() and b.isupper())):
            yield row, column
        row += a.isalpha()
        column += b.isalpha()


def _ungapped(row: str) -> str:
    return "".join(letter for letter in row if letter.isalpha()).upper()


# --- Accuracy ----------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A reference with the sequences to align."""

    reference: Reference
    query: str
    target: str


def cases(references: Sequence[Reference], domains: Mapping[str, Domain], path: Path) -> tuple[list[Case], int]:
    """References of two domains of one superfamily, or of any two sequences that they bring themselves.

    Returns:
        The references, and how many were left out because a sequence has another length.

    Raises:
        TableError: There is none.
    """
    found, differing = [], 0
    for each in references:
        if each.sequences is None:
            query, target = domains.get(each.query), domains.get(each.target)
            if query is None or target is None or query.superfamily != target.superfamily or query == target:
                continue
            case = Case(each, query.sequence, target.sequence)
        else:
            case = Case(each, *each.sequences)
        if (len(case.query), len(case.target)) != each.lengths:
            differing += 1
        elif each.pairs:
            found.append(case)
    if not found:
        raise TableError("no alignment of two domains of one superfamily that are in the FASTA file", place=str(path))
    return found, differing


def accuracy(found: Sequence[set[tuple[int, int]]], true: Sequence[frozenset[tuple[int, int]]]) -> dict[str, Any]:
    """Precision, recall and F1 of residue pairs, each the mean over alignments."""
    rows = []
    for ours, reference in zip(found, true, strict=True):
        common = len(ours & reference)
        rows.append(
            (common / len(ours) if ours else 0.0, common / len(reference), _f1(common, len(ours), len(reference)))
        )
    means: NDArray[np.float64] = np.mean(rows, axis=0)
    return {"alignments": len(rows), **dict(zip(("precision", "recall", "f1"), map(float, means), strict=True))}


def _f1(common: int, ours: int, theirs: int) -> float:
    return 2 * common / (ours + theirs)


def smith_waterman(query: str, target: str) -> set[tuple[int, int]]:
    """The pairs of the best local alignment by BLOSUM62 with BLAST's gaps, 11 and 1, as Biopython has it."""
    from Bio.Align import PairwiseAligner, substitution_matrices

    aligner = PairwiseAligner(mode="local", open_gap_score=-12, extend_gap_score=-1)
    aligner.substitution_matrix = substitution_matrices.load("BLOSUM62")
    best = next(iter(aligner.align(query.translate(_STAND_INS), target.translate(_STAND_INS))), None)
    if best is None:
        return set()
    return {
        (int(a) + i, int(b) + i)
        for (a, stop), (b, _) in zip(*best.aligned, strict=True)
        for i in range(int(stop) - int(a))
    }
