"""Arrays gathered for a commit: encoded once, into what is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import store_data as data

from protvec.errors import DatabaseError
from protvec.store import CODECS, Packed, Store, protein_table
from protvec.store import packing as module
from protvec.store.check import check

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

KEEPING = [name for name, codec in CODECS.items() if codec.keeps]
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def rows_of(count: int) -> list[dict[str, Any]]:
    return [data.row(f"p{n}", LETTERS[: 3 + n % 17] + LETTERS[n % 20] * 5) for n in range(count)]


def table_of(rows: list[dict[str, Any]]) -> Any:
    return protein_table(rows, np.stack([data.residues(row["sequence"]).mean(axis=0) for row in rows]))


def packed(store: Store, rows: list[dict[str, Any]]) -> Packed:
    packing = store.packing()
    assert packing is not None
    for row in rows:
        packing.add(row["digest"], data.residues(row["sequence"]))
    return packing


@pytest.fixture(params=KEEPING)
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Store:
    return Store.create(tmp_path / "db", data.space(), codec=request.param)


@pytest.mark.parametrize("batch_bytes", [64, 4 << 20])  # each array in a batch of its own, and all in one
def test_they_are_stored_as_arrays_are(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_bytes: int
) -> None:
    monkeypatch.setattr(module, "BATCH_BYTES", batch_bytes)
    rows = rows_of(25)
    gathered = packed(store, rows)
    assert gathered.digests == [row["digest"] for row in rows]
    assert gathered.nbytes == sum(len(row["sequence"]) for row in rows) * store.bytes_per_residue
    store.write(table_of(rows), gathered)
    other = Store.create(tmp_path / "other", data.space(), codec=store.codec)
    data.write(other, rows)
    ids = [row["id"] for row in rows]
    ours, theirs = store.residues(ids), other.residues(ids)
    for id in ids:
        np.testing.assert_array_equal(ours[id], theirs[id])
    assert check(store, full=True).findings == []


def test_of_them_those_that_are_written_and_not_known_are_taken(store: Store) -> None:
    rows = rows_of(20)
    data.write(store, rows[:3])
    store.write(table_of(rows[:12]), packed(store, rows))
    assert store.info()["residue_arrays"] == 12
    with pytest.raises(DatabaseError, match="no residues of 2 sequences"):
        store.write(table_of(rows[12:16]), packed(store, rows[14:]))
    assert store.count() == 12


def test_a_database_that_was_recoded_meanwhile_has_them_in_its_codec(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="float16")
    rows = rows_of(5)
    gathered = packed(store, rows)
    Store.open(store.path).recode("int8")
    store.write(table_of(rows), gathered)
    assert {each.codec for each in store.stored([row["digest"] for row in rows]).values()} == {"int8"}
    for row in rows:
        np.testing.assert_allclose(store.residues([row["id"]])[row["id"]], data.residues(row["sequence"]), atol=0.03)


def test_what_another_database_keeps_is_taken_as_it_is(store: Store) -> None:
    rows = rows_of(4)
    data.write(store, rows)
    kept = store.stored([row["digest"] for row in rows])
    packing = store.packing()
    assert packing is not None
    for digest, each in kept.items():
        packing.add(digest, each)
    assert {digest: (each.scales, bytes(each.data)) for digest, each in packing.rows()} == {
        digest: (each.scales, bytes(each.data)) for digest, each in kept.items()
    }


def test_what_cannot_be_stored_leaves_the_others(store: Store) -> None:
    known, new = rows_of(2)
    data.write(store, [known])
    gathered = packed(store, [])
    with pytest.raises(DatabaseError, match=r"does not fit .*; store another codec"):
        gathered.add("SQ.large", np.full((3, data.D), 1e30, np.float32))
    with pytest.raises(ValueError, match=r"residues of SQ.flat: shape \(3,\) is not \(L, "):
        gathered.add("SQ.flat", np.ones(3, np.float32))
    store.write(table_of([known | {"id": "again"}]), gathered)  # nothing is in it
    gathered.add(new["digest"], data.residues(new["sequence"]))
    store.write(table_of([new]), gathered)
    assert store.count() == 3
    assert check(store, full=True).findings == []


def test_a_database_without_residues_gathers_none(tmp_path: Path) -> None:
    assert Store.create(tmp_path / "db", data.space(), codec="none").packing() is None
