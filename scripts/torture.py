#!/usr/bin/env python3
"""Kill ingests, updates, deletions and compactions hundreds of times, and look at what they leave.

Each round makes a database, starts a child that changes it, kills it (SIGKILL) at a random moment, looks that
no committed row is lost, doubled or without its residues, kills the next one, up to five times, and then lets
it finish: the content must be that of a run that was never killed, byte for byte, and nothing orphaned. Usage::

    python scripts/torture.py                           # 200 kills, an instant model: some ten minutes
    python scripts/torture.py --kills 50 --model near   # the real engine: kills that hit the embedding

Ends with 1 at the first database that is not as it should be, and keeps it.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _crash import Found, Task, examine

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill, look, and say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--model", default="hash", help="hash, which is instant, or a model of protvec")
    parser.add_argument("--proteins", type=int, default=60)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args(arguments)
    seed = random.randrange(10**6) if options.seed is None else options.seed
    folder = options.folder or Path(tempfile.mkdtemp(prefix="protvec-torture-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"seed {seed}, in {folder}", flush=True)
    torture = Torture(folder, options.model, options.proteins, random.Random(seed))
    while torture.kills.total() < options.kills:
        torture.round()
        print(f"{torture.kills.total()} kills, {torture.rounds} databases", flush=True)
    print(f"nothing lost, doubled or orphaned in {torture.rounds} databases; {torture.kills.total()} kills hit:")
    for moment, count in torture.kills.most_common():
        print(f"  {count:4}  {moment}")
    shutil.rmtree(folder)
    return 0


class Torture:
    """The rounds, and what the kills of all of them hit."""

    def __init__(self, folder: Path, model: str, proteins: int, draw: random.Random) -> None:
        self.folder, self.model, self.draw = folder, model, draw
        self.kills: Counter[str] = Counter()
        self.rounds = 0
        self.first, self.second = folder / "first.fa", folder / "second.fa"
        _write(self.first, [(f"p{i}", i % (proteins * 4 // 5)) for i in range(proteins)])
        _write(self.second, [(f"p{i}", i + 1000 * (i % 3 == 0)) for i in range(proteins)])
        self.prepared: dict[str, tuple[Found, Found, float, Path]] = {}

    def round(self) -> None:
        """One database: up to three kills, then to the end."""
        name = self.draw.choice(["first ingest", "update", "deletion"])
        before, after, seconds, base = self._prepare(name)
        db = self.folder / f"round-{self.rounds}"
        if name != "first ingest":
            shutil.copytree(base, db)
        task = self._task(db, name)
        stored = set(before.content) & set(after.content)
        for _ in range(self.draw.randint(1, 5)):
            if not self._killed(task, self.draw.uniform(0, seconds)):
                break
            if (db / "proteins.lance" / "_versions").exists():
                found = self._look(db)
                self._demand(stored <= found.content.keys(), db, "a committed protein is lost")
                rows = all(row in (before.content.get(i), after.content.get(i)) for i, row in found.content.items())
                self._demand(rows, db, "a protein is neither as it was nor as it was to be")
                stored |= set(found.content) & set(after.content)
        task.run()
        found = self._look(db)
        self._demand(not found.orphans, db, f"{len(found.orphans)} residue arrays are orphaned")
        self._demand(found.content == after.content, db, "the content is not that of a run never killed")
        shutil.rmtree(db)
        self.rounds += 1

    def _prepare(self, name: str) -> tuple[Found, Found, float, Path]:
        """What a database has before and after, how long that takes, and where it is before."""
        if name not in self.prepared:
            base, whole = self.folder / f"{name}-base", self.folder / f"{name}-whole"
            before = Found({}, [], set())
            if name != "first ingest":
                self._task(base, "first ingest").run()
                before = examine(str(base))
                shutil.copytree(base, whole)
            child = _started(self._task(whole, name))
            start = time.monotonic()
            child.communicate()
            self.prepared[name] = before, examine(str(whole)), time.monotonic() - start, base
        return self.prepared[name]

    def _task(self, db: Path, name: str) -> Task:
        steps: list[list[Any]] = {
            "first ingest": [["ingest", str(self.first)], ["compact"]],
            "update": [["ingest", str(self.second), True], ["compact"]],
            "deletion": [["delete", [f"p{i}" for i in range(20)]], ["delete where", "length > 60"], ["compact"]],
        }[name]
        return Task(str(db), steps, rows=7, model=self.model, pause=0.005)

    def _killed(self, task: Task, seconds: float) -> bool:
        """Whether the child was still at work after so long, and is dead now."""
        child = _started(task)
        time.sleep(seconds)
        child.kill()
        said = child.communicate()[1].splitlines()
        if child.returncode == 0:
            return False
        last = next((line for line in reversed(said) if line.startswith(("begin ", "end "))), "")
        self.kills[_moment(last)] += 1
        return True

    def _look(self, db: Path) -> Found:
        found = examine(str(db))
        self._demand(not found.faults, db, "; ".join(found.faults[:5]))
        return found

    def _demand(self, right: bool, db: Path, fault: str) -> None:
        if not right:
            sys.exit(f"{db}: {fault}")


def _started(task: Task) -> subprocess.Popen[str]:
    """A child that has loaded what it needs and begins."""
    child = task.start()
    assert child.stderr is not None
    for line in child.stderr:
        if line == "ready\n":
            return child
    raise AssertionError(f"{task} did not start")


def _moment(line: str) -> str:
    if not line:
        return "before the first change: opening, reading"
    verb, what = line.split(" ", 1)
    return f"during {what}" if verb == "begin" else f"after {what}: reading, embedding, looking up"


def _write(path: Path, records: list[tuple[str, int]]) -> None:
    lines = []
    for name, seed in records:
        draw = random.Random(seed)
        lines.append(f">{name}\nM{''.join(draw.choice(LETTERS) for _ in range(20 + seed % 60))}\n")
    path.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
