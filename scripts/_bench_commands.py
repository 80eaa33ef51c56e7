"""Commands of protvec as processes of their own: how long they take, what they print, and memory by what they are."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import psutil

_LOOK_SECONDS = 0.25
# Runs a command of protvec on a Ray of so many processors, which is started before the clock is: a user's is there.
ON_RAY = """
import sys, time
import ray
ray.init(num_cpus=int(sys.argv[1]), include_dashboard=False, log_to_driver=False, logging_level="ERROR")
from protvec.cli.app import run
began = time.monotonic()
code = run(sys.argv[2:])
print(time.monotonic() - began)
sys.exit(code)
"""


@dataclass
class Process:
    """A process that was seen.

    Attributes:
        role: ``driver``: the command itself; ``worker``: of Ray; ``ray``: what else Ray runs.
        peak: The most memory that it has had resident, in bytes.
        cpu: Seconds of processor time.
    """

    role: str
    peak: int = 0
    cpu: float = 0.0


@dataclass
class Run:
    """A command that has ended.

    Attributes:
        seconds: From its start to its end, the start of Python and the loading of the model with it.
        lines: What it printed.
        processes: It and its children, by number.
    """

    seconds: float
    lines: list[str]
    processes: dict[int, Process] = field(default_factory=dict)

    def peak(self, role: str = "driver") -> int:
        """The most memory that one process of a role had, in bytes; 0 where there was none."""
        return max((each.peak for each in self.processes.values() if each.role == role), default=0)

    def cpu(self) -> dict[str, float]:
        """Seconds of processor time by role, up to the last look."""
        found: dict[str, float] = defaultdict(float)
        for each in self.processes.values():
            found[each.role] += each.cpu
        return dict(found)


class Command:
    """A command that runs, watched."""

    def __init__(self, *words: object, core: int | None = None, code: str | None = None) -> None:
        """Start it.

        Args:
            words: Of the command.
            core: Pin it, and all that it starts, to this processor.
            code: A program to run in place of ``python -m protvec``.
        """
        program = ["-c", code] if code else ["-m", "protvec"]
        pinned = ["taskset", "-c", str(core)] if core is not None else []
        self._began = monotonic()
        self._process = subprocess.Popen(
            [*pinned, sys.executable, *program, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"},
        )
        self._seen: dict[int, Process] = {}
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def ended(self) -> Run:
        """What came of it.

        Raises:
            RuntimeError: It failed; with the end of what it said.
        """
        out, err = self._process.communicate()
        seconds = monotonic() - self._began
        self._over.set()
        self._watcher.join()
        if self._process.returncode:
            raise RuntimeError(f"{self._process.args}: {err[-2_000:]}")
        return Run(seconds, out.strip().splitlines(), self._seen)

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            try:
                first = psutil.Process(self._process.pid)
                everybody = [first, *first.children(recursive=True)]
            except psutil.Error:
                return
            for each in everybody:
                self._look(each)

    def _look(self, process: psutil.Process) -> None:
        try:
            if process.pid == self._process.pid:
                role = "driver"
            else:
                name = " ".join(process.cmdline()[:1])
                role = "worker" if name.startswith("ray::") and "IDLE" not in name else "ray"
            times, peak = process.cpu_times(), _peak(process)
        except (psutil.Error, OSError):  # it has just ended
            return
        seen = self._seen.setdefault(process.pid, Process(role))
        if seen.role != "worker":  # an idle process of Ray becomes one, and stays it
            seen.role = role
        seen.peak, seen.cpu = max(seen.peak, peak), times.user + times.system


def _peak(process: psutil.Process) -> int:
    """The most memory that a process has had, where the system says; else what it has now."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
        return int(status.split("VmHWM:", 1)[1].split(None, 1)[0]) * 1024
    except (OSError, IndexError):
        return int(process.memory_info().rss)


def protvec(*words: object, core: int | None = None, code: str | None = None) -> Run:
    """Run a command to its end."""
    return Command(*words, core=core, code=code).ended()


def cores() -> list[int]:
    """The processors that are ours."""
    return sorted(os.sched_getaffinity(0))
