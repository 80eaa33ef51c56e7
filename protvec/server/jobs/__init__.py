"""Work that outlasts a request: batches of queries, and ingests."""

from __future__ import annotations

from protvec.server.jobs.runner import Runner
from protvec.server.jobs.store import ACTIVE, Job, JobStore

__all__ = ["ACTIVE", "Job", "JobStore", "Runner"]
