"""``protvec compact`` and ``protvec recode`` as a user types them."""

from __future__ import annotations

import json

import lance
import numpy as np
import pyarrow as pa
import pytest
import store_data as data

from protvec.cli.app import run
from protvec.store import Store


@pytest.fixture
def db(tmp_path):
    store = Store.create(tmp_path / "db", data.space())
    for i in range(5):
        data.write(store, data.numbered(i, i + 1))
    return store.path


@pytest.fixture
def cli(capsys, db):
    def call(*arguments, code=0):
        capsys.readouterr()
        assert run([*arguments, "--db", db]) == code
        return capsys.readouterr()

    return call


def test_compact_says_what_stays_and_why(cli):
    assert "versions of the last hour, which `protvec compact --now` removes" in cli("compact").err
    cli("snapshot", "v1")
    cli("recode", "int4")
    answer = json.loads(cli("compact", "--now", "--json").out)
    assert answer["snapshots"] == ["v1"]
    assert answer["after"]["older"] < answer["before"]["older"]
    assert "of snapshots (v1)" in cli("compact").err
    assert json.loads(cli("info", "--json").out)["proteins"] == 5


def test_recode_to_coarser_and_back(cli):
    assert "5 residue arrays now int4" in cli("recode", "int4").err
    assert "0 residue arrays now int4" in cli("recode", "int4").err
    refused = cli("recode", "float16", code=1)
    assert "larger and no better: what int4 lost is not regained" in refused.err
    assert "add --yes" in refused.err
    assert "5 as int4" in cli("info").out
    answer = json.loads(cli("recode", "float16", "--yes", "--json").out)
    assert (answer["codec"], answer["changed"]) == ("float16", 5)
    assert "5 as float16" in cli("info").out


def test_recode_to_none_asks(cli):
    assert "this would remove 5 residue arrays" in cli("recode", "none", code=1).err
    assert "5 as int8" in cli("info").out
    assert "5 residue arrays removed" in cli("recode", "none", "--yes").err
    cli("recode", "none")
    assert "--residues int8" in cli("recode", "int8", code=1).err
    assert "int3" in cli("recode", "int3", code=2).err


def test_what_a_killed_recode_left_is_said(cli, db):
    from protvec.store import recode

    store = Store.open(db)
    rows = recode.pending(store._newest()[1], "int4")
    recode._recode(store._newest()[1], rows["digest"].to_pylist()[:2], "int4", data.D)
    assert "5 as int8 (2 of them still in another codec: `protvec recode int8` goes on)" in cli("info").out
    cli("recode", "int8")
    assert "5 as int8\n" in cli("info").out


def test_arrays_are_saved_whatever_the_ids(cli, db, tmp_path):
    store = Store.open(db)
    rows = [data.row(name, data.sequence(20 + i)) for i, name in enumerate(("file", "chr1/12-80", "it's"))]
    data.write(store, rows)
    cli("get", *(row["id"] for row in rows), "--residues", "-o", str(tmp_path / "x.npz"))
    with np.load(tmp_path / "x.npz") as file:
        assert sorted(file) == sorted(row["id"] for row in rows)
        for row in rows:
            assert np.array_equal(file[row["id"]], store.residues([row["id"]])[row["id"]])


def test_a_deletion_of_nothing_clears_up_after_one_that_was_killed(cli, db):
    lance.dataset(f"{db}/proteins.lance").delete("id = 'P0001'")  # as a kill between the two tables leaves it
    assert "0 proteins deleted, 4 left" in cli("delete", "--where", "id = 'P0001'").err
    assert Store.open(db).info()["residue_arrays"] == 4


def test_values_that_json_has_no_word_for(cli, db):
    store = Store.open(db)
    columns = {"day": pa.array([0], pa.date32()), "x": pa.array([float("inf")])}
    store.add_columns([pa.field(name, array.type) for name, array in columns.items()])
    table = store.get(["P0001"])
    for name, array in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, array)
    store.write(table, [])

    def strictly(text):
        return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))

    (record,) = strictly(cli("get", "P0001", "--json").out)
    assert (record["day"], record["x"]) == ("1970-01-01", None)
    (found,) = strictly(cli("search", "--id", "P0001", "-k", "1", "--columns", "day,x", "--format", "json").out)
    assert found["hits"] == [{"day": "1970-01-01", "x": None}]
