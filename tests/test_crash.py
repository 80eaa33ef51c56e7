"""kill -9 at every gap between two changes of a file, and at random moments: nothing lost, doubled or orphaned.

``scripts/torture.py`` does the same hundreds of times, with a real model.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from proteins import random_sequence, write_fasta

from protvec.errors import DatabaseNotFoundError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))


from _crash import KILLED, Found, Task, examine, work

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable

COMMIT = 8  # proteins; the files below make two commits


def sequence(number: int) -> str:
    return "M" + random_sequence(4 + number % 20, seed=number)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sixteen proteins of fourteen sequences."""
    path = tmp_path_factory.mktemp("crash") / "first.fa"
    return str(write_fasta(path, [(f"p{i}", sequence(i % 14)) for i in range(16)]))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same ids, every third with another sequence."""
    path = tmp_path_factory.mktemp("crash") / "second.fa"
    return str(write_fasta(path, [(f"p{i}", sequence(i % 14 + 100 * (i % 3 == 0))) for i in range(16)]))


def committed(db: str) -> Found:
    """What a killed process left; nothing where it had not made the database yet."""
    try:
        return examine(db)
    except DatabaseNotFoundError as error:
        assert "interrupted" in str(error) or "no such database" in str(error)  # noqa: PT017
        return Found({}, [], set())


def die_everywhere(folder: Path, setup: list[list[Any]], steps: list[list[Any]]) -> list[str]:
    """Kill a task before each of its changes, look, and do it again; the changes that there were."""
    base, whole = folder / "base", folder / "whole"
    if setup:
        work(Task(str(base), setup, rows=COMMIT))
        shutil.copytree(base, whole)
    calls: list[str] = json.loads(Task(str(whole), steps, rows=COMMIT).run())["calls"]
    before, after = committed(str(base)), examine(str(whole))
    assert after.content
    assert not after.faults
    assert not after.orphans

    def killed(number: int) -> Found:
        db = folder / str(number)
        if setup:
            shutil.copytree(base, db)
        Task(str(db), steps, rows=COMMIT, kill=number).run(expect=KILLED)
        return committed(str(db))

    with ThreadPoolExecutor(2) as pool:
        for number, found in enumerate(pool.map(killed, range(1, len(calls) + 1)), start=1):
            where = f"killed before change {number}, {calls[number - 1]}"
            assert not found.faults, where
            assert_between(before.content, found.content, after.content, where)
            work(Task(str(folder / str(number)), steps, rows=COMMIT))
            again = examine(str(folder / str(number)))
            assert (again.faults, again.orphans) == ([], set()), where
            assert again.content == after.content, where
    return calls


def assert_between(before: dict[str, Any], found: dict[str, Any], after: dict[str, Any], where: str) -> None:
    """Every protein is as it was, or as it was to be; those that neither change nor go are there."""
    for identifier, row in found.items():
        assert row in (before.get(identifier), after.get(identifier)), f"{identifier}, {where}"
    assert before.keys() & after.keys() <= found.keys(), where


def test_killed_before_every_change_of_a_first_ingest(tmp_path: Path, first: str) -> None:
    calls = die_everywhere(tmp_path, [], [["ingest", first], ["compact"]])
    assert calls[:3] == ["write_dataset", "write_dataset", "write_dataset"]
    assert calls.count("execute") >= 4
    assert "compact_files" in calls


def test_killed_before_every_change_of_an_update(tmp_path: Path, first: str, second: str) -> None:
    calls = die_everywhere(tmp_path, [["ingest", first]], [["ingest", second, True]])
    assert calls[:5] == ["execute", "write_fragments", "commit", "execute", "delete"]  # the first is of the ledger
    assert "delete" in calls


@pytest.mark.parametrize("step", [["delete", ["p0", "p1", "p14"]], ["delete where", "length > 12"]])
def test_killed_before_every_change_of_a_deletion(tmp_path: Path, first: str, step: list[Any]) -> None:
    assert die_everywhere(tmp_path, [["ingest", first]], [step])[:3] == ["execute", "delete", "delete"]


def test_killed_at_random_moments_again_and_again(tmp_path: Path) -> None:
    """One database, killed over and over: each run goes on where the last one died."""
    file = str(write_fasta(tmp_path / "many.fa", [(f"p{i}", sequence(i)) for i in range(60)]))
    work(Task(str(tmp_path / "whole"), [["ingest", file]], rows=COMMIT))
    db, draw, stored = tmp_path / "db", random.Random(4), 0
    for _ in range(5):
        child = Task(str(db), [["ingest", file], ["compact"]], rows=3, pause=0.01).start()
        kill_after_start(child, draw.uniform(0.0, 0.8))
        found = committed(str(db))
        assert not found.faults
        assert len(found.content) >= stored, "a committed protein is lost"
        stored = len(found.content)
    (report,) = work(Task(str(db), [["ingest", file]], rows=3))
    assert report["unchanged"] == stored
    assert report["added"] == 60 - stored
    again = examine(str(db))
    assert (again.faults, again.orphans) == ([], set())
    assert again.content == examine(str(tmp_path / "whole")).content


def kill_after_start(child: subprocess.Popen[str], seconds: float) -> None:
    """Kill a child so long after it has begun; loading takes longer than what it does then."""
    assert child.stderr is not None
    assert child.stderr.readline() == "ready\n"
    time.sleep(seconds)
    child.kill()
    child.communicate()


def test_the_examination_finds_what_must_not_be(tmp_path: Path, first: str) -> None:
    """The harness can fail: a protein without residues, residues without a protein, a doubled row."""
    import lance

    def broken(name: str, change: Any) -> Found:
        db = str(tmp_path / name)
        work(Task(db, [["ingest", first]]))
        change(lance.dataset(f"{db}/proteins.lance"), lance.dataset(f"{db}/residues.lance"))
        return examine(db)

    def names(faults: Iterable[str]) -> str:
        return "; ".join(faults)

    lost = broken("lost", lambda proteins, residues: residues.delete("length < 9"))
    assert "has no residues" in names(lost.faults)
    orphaned = broken("orphaned", lambda proteins, residues: proteins.delete("length < 9"))
    assert orphaned.orphans
    doubled = broken(
        "doubled", lambda proteins, residues: lance.write_dataset(proteins.to_table(), proteins.uri, mode="append")
    )
    assert "occurs 2 times" in names(doubled.faults)
