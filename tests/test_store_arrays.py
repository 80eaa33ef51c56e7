"""Reading residue arrays: by id, many at once, as a stream, as Arrow."""

from __future__ import annotations

import time

import numpy as np
import pytest
import store_data as data

from protvec.errors import FilterError, ProteinNotFoundError, QueryError
from protvec.store import CODECS, Store


@pytest.fixture(params=["int8", "float16"])
def store(request, tmp_path):
    store = Store.create(tmp_path / "db", data.space(), codec=request.param)
    data.write(store, data.numbered(0, 30, dataset="a"))
    data.write(store, [*data.numbered(30, 41, dataset="b"), data.row("twin", data.sequence(3), dataset="b")])
    return store


def expected(store, text):
    codec = CODECS[store.codec]
    exact = data.residues(text)
    return codec.decode(*codec.encode(exact), length=len(exact))


def texts():
    return {f"P{i:04d}": data.sequence(i) for i in range(41)} | {"twin": data.sequence(3)}


def test_many_at_once(store):
    ids = ["P0040", "twin", "P0003", "P0000", "twin"]
    arrays = store.residues(ids)
    assert list(arrays) == ["P0040", "twin", "P0003", "P0000"]
    for identifier, array in arrays.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, expected(store, texts()[identifier]))
    assert store.residues([]) == {}
    with pytest.raises(ProteinNotFoundError, match="'nope'"):
        store.residues(["P0000", "nope"])


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_stream_has_every_protein_once(store, batch_size):
    seen = list(store.iter_residues(batch_size=batch_size))
    assert sorted(each.id for each in seen) == sorted(texts())
    for identifier, digest, array in seen:
        assert digest == store.known([identifier])[identifier].digest
        np.testing.assert_array_equal(array, expected(store, texts()[identifier]))


def test_more_proteins_than_a_filter_takes(store, monkeypatch):
    from protvec.store import reader

    monkeypatch.setattr(reader, "KEYS_PER_FILTER", 4)
    assert sorted(each.id for each in store.iter_residues()) == sorted(texts())


def test_the_stream_of_a_filter(store):
    assert sorted(each.id for each in store.iter_residues(where="dataset = 'b' AND length < 15")) == sorted(
        i for i, text in texts().items() if (i > "P0029") and len(text) < 15
    )
    assert list(store.iter_residues(where="length < 0")) == []
    with pytest.raises(FilterError, match="no column nope"):
        store.iter_residues(where="nope = 1")  # at once, not at the first array
    with pytest.raises(QueryError, match="batch_size is 0"):
        store.iter_residues(batch_size=0)


def test_the_stream_as_arrow(store):
    reader = store.residue_batches(batch_size=8)
    assert reader.schema.field("residues").type.value_type.list_size == data.D
    table = reader.read_all()
    table.validate(full=True)
    assert table.num_rows == 42
    for row in table.to_pylist():
        assert row["length"] == len(row["residues"])
        np.testing.assert_array_equal(np.array(row["residues"], np.float32), expected(store, texts()[row["id"]]))
    empty = store.residue_batches(where="length < 0").read_all()
    assert (empty.num_rows, empty.schema) == (0, table.schema)


def test_a_stream_outlives_deletions_and_the_removal_of_its_version(store, monkeypatch):
    from protvec.store import reader

    monkeypatch.setattr(reader, "KEYS_PER_FILTER", 10)
    store = Store.open(store.path, read_consistency_seconds=0)
    stream = store.iter_residues(batch_size=5)
    first = next(stream).id
    gone = {"P0000", "P0039", "twin"} - {first}
    other = Store.open(store.path)
    other.delete(ids=sorted(gone))
    time.sleep(0.02)
    other.compact(keep_seconds=0.01)
    seen = [first, *(each.id for each in stream)]
    assert len(set(seen)) == len(seen)
    assert set(texts()) - gone <= set(seen) <= set(texts())


def test_none_has_nothing_to_read(tmp_path):
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    for read in (lambda: store.residues([]), store.iter_residues, store.residue_batches):
        with pytest.raises(QueryError, match="keeps no residue arrays"):
            read()
