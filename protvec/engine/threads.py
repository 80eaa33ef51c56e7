"""How many threads this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_cpus(root: Path = _CGROUP) -> int:
    """CPUs that this process may keep busy: its affinity, and the quota of its control group if lower.

    A container that is limited to 2 of 64 CPUs sees all 64, and a thread on each of them would only wait.

    Args:
        root: Where control groups are mounted.

    Returns:
        At least 1.
    """
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(root)
    return seen if quota is None else max(1, min(seen, math.ceil(quota)))


def _quota(root: Path) -> float | None:
    """CPUs that the control group grants, version 2 or 1; None where nothing limits them."""
    groups = [root, *_own_groups(root)]
    quotas = [quota for group in groups for quota in (_quota_v2(group), _quota_v1(group)) if quota]
    return min(quotas, default=None)


def _own_groups(root: Path) -> list[Path]:
    """The groups that this process is in, and those above them: each may have a quota of its own."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    groups: list[Path] = []
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / "cpu" if controllers else root
        own = base / name.lstrip("/")
        groups += [own, *(parent for parent in own.parents if parent.is_relative_to(base))]
    return groups


def _quota_v2(group: Path) -> float | None:
    try:
        quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(group: Path) -> float | None:
    try:
        quota = int((group / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int((group / "cpu.cfs_period_us").read_text(encoding="ascii"))
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
