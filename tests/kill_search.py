"""Writes made-up answers to files, and dies with SIGKILL before the n-th change of a file, for every n.

``python kill_search.py FOLDER FORMAT`` prints, as JSON, what it found after each: see ``test_search_resume.py``.
Each run is a fork of this process, which has read nothing with threads: a new interpreter for each would take minutes.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from answers import FACTS, METADATA, answer

from protvec.cli import partial
from protvec.cli.formats import Format
from protvec.cli.layout import layout
from protvec.cli.queries import rest
from protvec.cli.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protvec.cli.layout import Answer
    from protvec.cli.partial import Progress

COLUMNS = layout(["query", "target", "rank", "score", "qlen", "description"], METADATA, list(FACTS))
QUERIES = [f"q{number}" for number in range(3)]
CHANGES = {"os.rename", "os.remove", "os.truncate"}


def answers(done: Progress) -> Iterator[Answer]:
    for name in rest(((each, each) for each in QUERIES), done):
        number = int(name[1:])
        hits = [{"target": f"t{i}", "score": 1 / (i + number + 1), "length": 9} for i in range(number % 3)]
        yield answer(name, hits, length=number)


def write(file: Path, format: str) -> None:
    sink = Sink(format=Format(format), columns=None, header=True, output=file, force=False)
    sink.write(answers, COLUMNS, search={"k": 3}, types=FACTS, total=len(QUERIES))


def forked(file: Path, format: str, kill: int) -> int:
    """The exit status of a process that writes the file; 0 where it came to its end."""
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        die_before(kill, file.parent)
        write(file, format)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def die_before(kill: int, folder: Path) -> None:
    """Die before so many changes of files in a folder."""
    left = kill

    def change() -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, given: tuple[Any, ...]) -> None:
        named = given and str(given[0]).startswith(str(folder))
        if (event == "open" and named and given[2] & (os.O_WRONLY | os.O_RDWR)) or (event in CHANGES and named):
            change()

    sync = os.fsync

    def fsync(file: int) -> None:  # it raises no audit event
        change()
        sync(file)
        change()

    os.fsync = fsync
    sys.addaudithook(hook)


def main(folder: Path, format: str) -> dict[str, Any]:
    partial.CHECKPOINT_EVERY = 0.0
    whole = folder / "whole"
    write(whole, format)
    found: dict[str, Any] = {"whole": whole.read_bytes().hex(), "killed": []}
    for number in range(1, 1000):
        target = folder / f"{number}"
        if forked(target, format, number) == 0:
            break
        left = target.with_name(f"{number}.partial")
        before = target.read_bytes().hex() if target.exists() else None
        torn = left.exists() and left.with_name(f"{number}.partial.json").exists()
        if torn:  # as if the file system had kept a part of what was being written
            with left.open("ab") as stream:
                stream.write(b"torn\t0.12")
        if before is None:
            write(target, format)
        names = sorted(path.name for path in folder.iterdir() if path.name.lstrip(".").startswith(f"{number}."))
        found["killed"].append({"before": before, "after": target.read_bytes().hex(), "torn": torn, "beside": names})
    found["again and again"] = [again_and_again(folder / f"r{seed}", format, random.Random(seed)) for seed in range(4)]
    return found


def again_and_again(target: Path, format: str, draw: random.Random) -> dict[str, Any]:
    """Die at random moments until the file is there."""
    runs = 0
    while not target.exists():
        forked(target, format, draw.randrange(1, 32))
        runs += 1
    return {"runs": runs, "after": target.read_bytes().hex()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
