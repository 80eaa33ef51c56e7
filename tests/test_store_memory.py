"""Searches in memory against a plain NumPy oracle, whatever is added, replaced and deleted meanwhile."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import store_data as data
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protvec.store import Store, protein_table, searching
from protvec.store.memory import cache, codes, rows, scan

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Shelf = dict[str, "NDArray[np.float32]"]  # what the database should hold


def vector(seed: int, dimension: int = data.D) -> NDArray[np.float32]:
    """One of a few directions near a common one, often the same: ties are frequent."""
    rng = np.random.default_rng(seed % 60)
    spread = rng.standard_normal(dimension) * (1 + seed % 3)
    return (np.full(dimension, 4.0) + spread).astype(np.float32) * np.float32(1 + seed % 5)


def put(store: Store, shelf: Shelf, vectors: Shelf) -> None:
    """Write proteins under these ids, over those that are there."""
    table = [data.row(name, data.sequence(len(name)), taxid=int(name[1:])) for name in vectors]
    store.write(protein_table(table, np.stack(list(vectors.values()))), ())
    shelf.update(vectors)


def oracle(
    shelf: Shelf, query: NDArray[np.float32], k: int, allowed: Any = lambda name: True
) -> list[tuple[str, float]]:
    wide = query.astype(np.float64)
    scores = {
        name: float(np.clip(each.astype(np.float64) @ wide / np.linalg.norm(each.astype(np.float64)), -1e9, 1e9))
        / float(np.linalg.norm(wide))
        for name, each in shelf.items()
        if allowed(name)
    }
    return sorted(((name, round(score, 12)) for name, score in scores.items()), key=lambda hit: (-hit[1], hit[0]))[:k]


def answer(store: Store, query: NDArray[np.float32], **options: Any) -> list[tuple[str, float]]:
    table = store.search(query, columns=[], **options)
    return list(zip(table["id"].to_pylist(), (round(score, 12) for score in table["score"].to_pylist()), strict=True))


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes, tiles and heaps from a few rows on, as a large database has them."""
    monkeypatch.setattr(cache, "_ROUNDED_ROWS", 8)
    monkeypatch.setattr(scan, "_FEW", 4)
    monkeypatch.setattr(scan, "_TILE", 32)
    monkeypatch.setattr(scan, "_RESCORED", 8)
    monkeypatch.setattr(codes, "_CHUNK", 16)
    monkeypatch.setattr(codes, "_COMPARED", 32)
    monkeypatch.setattr(codes, "_THREADED", 0)


@pytest.fixture(params=["vectors", "codes"])
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is in memory: vectors, or where they do not fit it their codes alone."""
    if request.param == "codes":
        monkeypatch.setattr(searching, "bytes_needed", lambda count, dimension: 1 << 60)
    return str(request.param)


numbers = st.sets(st.integers(0, 90), min_size=1, max_size=30)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), numbers),
        st.tuples(st.just("delete"), numbers),
        st.tuples(st.just("delete a range"), numbers),
        st.tuples(st.just("compact"), numbers),
        st.tuples(st.just("search"), numbers),
    ),
    max_size=6,
)


def change(store: Store, shelf: Shelf, what: str, numbers: set[int]) -> None:
    """One step of another process."""
    low, high = min(numbers), max(numbers)
    if what == "put":
        put(store, shelf, {f"P{i}": vector(i + len(numbers)) for i in sorted(numbers)})
    elif what == "delete":
        gone = sorted({f"P{i}" for i in numbers} & shelf.keys())
        if gone:
            store.delete(ids=gone)
        for name in gone:
            del shelf[name]
    elif what == "delete a range":
        store.delete(where=f"taxid BETWEEN {low} AND {high}")
        for name in [name for name in shelf if low <= int(name[1:]) <= high]:
            del shelf[name]
    elif what == "compact":
        store.compact()


@pytest.mark.usefixtures("kept")
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, k=st.integers(1, 50), low=st.integers(0, 90))
def test_follows_what_is_written_deleted_and_compacted(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, set[int]]], k: int, low: int
) -> None:
    path = tmp_path_factory.mktemp("memory") / "db"
    writer = Store.create(path, data.space(), codec="none")
    reader = Store.open(path, read_consistency_seconds=0)
    shelf: Shelf = {}
    put(writer, shelf, {f"P{i}": vector(i) for i in range(30)})
    where, allowed = f"taxid >= {low}", lambda name: int(name[1:]) >= low
    for what, chosen in [("search", {1}), *steps, ("search", {2})]:
        change(writer, shelf, what, chosen)
        if what != "search":
            continue
        queries = [vector(max(chosen) + i) + np.float32(0.01) for i in range(9)]
        for query in queries[:3]:
            assert answer(reader, query, k=k) == oracle(shelf, query, k)
            assert answer(reader, query, k=k, where=where) == oracle(shelf, query, k, allowed)
        many = list(reader.search_many(np.stack(queries), k=k, where=where))  # by products of matrices
        one = [reader.search(query, k=k, where=where) for query in queries]
        assert [table.to_pylist() for table in many] == [table.to_pylist() for table in one]


@pytest.mark.usefixtures("kept")
def test_many_queries_of_an_emptied_database_find_nothing(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    put(store, {}, {f"P{i}": vector(i) for i in range(10)})
    store.delete(where="taxid < 100")
    found = list(store.search_many(np.stack([vector(1), vector(2)]), k=3))
    assert [table.num_rows for table in found] == [0, 0]


@pytest.mark.usefixtures("kept")
def test_a_restore_brings_back_what_was_deleted(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    shelf: Shelf = {}
    put(store, shelf, {f"P{i}": vector(i) for i in range(40)})
    store.snapshot("before")
    before = dict(shelf)
    store.delete(where="taxid < 20")
    put(store, shelf, {f"P{i}": vector(i + 7) for i in range(50, 70)})
    here = {name: each for name, each in shelf.items() if int(name[1:]) >= 20}
    for _ in range(5):
        assert answer(store, vector(3), k=60) == oracle(here, vector(3), 60)
    store.restore("before")
    put(store, before, {"P90": vector(90)})  # takes the number of a fragment that was there
    assert answer(store, vector(3), k=60) == oracle(before, vector(3), 60)
    old = Store.open(tmp_path / "db", at="before")
    assert len(answer(old, vector(3), k=60)) == 40


@pytest.mark.usefixtures("kept")
def test_a_pinned_view_stays_as_it_was(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    shelf: Shelf = {}
    put(store, shelf, {f"P{i}": vector(i) for i in range(40)})
    fresh, used = store.pinned(), store.pinned()
    assert answer(used, vector(1), k=50) == oracle(shelf, vector(1), 50)
    before = dict(shelf)
    put(store, shelf, {f"P{i}": vector(i + 1) for i in range(35, 80)})
    for view in (fresh, used, store.pinned()):
        assert answer(store, vector(1), k=99) == oracle(shelf, vector(1), 99)
        assert answer(view, vector(1), k=99) == oracle(before if view in (fresh, used) else shelf, vector(1), 99)


@pytest.mark.parametrize("dimension", [1, 2, 7, 16, 96, 768])
def test_a_bound_is_never_exceeded(dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    spread = np.concatenate([rng.standard_normal((300, dimension)), rng.standard_normal((20, dimension)) ** 9])
    outlier = np.zeros(dimension)
    outlier[0] = 300.0  # one dimension much larger than the others, as trained models have it
    matrix = np.concatenate([spread + 3, spread + outlier, -spread]).astype(np.float32)
    inverse = (1 / np.linalg.norm(matrix.astype(np.float64), axis=1)).astype(np.float32)
    rounded = codes.encode(matrix, inverse)
    unit = matrix.astype(np.float64) / np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)
    for query in unit[::37]:
        bounds = rounded.bounds(query.astype(np.float32))
        over = bounds - unit @ query
        assert over.min() > 0
        assert over.max() < 0.2
    asked = rounded.queries(unit[::37].astype(np.float32))
    far = np.abs(rounded.products(asked, slice(0, len(unit))) - unit[::37] @ unit.T)
    assert (far <= rounded.off(asked)[:, None] + scan._slack(dimension)).all()
    some = np.array([3, 5, 700])
    np.testing.assert_array_equal(rounded.bounds(query.astype(np.float32), some), bounds[some])


def test_comparing_often_gives_back_all_that_it_holds() -> None:
    """A C extension that gives back a None too many at each call ends the process after some thousand searches."""
    matrix = np.random.default_rng(1).standard_normal((50, 8)).astype(np.float32)
    rounded = codes.encode(matrix, (1 / np.linalg.norm(matrix, axis=1)).astype(np.float32))
    before = sys.getrefcount(None)
    for _ in range(200):
        rounded.bounds(matrix[0])
    assert abs(sys.getrefcount(None) - before) < 50


def test_reads_again_only_what_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    put(store, {}, {f"P{i}": vector(i) for i in range(40)})
    store.search(vector(0))
    read: list[int] = []
    real = rows._read

    def counted(handle: Any, fragments: Any, columns: Any) -> Any:
        read.append(sum(fragment.count_rows() for fragment in fragments if "vector" in columns))
        return real(handle, fragments, columns)

    monkeypatch.setattr(rows, "_read", counted)
    put(store, {}, {f"P{i}": vector(i) for i in range(50, 53)})
    store.delete(ids=["P7"])
    store.search(vector(0))
    store.search(vector(1))
    assert sum(read) == 3


def test_a_database_that_is_too_large_for_the_memory_is_read_instead(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    shelf: Shelf = {}
    put(store, shelf, {f"P{i}": vector(i) for i in range(60)})
    store.search_memory = 0
    where, allowed = "taxid < 20", lambda name: int(name[1:]) < 20
    assert answer(store, vector(5), k=7, where=where) == oracle(shelf, vector(5), 7, allowed)
    assert all(cache._rows is None for cache, _ in store._memory.values())
    (table,) = store.search_many(vector(5)[None], k=7, where=where, columns=[])
    assert table["id"].to_pylist() == [name for name, _ in oracle(shelf, vector(5), 7, allowed)]


def test_codes_alone_are_kept_where_vectors_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    shelf: Shelf = {}
    put(store, shelf, {f"P{i}": vector(i) for i in range(60)})
    store.search_memory = cache.bytes_needed(60, data.D) - 1
    read: list[int] = []
    real = rows.Rows.taken
    monkeypatch.setattr(rows.Rows, "taken", lambda self, places: (read.append(len(places)), real(self, places))[1])
    where, allowed = "taxid >= 20", lambda name: int(name[1:]) >= 20
    for k in (1, 7, 60):
        assert answer(store, vector(5), k=k) == oracle(shelf, vector(5), k)
        assert answer(store, vector(5), k=k, where=where) == oracle(shelf, vector(5), k, allowed)
    found = store.find([vector(5)], k=1)
    assert found.how.exact
    assert str(found.how).startswith("exact: compared with all of 60 vectors")
    ((kept, _),) = store._memory.values()
    assert kept._rows is not None
    assert kept._rows.vectors is None
    assert 0 < sum(read) < 60 * 7
    put(store, shelf, {f"P{i}": vector(i + 3) for i in range(50, 70)})  # beyond the memory for codes now, or not
    store.search_memory = cache.bytes_coded(70, data.D)
    assert answer(store, vector(5), k=9) == oracle(shelf, vector(5), 9)
    store.search_memory -= 1
    assert answer(store, vector(6), k=9) == oracle(shelf, vector(6), 9)


def test_a_database_that_outgrows_the_memory_goes_on_with_codes(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    shelf: Shelf = {}
    put(store, shelf, {f"P{i}": vector(i) for i in range(40)})
    store.search_memory = cache.bytes_needed(50, data.D)
    for count in (60, 20, 62):
        assert answer(store, vector(5), k=9) == oracle(shelf, vector(5), 9)
        ((kept, _),) = store._memory.values()
        assert kept._rows is not None
        assert (kept._rows.vectors is None) is (len(shelf) > 50)
        if count < len(shelf):
            store.delete(where=f"taxid >= {count}")
            shelf = {name: each for name, each in shelf.items() if int(name[1:]) < count}
        else:
            put(store, shelf, {f"P{i}": vector(i + 1) for i in range(count)})


@pytest.mark.usefixtures("kept")
def test_many_threads_search_while_another_writes(tmp_path: Path) -> None:
    path = tmp_path / "db"
    writer = Store.create(path, data.space(), codec="none")
    shelf: Shelf = {}
    put(writer, shelf, {f"P{i}": vector(i) for i in range(200)})
    store = Store.open(path, read_consistency_seconds=0)
    stable = {name: each for name, each in shelf.items() if int(name[1:]) < 100}
    expected = {seed: oracle(stable, vector(seed), 30) for seed in range(10)}
    wrong: list[object] = []
    stop = threading.Event()

    def ask(number: int) -> None:
        seed = number
        while not stop.is_set():
            seed = (seed + 1) % 10
            try:
                found = answer(store, vector(seed), k=30, where="taxid < 100")
                if found != expected[seed]:
                    wrong.append((seed, found))
            except Exception as error:
                wrong.append(error)
                return

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for step in range(8):
        put(writer, shelf, {f"P{i}": vector(i + step) for i in range(150 + step, 200 + 5 * step)})
        writer.delete(ids=[f"P{100 + step}"])
    writer.compact()
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_columns_of_hits_stay_those_of_the_version(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    shelf: Shelf = {}
    put(store, shelf, {f"P{i}": vector(i) for i in range(40)})

    def taxids(view: Store) -> list[tuple[str, int]]:
        table = view.search(vector(3), k=60, columns=["taxid", "sequence"])
        return list(zip(table["id"].to_pylist(), table["taxid"].to_pylist(), strict=True))

    def right(shelf: Shelf) -> list[tuple[str, int]]:
        return [(name, int(name[1:])) for name, _ in oracle(shelf, vector(3), 60)]

    before = dict(shelf)
    view = store.pinned()
    for _ in range(6):  # by the fifth they come from memory
        assert taxids(store) == right(shelf)
        assert taxids(view) == right(before)
    assert store._memory["vector"][1]._table is not None
    assert {"id", "taxid", "sequence"} == set(store._memory["vector"][1]._table.column_names)
    store.delete(ids=["P3", "P4"])
    put(store, shelf, {f"P{i}": vector(i + 2) for i in range(30, 50)})
    shelf = {name: each for name, each in shelf.items() if name not in ("P3", "P4")}
    for _ in range(6):
        assert taxids(store) == right(shelf)
        assert taxids(view) == right(before)
    assert store.search(vector(3), columns=["gene"]).column_names == ["id", "gene", "score"]


def test_columns_beyond_their_share_of_the_memory_are_read_each_time(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    put(store, {}, {f"P{i}": vector(i) for i in range(40)})
    store.search_memory = cache.bytes_needed(40, data.D)
    for _ in range(6):
        assert len(store.search(vector(3), columns=["taxid", "sequence", "digest"])) == 10
    assert "digest" in store._memory["vector"][1]._large
