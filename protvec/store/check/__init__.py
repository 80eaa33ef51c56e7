"""Is everything in a database as it should be, and if not, what can be mended?"""

from __future__ import annotations

from protvec.store.check.findings import CheckResult, Finding, Repair
from protvec.store.check.look import check
from protvec.store.check.repair import Embedder, repair

__all__ = ["CheckResult", "Embedder", "Finding", "Repair", "check", "repair"]
