"""Merge: databases of one space into one, residues as they are, nothing embedded, nothing lost."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import store_data as data

import protvec
from protvec.cli.app import run
from protvec.errors import DatabaseNotFoundError, QueryError, SpaceMismatchError
from protvec.exchange import merging
from protvec.store import Store


def make(path, rows, *, codec="int8", space=None):
    store = Store.create(path, space or data.space(), codec=codec)
    data.write(store, rows)
    return store


def contents(store):
    rows = pa.Table.from_batches(store.iter_proteins()).to_pylist()
    found = {row["id"]: row for row in rows}
    stored = store.stored([row["digest"] for row in rows])
    assert stored.keys() == ({row["digest"] for row in rows} if store.codec != "none" else set())
    return {id: (row, stored.get(row["digest"])) for id, row in sorted(found.items())}


def counts(report):
    assert report.balanced
    return {name: value for name, value in report.counts.items() if value}


@pytest.fixture
def two(tmp_path):
    """Ten proteins each, of which two are in both, and one sequence under two ids."""
    a = make(tmp_path / "a", [*data.numbered(0, 9, gene="A"), data.row("other name", data.sequence(15))])
    b = make(tmp_path / "b", data.numbered(7, 17, gene="A"))
    return a, b


class TestTwoIntoOne:
    def test_every_protein_with_its_residues_as_they_were(self, two, tmp_path):
        a, b = two
        report = protvec.merge([a.path, b.path], tmp_path / "c")
        assert counts(report) == {"requested": 20, "added": 17, "reused": 1, "unchanged": 2}
        assert (report.created, report.recoded, report.codec) == (True, 0, "int8")
        c = Store.open(tmp_path / "c")
        assert contents(c) == dict(sorted((contents(b) | contents(a)).items()))
        assert c.info()["residue_arrays"] == 17

    def test_again_changes_nothing(self, two, tmp_path):
        a, b = two
        protvec.merge([a.path, b.path], tmp_path / "c")
        before = contents(Store.open(tmp_path / "c"))
        assert counts(protvec.merge([a.path, b.path], tmp_path / "c")) == {"requested": 20, "unchanged": 20}
        assert contents(Store.open(tmp_path / "c")) == before

    @pytest.mark.parametrize("name_it", [True, False])
    def test_one_into_the_other(self, two, name_it):
        a, b = two
        sources = [a.path, b.path] if name_it else [b.path]
        expected = dict(sorted((contents(b) | contents(a)).items()))
        assert counts(protvec.merge(sources, a.path))["requested"] == 10
        assert contents(Store.open(a.path)) == expected
        assert Store.open(b.path).count() == 10

    def test_as_a_method(self, two):
        a, b = two
        assert protvec.open(a.path).merge([protvec.open(b.path)]).added == 7

    def test_an_empty_one(self, two, tmp_path):
        a, _ = two
        Store.create(tmp_path / "empty", data.space(), codec="none")
        assert counts(protvec.merge([tmp_path / "empty", a.path], tmp_path / "c", residues="int8"))["added"] == 10

    def test_many_commits_give_the_same(self, two, tmp_path, monkeypatch):
        a, b = two
        protvec.merge([a.path, b.path], tmp_path / "c")
        monkeypatch.setattr(merging, "_RESIDUE_ROWS", 3)
        protvec.merge([a.path, b.path], tmp_path / "d")
        assert contents(Store.open(tmp_path / "c")) == contents(Store.open(tmp_path / "d"))


class TestResidues:
    def test_other_codecs_are_recoded_and_counted(self, tmp_path):
        a = make(tmp_path / "a", data.numbered(0, 5), codec="float16")
        b = make(tmp_path / "b", data.numbered(5, 12), codec="int8")
        report = protvec.merge([a.path, b.path], tmp_path / "c")
        c = Store.open(tmp_path / "c")
        assert (report.codec, report.recoded, c.codec) == ("float16", 7, "float16")
        assert np.array_equal(c.residues(["P0001"])["P0001"], a.residues(["P0001"])["P0001"])
        assert protvec.open(c.path).check(full=True).ok
        assert np.allclose(c.residues(["P0007"])["P0007"], b.residues(["P0007"])["P0007"], rtol=1e-3, atol=1e-3)

    def test_a_database_without_them(self, tmp_path):
        a = make(tmp_path / "a", data.numbered(0, 5))
        b = make(tmp_path / "b", data.numbered(5, 12), codec="none")
        for sources, into in (([a, b], tmp_path / "c"), ([b, a], a.path)):
            with pytest.raises(QueryError, match=r"b keeps no residue arrays.*--residues none"):
                protvec.merge([store.path for store in sources if store.path != into], into)
        assert counts(protvec.merge([a.path, b.path], tmp_path / "c", residues="none"))["added"] == 12
        assert Store.open(tmp_path / "c").codec == "none"

    def test_proteins_without_a_sequence(self, tmp_path):
        import h5py

        for name, seed in (("a", 0), ("b", 1)):
            with h5py.File(tmp_path / f"{name}.h5", "w") as file:
                for i in range(3):
                    file[f"{name}{i}"] = np.random.default_rng(10 * seed + i).standard_normal((4, 8)).astype("f4")
            protvec.import_file(tmp_path / f"{name}.h5", tmp_path / name, model="esm", residues="float16")
        assert counts(protvec.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c"))["added"] == 6
        assert protvec.open(tmp_path / "c").residues("b2").shape == (4, 8)


class TestConflicts:
    @pytest.fixture
    def differ(self, tmp_path):
        a = make(tmp_path / "a", [data.row("x", "MKVL"), data.row("y", "MKVA", gene="one"), data.row("z", "MA")])
        b = make(tmp_path / "b", [data.row("x", "MKVW"), data.row("y", "MKVA", gene="two"), data.row("w", "MC")])
        return a, b

    def test_are_an_error_before_anything_is_written(self, differ, tmp_path):
        a, b = differ
        with pytest.raises(QueryError, match=r"'x' \(.*/a and .*/b\); --prefer"):
            protvec.merge([a.path, b.path], tmp_path / "c")
        assert not (tmp_path / "c").exists()
        with pytest.raises(QueryError, match="'x'"):
            protvec.merge([b.path], a.path)
        assert Store.open(a.path).count() == 3

    @pytest.mark.parametrize(
        ("prefer", "sequence", "gene", "expected"),
        [
            ("first", "MKVL", "one", {"requested": 6, "added": 4, "unchanged": 2, "stale": 1}),
            ("last", "MKVW", "two", {"requested": 6, "added": 4, "updated": 2}),
        ],
    )
    def test_prefer(self, differ, tmp_path, prefer, sequence, gene, expected):
        a, b = differ
        report = protvec.merge([a.path, b.path], tmp_path / "c", prefer=prefer)
        assert counts(report) == expected
        assert report.kept == (prefer == "first")
        found = contents(Store.open(tmp_path / "c"))
        assert (found["x"][0]["sequence"], found["y"][0]["gene"]) == (sequence, gene)
        assert sorted(found) == ["w", "x", "y", "z"]
        assert found["x"][1].length == 4
        assert Store.open(tmp_path / "c").info()["residue_arrays"] == 4

    def test_other_metadata_alone_is_none(self, differ, tmp_path):
        a, b = differ
        b.delete(ids=["x"])
        report = protvec.merge([a.path, b.path], tmp_path / "c")
        assert (report.unchanged, report.stale, report.stale_columns) == (1, 1, ["gene"])
        assert contents(Store.open(tmp_path / "c"))["y"][0]["gene"] == "one"

    def test_among_three(self, differ, tmp_path):
        a, b = differ
        c = make(tmp_path / "c", [data.row("w", "MCC")])
        with pytest.raises(QueryError, match=r"'w' \(.*/b and .*/c\)"):
            protvec.merge([a.path, b.path, c.path], tmp_path / "d")


class TestRefusals:
    def test_other_models_are_both_named(self, two, tmp_path):
        a, _ = two
        other = dataclasses.replace(data.space("cd" * 32), model="huge")
        make(tmp_path / "o", data.numbered(0, 2), space=other)
        with pytest.raises(SpaceMismatchError, match=r"/a holds vectors of tiny.*/o of huge"):
            protvec.merge([a.path, tmp_path / "o"], tmp_path / "c")
        assert not (tmp_path / "c").exists()

    def test_into_itself(self, two, tmp_path):
        a, b = two
        for sources, into in (([a.path], a.path), ([b.path, a.path], a.path), ([a.path, a.path], tmp_path / "c")):
            with pytest.raises(QueryError, match="itself"):
                protvec.merge(sources, into)

    def test_by_another_name_of_the_same_directory(self, two, tmp_path):
        a, _ = two
        (tmp_path / "link").symlink_to(a.path)
        with pytest.raises(QueryError, match="itself"):
            protvec.merge([tmp_path / "link"], a.path)

    def test_columns_of_one_name_and_two_types(self, two, tmp_path):
        a, b = two
        a.add_columns([pa.field("weight", pa.float64())])
        b.add_columns([pa.field("weight", pa.string())])
        with pytest.raises(QueryError, match=r"column weight is double in .*/a, weight is string in .*/b"):
            protvec.merge([a.path, b.path], tmp_path / "c")

    def test_one_that_is_not_there(self, two, tmp_path):
        with pytest.raises(DatabaseNotFoundError, match="nowhere"):
            protvec.merge([two[0].path, tmp_path / "nowhere"], tmp_path / "c")


def test_names_that_differ_in_case_only_are_refused_before_anything_is_written(two, tmp_path):
    a, b = two
    a.add_columns([pa.field("depth", pa.int64())])
    b.add_columns([pa.field("Depth", pa.int64())])
    with pytest.raises(QueryError, match=r"column depth is int64 in .*a, Depth is int64 in .*b: rename one"):
        protvec.merge([a.path, b.path], tmp_path / "c")
    assert not (tmp_path / "c").exists()
    with pytest.raises(QueryError, match="name the databases"):
        protvec.merge([], tmp_path / "c")


def test_columns_of_both(two, tmp_path):
    a, b = two
    for store, name, value in ((a, "weight", 1.5), (b, "family", "kinase")):
        field = pa.field(name, pa.float64() if name == "weight" else pa.string())
        store.add_columns([field])
        table = store.get(["P0008"])
        place = table.schema.get_field_index(name)
        store.write(table.set_column(place, name, pa.array([value], field.type)), [])
    report = protvec.merge([a.path, b.path], tmp_path / "c", prefer="last")
    row = contents(Store.open(tmp_path / "c"))["P0008"][0]
    assert (row["weight"], row["family"], row["gene"]) == (1.5, "kinase", "A")
    assert sorted(report.columns_added) == ["family", "weight"]


def test_columns_that_known_proteins_do_not_get_are_named(two, tmp_path, capfd):
    a, b = two
    b.add_columns([pa.field("family", pa.string())])
    table = b.get(["P0008", "P0009"])
    place = table.schema.get_field_index("family")
    b.write(table.set_column(place, "family", pa.array(["kinase", None])), [])
    line = ["merge", a.path, b.path, "--into", str(tmp_path / "c")]
    assert run(line) == 0
    said = capfd.readouterr().err
    assert "1 protein with other family than stored, left as they are: --prefer last takes it" in " ".join(said.split())
    assert contents(Store.open(tmp_path / "c"))["P0008"][0]["family"] is None
    assert run([*line, "--prefer", "last"]) == 0
    assert "than stored" not in capfd.readouterr().err
    assert contents(Store.open(tmp_path / "c"))["P0008"][0]["family"] == "kinase"


def test_a_killed_merge_is_finished_by_the_next(two, tmp_path):
    a, b = two
    script = (
        "import sys, time\nfrom protvec.exchange import merge, merging\n"
        "merging._RESIDUE_ROWS = 3\n"
        "def progress(done, total):\n    print(done, flush=True)\n    time.sleep(0.3)\n"
        "merge(sys.argv[1:3], sys.argv[3], progress=progress)\n"
    )
    command = [sys.executable, "-c", script, a.path, b.path, str(tmp_path / "c")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    there = Store.open(tmp_path / "c").count()
    assert 6 <= there < 18
    protvec.merge([a.path, b.path], tmp_path / "c")
    c = Store.open(tmp_path / "c")
    assert contents(c) == dict(sorted((contents(b) | contents(a)).items()))
    done, killed = c.ledger.entries()
    assert (done.state, killed.state, done.gained + killed.gained) == ("done", "killed", c.count())
    assert protvec.open(c.path).check().findings == []


class TestCommand:
    def test_says_what_it_did(self, two, tmp_path, capfd):
        a, b = two
        assert run(["merge", a.path, b.path, "--into", str(tmp_path / "c"), "--json"]) == 0
        out, err = capfd.readouterr()
        assert json.loads(out)["added"] == 17
        assert "17 added, 1 reused, 0 updated, 2 unchanged, 0 skipped of 20 proteins" in err
        assert run(["log", "--db", str(tmp_path / "c"), "--json"]) == 0
        (entry,) = json.loads(capfd.readouterr().out)
        assert (entry["command"], entry["gained"], [file["name"] for file in entry["files"]]) == (
            "merge",
            18,
            [a.path, b.path],
        )

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (["a", "b"], 2, "--into"),
            (["a", "--into", "a"], 1, "itself"),
            (["a", "bb", "--into", "c"], 1, "no such database"),
            (["a", "b", "--into", "c", "--prefer", "third"], 2, "third"),
            (["a", "b", "--into", "b"], 1, "itself"),
        ],
    )
    def test_mistakes(self, two, tmp_path, capfd, monkeypatch, arguments, code, message):
        monkeypatch.chdir(tmp_path)
        assert run(["merge", *arguments]) == code
        assert message in capfd.readouterr().err
        assert not (tmp_path / "c").exists()
