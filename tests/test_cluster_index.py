"""An index built in parts: it finds what one built as one finds, whatever is written meanwhile."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import store_data as data
from test_store_index import matrix, put

from protvec import Database
from protvec.cli.app import run
from protvec.errors import DatabaseError
from protvec.store import IndexPart, Store, build_part
from protvec.store.index import vectors
from protvec.store.index.record import VECTOR_INDEX
from protvec.store.sweep import remove_unfinished_indexes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protvec.store import BuiltPart

COUNT, PART = 1500, 250


class Here:
    """Workers of this process; something may happen before the first part."""

    def __init__(self, before: Callable[[], object] = lambda: None, count: int = 2) -> None:
        self._before, self.count = before, count
        self.asked: list[IndexPart] = []

    def build(self, parts: Sequence[IndexPart], centres: Any) -> list[BuiltPart]:
        made = [build_part(part, centres) for part in parts]
        if not self.asked:
            self._before()
        self.asked += parts
        return made


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database of six fragments, and some dozens of partitions."""
    monkeypatch.setattr(vectors, "_PARTITION_ROWS", 64)
    monkeypatch.setattr(vectors, "_SAMPLE", 40)
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    for start in range(0, COUNT, PART):
        put(store, start, start + PART)
    return Database(store)


def recall(db: Database, exact: Database, **given: object) -> float:
    shares = []
    for query in matrix(20, 99):
        found = db.search_vector(query, k=10, columns=[], **given).ids
        assert len(set(found)) == len(found)
        shares.append(len(set(found) & set(exact.search_vector(query, k=10, columns=[], **given).ids)) / 10)
    return float(np.mean(shares))


def segments(db: Database) -> list[set[int]]:
    """The fragments of each part of the index of vectors."""
    described = Store.open(db.path).handles()[0].describe_indices()
    return [set(part.fragment_ids) for each in described if each.name == VECTOR_INDEX for part in each.segments]


def ours(db: Database) -> Any:
    (found,) = [each for each in Store.open(db.path).indexes() if each.name == VECTOR_INDEX]
    return found


# -- parts, without Ray --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ivf_flat", "ivf_sq"])
def test_parts_find_what_one_index_finds(db: Database, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = Database(db.store.pinned())
    db.index("ivf_flat" if kind == "ivf_sq" else "ivf_sq")  # another one, which is replaced
    before = db.store.handles()[0].version
    db.store.index(kind, target_recall=0.95, workers=Here())
    newest = Store.open(db.path).handles()[0]
    for version in range(before, newest.version + 1):  # none is without one of the two
        kinds = {str(each.index_type).lower() for each in newest.checkout_version(version).describe_indices()}
        assert kinds in ({"ivf_flat"}, {"ivf_sq"}), version
    assert sorted(map(len, segments(db))) == [1, 1, 2, 2]
    assert (ours(db).kind, ours(db).indexed, ours(db).pending) == (kind, COUNT, 0)
    assert ours(db).recall >= 0.95
    assert recall(db, exact) >= 0.85
    monkeypatch.setattr(db.store, "search_memory", 0)
    assert recall(db, exact, where="taxid = 3") >= 0.85
    assert run(["check", "--db", db.path]) == 0


def test_what_is_written_meanwhile_is_found(db: Database) -> None:
    gone = ["P00001", "P01499"]

    def write() -> None:
        put(db.store, 5000, 5040)
        db.delete(gone)
        put(db.store, 700, 710, seed=9)  # known: their vectors are replaced

    workers = Here(write)
    db.store.index("ivf_sq", workers=workers)
    assert len(workers.asked) == 4
    assert (ours(db).indexed, ours(db).pending) == (COUNT - 12, 50)
    for new in ("P05007", "P00707"):
        assert db.search_vector(db.get(new).vector, k=1).ids == [new]
    assert recall(db, Database(db.store.pinned())) >= 0.85
    for id, seed in zip(gone, (0, COUNT - PART), strict=True):
        assert id not in db.search_vector(matrix(PART, seed)[int(id[1:]) - seed], k=20).ids


def test_fragments_that_are_compacted_meanwhile_are_built_again(db: Database) -> None:
    exact = Database(db.store.pinned())
    workers = Here(db.compact)
    db.store.index("ivf_sq", workers=workers)
    assert len(workers.asked) > 4
    there = {each.fragment_id for each in Store.open(db.path).handles()[0].get_fragments()}
    assert set().union(*segments(db)) == there
    assert (ours(db).indexed, ours(db).pending) == (COUNT, 0)
    assert recall(db, exact) >= 0.85


class Elsewhere(Here):
    """Workers that saw other files of the first fragment, as if its vectors had been written again since."""

    def build(self, parts: Sequence[IndexPart], centres: Any) -> list[BuiltPart]:
        made = super().build(parts, centres)
        return [
            replace(part, files={each: part.files[each] if each else ("other",) for each in part.files})
            for part in made
        ]


def test_a_fragment_whose_vectors_are_replaced_meanwhile_is_compared_one_by_one(db: Database) -> None:
    workers = Elsewhere()
    db.store.index("ivf_sq", workers=workers)
    assert [part.fragments for part in workers.asked[4:]] == [(0,), (0,)]  # tried again
    covered = segments(db)
    assert set().union(*covered) == set(range(1, 6))
    assert (ours(db).indexed, ours(db).pending) == (COUNT - PART, PART)
    exact = Database(db.store.pinned())
    assert recall(db, exact) >= 0.85
    folder = Path(db.path, "proteins.lance", "_indices")  # what was built in vain lies there until it is swept
    assert len(list(folder.iterdir())) == len(covered) + 3
    then = time.time() - 7200
    for each in [*folder.iterdir(), *folder.glob("*/*")]:
        os.utime(each, (then, then))
    assert remove_unfinished_indexes(db.store.handles()[0]) == 3
    assert recall(db, exact) >= 0.85


def test_a_part_that_is_swept_before_the_commit_is_built_again(db: Database) -> None:
    folder = Path(db.path, "proteins.lance", "_indices")
    workers = Here(lambda: shutil.rmtree(next(folder.iterdir())))
    db.store.index("ivf_flat", workers=workers)
    assert len(workers.asked) > 4
    assert (ours(db).indexed, ours(db).pending) == (COUNT, 0)
    assert recall(db, Database(db.store.pinned())) >= 0.85


def test_an_index_in_parts_follows_and_is_extended(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from protvec.store.index import indexing

    monkeypatch.setattr(indexing, "_BEHIND_ROWS", 30)
    db.store.index("ivf_sq", workers=Here())
    for start in range(5000, 5900, 300):
        put(db.store, start, start + 300)
        db.store.keep_indexes()
    assert ours(db).pending == 0
    db.compact()
    assert ours(db).pending == 0
    assert recall(db, Database(db.store.pinned())) >= 0.85
    assert db.drop_indexes() == 1


def test_a_machine_that_does_not_see_the_database(db: Database) -> None:
    part = IndexPart(
        uri="/not/here/proteins.lance", storage=None, version=1, column="vector", kind="ivf_sq", fragments=(0,), rows=1
    )
    with pytest.raises(DatabaseError, match=r"does not see /not/here/.* put the database on a file system"):
        build_part(part, np.ones((1, data.D), np.float32))
