"""Several processes, several threads, one database."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import lance
import numpy as np
import pytest
import store_data as data

from protvec.store import Store, protein_table
from protvec.store.tables import merge


def _write_in_steps(path, start, stop, barrier):
    store = Store.open(path)
    barrier.wait()
    for first in range(start, stop, 10):
        data.write(store, data.numbered(first, min(first + 10, stop)))


@pytest.mark.parametrize("indexed", [False, True])
def test_two_processes_write_each_id_once(tmp_path, indexed):
    store = Store.create(tmp_path / "db", data.space())
    data.write(store, data.numbered(1000, 1005))
    if indexed:  # an index on the key switches LanceDB's own check off unless told otherwise
        for table, key in (("proteins", "id"), ("residues", "digest")):
            lance.dataset(f"{store.path}/{table}.lance").create_scalar_index(key, "BTREE")
    context = data.forking()
    barrier = context.Barrier(2)
    workers = [
        context.Process(target=_write_in_steps, args=(store.path, *span, barrier)) for span in ((0, 60), (0, 60))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    fresh = Store.open(store.path)
    rows = data.numbered(0, 60) + data.numbered(1000, 1005)
    ids = [i for batch in fresh.iter_proteins(columns=["id"]) for i in batch["id"].to_pylist()]
    digests = lance.dataset(f"{store.path}/residues.lance").to_table(columns=["digest"])["digest"].to_pylist()
    assert sorted(ids) == [row["id"] for row in rows]
    assert sorted(digests) == sorted({row["digest"] for row in rows})


@pytest.mark.parametrize("indexed", [False, True])
def test_a_writer_that_saw_an_old_version_replaces_rather_than_doubles(tmp_path, indexed):
    """The conflict itself, without chance: both merges start from the same version."""
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    data.write(store, data.numbered(0, 5))
    uri = f"{store.path}/proteins.lance"
    if indexed:
        lance.dataset(uri).create_scalar_index("id", "BTREE")
    rows = lance.dataset(uri).to_table().slice(0, 1)
    rows = rows.set_column(0, rows.schema.field("id"), [["new"]])
    first, second = lance.dataset(uri), lance.dataset(uri)

    def builder(handle):
        return handle.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().use_index(False)

    builder(first).execute(rows)
    builder(second).execute(rows)
    assert lance.dataset(uri).count_rows("id = 'new'") == 1
    merge(first, "id", rows, replace=True)
    assert lance.dataset(uri).count_rows("id = 'new'") == 1


def test_another_handle_sees_a_commit_within_the_interval(tmp_path):
    writer = Store.create(tmp_path / "db", data.space())
    reader = Store.open(writer.path, read_consistency_seconds=0.3)
    patient = Store.open(writer.path, read_consistency_seconds=3600)
    always = Store.open(writer.path, read_consistency_seconds=0)
    data.write(writer, data.numbered(0, 3))
    assert (writer.count(), always.count()) == (3, 3)
    assert patient.count() == 0  # within the interval, the same version
    time.sleep(0.35)
    assert reader.count() == 3
    assert set(reader.residues(["P0000", "P0002"])) == {"P0000", "P0002"}
    data.write(writer, data.numbered(3, 5))
    assert patient.count() == 0
    patient.refresh()
    time.sleep(0.35)
    assert reader.search(np.ones(data.D), k=9).num_rows == patient.count() == 5


def test_a_delete_does_not_take_residues_that_another_writer_relies_on(tmp_path):
    """A protein of the same sequence is added between the look for orphans and their removal."""
    store, other = (Store.create(tmp_path / "db", data.space(), codec="float16"), Store.open(tmp_path / "db"))
    data.write(store, [data.row("a", "MKV")])
    real = store._newest
    calls = []

    def newest():
        handles = real()
        calls.append(None)
        if len(calls) == 2:  # the handles by which orphans are found are taken: now the other one writes
            data.write(other, [data.row("b", "MKV")])
        return handles

    store._newest = newest
    assert store.delete(ids=["a"]) == 1
    assert len(calls) > 2
    np.testing.assert_allclose(Store.open(store.path).residues(["b"])["b"], data.residues("MKV"), rtol=1e-3, atol=1e-4)


def test_a_writer_puts_back_residues_that_were_deleted_under_it(tmp_path):
    """The other order: a protein is deleted after the writer has seen that its residues are there."""
    store, other = (Store.create(tmp_path / "db", data.space()), Store.open(tmp_path / "db"))
    data.write(store, [data.row("a", "MKV")])

    def meanwhile():
        assert other.delete(ids=["a"]) == 1
        yield from ()

    row = data.row("b", "MKV")
    store.write(protein_table([row], data.residues("MKV")[:1]), meanwhile())
    assert Store.open(store.path).residues(["b"])["b"].shape == (3, data.D)


def test_residues_that_are_added_again_are_not_removed_as_orphans(tmp_path, monkeypatch):
    """A removal that waits for its turn must not take what another writer put there meanwhile."""
    from protvec.store import changes as module

    store, other = (Store.create(tmp_path / "db", data.space()), Store.open(tmp_path / "db"))
    real = module.delete_rows

    def late(*args):
        data.write(other, [data.row("b", "MKV")])
        return real(*args)

    monkeypatch.setattr(module, "delete_rows", late)
    store._drop_orphans([data.digest("MKV")])
    fresh = Store.open(store.path)
    assert fresh.count() == fresh.info()["residue_arrays"]  # both or neither


def test_threads_share_one_store(tmp_path):
    store = Store.create(tmp_path / "db", data.space())
    data.write(store, data.numbered(0, 40))
    stop = threading.Event()

    def read(seed):
        rounds = 0
        while not stop.is_set() or rounds < 3:
            i = f"P{(seed + rounds) % 40:04d}"
            vector = store.get([i], columns=["vector"])["vector"][0].as_py()
            assert store.search(vector, k=1)["id"].to_pylist() == [i]
            assert len(store.residues([i])[i]) == store.known([i])[i].row["length"]
            rounds += 1
        return rounds

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read, seed) for seed in range(4)]
        writers = [pool.submit(data.write, store, data.numbered(100 + 5 * n, 105 + 5 * n)) for n in range(4)]
        for writer in writers:
            writer.result(60)
        stop.set()
        assert all(reader.result(60) >= 3 for reader in readers)
    assert store.count() == 60


def test_compaction_disturbs_no_reader_and_drops_what_is_old(tmp_path):
    store = Store.create(tmp_path / "db", data.space())
    for start in range(0, 60, 5):
        data.write(store, data.numbered(start, start + 5))
    reader = Store.open(store.path, read_consistency_seconds=3600)
    batches = reader.iter_proteins(columns=["id"], batch_size=7)
    seen = next(batches).num_rows
    before = store.residues(["P0003", "P0059"])
    assert len(lance.dataset(f"{store.path}/residues.lance").get_fragments()) == 12

    store.compact()
    assert len(lance.dataset(f"{store.path}/residues.lance").get_fragments()) == 1
    assert seen + sum(batch.num_rows for batch in batches) == 60
    assert reader.count() == 60
    assert reader.residues(["P0003"])["P0003"].shape == before["P0003"].shape
    for identifier, array in store.residues(["P0003", "P0059"]).items():
        np.testing.assert_array_equal(array, before[identifier])

    versions = store.info()["versions"]
    store.compact()  # there is nothing left to do
    assert store.info()["versions"] == versions
    old = store.info()["bytes"]["residues"]["old"]
    time.sleep(0.05)
    store.compact(keep_seconds=0.01)
    assert store.info()["bytes"]["residues"]["old"] < old
    assert Store.open(store.path).count() == 60


def test_what_is_compact_is_not_rewritten(tmp_path, monkeypatch):
    from protvec.store import upkeep

    monkeypatch.setitem(upkeep._ROWS_PER_FRAGMENT, "residues", 20)
    store = Store.create(tmp_path / "db", data.space())
    uri = f"{store.path}/residues.lance"
    data.write(store, data.numbered(0, 20))
    for start in range(20, 30, 2):
        data.write(store, data.numbered(start, start + 2))
    large = lance.dataset(uri).get_fragments()[0].data_files()[0].path
    store.compact()
    fragments = lance.dataset(uri).get_fragments()
    assert len(fragments) == 2
    assert large in [file.path for fragment in fragments for file in fragment.data_files()]


def test_marks_are_made_while_other_threads_read(tmp_path):
    store = Store.create(tmp_path / "db", data.space())
    data.write(store, data.numbered(0, 5))
    expected = store.mark()
    with ThreadPoolExecutor(4) as pool:
        marks = [pool.submit(store.mark) for _ in range(200)]
        reads = [pool.submit(store.get, ["P0001"]) for _ in range(200)]
        assert {mark.result() for mark in marks} == {expected}
        assert {read.result().num_rows for read in reads} == {1}
