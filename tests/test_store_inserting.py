"""Inserting by key at the speed of an append: rows that two processes insert at once are there once in the end."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import lance
import pytest
import store_data as data

from protvec.errors import DatabaseError
from protvec.store import Store, inserting
from protvec.store.filters import brief

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from _crash import examine

TEXTS = ["MKV", "MKVM", "MKVMK"]


def table(store):
    return lance.dataset(f"{store.path}/residues.lance")


def rows_of(store, texts):
    """Rows of ``residues`` as another database has them."""
    other = Store.create(f"{store.path}.other", data.space())
    data.write(other, [data.row(text, text) for text in texts])
    return table(other).to_table(columns=table(store).schema.names).cast(table(store).schema)


def digests(store):
    return sorted(table(store).to_table(columns=["digest"])["digest"].to_pylist())


def test_rows_that_another_inserts_meanwhile_are_there_once(tmp_path):
    store = Store.create(tmp_path / "db", data.space())
    rows = rows_of(store, TEXTS)
    before = table(store)
    first = inserting.insert(before, "digest", rows.slice(0, 2).to_batches())
    second = inserting.insert(before, "digest", rows.slice(1, 2).to_batches())
    assert (first.version, second.version) == (2, 3)
    assert digests(store) == sorted(rows["digest"].to_pylist())
    left = table(store).to_table(columns=["digest"], with_row_address=True)["_rowaddr"].to_pylist()
    assert sorted(left) == [0, 1, (1 << 32) + 1], "the later of the two went"


def test_an_interruption_while_rows_are_made_stays_one(tmp_path):
    store = Store.create(tmp_path / "db", data.space())
    rows = rows_of(store, TEXTS)

    def batches():
        yield rows.slice(0, 1).to_batches()[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inserting.insert(table(store), "digest", batches())
    assert digests(store) == []


@pytest.mark.parametrize(
    "text", ["KeyboardInterrupt: ", "External error: KeyboardInterrupt", "I/O: KeyboardInterrupt: \n"]
)
def test_an_interruption_that_lance_has_wrapped_goes_on_as_one(text):
    with pytest.raises(KeyboardInterrupt):
        brief(OSError(text))
    assert "no field" in brief(OSError("no field named KeyboardInterrupt")).lower()


@pytest.fixture
def doubled(tmp_path, monkeypatch):
    """A database as a kill leaves it between an append and a look at what others have appended, and its rows."""
    store = Store.create(tmp_path / "db", data.space())
    rows = rows_of(store, TEXTS)
    before = table(store)
    with monkeypatch.context() as patch:
        patch.setattr(inserting, "remove_doubled", lambda *_: 0)
        for _ in range(2):
            inserting.insert(before, "digest", rows.to_batches())
    assert len(digests(store)) == 6
    return store, rows


def test_what_a_kill_left_twice_is_once_after_the_next_sweep(doubled):
    store, rows = doubled
    data.write(store, [data.row(text, text) for text in TEXTS])
    assert {each.id for each in store.iter_residues()} == set(TEXTS), "a reader does not mind"
    assert len(list(store.iter_residues())) == 3
    assert set(store.residues(TEXTS)) == set(TEXTS)
    store.sweep()
    assert digests(store) == sorted(rows["digest"].to_pylist())
    assert examine(store.path).faults == []


def test_two_that_remove_what_is_doubled_remove_the_same(doubled):
    store, rows = doubled
    keys = rows["digest"].to_pylist()
    one, other = table(store), table(store)
    assert inserting.remove_doubled(one, "digest", keys) == 3
    assert inserting.remove_doubled(other, "digest", keys) == 0
    assert digests(store) == sorted(keys)


def test_an_error_of_what_is_inserted_comes_through_and_leaves_no_file(tmp_path):
    store = Store.create(tmp_path / "db", data.space())
    rows = rows_of(store, TEXTS)

    def batches():
        yield from rows.slice(0, 2).to_batches()
        raise DatabaseError("no such luck")

    with pytest.raises(DatabaseError, match="no such luck"):
        inserting.insert(table(store), "digest", batches())
    assert table(store).version == 1
    assert not list(Path(store.path, "residues.lance", "data").glob("*"))


def test_nothing_to_insert_makes_no_version(tmp_path):
    store = Store.create(tmp_path / "db", data.space())
    assert inserting.insert(table(store), "digest", rows_of(store, ["MKV"]).slice(0, 0).to_batches()) is None
    assert table(store).version == 1


@pytest.mark.parametrize("name", ["proteins", "residues"])
def test_half_written_files_go_once_nobody_can_be_writing_them(tmp_path, name):
    store = Store.create(tmp_path / "db", data.space())
    data.write(store, data.numbered(0, 2))
    folder = Path(store.path, f"{name}.lance", "data")
    young, old = folder / ".tmpAbCdEf", folder / ".tmpGhIjKl"
    for file in (young, old):
        file.write_bytes(b"half")
    os.utime(old, (0, time.time() - 2 * 3600))
    store.sweep()
    assert young.exists()
    assert not old.exists()
    assert store.count() == 2
