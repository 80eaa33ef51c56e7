"""kill -9 while indexes are built and extended: the database opens, answers right, and the next run finishes."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from proteins import random_sequence, write_fasta

from protvec.store import Store
from protvec.store.sweep import remove_unfinished_indexes

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from _crash import KILLED, Task, examine, residues_of, work

COMMIT = 8
OF_INDEXES = ("create_scalar_index", "create_index", "optimize_indices", "update_config")


def fasta(folder: Path, start: int, stop: int) -> str:
    records = [(f"p{i}", "M" + random_sequence(4 + i % 20, seed=i)) for i in range(start, stop)]
    return str(write_fasta(folder / f"{start}.fa", records))


def answers(db: str) -> list[list[str]]:
    """The three nearest of ten vectors, by whatever index there is."""
    store = Store.open(db, search_memory=0)
    vectors = np.stack([residues_of(f"query {i}").mean(axis=0) for i in range(10)])
    return [table["id"].to_pylist() for table in store.search_many(vectors, k=3)]


def truth(db: str) -> list[list[str]]:
    store = Store.open(db, search_memory=0)
    table = store.get(sorted(row["id"] for batch in store.iter_proteins() for row in batch.to_pylist()))
    unit = store.project(np.array(table["vector"].to_pylist(), np.float32))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    queries = store.project(np.stack([residues_of(f"query {i}").mean(axis=0) for i in range(10)]))
    return [[table["id"][int(row)].as_py() for row in np.argsort(-(unit @ each))[:3]] for each in queries]


def state(db: str) -> list[tuple[str, int]]:
    """The indexes, and the rows that each lacks."""
    return [(each.name, each.pending) for each in Store.open(db).indexes()]


def die_everywhere(folder: Path, setup: list[list[Any]], steps: list[list[Any]]) -> list[str]:
    """Kill a task before each of its changes of indexes, look, and do it again; the changes that there were."""
    base, whole = str(folder / "base"), str(folder / "whole")
    work(Task(base, setup, rows=COMMIT))
    shutil.copytree(base, whole)
    calls: list[str] = json.loads(Task(whole, steps, rows=COMMIT).run())["calls"]
    after, content = state(whole), examine(whole).content
    assert "protvec_vector" in dict(after)

    def killed(number: int) -> str:
        db = str(folder / str(number))
        shutil.copytree(base, db)
        Task(db, steps, rows=COMMIT, kill=number).run(expect=KILLED)
        return db

    # Kills before the other changes are those of test_crash.py; one scalar index is like another.
    numbers = [i for i, call in enumerate(calls, start=1) if call in OF_INDEXES and calls[i - 2 : i - 1] != [call]]
    with ThreadPoolExecutor(2) as pool:
        for number, db in zip(numbers, pool.map(killed, numbers), strict=True):
            where = f"killed before change {number}, {calls[number - 1]}"
            assert not examine(db).faults, where
            assert answers(db) == truth(db), where
            work(Task(db, steps, rows=COMMIT))
            assert state(db) == after, where
            assert examine(db).content == content, where
            assert answers(db) == truth(whole), where
    return calls


def test_killed_before_every_change_of_an_index(tmp_path: Path) -> None:
    first = fasta(tmp_path, 0, 40)
    setup = [["ingest", first], ["index", "ivf_flat"]]  # of another kind, which is replaced
    calls = die_everywhere(tmp_path, setup, [["index", "ivf_sq"]])
    assert calls == ["create_index", "update_config"]


def test_killed_before_every_change_of_the_indexes_of_an_ingest(tmp_path: Path) -> None:
    ingest = ["ingest", fasta(tmp_path, 0, 16)]
    calls = die_everywhere(tmp_path, [ingest], [["memory for searches", 0], ingest])
    assert "create_scalar_index" in calls
    assert calls[-2:] == ["create_index", "update_config"]


def test_killed_before_every_change_of_a_refresh(tmp_path: Path) -> None:
    memory = ["memory for searches", 0]
    setup = [memory, ["ingest", fasta(tmp_path, 0, 60)]]  # so many that the search space stays as it is
    calls = die_everywhere(tmp_path, setup, [memory, ["ingest", fasta(tmp_path, 60, 72)]])
    assert "optimize_indices" in calls, calls


def test_killed_at_random_moments_of_an_index(tmp_path: Path) -> None:
    db = str(tmp_path / "db")
    work(Task(db, [["ingest", fasta(tmp_path, 0, 600)]], rows=600))
    draw, right = random.Random(5), truth(db)
    for _ in range(4):
        child = Task(db, [["index", "ivf_sq"]], rows=600).start()
        assert child.stderr is not None
        for line in child.stderr:
            if "begin create_index" in line:
                break
        time.sleep(draw.uniform(0, 0.1))
        child.kill()
        child.communicate()
        assert answers(db) == right
    work(Task(db, [["index", "ivf_sq"]], rows=600))
    assert dict(state(db))["protvec_vector"] == 0
    assert answers(db) == right


def test_what_a_killed_build_leaves_goes_after_an_hour(tmp_path: Path) -> None:
    db = str(tmp_path / "db")
    work(Task(db, [["ingest", fasta(tmp_path, 0, 40)], ["index", "ivf_flat"]], rows=40))
    store = Store.open(db)
    store.snapshot("kept")
    store.index("ivf_sq")  # the one of the snapshot stays
    folder = Path(db, "proteins.lance", "_indices")
    before = {each.name for each in folder.iterdir()}
    for name in ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"):
        (folder / name).mkdir()
        (folder / name / "index.idx").write_bytes(b"half")
    then = time.time() - 7200
    for each in [*folder.iterdir(), *folder.glob("*/*")]:
        if not str(each).count("22222222"):
            os.utime(each, (then, then))
    assert remove_unfinished_indexes(store.handles()[0]) == 1
    assert {each.name for each in folder.iterdir()} == {*before, "22222222-2222-4222-8222-222222222222"}
    assert len(list(Store.open(db, at="kept").search_many(np.ones((2, 16)), k=3))) == 2
