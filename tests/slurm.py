"""A stand-in for Slurm: array jobs as processes, with SLURM_* variables, killed at random and queued again."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

_COMMANDS = {
    "sbatch": """
number = len(list(queue.glob("*.json"))) + 100
options = dict(re.findall(r"--([a-z]+)=(\\S+)", " ".join(sys.argv[1:])))
job = {"id": number, "script": sys.argv[-1], "cwd": os.getcwd(), "environment": dict(os.environ), "options": options}
(queue / f"{number}.json").write_text(json.dumps(job))
print(number if "--parsable" in sys.argv else f"Submitted batch job {number}")
""",
    "scontrol": """
assert sys.argv[1] == "requeue", sys.argv
(queue / f"requeue-{sys.argv[2]}").touch()
""",
}


@dataclass
class Slurm:
    """A cluster with two nodes of one processor.

    Attributes:
        folder: For its queue and its commands.
        kills: How many tasks are killed: every second without a word, as when a node dies, the others are told that
            their time is up.
        log: What happened to each task, in order.
    """

    folder: Path
    kills: int = 0
    nodes: int = 2
    seed: int = 1
    log: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)
        (self.folder / "bin").mkdir(parents=True)
        (self.folder / "queue").mkdir()
        head = f"#!{sys.executable}\nimport json, os, re, sys\nfrom pathlib import Path\n"
        head += f"queue = Path({str(self.folder / 'queue')!r})\n"
        for name, body in _COMMANDS.items():
            self._command(name, head + body)
        self._command("protvec", f'#!/bin/sh\nexec "{sys.executable}" -m protvec "$@"\n')

    def _command(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    def run(self) -> None:
        """Run all that was submitted, in order of their numbers, which is that of their dependencies."""
        for path in sorted((self.folder / "queue").glob("*.json")):
            job = json.loads(path.read_text())
            first, _, last = job["options"].get("array", "").partition("-")
            tasks = list(range(int(first), int(last) + 1)) if first else [None]
            self._run_tasks(job, tasks)

    def _run_tasks(self, job: dict, tasks: list[int | None]) -> None:
        waiting, running = list(tasks), {}
        while waiting or running:
            while waiting and len(running) < self.nodes:
                task = waiting.pop(0)
                running[task] = (self._start(job, task), self._moment())
            for task, (process, moment) in list(running.items()):
                if process.poll() is None and self.kills and moment is not None and time.monotonic() > moment:
                    running[task] = (process, None)
                    self._kill(process, self._name(job, task))
                elif process.poll() is not None:
                    del running[task]
                    if self._ended(job, task, process.returncode):
                        waiting.append(task)
            time.sleep(0.02)

    def _moment(self) -> float | None:
        """When a task that is started now is to be killed."""
        if not self.kills:
            return None
        return time.monotonic() + self._draw.uniform(0.2, 1.0)

    def _kill(self, process: subprocess.Popen, name: str) -> None:
        self.kills -= 1
        if self.kills % 2 == 0:
            self.log.append((name, "node died"))
            os.killpg(process.pid, signal.SIGKILL)
        else:
            self.log.append((name, "time is up"))
            process.send_signal(signal.SIGTERM)

    def _ended(self, job: dict, task: int | None, code: int) -> bool:
        """Whether a task is to run again: its node died, or it has asked for it."""
        name = self._name(job, task)
        asked = self.folder / "queue" / f"requeue-{name}"
        again = asked.exists() or code == -signal.SIGKILL
        asked.unlink(missing_ok=True)
        self.log.append((name, "queued again" if again else f"ended with {code}"))
        return again

    @staticmethod
    def _name(job: dict, task: int | None) -> str:
        return str(job["id"]) if task is None else f"{job['id']}_{task}"

    def _start(self, job: dict, task: int | None) -> subprocess.Popen:
        script = Path(job["script"])
        directives = dict(re.findall(r"^#SBATCH --([a-z-]+)=(\S+)", script.read_text(), re.MULTILINE))
        environment = job["environment"] | {"SLURM_JOB_ID": str(job["id"])}
        environment["SLURM_CPUS_PER_TASK"] = "1" if int(directives["cpus-per-task"]) else ""
        if task is not None:
            environment |= {"SLURM_ARRAY_JOB_ID": str(job["id"]), "SLURM_ARRAY_TASK_ID": str(task)}
        with (self.folder / f"{self._name(job, task)}.out").open("ab") as output:
            return subprocess.Popen(
                ["bash", str(script)],
                cwd=job["cwd"],
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
