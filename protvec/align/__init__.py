"""Two proteins side by side: how alike their residues are, and the best local alignment of them."""

from __future__ import annotations

from protvec.align.alignment import Alignment
from protvec.align.local import align_many, local_alignment, local_score, score_many
from protvec.align.matrix import Chain, similarity
from protvec.align.paired import Paired
from protvec.align.pairing import Pairing
from protvec.align.profile import profile
from protvec.align.scoring import Scoring, letters, scoring_for
from protvec.align.threads import map_threads

__all__ = [
    "Alignment",
    "Chain",
    "Paired",
    "Pairing",
    "Scoring",
    "align_many",
    "letters",
    "local_alignment",
    "local_score",
    "map_threads",
    "profile",
    "score_many",
    "scoring_for",
    "similarity",
]
