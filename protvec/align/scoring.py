"""What a pair of residues scores, and what a gap costs; and which of these go with which model."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from protvec.errors import QueryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from protvec.align.pairing import Pairing

# Of ``Scoring``.
_NO_NUMBERS = ("enhance", "pairing")
Enhancement = Literal["none", "rows", "columns", "both"]
# Letters that BLOSUM62 does not have, and those whose scores they get: selenocysteine, pyrrolysine, Leu or Ile.
_STAND_INS = {"U": "C", "O": "K", "J": "L"}


@dataclass(frozen=True)
class Scoring:
    """How alignments are scored.

    A pair of residues scores ``cosine * similarity - offset + blosum * BLOSUM62``. The similarity is the cosine of the
    two embeddings, or what ``enhance`` makes of it.

    Attributes:
        enhance: ``none`` takes cosines as they are. ``rows`` takes z-scores: for each residue of the query, how far
            a cosine is above the mean of all residues of the target, in standard deviations. ``columns`` does so for
            each residue of the target over those of the query; ``both`` is the mean of the two, as in EBA
            (Pantolini et al. 2024, doi:10.1093/bioinformatics/btad786).
        offset: What every pair loses, so that only likely ones are worth aligning.
        blosum: Weight of BLOSUM62, from 0.
        gap_open: What the first residue of a gap costs. A gap of n residues costs
            ``gap_open + (n - 1) * gap_extend``; BLAST's "11, 1" is 12 and 1 here.
        gap_extend: What each further residue of it costs; not above ``gap_open``.
        cosine: Weight of the similarity, from 0: without it letters are all that counts.
        temperature: Of the alignment that is shown, from 0. At 0 it is the best one; above, it has the pairs that are
            likely where an alignment has the weight ``exp(score / temperature)``. Scores do not depend on it.
        pairing: Learned scores of residue pairs, by which the alignment that is shown has its likely pairs, whatever
            the temperature above 0; None for those above. Scores do not depend on it.

    Raises:
        QueryError: a value is out of its range.
    """

    enhance: Enhancement = "both"
    offset: float = 1.5
    blosum: float = 0.3
    gap_open: float = 7.0
    gap_extend: float = 1.0
    cosine: float = 1.0
    temperature: float = 0.0
    pairing: Pairing | None = None

    def __post_init__(self) -> None:
        if self.enhance not in get_args(Enhancement):
            raise QueryError(
                f"no enhancement is named {self.enhance!r}: choose one of {', '.join(get_args(Enhancement))}"
            )
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _NO_NUMBERS}
        for name, value in values.items():
            if not np.isfinite(value) or (name != "offset" and value < 0):
                raise QueryError(
                    f"{name} is {value}: it has to be a number{'' if name == 'offset' else ', at least 0'}"
                )
        if self.gap_extend > self.gap_open:
            raise QueryError(f"gap_extend is {self.gap_extend}, more than gap_open, {self.gap_open}")

    @property
    def of_scores(self) -> Scoring:
        """The same with no temperature and nothing learned: all that scores depend on."""
        return replace(self, temperature=0.0, pairing=None)


# Sequences alone: Smith-Waterman with BLOSUM62 and BLAST's gaps.
CLASSICAL = Scoring(enhance="none", offset=0.0, blosum=1.0, gap_open=12.0, gap_extend=1.0, cosine=0.0)

# By the beginning of a model's name. docs/alignment.md says where each comes from.
_BY_MODEL = {
    # 13.5 is one over the deviation of the cosines of unrelated residues, whose mean is 0.
    "near": Scoring(
        enhance="none", offset=1.5, blosum=1.0, gap_open=10.0, gap_extend=1.0, cosine=13.5, temperature=4.0
    ),
}
_OTHERS = Scoring(enhance="both", offset=1.5, blosum=0.3, gap_open=7.0, gap_extend=1.0, temperature=2.5)


def scoring_for(model: str) -> Scoring:
    """The scoring that goes with a model, by its upstream name; one for transformers where it has none of its own."""
    start = next((start for start in _BY_MODEL if model.startswith(start)), None)
    if start is None:
        return _OTHERS
    from protvec.align.pairing import shipped

    return replace(_BY_MODEL[start], pairing=shipped(start))


@lru_cache(maxsize=1)
def blosum62() -> NDArray[np.float32]:
    """BLOSUM62 by the codes of ``letters``.

    Returns:
        ndarray, shape=(26, 26), dtype=float32, read-only: A to Z, where U scores as C, O as K and J as L.
    """
    from Bio.Align import substitution_matrices

    matrix = substitution_matrices.load("BLOSUM62")
    alphabet = [chr(ord("A") + code) for code in range(26)]
    order = [matrix.alphabet.index(_STAND_INS.get(letter, letter)) for letter in alphabet]
    scores = np.asarray(matrix, np.float32)[np.ix_(order, order)]
    scores.setflags(write=False)
    return scores


def letters(sequence: str) -> NDArray[np.uint8]:
    """Codes of residues, 0 for A to 25 for Z, upper or lower case.

    Raises:
        QueryError: there is something else than a letter.
    """
    codes = np.frombuffer(sequence.upper().encode("ascii", "replace"), np.uint8) - np.uint8(ord("A"))
    if (codes > 25).any():
        place = int(np.argmax(codes > 25))
        raise QueryError(f"residue {place + 1} is {sequence[place]!r}, which is no letter: it cannot be aligned")
    return codes
