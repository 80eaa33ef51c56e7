from __future__ import annotations

import numpy as np
import pytest
import store_data as data
from hypothesis import given, settings
from hypothesis import strategies as st

from protvec.errors import FilterError, QueryError
from protvec.store import Store, made, protein_reader, protein_table

N = 300


def oracle(vectors, ids, query, k):
    """Ids and cosines by the definition, in float64; equal cosines by id."""
    wide = vectors.astype(np.float64)
    scores = [float(v @ query / np.linalg.norm(v) / np.linalg.norm(query)) for v in wide]
    order = sorted(range(len(ids)), key=lambda i: (-round(scores[i], 12), ids[i]))
    return [(ids[i], scores[i]) for i in order[:k]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """300 proteins, 40 of them with one and the same vector, as identical sequences have."""
    store = Store.create(tmp_path_factory.mktemp("search") / "db", data.space(), codec="none")
    rng = np.random.default_rng(1)
    vectors = (rng.standard_normal((N, data.D)) + 2).astype(np.float32)
    vectors[100:140] = vectors[100]
    vectors[140:150] = vectors[100] * 2  # the same direction
    order = rng.permutation(N)
    rows = [
        data.row(f"P{i:04d}", data.sequence(i), organism="even" if i % 2 == 0 else "odd", length=i) for i in range(N)
    ]
    for part in np.array_split(order, 3):
        store.write(protein_table([rows[i] for i in part], vectors[part]), [])
    return store, vectors, [row["id"] for row in rows]


def found(table):
    return list(zip(table["id"].to_pylist(), table["score"].to_pylist(), strict=True))


def assert_same(table, expected):
    assert [i for i, _ in found(table)] == [i for i, _ in expected]
    np.testing.assert_allclose([s for _, s in found(table)], [s for _, s in expected], rtol=0, atol=1e-12)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), k=st.integers(1, N + 5), scale=st.sampled_from([1e-3, 1.0, 1e4]))
def test_equal_to_numpy_in_order_and_score(filled, seed, k, scale):
    store, vectors, ids = filled
    query = ((np.random.default_rng(seed).standard_normal(data.D) + 1) * scale).astype(np.float32)
    assert_same(store.search(query, k=k), oracle(vectors, ids, query.astype(np.float64), k))


@pytest.mark.parametrize("k", [1, 5, 39, 50, 51])
def test_ties_at_the_cut_off_go_by_id(filled, k):
    store, vectors, _ = filled
    table = store.search(vectors[100], k=k, columns=["id"])
    tied = [f"P{i:04d}" for i in range(100, 150)]
    assert table["id"].to_pylist()[:50] == tied[:k]
    assert table["score"].to_pylist()[: min(k, 50)] == pytest.approx([1.0] * min(k, 50), abs=1e-12)


def test_a_filter_comes_before_the_ranking(filled):
    store, vectors, ids = filled
    odd = list(range(1, N, 2))
    expected = oracle(vectors[odd], [ids[i] for i in odd], vectors[4].astype(np.float64), 10)
    assert_same(store.search(vectors[4], k=10, where="organism = 'odd'"), expected)
    assert store.search(vectors[4], where="organism = 'neither'").num_rows == 0


def test_many_are_the_same_as_one_by_one(filled):
    store, vectors, _ = filled
    queries = vectors[:150]
    tables = list(store.search_many(queries, k=7, where="id > 'P0050'"))
    assert len(tables) == 150
    assert tables[0].schema == store.search(queries[0], k=7, where="id > 'P0050'").schema
    for query, table in zip(queries, tables, strict=True):
        assert table.equals(store.search(query, k=7, where="id > 'P0050'"))
    assert list(store.search_many([])) == []


def test_columns(filled):
    store, vectors, _ = filled
    assert store.search(vectors[0]).column_names == [
        *("id", "length", "gene", "organism", "description", "dataset"),
        "score",
    ]
    assert store.search(vectors[0], columns=["taxid"]).column_names == ["id", "taxid", "score"]
    assert "vector" in store.search(vectors[0], columns=["vector"]).column_names
    with pytest.raises(FilterError, match=r"no column 'genes': the columns are id, .*gene"):
        store.search(vectors[0], columns=["genes"])


def test_rows_that_are_gone_are_not_found(tmp_path):
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    data.write(store, data.numbered(0, 20))
    best = store.search(np.ones(data.D), k=1)["id"][0].as_py()
    store.delete(ids=[best])
    table = store.search(np.ones(data.D), k=20)
    assert table.num_rows == 19
    assert best not in table["id"].to_pylist()


def test_an_empty_database_gives_an_empty_table(tmp_path):
    store = Store.create(tmp_path / "db", data.space())
    table = store.search(np.ones(data.D), columns=["id", "taxid"])
    assert (table.num_rows, table.column_names) == (0, ["id", "taxid", "score"])
    assert [t.num_rows for t in store.search_many(np.ones((3, data.D)))] == [0, 0, 0]
    with pytest.raises(FilterError, match="no column nope"):
        store.search(np.ones(data.D), where="nope = 1")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (np.zeros(data.D), "zero"),
        (np.full(data.D, np.nan), "not finite"),
        (np.full(data.D, np.inf), "not finite"),
        (np.ones(data.D + 1), rf"\({data.D + 1},\): this database has \({data.D},\)"),
        (np.ones((1, data.D)), "shape"),
        (1.0, "shape"),
        ([[1.0], [1.0, 2.0]], "not a query vector"),
        ("MKV", "not a query vector"),
        (np.full(data.D, 1j), "complex"),
        (np.full(data.D, 1e300), "not finite"),
    ],
)
def test_a_query_without_direction_is_an_error(filled, query, message):
    with pytest.raises(QueryError, match=message):
        filled[0].search(query)


def test_k_below_one(filled):
    with pytest.raises(QueryError, match="k is 0"):
        filled[0].search(np.ones(data.D), k=0)


def test_parentheses_are_none_in_quotes_and_comments(filled):
    store, _, _ = filled
    everything = store.count()
    for where in ("id != 'a)'", "id != 'it''s)' -- :-)", "/* :) */ id != ')('", "(`length` > 0) AND ((1 = 1))"):
        assert store.count(where) == everything
    with pytest.raises(FilterError, match="a parenthesis is closed that was not opened"):
        store.search(np.ones(data.D), where="length > 1) OR (1 = 1")


def test_what_is_no_text_is_said(filled):
    store, vectors, _ = filled
    for ask in (lambda: store.get(["\udcff"]), lambda: store.search(vectors[0], where="id = '\udcff'")):
        with pytest.raises(QueryError, match=r"not UTF-8 text: '.udcff' in an id or a condition"):
            ask()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("organsim = 'x'", r"no column organsim; the columns are id, .*organism"),
        ("organism = 'x", "not a valid SQL"),
        ("length >", "not a valid SQL"),
        ("", "not a valid SQL"),
        ("length + 1", "boolean"),
        ("length = 'abc'", "abc"),
        ("organism = 3", "literal"),
        ("length > 1 LIMIT 3", "not a valid SQL"),
        ("frobnicate(length) > 2", "frobnicate"),
        ("cast(sequence as int) > 3", "Cast|cast"),
    ],
)
def test_a_wrong_filter_is_one_line_that_names_the_columns(filled, where, message):
    store, vectors, _ = filled
    for ask in (
        lambda: store.search(vectors[0], where=where),
        lambda: store.count(where),
        lambda: list(store.iter_proteins(where=where)),
    ):
        with pytest.raises(FilterError, match=message) as caught:
            ask()
        assert "\n" not in str(caught.value)
        assert "rust" not in str(caught.value)
        assert "the columns are id, digest" in str(caught.value)


def test_a_filter_can_be_checked_alone(filled):
    filled[0].check_filter("organism = 'odd' AND length > 3 -- a comment")
    with pytest.raises(FilterError, match="no column nope"):
        filled[0].check_filter("nope IS NULL")


def test_what_is_asked_again_and_again_of_a_version_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "_MOST", 3)
    kept, calls = made.Made(), list[object]()
    for condition in range(9):
        assert kept.get(1, "sample", lambda: calls.append("sample") or 5) == 5
        assert kept.get(1, condition, lambda number=condition: calls.append(number) or number) == condition
    assert calls == ["sample", *range(9)]
    kept.get(1, 0, lambda: calls.append("again"))
    assert calls[-1] == "again"


def test_a_filter_is_planned_once_for_each_version(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    data.write(store, data.numbered(0, 9))
    planned: list[str] = []
    real = protein_reader.check_filter
    monkeypatch.setattr(
        protein_reader, "check_filter", lambda handle, where: (planned.append(where), real(handle, where))
    )
    for _ in range(3):
        store.check_filter("length > 3")
        with pytest.raises(FilterError, match="no column"):
            store.check_filter("lenght > 3")
    assert planned == ["length > 3", *["lenght > 3"] * 3]
    store.delete(ids=["P0003"])
    store.check_filter("length > 3")
    assert planned[-1] == "length > 3"
