"""Indexes: built, tuned, followed, extended and dropped; what they answer, and what they say about it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import store_data as data

import protvec
from protvec import Database
from protvec.cli import console, options
from protvec.cli.app import run
from protvec.errors import FilterError, QueryError
from protvec.store import Store, protein_table
from protvec.store.index import indexing, vectors
from protvec.store.index.record import indexes_of
from protvec.store.memory import bytes_needed, passing

if TYPE_CHECKING:
    from numpy.typing import NDArray

rng = np.random.default_rng(3)
CENTRES = rng.standard_normal((30, data.D)) * 2


def matrix(count: int, seed: int) -> NDArray[np.float32]:
    draw = np.random.default_rng(seed)
    return (4 + CENTRES[draw.integers(0, 30, count)] + draw.standard_normal((count, data.D))).astype(np.float32)


def put(store: Store, start: int, stop: int, seed: int = 0) -> None:
    rows = [data.row(f"P{i:05d}", data.sequence(i), taxid=i % 7, dataset="ab"[i % 2]) for i in range(start, stop)]
    store.write(protein_table(rows, matrix(stop - start, start + seed)), ())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,500 proteins without an index. Not to be changed."""
    store = Store.create(tmp_path_factory.mktemp("index") / "db", data.space(), codec="none")
    put(store, 0, 2500)
    return Path(store.path)


@pytest.fixture
def db(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database that an index has some dozens of partitions of."""
    monkeypatch.setattr(vectors, "_PARTITION_ROWS", 64)
    monkeypatch.setattr(indexing, "SCALAR_ROWS", 1000)
    shutil.copytree(made, tmp_path / "db")
    return Database(Store.open(tmp_path / "db"))


def recall(db: Database, exact: Database, **given: object) -> float:
    shares, queries = [], matrix(40, 99)
    for query, nearest in zip(queries, exact.search_vectors(queries, k=10, columns=[], **given), strict=True):
        found, true = set(db.search_vector(query, k=10, columns=[], **given).ids), set(nearest.ids)
        shares.append(len(found & true) / len(true))
    return float(np.mean(shares))


@pytest.mark.parametrize("kind", ["ivf_flat", "ivf_sq"])
def test_an_index_finds_what_it_says_and_says_what_it_is(db: Database, kind: str) -> None:
    exact = Database(db.store.pinned())
    before = exact.search_vector(matrix(1, 5)[0], k=5)
    assert before.index.exact
    built = db.index(kind, target_recall=0.95)
    assert {each.column for each in built} == {"vector", "id", "length", "digest", "taxid", "organism", "dataset"}
    (ours,) = [each for each in built if each.column == "vector"]
    assert (ours.kind, ours.indexed, ours.pending, ours.target) == (kind, 2500, 0, 0.95)
    hits = db.search_vector(matrix(1, 5)[0], k=5)
    how = hits.index
    assert (how.kind, how.exact, how.indexed, how.pending) == (kind, False, 2500, 0)
    assert how.recall == ours.recall
    assert how.recall is not None
    assert how.recall >= 0.95
    assert kind in str(how)
    assert "measured on this database" in str(how)
    true = dict(zip(before.ids, before.scores, strict=True))
    both = {id: score for id, score in zip(hits.ids, hits.scores, strict=True) if id in true}
    assert len(both) >= 3
    assert both == pytest.approx({id: true[id] for id in both}, abs=1e-12)  # one scale, whatever the index
    assert recall(db, exact) >= 0.85
    assert recall(db, exact, where="taxid = 3") >= 0.85
    assert recall(db, exact, where="taxid = 3 AND dataset = 'a' AND id < 'P00500'") >= 0.85


@pytest.mark.parametrize("kept_in_memory", [True, False])
@pytest.mark.parametrize("kind", ["ivf_flat", "ivf_sq"])
def test_a_condition_of_any_selectivity_is_met_as_well_as_none(
    db: Database, kind: str, kept_in_memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = Database(db.store.pinned())
    db.index(kind, target_recall=0.97)
    if not kept_in_memory:
        db.store.search_memory = 0
        monkeypatch.setattr(passing, "_FEW", 30)  # and the index finds the others
    for percent in (0.1, 1, 10, 50, 100):
        count = round(25 * percent)  # of 2,500
        where = f"id < 'P{count:05d}'"
        how = db.search_vector(matrix(1, 5)[0], k=10, where=where).index
        assert how.meeting == count
        assert how.exact == (kept_in_memory or count <= 30)
        assert ("meet the condition, not by the index" in str(how)) == how.exact
        assert recall(db, exact, where=where) >= (1.0 if how.exact else 0.9)  # of 40 queries, and k-means is random
    assert db.search_vector(matrix(1, 5)[0], k=10).index.meeting is None
    assert len(db.search_vector(matrix(1, 5)[0], k=20, where="id < 'P00012'")) == 12
    assert len(db.search_vector(matrix(1, 5)[0], k=20, where="id < 'A'")) == 0
    with pytest.raises(FilterError, match="no column"):
        db.search_vector(matrix(1, 5)[0], where="colour = 'red'")


def test_a_condition_follows_what_is_written_beside_an_index(db: Database) -> None:
    db.index("ivf_sq")
    query = matrix(1, 5)[0]
    before = db.search_vector(query, k=5, where="taxid = 3").ids
    db.delete(before[:1])
    assert db.search_vector(query, k=4, where="taxid = 3").ids == before[1:]
    many = list(db.search_vectors([query] * 9, k=4, where="taxid = 3"))  # by a product of matrices
    assert [hits.ids for hits in many] == [before[1:]] * 9
    put(db.store, 7003, 7004)
    vector = db.get("P07003").vector
    assert db.search_vector(vector, k=1, where="taxid = 3").ids == ["P07003"]


def test_a_condition_that_is_asked_again_and_again_is_compared_in_bytes(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing, "_ROUNDED_ROWS", 100)
    exact = Database(db.store.pinned())
    db.index("ivf_sq")
    for query in matrix(8, 5):
        ours = db.search_vector(query, k=20, where="taxid < 5")
        theirs = exact.search_vector(query, k=20, where="taxid < 5")
        assert (ours.ids, ours.scores) == (theirs.ids, theirs.scores)
    (known,) = db.store._passing._known.values()
    assert known.codes is not None


def test_conditions_are_forgotten_before_they_fill_the_memory(db: Database) -> None:
    db.index("ivf_sq")
    db.store.search_memory = 2 * bytes_needed(400, data.D)
    for taxid in range(7):
        db.search_vector(matrix(1, 5)[0], where=f"taxid = {taxid}")
    known = db.store._passing._known
    assert sum(len(each.rows) for each in known.values() if each.rows is not None) <= 400
    assert db.search_vector(matrix(1, 5)[0], where="taxid = 6").index.exact


def test_rows_that_are_not_indexed_yet_are_found(db: Database) -> None:
    db.index("ivf_sq")
    put(db.store, 3000, 3040)
    table = db.store.get(["P03007"])
    hits = db.search_vector(np.array(table["vector"].to_pylist()[0]), k=3)
    assert hits.ids[0] == "P03007"
    assert (hits.index.indexed, hits.index.pending) == (2500, 40)
    assert "40 not yet indexed" in str(hits.index)
    db.delete(["P03007"])
    assert "P03007" not in db.search_vector(np.array(table["vector"].to_pylist()[0]), k=50).ids
    db.delete(where="id < 'P00100'")  # rows that are gone are none that lack
    hits = db.search_vector(np.array(table["vector"].to_pylist()[0]), k=3)
    assert (hits.index.indexed, hits.index.pending) == (2400, 39)
    assert {(each.indexed, each.pending) for each in db.indexes()} == {(2400, 39)}


def test_what_falls_behind_is_extended_and_survives_a_compaction(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "_BEHIND_ROWS", 30)
    db.index("ivf_flat")
    said: list[str] = []
    put(db.store, 3000, 3020)
    db.store.keep_indexes(said.append)
    assert said == []  # it does not pay yet
    put(db.store, 3020, 3400)
    db.store.keep_indexes(said.append)
    assert said == ["adding the new proteins to the indexes"]
    assert {each.pending for each in db.indexes()} == {0}
    db.compact()
    assert db.search_vector(matrix(1, 2)[0], k=4).index.kind == "ivf_flat"


def test_dropped_indexes_stay_away(db: Database) -> None:
    db.index("ivf_sq")
    assert db.drop_indexes() == 7
    assert db.indexes() == []
    assert db.search_vector(matrix(1, 1)[0]).index.exact
    db.store.search_memory = 0  # even where one would pay
    db.store.keep_indexes()
    assert db.indexes() == []


def test_an_index_is_built_by_itself_where_vectors_do_not_fit(db: Database) -> None:
    db.store.keep_indexes()
    assert db.indexes() == []
    db.store.search_memory = 1000
    said: list[str] = []
    db.store.keep_indexes(said.append)
    assert [each.kind for each in db.indexes() if each.column == "vector"] == ["ivf_sq"]
    assert "2,500 vectors (ivf_sq)" in "\n".join(said)
    other = Store.open(db.path, search_memory=1000)
    assert not other.find(matrix(2, 1)).how.exact


def test_memory_for_searches_is_an_option(db: Database, capsys: pytest.CaptureFixture[str]) -> None:
    ask = ["search", "--db", db.path, "--id", "P00001", "--explain", "-k", "2"]
    assert run(["index", "--db", db.path, "--search-memory", "10k"]) == 0
    assert "2,500 vectors (ivf_sq)" in capsys.readouterr().err
    assert run([*ask, "--search-memory", "0"]) == 0
    assert "approximate: ivf_sq" in capsys.readouterr().err
    small, large = protvec.open(db.path, search_memory=10_000), protvec.open(db.path, search_memory=1 << 30)
    for _ in range(2):
        assert not small.search_id("P00001").index.exact
        answer = large.search_id("P00001")
    assert answer.index.exact  # an index that was not asked for gives way where the vectors fit
    assert run([*ask, "--search-memory", "much"]) == 2
    assert "say 6G or 512M" in capsys.readouterr().err
    with pytest.raises(QueryError, match="at least 0"):
        protvec.open(db.path, search_memory=-1)


@pytest.mark.parametrize(
    ("text", "number"), [("6G", 6 * 10**9), ("1.5 GiB", 3 << 29), ("0", 0), ("512mb", 512 * 10**6)]
)
def test_sizes_are_read_as_they_are_written(text: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.state, "search_memory", None)
    options._set_search_memory(text)
    assert console.state.search_memory == number


def test_ingests_go_on_with_indexes_on_the_key(db: Database) -> None:
    db.index("ivf_flat")
    put(db.store, 2400, 2600, seed=1)  # half of them are known
    assert len(db) == 2600
    assert len(db.store.known([f"P{i:05d}" for i in range(2400, 2600)])) == 200
    assert db.store.count("id = 'P02450'") == 1
    vector = db.get("P02450").vector
    assert np.array_equal(vector, matrix(200, 2401)[50])
    assert db.search_vector(vector, k=1).ids == ["P02450"]


def test_what_cannot_be_built(db: Database, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="no index 'hnsw'"):
        db.index("hnsw")
    with pytest.raises(QueryError, match="recall"):
        db.index(target_recall=0)
    with pytest.raises(QueryError, match="recall"):
        db.index(target_recall=1.5)
    empty = Database(Store.create(tmp_path / "empty", data.space(), codec="none"))
    assert empty.index("ivf_sq") == []


def test_the_command(db: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index", "--db", db.path, "--json", "--kind", "ivf_sq", "--target-recall", "0.9"]) == 0
    said = capsys.readouterr()
    (ours,) = [each for each in json.loads(said.out)["indexes"] if each["column"] == "vector"]
    assert ours["recall"] >= 0.9
    assert "measured on this database" in said.err
    assert run(["index", "--db", db.path]) == 0  # auto: they fit the memory
    said = capsys.readouterr()
    assert "id\tbtree\t2,500 proteins indexed" in said.out
    assert "every search is exact" in said.err
    assert run(["check", "--db", db.path]) == 0
    assert run(["index", "--db", db.path, "--drop"]) == 0
    assert "6 indexes removed" in capsys.readouterr().err
    assert indexes_of(db.store.handles()[0]) == []
    assert run(["index", "--db", db.path, "--drop", "--kind", "ivf_sq"]) == 2
