"""What a score means: how many hits as good chance would give.

``law`` is the law of chance scores, ``fitting`` the maximum likelihood, ``null`` the law of one query's scores,
``prior`` what is known before, ``calibrating`` how it is known of a database. docs/statistics.md derives it. Nothing
here knows of databases or models.
"""

from __future__ import annotations

from protvec.statistics.calibrating import fit_prior, fit_tail
from protvec.statistics.law import GUMBEL, Law, Tail
from protvec.statistics.null import Null, fit_many
from protvec.statistics.prior import Prior, log_length

__all__ = ["GUMBEL", "Law", "Null", "Prior", "Tail", "fit_many", "fit_prior", "fit_tail", "log_length"]
