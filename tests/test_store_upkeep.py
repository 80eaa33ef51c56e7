"""Small ingests do not pile up, compact data is not rewritten, and nobody is hurt by it."""

from __future__ import annotations

import threading
import time

import lance
import pytest
import store_data as data

from protvec.store import Store, bytes_per_residue, bytes_per_sequence, upkeep


def fragments(store, table="residues"):
    return [each.count_rows() for each in lance.dataset(f"{store.path}/{table}.lance").get_fragments()]


def files(store, table="residues"):
    there = lance.dataset(f"{store.path}/{table}.lance").get_fragments()
    return {file.path for each in there for file in each.data_files()}


@pytest.fixture
def small(monkeypatch):
    """Compact from 32 rows on, joined in sizes of 2, 4 and 32."""
    monkeypatch.setattr(upkeep, "_ROWS_PER_FRAGMENT", dict.fromkeys(upkeep._ROWS_PER_FRAGMENT, 32))
    monkeypatch.setattr(upkeep, "_SIZES", ((8, 4), (1, 8)))


def test_many_small_writes_stay_few_fragments_and_are_rewritten_seldom(tmp_path, small, monkeypatch):
    rewritten = []
    join = upkeep._join
    monkeypatch.setattr(upkeep, "_join", lambda *a, **k: rewritten.append(join(*a, **k)))
    store = Store.create(tmp_path / "db", data.space())
    for i in range(45):
        data.write(store, data.numbered(i, i + 1))
        store.maintain()
    for table in ("proteins", "residues"):
        assert len(fragments(store, table)) <= 2 + 4 + 8
        assert sum(fragments(store, table)) == 45
    assert len(rewritten) <= 3 * 45 / 4 + 6, "of each table: every fourth write, and every 32nd"
    assert store.count() == len(list(store.iter_residues())) == 45


def test_what_is_compact_stays_as_it_is(tmp_path, small):
    store = Store.create(tmp_path / "db", data.space())
    data.write(store, data.numbered(0, 32))
    compact = files(store)
    for i in range(32, 60):
        data.write(store, data.numbered(i, i + 1))
        store.maintain()
    store.compact()
    assert compact < files(store)
    there = files(store)
    store.compact()
    store.maintain()
    assert files(store) == there


def test_nothing_to_do_makes_no_version(tmp_path):
    store = Store.create(tmp_path / "db", data.space())
    data.write(store, data.numbered(0, 9))
    before = store.info()["versions"]
    store.maintain()
    assert store.info()["versions"] == before


def test_deleted_rows_go(tmp_path):
    store = Store.create(tmp_path / "db", data.space())
    data.write(store, data.numbered(0, 40))
    store.delete(ids=[f"P{i:04d}" for i in range(8)])
    assert any(f.metadata.num_deletions for f in lance.dataset(f"{store.path}/residues.lance").get_fragments())
    store.maintain()
    assert not any(f.metadata.num_deletions for f in lance.dataset(f"{store.path}/residues.lance").get_fragments())
    assert store.count() == 32


def test_a_residue_takes_what_its_codec_says(tmp_path):
    """After many small writes, within 2% and Lance's own few kilobytes."""
    dimension = 512
    store = Store.create(tmp_path / "db", data.space(dimension=dimension))
    rows = data.numbered(0, 40)
    for row in rows:
        data.write(store, [row])
        store.maintain()
    time.sleep(0.01)
    store.compact(keep_seconds=0.0)
    own = sum(
        len(row["sequence"]) * bytes_per_residue(store.codec, dimension) + bytes_per_sequence(store.codec, dimension)
        for row in rows
    )
    assert store.info()["bytes"]["residues"]["total"] < own * 1.02 + 8000


def test_old_versions_go_by_themselves_but_not_young_ones_nor_snapshots(tmp_path, monkeypatch):
    store = Store.create(tmp_path / "db", data.space())
    data.write(store, data.numbered(0, 2))
    store.snapshot("first")
    for i in range(2, 12):
        data.write(store, data.numbered(i, i + 1))
    store.maintain()
    versions = len(lance.dataset(f"{store.path}/residues.lance").versions())
    assert versions > 10, "none is an hour old"
    monkeypatch.setattr(upkeep, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(upkeep, "_VERSIONS", 16)
    store = Store.open(store.path)
    for i in range(12, 30):
        data.write(store, data.numbered(i, i + 1))
        store.maintain()
    assert len(lance.dataset(f"{store.path}/residues.lance").versions()) < versions
    assert Store.open(store.path, at="first").count() == 2
    assert len(Store.open(store.path, at="first").residues(["P0000", "P0001"])) == 2


def test_writers_beside_compactions_do_not_fail(tmp_path, small):
    path = Store.create(tmp_path / "db", data.space()).path
    problems = []

    def write(start):
        try:
            store = Store.open(path)
            for i in range(start, start + 12):
                data.write(store, data.numbered(i, i + 2))  # the second is written again by the next
                store.maintain()
        except Exception as error:
            problems.append(error)

    writers = [threading.Thread(target=write, args=[start]) for start in (0, 20)]
    for writer in writers:
        writer.start()
    store = Store.open(path)
    while any(writer.is_alive() for writer in writers):
        store.compact()
    assert problems == []
    assert store.count() == 26
    assert len(list(store.iter_residues())) == 26
