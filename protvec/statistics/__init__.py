"""What a score means: how many hits as good chance would give.

``law`` is the law of chance scores, ``fitting`` the maximum likelihood, ``kinds`` how unusual a query is, ``tails``
which tail it has, ``null`` the law of one query's scores, ``prior`` what is known before, ``calibrating`` how it is
known of a database. docs/statistics.md derives it. Nothing here knows of databases or models.
"""

from __future__ import annotations

from protvec.statistics.calibrating import fit_prior
from protvec.statistics.kinds import EDGES, Usual
from protvec.statistics.law import GUMBEL, Law, Tail
from protvec.statistics.null import Null, fit_many, log_p
from protvec.statistics.prior import Prior, log_length
from protvec.statistics.selection import log_chosen
from protvec.statistics.shipped import ANY_ALIGNMENT, COSINE_ALIGNMENT, Z_ALIGNMENT, cosine_prior, fisher, segment_prior
from protvec.statistics.tails import fit_tails

__all__ = [
    "ANY_ALIGNMENT",
    "COSINE_ALIGNMENT",
    "EDGES",
    "GUMBEL",
    "Z_ALIGNMENT",
    "Law",
    "Null",
    "Prior",
    "Tail",
    "Usual",
    "cosine_prior",
    "fisher",
    "fit_many",
    "fit_prior",
    "fit_tails",
    "log_chosen",
    "log_length",
    "log_p",
    "segment_prior",
]
