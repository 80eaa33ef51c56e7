"""Changing the codec of a database in place."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import lance
import numpy as np
import pytest
import store_data as data

from protvec.errors import DatabaseError, QueryError
from protvec.store import CODECS, Store, mean_slack


def recode_in_steps(path, codec, steps):
    """In a process of its own, with parts so small that a kill hits one."""
    from protvec.store import recode

    recode._PART_BYTES = 1
    Store.open(path).recode(codec, progress=lambda done, total: steps.release())


def made(path, codec="float16", proteins=40):
    store = Store.create(path, data.space(), codec=codec)
    for start in range(0, proteins, 10):
        data.write(store, data.numbered(start, start + 10))
    return store


def check_content(store, proteins=40):
    """Every protein has residues, which are as good as the codecs that they went through."""
    ids = [f"P{i:04d}" for i in range(proteins)]
    arrays = store.residues(ids)
    for i, identifier in enumerate(ids):
        exact = data.residues(data.sequence(i))
        assert arrays[identifier].shape == exact.shape
        slack = sum(mean_slack(CODECS[name], exact) for name in ("float16", "int8", "int4"))
        assert np.linalg.norm(arrays[identifier].mean(axis=0) - exact.mean(axis=0)) < slack
        assert np.abs(arrays[identifier] - exact).max() < 0.6  # int4: a step of a range of about 5
    assert store.info()["residue_arrays"] == proteins


@pytest.mark.parametrize(("first", "second"), [("float16", "int8"), ("int8", "int4"), ("int4", "float16")])
def test_every_array_and_what_comes_after(tmp_path, first, second):
    store = made(tmp_path / "db", first)
    vectors = store.get([f"P{i:04d}" for i in range(40)])
    calls = []
    assert store.recode(second, progress=lambda done, total: calls.append((done, total))) == 40
    assert calls[-1] == (40, 40)
    assert store.codec == Store.open(store.path).codec == second
    assert store.info()["other_codecs"] == 0
    check_content(store)
    assert store.get([f"P{i:04d}" for i in range(40)]).equals(vectors)
    data.write(store, data.numbered(40, 45))
    check_content(store, 45)
    assert store.info()["other_codecs"] == 0
    assert store.recode(second) == 0
    assert [entry.command for entry in store.ledger.entries()[:3]] == ["recode", "write", "recode"]


def test_none_removes_them_and_does_not_bring_them_back(tmp_path):
    store = made(tmp_path / "db")
    other = Store.open(store.path)
    store.snapshot("before")
    assert store.recode("none", keep_seconds=0) == 40
    assert store.info()["residue_arrays"] == 0
    data.write(other, data.numbered(40, 42))  # opened when there were some
    assert (other.codec, other.info()["residue_arrays"], other.count()) == ("none", 0, 42)
    with pytest.raises(QueryError, match="none to recode: ingest its FASTA files into a new database"):
        store.recode("int8")
    check_content(Store.open(store.path, at="before"))  # snapshots keep theirs


def test_what_cannot_be_done_changes_nothing(tmp_path, monkeypatch):
    from protvec.store import recode

    store = made(tmp_path / "db")
    with pytest.raises(QueryError, match="'int3'"):
        store.recode("int3")
    monkeypatch.setattr(recode, "free_bytes", lambda path: 1 << 20)
    with pytest.raises(
        DatabaseError, match=r"needs [0-9.]+ MB beside the present arrays, 67.1 MB of that to spare, and 1\.0"
    ):
        store.recode("int8")
    assert Store.open(store.path).codec == "float16"
    store.snapshot("s")
    past = Store.open(store.path, at="s")
    with pytest.raises(DatabaseError, match="opened at snapshot 's'"):
        past.recode("int8")
    assert store.recode("none") == 40  # removing them is what makes room


def test_old_arrays_leave_the_disk_when_told(tmp_path):
    store = made(tmp_path / "db")
    store.recode("int4", keep_seconds=0)
    there = {file.name for file in Path(store.path, "residues.lance", "data").iterdir()}
    live = lance.dataset(f"{store.path}/residues.lance").get_fragments()
    assert there == {file.path for fragment in live for file in fragment.data_files()}
    check_content(store)


def test_a_kill_at_any_moment_leaves_a_database_that_goes_on(tmp_path):
    store = made(tmp_path / "db")
    chance = random.Random(7)
    left = set()
    for codec in ("int8", "int4", "int8", "float16", "int4"):
        context = data.forking()
        steps = context.Semaphore(0)
        child = context.Process(target=recode_in_steps, args=(store.path, codec, steps))
        child.start()
        for _ in range(chance.randrange(1, 30)):
            while not steps.acquire(timeout=0.1) and child.is_alive():
                pass
        time.sleep(chance.uniform(0.0, 0.1))
        child.kill()
        child.join()
        again = Store.open(store.path)
        check_content(again)
        assert again.codec == codec
        left.add(again.info()["other_codecs"])
    assert left - {0}, "no kill hit it half-way"
    again.recode("int8")
    assert again.info()["other_codecs"] == 0
    check_content(again)


def test_writers_and_readers_beside_it(tmp_path):
    from protvec.store import recode

    path = made(tmp_path / "db").path
    problems = []

    def attempt(work):
        try:
            work()
        except Exception as error:
            problems.append(error)

    def write():
        store = Store.open(path)
        for start in range(40, 80, 4):
            data.write(store, data.numbered(start, start + 4))

    def read():
        store = Store.open(path, read_consistency_seconds=0)
        while threads[0].is_alive():
            check = store.residues(["P0003", "P0039"])
            assert np.abs(check["P0003"] - data.residues(data.sequence(3))).max() < 0.1

    def recode_it():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recode, "_PART_BYTES", 2000)
            Store.open(path).recode("int8")

    threads = [threading.Thread(target=attempt, args=[work]) for work in (write, read, recode_it)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert problems == []
    store = Store.open(path)
    store.recode("int8")  # what the writer began before the codec was changed
    check_content(store, 80)
    assert store.info()["other_codecs"] == 0


def test_a_mixed_table_streams(tmp_path):
    from protvec.store import recode

    store = made(tmp_path / "db")
    rows = recode.pending(store._newest()[1], "int8")
    recode._recode(store._newest()[1], rows["digest"].to_pylist()[:15], "int8", data.D)
    store = Store.open(store.path)
    assert store.info()["other_codecs"] == 15
    check_content(store)
    assert len({each.id for each in store.iter_residues(batch_size=7)}) == 40
