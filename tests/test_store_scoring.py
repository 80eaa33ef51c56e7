"""The search space in a database: fitted, followed by writers, read by every kind of search, kept by snapshots."""

from __future__ import annotations

import itertools
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import store_data as data

from protvec import Database
from protvec.cli.app import run
from protvec.errors import ColumnGoneError, DatabaseError, QueryError
from protvec.store import SCHEMA_VERSION, Store, changes, protein_table, writing
from protvec.store.check import check, repair
from protvec.store.scoring import calibrating, column, scoring_of
from protvec.transform import ENOUGH, Moments, fit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

COUNT = 300
STRETCH = np.geomspace(3, 0.05, data.D)
TURN = np.linalg.qr(np.random.default_rng(7).standard_normal((data.D, data.D)))[0]


def matrix(count: int, seed: int) -> NDArray[np.float32]:
    """Vectors that are alike, and differ much more in some directions than in others."""
    draw = np.random.default_rng(seed).standard_normal((count, data.D))
    return ((4 + draw * STRETCH) @ TURN).astype(np.float32)


def put(store: Store, start: int, stop: int, seed: int = 0) -> None:
    rows = [data.row(f"P{i:05d}", f"M{data.sequence(i)}{'A' * (i // 20)}", taxid=i % 7) for i in range(start, stop)]
    store.write(protein_table(rows, matrix(stop - start, start + seed)), ())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    put(store, 0, COUNT)
    return store


def stored(store: Store) -> tuple[list[str], NDArray[np.float32]]:
    table = store.get([id for batch in store.iter_proteins(columns=["id"]) for id in batch["id"].to_pylist()])
    return table["id"].to_pylist(), np.array(table["vector"].to_pylist(), np.float32)


def oracle(store: Store, query: NDArray[np.float32], k: int, keep: Any = lambda _: True) -> list[tuple[str, float]]:
    """Whitened cosines of what is there, with the transform that is recorded."""
    ids, vectors = stored(store)
    scores = store.project(vectors).astype(np.float64) @ store.project([query])[0].astype(np.float64)
    ranked = sorted(((-score, id) for id, score in zip(ids, scores, strict=True) if keep(int(id[1:]))))
    return [(id, -score) for score, id in ranked[:k]]


def same(found: Any, expected: list[tuple[str, float]]) -> None:
    assert found["id"].to_pylist() == [id for id, _ in expected]
    np.testing.assert_allclose(found["score"].to_numpy(), [score for _, score in expected], atol=2e-6)


def search_columns(store: Store) -> list[str]:
    return [name for name in store.handles()[0].schema.names if name.startswith("_search_")]


def test_a_database_is_raw_until_it_is_fitted(store: Store) -> None:
    query = matrix(1, 99)[0]
    before = store.find([query], k=5)
    assert before.how.scoring == "raw"
    now = store.calibrate()
    assert (now.kind, now.proteins, now.rows) == ("whitened", COUNT, COUNT)
    after = store.find([query], k=5)
    assert after.how.scoring == now.name
    assert now.name in str(after.how)
    assert store.find([query], k=5, scoring="raw").table.equals(before.table)
    assert after.table["id"].to_pylist() != before.table["id"].to_pylist()


def test_what_is_fitted_is_what_numpy_fits_one_vector_for_each_sequence(store: Store) -> None:
    copies = [data.row(f"copy{i}", f"M{data.sequence(5)}") for i in range(200)]
    store.write(protein_table(copies, np.repeat(matrix(COUNT, 0)[5:6], 200, axis=0)), ())
    now = store.calibrate("whitened")
    moments = Moments(data.D)
    moments.add(matrix(COUNT, 0))
    expected = fit(moments, "whitened")
    assert now.proteins == COUNT
    rows = matrix(20, 50)
    np.testing.assert_allclose(store.project(rows), expected.apply(rows), atol=1e-5)


@pytest.mark.parametrize("kind", ["auto", "centred", "whitened"])
@pytest.mark.parametrize("way", ["memory", "scan", "many", "ivf_flat"])
def test_every_way_of_searching_gives_the_same_scores(store: Store, kind: str, way: str) -> None:
    store.calibrate(kind)
    if way == "scan":
        store.search_memory = 0
    if way == "ivf_flat":
        store.index("ivf_flat", target_recall=1.0)
    queries = matrix(12 if way == "many" else 3, 99)
    for _ in range(3):  # also once vectors are in bytes
        tables = list(store.search_many(queries, k=7)) if way == "many" else [store.search(q, k=7) for q in queries]
        for query, table in zip(queries, tables, strict=True):
            same(table, oracle(store, query, 7))
    assert store.find(queries, k=1).how.kind == ("ivf_flat" if way == "ivf_flat" else "exact")


def test_a_condition_and_the_search_space_go_together(store: Store) -> None:
    store.calibrate()
    query = matrix(1, 5)[0]
    for memory in (1 << 30, 0):
        store.search_memory = memory
        for _ in range(2):
            same(store.search(query, k=9, where="taxid = 3"), oracle(store, query, 9, lambda i: i % 7 == 3))


def test_writers_keep_the_search_vectors_up_to_date(store: Store) -> None:
    store.calibrate()
    query = matrix(1, 5)[0]
    store.search(query)
    put(store, COUNT, COUNT + 50)
    put(store, 10, 20, seed=1000)  # other vectors for known proteins
    store.delete(ids=["P00000", "P00301"])
    for memory in (1 << 30, 0):
        store.search_memory = memory
        same(store.search(query, k=400), oracle(store, query, 400))
    again = Store.open(store.path)
    same(again.search(query, k=400), oracle(store, query, 400))


def test_identical_vectors_tie_and_are_sorted_by_id(store: Store) -> None:
    store.calibrate()
    twin = matrix(1, 77)
    for name in ("Q3", "Q1", "Q2"):
        store.write(protein_table([data.row(name, "MKKK")], twin), ())
    for memory in (1 << 30, 0):
        store.search_memory = memory
        table = store.search(twin[0], k=3)
        assert table["id"].to_pylist() == ["Q1", "Q2", "Q3"]
        assert len(set(table["score"].to_pylist())) == 1
        assert table["score"][0].as_py() == pytest.approx(1, abs=1e-6)


def test_search_columns_are_nobodys_metadata(store: Store) -> None:
    plain = store.columns
    store.calibrate()
    assert len(search_columns(store)) == 1
    assert store.columns == plain == store.schema.names
    assert store.get(["P00001"]).column_names == plain
    assert next(iter(store.iter_proteins())).schema.names == plain
    assert store.user_columns == {}
    assert search_columns(store)[0] not in store.known(["P00001"])["P00001"].row


def test_a_fit_is_replaced_and_its_column_goes(store: Store) -> None:
    first = store.calibrate("centred")
    second = store.calibrate("whitened")
    assert search_columns(store) == [second.column] != [first.column]
    assert store.calibrate("whitened").key == second.key
    assert store.calibrate("raw").kind == "raw"
    assert search_columns(store) == []
    assert store.find([matrix(1, 1)[0]]).how.scoring == "raw"


def test_it_is_fitted_by_itself_and_again_when_it_has_doubled(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    put(store, 0, ENOUGH - 1)
    store.keep_calibrated()
    assert store.scoring.kind == "raw"
    put(store, ENOUGH - 1, ENOUGH)
    store.keep_calibrated()
    first = store.scoring
    assert (first.kind, first.rows) == ("whitened", ENOUGH)
    put(store, ENOUGH, 2 * ENOUGH - 1)
    store.keep_calibrated()
    assert store.scoring.key == first.key
    put(store, 2 * ENOUGH - 1, 2 * ENOUGH)
    store.keep_calibrated()
    assert store.scoring.rows == 2 * ENOUGH
    assert store.scoring.key != first.key


def test_raw_that_was_asked_for_stays(store: Store) -> None:
    store.calibrate("raw")
    store.keep_calibrated()
    assert store.scoring.kind == "raw"


def test_a_snapshot_keeps_its_search_space(store: Store) -> None:
    query = matrix(1, 5)[0]
    first = store.calibrate("centred")
    before = store.search(query, k=20)
    store.snapshot("old")
    put(store, COUNT, COUNT + 100)
    second = store.calibrate("whitened")
    old = Store.open(store.path, at="old")
    assert old.scoring == first
    assert old.search(query, k=20).equals(before)
    store.compact(keep_seconds=0)
    assert Store.open(store.path, at="old").search(query, k=20).equals(before)
    undo = store.restore("old")
    assert store.scoring == first
    assert store.search(query, k=20).equals(before)
    store.restore(undo)
    assert store.scoring == second


def test_only_a_difference_of_the_search_space_is_restored_too(store: Store) -> None:
    first = store.calibrate("centred")
    store.snapshot("old")
    store.calibrate("whitened")
    store.restore("old")
    assert store.scoring == first
    same(store.search(matrix(1, 5)[0], k=9), oracle(store, matrix(1, 5)[0], 9))


def lacks(store: Store) -> int:
    handle, _ = store.handles()
    return column.missing(handle, scoring_of(handle.schema).column)


def foreign(store: Store, *, nulls: bool) -> None:
    """Rows of another client of Lance, without search vectors: of an append, or of a merge."""
    import lance

    put(store, COUNT, COUNT + 30)
    rows = store.handles()[0].to_table(columns=store.columns, filter=f"id >= 'P{COUNT:05d}'")
    store.delete(where=f"id >= 'P{COUNT:05d}'")
    if nulls:
        merge = lance.dataset(store.handles()[0].uri).merge_insert("id").when_not_matched_insert_all()
        merge.use_index(False).execute(rows)
    else:
        lance.write_dataset(rows, store.handles()[0].uri, mode="append")
    store.refresh()


@pytest.mark.parametrize("nulls", [False, True])
def test_rows_without_search_vectors_are_found_and_filled(store: Store, nulls: bool) -> None:
    query = matrix(1, 5)[0]
    store.calibrate()
    store.search(query)
    foreign(store, nulls=nulls)
    assert lacks(store) == 30
    for memory in (1 << 30, 0) if not nulls else (1 << 30,):
        store.search_memory = memory
        for again in (store, Store.open(store.path)):
            again.search_memory = memory
            same(again.search(query, k=400), oracle(store, query, 400))
            same(again.search(query, k=9, where="taxid = 3"), oracle(store, query, 9, lambda i: i % 7 == 3))
    store.calibrate()
    assert lacks(store) == 0
    for memory in (1 << 30, 0):
        store.search_memory = memory
        same(store.search(query, k=400), oracle(store, query, 400))


def test_an_index_lacks_rows_without_search_vectors_and_they_are_found(store: Store) -> None:
    store.calibrate()
    store.index("ivf_flat", target_recall=1.0)
    foreign(store, nulls=False)
    query = matrix(1, 5)[0]
    assert store.find([query]).how.kind == "ivf_flat"
    same(store.search(query, k=400), oracle(store, query, 400))
    store.index("ivf_flat", target_recall=1.0)
    assert lacks(store) == 0
    same(store.search(query, k=400), oracle(store, query, 400))


def test_a_writer_that_began_before_a_fit_fills_what_it_added(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Store.open(store.path)
    with_search = column.with_search

    def meanwhile(*arguments: Any) -> Any:
        made = with_search(*arguments)
        monkeypatch.setattr(writing, "with_search", with_search)
        other.calibrate()
        return made

    monkeypatch.setattr(writing, "with_search", meanwhile)
    put(store, COUNT - 10, COUNT + 30)
    assert store.scoring.kind == "whitened"
    assert lacks(store) == 0
    store.search_memory = 0
    query = matrix(1, 5)[0]
    same(store.search(query, k=400), oracle(store, query, 400))


def test_an_index_is_built_again_for_a_new_fit(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.calibrate("centred")
    store.index("ivf_flat")
    now = store.calibrate("whitened")
    assert store.find([matrix(1, 1)[0]]).how.exact  # the index went with its column
    store.keep_indexes()
    (index,) = [each for each in store.indexes() if each.kind.startswith("ivf")]
    assert index.column == now.column
    assert store.find([matrix(1, 1)[0]]).how.kind == "ivf_flat"
    assert store.find([matrix(1, 1)[0]], scoring="raw").how.exact
    assert run(["index", "--db", store.path, "--kind", "ivf_flat"]) == 0
    said = capsys.readouterr()
    assert "ivf_flat" in said.out
    assert "every search is exact" not in said.err


def test_a_fit_that_ends_halfway_changes_no_answer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    query = matrix(1, 5)[0]
    store.calibrate("centred")
    before = store.search(query, k=50)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for step in ("fill", "_switch", "drop_columns"):
        with monkeypatch.context() as patch:
            patch.setattr(calibrating, step, stop)
            with pytest.raises(KeyboardInterrupt):
                store.calibrate("whitened")
        again = Store.open(store.path)
        if step == "drop_columns":
            assert again.scoring.kind == "whitened"
            same(again.search(query, k=50), oracle(again, query, 50))
        else:
            assert again.search(query, k=50).equals(before)
    put(store, 0, 10)
    assert store.calibrate("whitened").kind == "whitened"
    assert len(search_columns(store)) == 1


def test_many_proteins_are_fitted_on_some_of_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrating, "_MOST", 100)
    assert store.calibrate().proteins == 100


def test_filling_takes_several_commits(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(4):
        put(store, COUNT + 10 * i, COUNT + 10 * i + 10)
    monkeypatch.setattr(column, "_ROWS_AT_ONCE", 10)
    store.calibrate()
    assert lacks(store) == 0
    same(store.search(matrix(1, 5)[0], k=400), oracle(store, matrix(1, 5)[0], 400))


def test_two_fits_at_once_leave_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Store.open(store.path)
    put(other, COUNT, COUNT + 1)
    fill = column.fill

    def meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(calibrating, "fill", fill)
        other.calibrate("centred")
        return fill(*arguments)

    monkeypatch.setattr(calibrating, "fill", meanwhile)
    with pytest.raises(ColumnGoneError, match="another process has fitted another search space"):
        store.calibrate("whitened")
    store.refresh()
    assert store.scoring.kind == "centred"
    assert store.calibrate("whitened").kind == "whitened"


@pytest.mark.parametrize("gone", ["_search_", "_segments"])
def test_what_is_filled_may_be_removed_by_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    store = Store.create(tmp_path / "db", data.space())
    data.write(store, [data.row(f"P{i:03d}", f"M{data.sequence(i)}") for i in range(60)])
    store.calibrate("whitened")
    other = Store.open(store.path)
    name = "fill" if gone == "_search_" else "fill_means"
    fill = getattr(changes, name)

    def meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(changes, name, fill)
        other.calibrate("centred", segments=None if gone == "_search_" else False)
        return fill(*arguments)

    monkeypatch.setattr(changes, name, meanwhile)
    assert [each.kind for each in store.index("ivf_flat") if each.kind.startswith("ivf")] == ["ivf_flat"]
    store.refresh()
    assert store.scoring.kind == "centred"
    assert (store.segment_rule is None) == (gone == "_segments")
    assert lacks(store) == 0


def test_an_error_of_filling_is_raised_whatever_another_process_does(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.calibrate("whitened")

    def full(*_: object) -> None:
        Store.open(store.path).calibrate("centred")
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(changes, "fill", full)
    with pytest.raises(DatabaseError, match="the disk is full"):
        store.index("ivf_flat")


def test_numbers_that_are_lost_are_said_and_raw_scores_remain(store: Store) -> None:
    import lance

    now = store.calibrate()
    lance.dataset(f"{store.path}/transforms.lance").delete("true")
    again = Store.open(store.path)
    with pytest.raises(DatabaseError, match=f"no search space {now.key}: run `protvec calibrate`"):
        again.search(matrix(1, 1)[0])
    assert again.search(matrix(1, 1)[0], scoring="raw").num_rows == 10
    again.calibrate()
    assert again.search(matrix(1, 1)[0]).num_rows == 10


def test_wrong_asks_change_nothing(store: Store) -> None:
    with pytest.raises(QueryError, match="no scoring 'whitend'"):
        store.calibrate("whitend")
    with pytest.raises(QueryError, match="scoring 'whitened': leave it out"):
        store.search(matrix(1, 1)[0], scoring="whitened")
    store.snapshot("old")
    with pytest.raises(DatabaseError, match="only reads"):
        Store.open(store.path, at="old").calibrate()
    assert store.scoring.kind == "raw"


def test_the_command_says_what_it_fitted(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "--db", store.path, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["kind"], said["proteins"]) == ("whitened", COUNT)
    assert run(["calibrate", "--db", store.path, "--scoring", "centred"]) == 0
    assert "searches compare centred cosines" in capsys.readouterr().out
    assert run(["info", "--db", store.path]) == 0
    assert "centred cosines" in capsys.readouterr().out
    assert run(["search", "--db", store.path, "--id", "P00001", "--explain", "-k", "1"]) == 0
    assert "centred-" in capsys.readouterr().err
    assert run(["search", "--db", store.path, "--id", "P00001", "--explain", "-k", "1", "--scoring", "raw"]) == 0
    assert "centred" not in capsys.readouterr().err
    assert run(["calibrate", "--db", store.path, "--scoring", "best"]) == 2


def test_python_users_calibrate_and_ask_for_raw(store: Store) -> None:
    db = Database(store)
    assert db.calibrate().kind == db.scoring.kind == "whitened"
    whitened = db.search_id("P00001", k=3)
    assert whitened.index.scoring == db.scoring.name
    raw = db.search_id("P00001", k=3, scoring="raw")
    assert raw.index.scoring == "raw"
    assert raw.scores != whitened.scores
    with pytest.raises(QueryError, match="take raw"):
        db.search_id("P00001", scoring="centred")
    like = db.search_like(["P00001", "P00002"], k=3)
    assert like.index.scoring == db.scoring.name


def codes(store: Store, *, full: bool = True) -> dict[str, int]:
    return {finding.code: finding.count for finding in check(store, full=full).findings}


def test_check_knows_search_vectors_and_repair_mends_them(store: Store) -> None:
    import pyarrow as pa

    now = store.calibrate()
    assert codes(store) == codes(store, full=False) == {}
    handle, _ = store.handles()
    row = handle.to_table(filter="id = 'P00007'")
    wrong = row[now.column].combine_chunks().flatten().to_numpy()[::-1].copy()
    column_of = pa.FixedSizeListArray.from_arrays(pa.array(wrong), data.D)
    changed = row.set_column(row.schema.get_field_index(now.column), row.schema.field(now.column), column_of)
    handle.merge_insert("id").when_matched_update_all().use_index(False).execute(changed)
    foreign(store, nulls=True)
    store.handles()[0].add_columns(pa.schema([pa.field("_search_0123456789abcdef", pa.list_(pa.float32(), data.D))]))
    store.ledger.record("test", gained=30)
    assert codes(store) == {
        "search-column": 1,
        "no-search-vector": 30,
        "wrong-search-vector": 1,
        "no-search-segments": 30,
    }
    result = repair(store, full=True)
    assert [finding.code for finding in result.findings] == []
    assert search_columns(store) == [store.scoring.column]
    same(store.search(matrix(1, 5)[0], k=400), oracle(store, matrix(1, 5)[0], 400))


def test_repair_fits_anew_where_the_numbers_are_lost(store: Store) -> None:
    import lance

    store.calibrate("centred")
    lance.dataset(f"{store.path}/transforms.lance").delete("true")
    again = Store.open(store.path)
    assert codes(again) == {"no-transform": 1}
    assert repair(again).ok
    assert again.scoring.kind == "centred"
    same(again.search(matrix(1, 5)[0], k=9), oracle(again, matrix(1, 5)[0], 9))


def cut(table: str, name: str) -> None:
    """Leave half of a table's data file."""
    file = Path(table, "data", name)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def file_of(store: Store, column: str) -> str:
    handle, _ = store.handles()
    field = handle.lance_schema.field(column).id()
    return next(file.path for file in handle.get_fragments()[0].data_files() if field in file.fields)


def test_a_damaged_file_of_search_vectors_costs_no_protein(store: Store) -> None:
    ids, vectors = stored(store)
    now = store.calibrate()
    assert file_of(store, now.column) != file_of(store, "vector")
    cut(f"{store.path}/proteins.lance", file_of(store, now.column))
    again = Store.open(store.path)
    assert codes(again) == codes(again, full=False) == {"search-damaged": 1}
    assert repair(again, full=True).ok
    assert again.scoring.kind == now.kind
    there, kept = stored(again)
    assert there == ids
    np.testing.assert_array_equal(kept, vectors)
    same(again.search(matrix(1, 5)[0], k=400), oracle(again, matrix(1, 5)[0], 400))


def test_a_damaged_file_of_the_numbers_is_made_again(store: Store) -> None:
    store.calibrate()
    (file,) = Path(store.path, "transforms.lance", "data").iterdir()
    cut(f"{store.path}/transforms.lance", file.name)
    again = Store.open(store.path)
    assert codes(again) == {"no-transform": 1}
    assert repair(again).ok
    same(again.search(matrix(1, 5)[0], k=9), oracle(again, matrix(1, 5)[0], 9))


@pytest.mark.parametrize("mend", [lambda store: repair(store), lambda store: store.calibrate()])
def test_numbers_with_other_bytes_in_them_are_made_again(store: Store, mend: Callable[[Store], object]) -> None:
    """The same fit has the same key: its row is there, can be read, and is wrong."""
    import lance
    import pyarrow as pa

    store.calibrate()
    table = lance.dataset(f"{store.path}/transforms.lance")
    rows = table.to_table().to_pylist()
    table.delete("true")
    middle = len(rows[0]["data"]) // 2
    rows[0]["data"] = rows[0]["data"][:middle] + b"damage" + rows[0]["data"][middle + 6 :]
    table.insert(pa.Table.from_pylist(rows, schema=table.schema), mode="append")
    again = Store.open(store.path)
    assert codes(again) == {"no-transform": 1}
    mend(again)
    found = Store.open(store.path)
    assert codes(found) == {}
    same(found.search(matrix(1, 5)[0], k=9), oracle(found, matrix(1, 5)[0], 9))


def fit_again_and_again(path: str, ready: Any) -> None:
    store = Store.open(path)
    ready.set()
    for kind in itertools.cycle(["whitened", "centred", "raw"]):
        store.calibrate(kind)


def test_fits_that_are_killed_leave_a_database_that_is_whole(store: Store) -> None:
    query = matrix(1, 5)[0]
    store.calibrate()
    for seed in range(6):
        context = data.forking()
        ready = context.Event()
        process = context.Process(target=fit_again_and_again, args=(store.path, ready))
        process.start()
        assert ready.wait(60)
        time.sleep(0.02 + random.Random(seed).random() * 0.5)
        process.kill()
        process.join()
        again = Store.open(store.path)
        assert set(codes(again)) <= {"search-column"}
        if again.scoring.kind != "raw":
            same(again.search(query, k=400), oracle(again, query, 400))
        put(again, COUNT + seed, COUNT + seed + 1)
    again.calibrate("whitened")
    assert codes(again) == {}
    same(again.search(query, k=400), oracle(again, query, 400))


def test_others_write_and_search_while_it_is_fitted(store: Store) -> None:
    other, reader = Store.open(store.path), Store.open(store.path, read_consistency_seconds=0)
    query = matrix(1, 5)[0]

    def write() -> None:
        for start in range(COUNT, COUNT + 60, 10):
            put(other, start, start + 10)

    def search() -> None:
        for _ in range(20):
            found = reader.find([query], k=5)
            assert found.table.num_rows == 5
            seen.append(found.how.scoring)

    seen: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(write)]
        jobs.append(pool.submit(search))
        names = [store.calibrate(kind).name for kind in ("whitened", "centred", "whitened")]
        for job in jobs:
            job.result()
    assert set(seen) <= {"raw", *names}
    again = Store.open(store.path)
    assert again.count() == COUNT + 60
    assert codes(again) == {}
    same(again.search(query, k=400), oracle(again, query, 400))


def test_a_database_of_schema_2_gets_a_search_space_with_the_next_write(store: Store) -> None:
    handle, _ = store.handles()
    description = json.loads(handle.schema.metadata[b"protvec"]) | {"schema_version": 2}
    handle.update_schema_metadata({"protvec": json.dumps(description)})
    runs = [entry.command for entry in store.ledger.entries()]
    old = Store.open(store.path)
    assert old.schema_version == 2
    assert old.find([matrix(1, 1)[0]]).how.scoring == "raw"
    assert old.calibrate().kind == "whitened"
    assert Store.open(store.path).schema_version == SCHEMA_VERSION
    assert [entry.command for entry in old.ledger.entries()] == runs
    assert old.count() == COUNT


def test_what_is_imported_and_merged_is_fitted_and_keeps_its_means(store: Store, tmp_path: Path) -> None:
    store.calibrate()
    database = Database(store)
    database.export(tmp_path / "x.parquet")
    assert not any(name.startswith("_") for name in pq.read_schema(tmp_path / "x.parquet").names)
    imported = Database(Store.create(tmp_path / "imported", data.space(), codec="none"))
    imported.import_file(tmp_path / "x.parquet")
    merged = Database(Store.create(tmp_path / "merged", data.space(), codec="none"))
    merged.merge([database])
    ids, vectors = stored(store)
    for other in (imported, merged):
        assert (other.scoring.kind, other.scoring.proteins) == ("whitened", COUNT)
        assert other.store.columns == store.columns
        found = other.store.get(ids, columns=["vector"])["vector"].to_pylist()
        assert np.array_equal(np.array(found, np.float32), vectors)
