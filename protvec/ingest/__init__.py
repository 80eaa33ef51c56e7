"""FASTA in, rows out: read, clean, deduplicate, embed and store, resumable, with a report.

``make_plan`` reads everything once and says what there is to do; ``run`` does it. Both classify a record the
same way, so a plan is a promise about an unchanged database, and a run is safe against a changed one.
"""

from __future__ import annotations

from protvec.ingest.cost import Estimate, check_fits, check_room, estimate
from protvec.ingest.plan import Options, Plan, make_plan
from protvec.ingest.report import Changed, Report, Skipped
from protvec.ingest.runner import Observer, run
from protvec.ingest.sources import Source, open_sources

__all__ = [
    "Changed",
    "Estimate",
    "Observer",
    "Options",
    "Plan",
    "Report",
    "Skipped",
    "Source",
    "check_fits",
    "check_room",
    "estimate",
    "make_plan",
    "open_sources",
    "run",
]
