"""Many queries at once: vectors, every protein, one database against another. The same as one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import store_data as data

from protvec import Database
from protvec.errors import FilterError, QueryError, SpaceMismatchError
from protvec.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from protvec import Hits

rng = np.random.default_rng(7)


def make(path: Path, ids: Iterable[str], **space: object) -> Database:
    store = Store.create(path, data.space(**space), codec="none")
    # Sequences repeat, so that there are ties; ids are not in the order of the rows.
    rows = [data.row(name, data.sequence(i % 40), dataset="ab"[i % 2]) for i, name in enumerate(ids)]
    data.write(store, rows)
    return Database(store)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return make(tmp_path_factory.mktemp("many") / "db", (f"P{(i * 37) % 300:03d}" for i in range(300)))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return make(tmp_path_factory.mktemp("many") / "other", (f"Q{i}" for i in range(50)))


def plain(answers: Iterable[Hits]) -> list[list[dict[str, object]]]:
    return [hits.to_dicts() for hits in answers]


def test_many_vectors_are_answered_as_one_by_one(db: Database) -> None:
    vectors = rng.standard_normal((600, data.D), dtype=np.float32)
    names = [f"q{i}" for i in range(len(vectors))]
    options = {"k": 7, "where": "dataset = 'a'", "min_score": 0.2, "columns": ["length", "dataset"]}
    answers = list(db.search_vectors(iter(vectors), names=iter(names), **options))
    assert [hits.query for hits in answers] == names
    picked = range(0, 600, 23)
    assert plain(answers[i] for i in picked) == plain(
        db.search_vector(vectors[i], query=names[i], **options) for i in picked
    )
    assert {len(hits) for hits in answers} > {7}  # min_score leaves some with fewer


def test_vectors_without_names_are_numbered(db: Database) -> None:
    answers = db.search_vectors(rng.standard_normal((300, data.D)), k=1)
    assert [hits.query for hits in answers][254:258] == ["vector 255", "vector 256", "vector 257", "vector 258"]
    assert list(db.search_vectors(np.empty((0, data.D)))) == []


@pytest.mark.parametrize(
    "search",
    [
        lambda empty, db: empty.search("MKV"),
        lambda empty, db: empty.search_many(["MKV"]),
        lambda empty, db: empty.search_id("P000"),
        lambda empty, db: empty.search_vector(np.ones(data.D)),
        lambda empty, db: empty.search_vectors(np.ones((2, data.D))),
        lambda empty, db: empty.search_like(["P000"]),
        lambda empty, db: empty.search_text("P000"),
        lambda empty, db: empty.search_all(),
        lambda empty, db: empty.search_against(db),
        lambda empty, db: db.search_against(empty),
    ],
)
def test_a_database_without_proteins_answers_nothing(tmp_path: Path, db: Database, search: Any) -> None:
    empty = Database(Store.create(tmp_path / "empty", data.space(), codec="none"))
    with pytest.raises(QueryError, match="empty holds no proteins yet"):
        search(empty, db)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 1.5}, "k is 1.5; it must be a whole number"),
        ({"k": None}, "k is None; it must be a whole number"),
        ({"columns": "length"}, r"give a list of names, as \['length'\]"),
    ],
)
def test_options_of_another_kind(db: Database, options: dict[str, Any], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        db.search_id("P000", **options)
    assert len(db.search_id("P000", k=np.int64(3))) == 3


def test_a_protein_is_left_out_for_each_vector(db: Database) -> None:
    ids = ["P003", "P120", "P299"]
    vectors = [db.get(each).vector for each in ids]
    answers = list(db.search_vectors(vectors, names=ids, k=5, exclude=["P003", None, "nobody"]))
    assert plain(answers) == plain(
        [db.search_id("P003", k=5, exclude_self=True), db.search_id("P120", k=5), db.search_id("P299", k=5)]
    )
    assert [hit.rank for hit in answers[0]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"], []])
def test_there_must_be_a_name_for_each_vector(db: Database, names: list[str]) -> None:
    with pytest.raises(QueryError, match="name"):
        list(db.search_vectors(np.ones((2, data.D)), names=names))


def test_every_protein_against_all(db: Database) -> None:
    answers = list(db.search_all(k=4))
    assert [hits.query for hits in answers] == sorted(f"P{i:03d}" for i in range(300))
    assert all(hits.query not in hits.ids and len(hits) == 4 for hits in answers)
    for hits in answers[::41]:
        assert hits.to_dicts() == db.search_id(hits.query, k=4, exclude_self=True).to_dicts()
    assert all(len(hits) == 299 for hits in db.search_all(k=1000))
    assert next(db.search_all(k=1, include_self=True)).scores == [1.0]


def test_every_protein_of_a_condition_from_where_a_run_stopped(db: Database) -> None:
    whole = plain(db.search_all(k=3, where="dataset = 'b'", query_where="dataset = 'a'"))
    queries = [rows[0]["query"] for rows in whole]
    assert len(queries) == 150
    rest = plain(db.search_all(k=3, where="dataset = 'b'", query_where="dataset = 'a'", after=str(queries[99])))
    assert rest == whole[100:]
    assert list(db.search_all(query_where="length < 0")) == []


def test_one_database_against_another(db: Database, other: Database) -> None:
    answers = list(other.search_against(db, k=2, where="dataset = 'a'"))
    assert [hits.query for hits in answers] == sorted(f"Q{i}" for i in range(50))
    for hits in answers[::7]:
        vector = other.get(hits.query).vector
        assert hits.to_dicts() == db.search_vector(vector, query=hits.query, k=2, where="dataset = 'a'").to_dicts()


def test_databases_of_two_models_are_not_compared(db: Database, tmp_path: Path) -> None:
    stranger = make(tmp_path / "stranger", ["X"], weights="cd" * 32)
    with pytest.raises(SpaceMismatchError):
        db.search_against(stranger)


def test_every_answer_says_how_it_was_found(db: Database) -> None:
    how = db.search_id("P000").index
    assert (how.kind, how.exact, how.recall, how.indexed, how.pending) == ("exact", True, None, 300, 0)
    assert str(how) == "exact: compared with all of 300 vectors"


def test_settings_are_looked_at_before_the_first_answer(db: Database) -> None:
    with pytest.raises(QueryError, match="k is 0"):
        db.search_vectors([np.ones(data.D)], k=0)
    with pytest.raises(FilterError, match="nonsense"):
        db.search_all(where="nonsense = 1")
    with pytest.raises(FilterError, match="nonsense"):
        db.search_all(query_where="nonsense = 1")
    with pytest.raises(QueryError, match="lowest score"):
        db.search_against(db, min_score=2)
    with pytest.raises(FilterError, match="colour"):
        db.search_all(columns=["colour"])


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        ([np.ones(data.D), np.ones(data.D + 1)], "not a query vector|shape"),
        (np.ones((3, data.D - 1)), r"\(15,\)"),
        ([np.ones(data.D), np.zeros(data.D)], "zero"),
        ([np.full(data.D, np.nan)], "not finite"),
        (["word"], "query vector"),
    ],
)
def test_vectors_that_cannot_be_compared(db: Database, vectors: list[object], said: str) -> None:
    with pytest.raises(QueryError, match=said):
        list(db.search_vectors(vectors))
