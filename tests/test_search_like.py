"""Search with the mean of stored proteins, away from others, and with the vectors of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import store_data as data
from hypothesis import given, settings
from hypothesis import strategies as st

from protvec import Database, Space
from protvec.errors import ExchangeError, ProteinNotFoundError, QueryError, SpaceMismatchError
from protvec.exchange.vectors import VectorFile
from protvec.search.like import direction
from protvec.store import Store, protein_table

if TYPE_CHECKING:
    from pathlib import Path

N = 80
IDS = [f"P{i:04d}" for i in range(N)]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    store = Store.create(tmp_path_factory.mktemp("like") / "db", data.space(), codec="none")
    data.write(store, data.numbered(0, N, dataset="a"))
    return Database(store)


def expected(db: Database, like: list[str], unlike: list[str]) -> list[tuple[str, float]]:
    unit = {p.id: p.vector.astype(float) / np.linalg.norm(p.vector.astype(float)) for p in db.get_many(IDS)}
    query = np.mean([unit[id] for id in like], axis=0)
    if unlike:
        query = query - 0.5 * np.mean([unit[id] for id in unlike], axis=0)
    scores = {id: float(unit[id] @ query / np.linalg.norm(query)) for id in IDS if id not in {*like, *unlike}}
    return sorted(scores.items(), key=lambda hit: (-round(hit[1], 6), hit[0]))


@settings(max_examples=20)
@given(ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=8, unique=True), cut=st.integers(1, 8))
def test_the_mean_less_half_the_other_mean(db: Database, ids: list[str], cut: int) -> None:
    like, unlike = ids[:cut], ids[cut:]
    hits = db.search_like(like, unlike=unlike, k=7)
    best = expected(db, like, unlike)[:7]
    np.testing.assert_allclose(hits.scores, [score for _, score in best], atol=1e-6)
    assert not {*hits.ids} & {*ids}
    assert len(db.search_like(like, unlike=unlike, k=1000)) == N - len(ids)


def test_one_alone_is_a_search_by_id(db: Database) -> None:
    alone = db.search_id("P0003", k=5, exclude_self=True)
    like = db.search_like(["P0003"], k=5)
    assert like.ids == alone.ids
    np.testing.assert_allclose(like.scores, alone.scores, atol=1e-6)
    assert like.query == "like P0003"
    assert db.search_like(["P0003", "P0004"], unlike=["P0005"]).query == "like P0003 and 1 more, unlike P0005"


def test_length_of_a_vector_does_not_count() -> None:
    like = np.eye(3, dtype=np.float32) * np.float32([[1], [100], [1e-3]])
    np.testing.assert_allclose(direction(like, like[:0]), [1 / 3] * 3, rtol=1e-6)


@pytest.mark.parametrize(
    ("ids", "unlike", "said"),
    [
        ([], [], "at least one protein to be like"),
        ([], ["P0001"], "beside those to be unlike"),
        (["P0001", "P0001"], [], "named twice"),
        (["P0001"], ["P0001"], "to be like and to be unlike"),
        ("P0001", [], "lists of ids"),
    ],
)
def test_ids_that_cannot_be_used(db: Database, ids: Any, unlike: Any, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        db.search_like(ids, unlike=unlike)


def test_an_id_that_is_not_there(db: Database) -> None:
    with pytest.raises(ProteinNotFoundError, match=r"P00011.*near"):
        db.search_like(["P0001"], unlike=["P00011"])


def test_vectors_that_cancel_one_another_out(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    rows = [data.row(name, data.sequence(i)) for i, name in enumerate("ab")]
    up = np.arange(1, data.D + 1, dtype=np.float32)
    store.write(protein_table(rows, np.stack([up, -3 * up])), [])
    with pytest.raises(QueryError, match="cancel one another out"):
        Database(store).search_like(["a", "b"])


# -- files of vectors ------------------------------------------------------------------------------------------


def read(path: Path, space: Space | None = None) -> list[tuple[str, list[float]]]:
    return [(each.name, each.vector.tolist()) for each in VectorFile(path, space or data.space())]


MATRIX = np.arange(1, 3 * data.D + 1, dtype=np.float32).reshape(3, data.D)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16, np.int32])
def test_numpy_files(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "v.npy"
    np.save(path, MATRIX.astype(kind))
    assert read(path) == [(f"vector {i + 1}", MATRIX[i].tolist()) for i in range(3)]
    np.save(path, np.asfortranarray(MATRIX.astype(kind)))
    assert read(path)[2] == ("vector 3", MATRIX[2].tolist())
    np.save(path, MATRIX[1].astype(kind))
    assert read(path) == [("vector 1", MATRIX[1].tolist())]


def test_names_beside_a_numpy_file(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", MATRIX)
    (tmp_path / "v.npy.ids.txt").write_text("a\nb\nc\n")
    assert read(tmp_path / "v.npy") == [(name, row.tolist()) for name, row in zip("abc", MATRIX, strict=True)]
    np.save(tmp_path / "v.npy", np.asfortranarray(MATRIX.astype(np.int32)))  # any numbers, with names as without
    assert [name for name, _ in read(tmp_path / "v.npy")] == ["a", "b", "c"]
    np.save(tmp_path / "v.npy", MATRIX * [[1], [0], [1]])
    with pytest.raises(ExchangeError, match=r"vector 2 \(b\) is zero"):
        read(tmp_path / "v.npy")
    np.save(tmp_path / "v.npy", MATRIX[0])
    for names, said in {"a\nb\n": "1 vectors, but 2 ids in .*v.npy.ids.txt", "\n": "line 1 of .* has no id"}.items():
        (tmp_path / "v.npy.ids.txt").write_text(names)
        with pytest.raises(ExchangeError, match=said):
            read(tmp_path / "v.npy")
    (tmp_path / "v.npy.ids.txt").write_text("a\n")
    assert read(tmp_path / "v.npy") == [("a", MATRIX[0].tolist())]
    np.save(tmp_path / "v.npy", MATRIX[:2])
    (tmp_path / "v.npy.ids.txt").write_text("a\na\n")
    with pytest.raises(ExchangeError, match="two vectors are called 'a'"):
        read(tmp_path / "v.npy")


def test_hdf5_of_vectors_and_of_residues(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        for name, row in zip("ab", MATRIX, strict=False):
            file[name] = row
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["a"] = MATRIX
    assert read(tmp_path / "v.h5") == [("a", MATRIX[0].tolist()), ("b", MATRIX[1].tolist())]
    assert not VectorFile(tmp_path / "v.h5", data.space()).pooled
    assert read(tmp_path / "r.h5") == [("a", MATRIX.mean(axis=0).tolist())]
    assert VectorFile(tmp_path / "r.h5", data.space()).pooled


@pytest.mark.parametrize("suffix", ["npy", "npz", "h5", "parquet"])
def test_what_a_database_exports_finds_itself(db: Database, tmp_path: Path, suffix: str) -> None:
    db.export(tmp_path / f"v.{suffix}")
    file = VectorFile(tmp_path / f"v.{suffix}", db.store.space)
    named = list(file)
    assert (file.total, len(named)) == (N, N)
    hits = db.search_vectors((each.vector for each in named), names=[each.name for each in named], k=1)
    assert all(found.scores == [1.0] for found in hits)
    if suffix != "npy":  # it has no place for the model
        with pytest.raises(SpaceMismatchError, match="vectors of tiny"):
            VectorFile(tmp_path / f"v.{suffix}", data.space(weights="cd" * 32))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.ones(data.D + 1), "17 dimensions, those of the database 16"),
        (np.ones((2, 3, data.D)), "need .D,. or .N, D."),
        (np.ones((0, data.D)), "need .D,. or .N, D."),
        (np.array(["word"]), "need numbers"),
        (np.array([[1.0] * data.D, [float("nan")] * data.D]), "vector 2 is not finite"),
        (np.array([[1.0] * data.D, [0.0] * data.D]), "vector 2 is zero"),
        (np.full(data.D, 1e300), "vector 1 is not finite"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path: Path, array: Any, said: str) -> None:
    np.save(tmp_path / "v.npy", array)
    with pytest.raises(ExchangeError, match=f"v.npy: .*{said}"):
        read(tmp_path / "v.npy")


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "v.npy").write_bytes(b"no array")
    (tmp_path / "v.fa").write_text(">a\nMKV\n")
    (tmp_path / "v.txt").write_text("1 2 3\n")
    for name, said in {
        "v.npy": "not a NumPy array, or damaged$",
        "v.fa": "not vectors",
        "v.txt": "which format",
        "none.npy": "no such file",
        ".": "a directory",
    }.items():
        with pytest.raises(ExchangeError, match=said):
            read(tmp_path / name)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["a"], file["b"] = MATRIX[0], np.zeros(data.D)
    with pytest.raises(ExchangeError, match=r"record 2 \(b\): its vector is zero"):
        read(tmp_path / "v.h5")
    with h5py.File(tmp_path / "named.h5", "w") as file:
        file["a"] = MATRIX[0]
        file.attrs["model_name"] = "prot-t5"
    with pytest.raises(SpaceMismatchError, match="prot-t5"):
        read(tmp_path / "named.h5")
