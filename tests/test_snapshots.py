"""Versions under a name: what they keep, what they refuse, and what a kill or other writers do to them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import lance
import numpy as np
import pytest
import store_data as data

from protvec.errors import DatabaseError, QueryError, SnapshotNotFoundError
from protvec.store import Store, snapshots


@pytest.fixture
def store(tmp_path):
    store = Store.create(tmp_path / "test.lancedb", data.space(), codec="float16")
    data.write(store, data.numbered(0, 20, dataset="first"))
    return store


def content(store):
    """Everything in a database: rows with their vectors, and the bytes of its residue arrays, by key."""
    proteins, residues = store._current()
    return (
        proteins.to_table().sort_by("id").to_pylist(),
        residues.to_table().sort_by("digest").to_pylist(),
    )


def assert_whole(store):
    """Every protein has its residues, every residue array its protein, each once."""
    rows, arrays = content(store)
    assert len({row["id"] for row in rows}) == len(rows)
    assert sorted(array["digest"] for array in arrays) == sorted({row["digest"] for row in rows})


class TestSnapshot:
    def test_it_stays_as_it_was_through_deletion_and_compaction(self, store):
        before = content(store)
        made = store.snapshot("v1")
        data.write(store, [data.row("P0003", "MKVLLL")])
        store.delete(where="true")
        store.compact(keep_seconds=0)
        data.write(store, data.numbered(50, 60))
        store.compact(keep_seconds=0)
        old = Store.open(store.path, at="v1")
        assert content(old) == before
        assert (made.proteins, old.count(), store.count()) == (20, 20, 10)
        exact = data.residues(data.sequence(3))
        np.testing.assert_array_equal(old.residues(["P0003"])["P0003"], exact.astype(np.float16).astype(np.float32))
        assert old.search(exact.mean(axis=0), k=1)["id"].to_pylist() == ["P0003"]
        assert old.info()["proteins"] == 20

    def test_a_handle_on_a_snapshot_sees_nothing_new_and_writes_nothing(self, store):
        store.snapshot("v1")
        old = Store.open(store.path, at="v1", read_consistency_seconds=0)
        data.write(store, data.numbered(50, 60))
        for change in (
            lambda: data.write(old, data.numbered(70, 71)),
            lambda: old.delete(where="true"),
            old.compact,
            lambda: old.note_precision("int8"),
            lambda: old.snapshot("v2"),
            lambda: old.restore("v1"),
            lambda: old.delete_snapshot("v1"),
        ):
            with pytest.raises(DatabaseError, match=r"snapshot 'v1', which only reads"):
                change()
        assert (old.count(), store.count()) == (20, 30)

    def test_the_list_says_when_how_many_and_what_each_keeps(self, store):
        store.snapshot("first")
        assert [(each.name, each.bytes) for each in store.snapshots()] == [("first", 0)]
        store.delete(where="true")
        store.compact(keep_seconds=0)
        store.snapshot("empty")
        first, empty = store.snapshots()
        assert (first.proteins, empty.proteins, empty.bytes) == (20, 0, 0)
        assert first.bytes > sum(len(data.sequence(i)) for i in range(20)) * 2 * data.D
        assert first.created <= empty.created
        assert abs(time.time() - empty.created.timestamp()) < 60
        store.delete_snapshot("first")
        held = store.info()["bytes"]["residues"]["total"]
        store.compact(keep_seconds=0)
        assert store.info()["bytes"]["residues"]["total"] < held - first.bytes / 2
        assert store.info()["snapshots"] == ["empty"]

    @pytest.mark.parametrize("name", ["", "a b", "a/b", "../x", ".a", "é", "a.lock", "a..b", "a.", "-a", "x" * 101])
    def test_a_name_that_is_none_makes_nothing(self, store, name):
        with pytest.raises(QueryError, match="cannot name a snapshot"):
            store.snapshot(name)
        assert store.snapshots() == []

    @pytest.mark.parametrize("name", ["v1", "V1"])
    def test_a_name_that_is_taken(self, store, name):
        store.snapshot("v1")
        with pytest.raises(QueryError, match="a snapshot 'v1' already"):
            store.snapshot(name)
        assert store.info()["snapshots"] == ["v1"]

    def test_an_unknown_name_says_what_there_is(self, store):
        with pytest.raises(SnapshotNotFoundError, match="there are none"):
            store.restore("v1")
        store.snapshot("tair-2024")
        for attempt in (
            lambda: Store.open(store.path, at="tair-2023"),
            lambda: store.restore("tair-2023"),
            lambda: store.delete_snapshot("tair-2023"),
        ):
            with pytest.raises(SnapshotNotFoundError, match=r"no snapshot 'tair-2023'; near: tair-2024") as caught:
                attempt()
            assert caught.value.near == ["tair-2024"]

    def test_a_database_without_residues(self, tmp_path):
        store = Store.create(tmp_path / "db", data.space(), codec="none")
        data.write(store, data.numbered(0, 3))
        store.snapshot("v1")
        store.delete(where="true")
        store.restore("v1")
        assert store.count() == 3

    def test_a_damaged_database_has_no_snapshot_made_of_it(self, store, monkeypatch):
        monkeypatch.setattr("protvec.store.snapshots._PAUSE", 0)
        lance.dataset(f"{store.path}/residues.lance").delete("length < 8")
        with pytest.raises(DatabaseError, match="sequences have no residues"):
            store.snapshot("v1")
        assert store.snapshots() == []


class TestRestore:
    @pytest.mark.parametrize("since", ["deleted", "added", "both", "replaced", "nothing"])
    def test_content_is_again_what_it_was(self, store, since):
        before = content(store)
        store.snapshot("v1")
        if since in ("deleted", "both"):
            store.delete(where="id < 'P0015'")
        if since in ("added", "both"):
            data.write(store, data.numbered(50, 60))
        if since == "replaced":
            data.write(store, [data.row("P0003", "MKVLLL")])
        later = content(store)
        back = store.restore("v1")
        assert content(store) == content(Store.open(store.path)) == before
        assert (back == "v1") == (since == "nothing")
        store.compact(keep_seconds=0)
        store.restore(back)
        assert content(store) == later
        data.write(store, data.numbered(80, 82))
        assert_whole(store)

    def test_the_codec_goes_back_with_the_arrays(self, store):
        before = content(store)
        store.snapshot("v1")
        store.recode("int4")
        assert Store.open(store.path, at="v1").codec == "float16"
        store.restore("v1")
        assert (store.codec, Store.open(store.path).codec) == ("float16", "float16")
        assert content(store) == before
        store.recode("none")
        store.restore("v1")
        assert content(store) == before
        data.write(store, data.numbered(70, 72))
        assert_whole(store)

    def test_another_open_handle_follows(self, store):
        store.snapshot("v1")
        other = Store.open(store.path, read_consistency_seconds=0)
        data.write(other, data.numbered(50, 60))
        store.restore("v1")
        assert other.count() == 20
        data.write(other, data.numbered(60, 62))
        assert Store.open(store.path).count() == 22
        assert_whole(Store.open(store.path))

    def test_what_the_database_says_of_itself_goes_back_too(self, store):
        store.snapshot("v1")
        store.note_precision("int8")
        assert Store.open(store.path, at="v1").precision is None
        store.restore("v1")
        assert (store.precision, Store.open(store.path).precision) == (None, None)

    @pytest.mark.parametrize("since", ["deleted", "added", "both"])
    def test_a_kill_anywhere_leaves_whole_proteins_and_the_next_run_finishes(self, tmp_path, since):
        """It ends before its n-th commit, tag or copy, for every n there is."""
        for step in range(12):
            store = Store.create(tmp_path / f"{since}{step}", data.space())
            data.write(store, data.numbered(0, 20))
            before = content(store)
            store.snapshot("v1")
            if since in ("deleted", "both"):
                store.delete(where="id < 'P0015'")
            if since in ("added", "both"):
                data.write(store, data.numbered(50, 60))
            finished = _restored_but_killed(store.path, step)
            opened = Store.open(store.path)
            rows, arrays = content(opened)
            assert {row["digest"] for row in rows} <= {array["digest"] for array in arrays}
            assert len({array["digest"] for array in arrays}) == len(arrays)
            assert content(Store.open(store.path, at="v1")) == before
            opened.restore("v1")
            assert content(opened) == before
            if finished:
                return
        raise AssertionError("more steps than were tried")


class Killed(BaseException):
    """Ends a restore where it is, as a kill does: nothing in it cleans up."""


def _restored_but_killed(path, step):
    """Whether a restore ended before it came to that step."""
    left = step

    def counted(real):
        def call(*args, **kwargs):
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return real(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("_tag", "_revert", "insert", "_put_back"):
            patch.setattr(snapshots, name, counted(getattr(snapshots, name)))
        try:
            Store.open(path).restore("v1")
        except Killed:
            return False
    return True


class TestInterruptedSnapshot:
    @pytest.mark.parametrize("table", ["proteins", "residues"])
    def test_half_a_snapshot_is_none_and_can_be_made_again(self, store, table):
        lance.dataset(f"{store.path}/{table}.lance").tags.create("v1", 1)
        assert store.snapshots() == []
        with pytest.raises(SnapshotNotFoundError):
            Store.open(store.path, at="v1")
        store.snapshot("v1")
        assert Store.open(store.path, at="v1").count() == 20

    def test_half_a_snapshot_can_be_deleted(self, store):
        lance.dataset(f"{store.path}/proteins.lance").tags.create("v1", 1)
        store.delete_snapshot("v1")
        assert lance.dataset(f"{store.path}/proteins.lance").tags.list() == {}


def _write_and_delete(path, start, rounds, barrier):
    store = Store.open(path)
    barrier.wait()
    for first in range(start, start + 10 * rounds, 10):
        data.write(store, data.numbered(first, first + 10))
        store.delete(where=f"id >= 'P{first:04d}' AND id < 'P{first + 5:04d}'")


def _snapshot_and_restore(path, label, rounds, barrier):
    store = Store.open(path)
    barrier.wait()
    for i in range(rounds):
        store.snapshot(f"{label}{i}")
        if i % 3 == 2:
            store.restore(f"{label}{i - 1}")


def test_writers_snapshots_and_restores_at_once_leave_everything_whole(store):
    context = data.forking()
    barrier = context.Barrier(3)
    jobs = [(_write_and_delete, 100, 6), (_write_and_delete, 300, 6), (_snapshot_and_restore, "s", 6)]
    workers = [context.Process(target=job, args=(store.path, *rest, barrier)) for job, *rest in jobs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    fresh = Store.open(store.path)
    assert_has_residues(fresh)
    names = fresh.info()["snapshots"]
    assert {f"s{i}" for i in range(6)} <= set(names)
    for name in names:
        assert_has_residues(Store.open(store.path, at=name))


def test_a_reader_never_sees_half_a_restore(store):
    """Back and forth between versions that share few sequences, with a reader that looks all the time."""
    store.snapshot("early")
    store.delete(where="id < 'P0018'")
    data.write(store, data.numbered(50, 60))
    store.snapshot("late")
    reader = Store.open(store.path, read_consistency_seconds=0)
    stop = threading.Event()

    def read():
        seen = set()
        while not stop.is_set():
            view = reader.pinned()
            ids = [i for batch in view.iter_proteins(columns=["id"]) for i in batch["id"].to_pylist()]
            assert view.residues(ids).keys() == set(ids)
            seen.add(len(ids))
        return seen

    with ThreadPoolExecutor(1) as pool:
        seen = pool.submit(read)
        try:
            for name in ("early", "late") * 6:
                assert store.restore(name) in ("early", "late")
        finally:
            stop.set()
        assert seen.result(60) == {20, 12}


def test_snapshots_are_made_and_deleted_beside_readers_in_other_threads(store):
    stop = threading.Event()

    def read():
        while not stop.is_set():
            store.residues(["P0003", "P0007"])
            store.search(np.ones(data.D), k=3)
            store.iter_proteins(columns=["id"])

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(4)]
        try:
            for i in range(12):
                store.snapshot(f"s{i}")
                store.delete_snapshot(f"s{i}")
        finally:
            stop.set()
        assert [reader.result(60) for reader in readers] == [None] * 4
    assert store.snapshot_names == []


def assert_has_residues(store):
    rows, arrays = content(store)
    assert {row["digest"] for row in rows} <= {array["digest"] for array in arrays}
    assert len({row["id"] for row in rows}) == len(rows)
