"""What commands that use a Ray cluster share."""

from __future__ import annotations

import os


def quiet_ray() -> None:
    """Have Ray not report its use over the network, unless told to, nor say a page of things that are no news here."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
