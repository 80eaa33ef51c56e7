"""The search space of a database: which transform its searches use, and the column that has its vectors.

``record`` is what the schema of ``proteins`` says about it; ``transforms`` is the table of the fitted numbers;
``column`` keeps the transformed vector of every protein beside its mean; ``calibrating`` fits it.
See docs/search_space.md.
"""

from __future__ import annotations

from protvec.store.scoring.record import CHOICES, Scoring, scoring_of

__all__ = ["CHOICES", "Scoring", "scoring_of"]
