"""Import: vectors of a file into a database, every record accounted for, and again without a change."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys

import h5py
import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import store_data as data
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proteins import HISTONE, UBIQUITIN, write_fasta

import protvec
from protvec.cli.app import run
from protvec.errors import ExchangeError, QueryError, SpaceMismatchError, UnknownModelError
from protvec.exchange import export
from protvec.store import Store

D = data.D


def contents(store, *, residues=True):
    """Everything stored, by id, vectors and residues to the last bit."""
    rows = pa.Table.from_batches(store.iter_proteins()).to_pylist()
    found = {row["id"]: row for row in rows}
    if residues and store.codec != "none" and found:
        for id, array in store.residues(list(found)).items():
            found[id]["residues"] = array.tobytes()
    return found


def counts(report):
    assert report.balanced
    return {name: value for name, value in report.counts.items() if value}


@pytest.fixture
def store(tmp_path):
    store = Store.create(tmp_path / "db.lancedb", data.space(), codec="float16", precision="fp32")
    data.write(store, data.numbered(0, 30, header="some header", symbols=["A", "B"], taxid=3702))
    data.write(store, [data.row("a/b", data.sequence(3)), data.row("twin of P0001", data.sequence(1))])
    return store


@pytest.fixture
def annotated(store):
    """With columns of the user's own, of several types."""
    store.add_columns(
        [pa.field("weight", pa.float64()), pa.field("tags", pa.list_(pa.string())), pa.field("on", pa.bool_())]
    )
    table = store.get(["P0001", "P0002"])
    columns = {"weight": [0.1, float("nan")], "tags": [["x", "y"], []], "on": [True, None]}
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(values, table.schema.field(name).type))
    store.write(table, [])
    return store


def h5(path, arrays, *, dtype=np.float32, originals=None, **attributes):
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        for name, array in arrays.items():
            dataset = file.create_dataset(name, data=np.asarray(array).astype(dtype))
            if originals:
                dataset.attrs["original_id"] = originals[name]
    return path


def vectors(count, dimension=D, seed=0):
    return np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)


class TestRoundTrip:
    def test_parquet_with_residues_is_exact(self, annotated, tmp_path):
        export(annotated, tmp_path / "x.parquet", level="residue")
        report = protvec.import_file(tmp_path / "x.parquet", tmp_path / "new.lancedb")
        new = Store.open(tmp_path / "new.lancedb")
        assert counts(report) == {"requested": 32, "added": 30, "reused": 2}
        assert (new.space, new.codec, new.precision) == (annotated.space, "float16", "fp32")
        assert str(contents(new)) == str(contents(annotated))
        assert new.schema.types == annotated.schema.types
        assert np.array_equal(new.residues(["a/b"])["a/b"], annotated.residues(["a/b"])["a/b"])

    def test_parquet_of_vectors_makes_a_database_of_vectors(self, annotated, tmp_path):
        export(annotated, tmp_path / "x.parquet")
        protvec.import_file(tmp_path / "x.parquet", tmp_path / "new.lancedb")
        new = Store.open(tmp_path / "new.lancedb")
        assert new.codec == "none"
        assert str(contents(new)) == str(contents(annotated, residues=False))

    @pytest.mark.parametrize("codec", ["int8", "int4", "float16"])
    @pytest.mark.parametrize("kind", ["parquet", "h5"])
    def test_residues_of_every_codec_come_back_and_pass_a_check(self, tmp_path, codec, kind):
        store = Store.create(tmp_path / "a", data.space(), codec=codec)
        data.write(store, data.numbered(0, 40))
        export(store, tmp_path / f"x.{kind}", level="residue")
        protvec.import_file(tmp_path / f"x.{kind}", tmp_path / "b")
        new = protvec.open(tmp_path / "b")
        assert new.store.codec == codec
        assert new.check(full=True).ok
        tolerance = 1e-5 if kind == "parquet" else 4e-3
        for id, array in store.residues([f"P{i:04d}" for i in range(40)]).items():
            assert np.allclose(new.residues(id), array, atol=tolerance)

    @pytest.mark.parametrize("name", ["x.npz", "x.h5"])
    def test_vectors_and_ids_come_back(self, store, tmp_path, name):
        export(store, tmp_path / name)
        protvec.import_file(tmp_path / name, tmp_path / "new.lancedb")
        new = contents(Store.open(tmp_path / "new.lancedb"))
        assert {id: row["vector"] for id, row in new.items()} == {
            id: row["vector"] for id, row in contents(store).items()
        }
        assert Store.open(tmp_path / "new.lancedb").space == store.space

    def test_npy_needs_the_model_named(self, store, tmp_path):
        export(store, tmp_path / "x.npy")
        with pytest.raises(ExchangeError, match="--model"):
            protvec.import_file(tmp_path / "x.npy", tmp_path / "new.lancedb")
        assert not (tmp_path / "new.lancedb").exists()
        protvec.import_file(tmp_path / "x.npy", tmp_path / "new.lancedb", model="tiny")
        assert Store.open(tmp_path / "new.lancedb").count() == 32

    def test_h5_of_residues_gives_means_and_arrays(self, store, tmp_path):
        export(store, tmp_path / "x.h5", level="residue")
        export(store, tmp_path / "x.fa", ids=[f"P{i:04d}" for i in range(30)])
        report = protvec.import_file(tmp_path / "x.h5", tmp_path / "new.lancedb", fasta=tmp_path / "x.fa")
        new, old = contents(Store.open(tmp_path / "new.lancedb")), contents(store)
        assert report.without_sequence == ["a/b", "twin of P0001"]
        for id, row in new.items():
            assert row["residues"] == old[id]["residues"]
            assert row["length"] == old[id]["length"]
            assert np.allclose(row["vector"], old[id]["vector"], rtol=2e-3, atol=2e-3)
        assert new["P0001"]["sequence"] == old["P0001"]["sequence"]
        assert new["P0001"]["header"] == "some header"
        assert new["a/b"]["sequence"] == ""

    @pytest.mark.parametrize("name", ["x.parquet", "x.h5", "x.npz", "x.npy", "r.parquet", "r.h5"])
    def test_back_into_the_database_it_came_from_changes_nothing(self, annotated, tmp_path, name):
        export(annotated, tmp_path / name, level="residue" if name.startswith("r") else "protein", dtype="float16")
        annotated.keep_calibrated()  # as whatever filled it would have done at its end
        before, versions = str(contents(annotated)), annotated.info()["versions"]
        model = {"model": "tiny"} if name == "x.npy" else {}
        report = protvec.open(annotated.path).import_file(tmp_path / name, **model)
        assert counts(report) == {"requested": 32, "unchanged": 32}
        after = Store.open(annotated.path)
        assert str(contents(after)) == before
        assert {t: v for t, v in after.info()["versions"].items() if t != "ledger"} == {
            t: v for t, v in versions.items() if t != "ledger"
        }

    @pytest.mark.parametrize("level", ["protein", "residue"])
    @pytest.mark.parametrize("kind", ["parquet", "h5"])
    def test_twice_is_once(self, annotated, tmp_path, kind, level):
        export(annotated, tmp_path / f"x.{kind}", level=level)
        protvec.import_file(tmp_path / f"x.{kind}", tmp_path / "new.lancedb")
        once = str(contents(Store.open(tmp_path / "new.lancedb")))
        report = protvec.import_file(tmp_path / f"x.{kind}", tmp_path / "new.lancedb")
        assert counts(report) == {"requested": 32, "unchanged": 32}
        assert str(contents(Store.open(tmp_path / "new.lancedb"))) == once

    @settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        ids=st.lists(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12),
            min_size=1,
            max_size=8,
            unique=True,
        )
    )
    @pytest.mark.parametrize("kind", ["parquet", "h5", "npz"])
    def test_any_id_survives(self, tmp_path_factory, ids, kind):
        if kind == "npz":
            ids = [id for id in ids if not id.endswith("\0")]
        directory = tmp_path_factory.mktemp("ids")
        store = Store.create(directory / "a.lancedb", data.space(), codec="none")
        data.write(store, [data.row(id, data.sequence(i)) for i, id in enumerate(ids)])
        export(store, directory / f"x.{kind}")
        protvec.import_file(directory / f"x.{kind}", directory / "b.lancedb")
        new = contents(Store.open(directory / "b.lancedb"))
        assert {id: row["vector"] for id, row in new.items()} == {
            id: row["vector"] for id, row in contents(store).items()
        }


class TestOtherModels:
    def test_a_download_of_uniprot(self, tmp_path):
        """Per-protein, 1024 dimensions, half precision, accessions as names; sequences from a FASTA file."""
        matrix = vectors(3, 1024).astype(np.float16)
        ids = ["A0A663DJA2", "P0DTC1", "P0DTC2"]
        h5(tmp_path / "per-protein.h5", dict(zip(ids, matrix, strict=True)), dtype=np.float16)
        fasta = write_fasta(
            tmp_path / "x.fa",
            [
                (
                    "sp|P0DTC1|R1A_SARS2 Replicase polyprotein 1a OS=Severe acute respiratory syndrome OX=2697049",
                    HISTONE,
                ),
                ("sp|P0DTC2|SPIKE_SARS2 Spike glycoprotein OX=2697049", UBIQUITIN),
                ("sp|P99999|OTHER Not there", UBIQUITIN[:40]),
            ],
        )
        path = tmp_path / "uniprot.lancedb"
        report = protvec.import_file(tmp_path / "per-protein.h5", path, model="ProtT5", fasta=fasta, dataset="2022_04")
        assert counts(report) == {"requested": 3, "added": 3}
        assert report.without_sequence == ["A0A663DJA2"]
        assert report.sequences_unused == ["sp|P99999|OTHER"]
        db = protvec.open(path)
        assert (db.store.space.model, db.store.space.dimension, db.store.codec) == ("ProtT5", 1024, "none")
        assert np.array_equal(db.get("P0DTC2").vector, matrix[2].astype(np.float32))
        assert (db.get("P0DTC2").sequence, db.get("P0DTC2").metadata["taxid"]) == (UBIQUITIN, 2697049)
        assert db.search_id("P0DTC1", k=1).ids == ["P0DTC1"]
        assert db.search_vector(matrix[0].astype(np.float32), where="dataset = '2022_04'", k=1).ids == ["A0A663DJA2"]

    def test_names_of_bio_embeddings(self, tmp_path):
        arrays = {"0": vectors(4), "1": vectors(6, seed=1)}
        originals = {"0": "sp|P1|X", "1": "b/c"}
        h5(tmp_path / "x.h5", arrays, originals=originals)
        protvec.import_file(tmp_path / "x.h5", tmp_path / "db", model="seqvec", residues="float16")
        db = protvec.open(tmp_path / "db")
        assert np.array_equal(db.residues("b/c"), arrays["1"].astype(np.float16).astype(np.float32))
        assert np.allclose(db.get("sp|P1|X").vector, arrays["0"].mean(axis=0), atol=1e-6)
        assert db.get("b/c").metadata["length"] == 6

    def test_groups_are_what_a_slash_makes(self, tmp_path):
        h5(tmp_path / "x.h5", {"chr1/12-80": vectors(1)[0], "plain": vectors(2)[1]}, model_name="prot")
        protvec.import_file(tmp_path / "x.h5", tmp_path / "db")
        assert "chr1/12-80" in protvec.open(tmp_path / "db")
        assert protvec.open(tmp_path / "db").store.space.model == "prot"

    def test_a_table_of_somebody_else(self, tmp_path):
        table = pa.table(
            {
                "id": pa.array(["a", "b"], pa.large_string()),
                "vector": pa.array(vectors(2).astype(np.float64).tolist(), pa.large_list(pa.float64())),
                "family": pa.array(["x", "y"]).dictionary_encode(),
                "sequence": ["MKVL", "mkva"],
            }
        )
        pq.write_table(table, tmp_path / "x.parquet")
        report = protvec.import_file(tmp_path / "x.parquet", tmp_path / "db", model="esm")
        db = protvec.open(tmp_path / "db")
        assert report.columns_added == ["family"]
        assert db.get("b").sequence == "MKVA"
        assert report.changed[0].id == "b"
        assert db.search_id("a", k=2, where="family = 'y'").ids == ["b"]

    @pytest.mark.parametrize(
        ("kind", "value", "kept"),
        [
            (pa.string_view(), "x", "x"),
            (pa.binary_view(), b"x", b"x"),
            (pa.list_(pa.string_view()), ["x"], ["x"]),
            (pa.map_(pa.string(), pa.int64()), [("x", 1)], [{"key": "x", "value": 1}]),
            (
                pa.struct([("s", pa.string_view()), ("m", pa.map_(pa.string(), pa.string_view()))]),
                {"s": "x", "m": [("y", "z")]},
                {"s": "x", "m": [{"key": "y", "value": "z"}]},
            ),
        ],
        ids=str,
    )
    def test_columns_of_types_that_lance_has_not(self, tmp_path, kind, value, kept):
        table = pa.table({"id": pa.array(["a", "b"], pa.string_view()), "vector": vectors(2).tolist()})
        pq.write_table(table.append_column("own", pa.array([value, None], kind)), tmp_path / "x.parquet")
        for fate in ("added", "unchanged"):
            report = protvec.import_file(tmp_path / "x.parquet", tmp_path / "db", model="esm")
            assert counts(report) == {"requested": 2, fate: 2}
        assert [protvec.open(tmp_path / "db").get(id).metadata["own"] for id in "ab"] == [kept, None]

    def test_a_column_that_cannot_be_kept_is_named(self, tmp_path):
        table = pa.table(
            {"id": ["a", "b"], "vector": vectors(2).tolist(), "own": pa.array([[1], None], pa.list_view(pa.int64()))}
        )
        pq.write_table(table, tmp_path / "x.parquet")
        with pytest.raises(ExchangeError, match=r"column own is list_view.*: leave it out"):
            protvec.import_file(tmp_path / "x.parquet", tmp_path / "db", model="esm")
        assert not (tmp_path / "db").exists()

    def test_searching_by_sequence_says_why_not(self, tmp_path):
        h5(tmp_path / "x.h5", {"a": vectors(1)[0]})
        protvec.import_file(tmp_path / "x.h5", tmp_path / "db", model="esm2")
        with pytest.raises(UnknownModelError, match="esm2, whose weights are not known: search by id or by vector"):
            protvec.open(tmp_path / "db").search("MKVL")

    def test_a_model_of_ours_is_taken_at_its_word(self, tmp_path):
        fasta = write_fasta(tmp_path / "in.fa", [("his", HISTONE), ("ubq", UBIQUITIN)])
        ours = protvec.create(tmp_path / "ours", model="near")
        ours.ingest(fasta)
        arrays = {id: ours.get(id).vector for id in ("his", "ubq")}
        h5(tmp_path / "x.h5", arrays)
        protvec.import_file(tmp_path / "x.h5", tmp_path / "db", model="near")
        said = []
        hits = protvec.open(tmp_path / "db", notify=said.append).search(HISTONE, k=1)
        assert hits.ids == ["his"]
        assert "not checked" in said[0]

    def test_a_model_of_ours_with_another_dimension(self, tmp_path):
        h5(tmp_path / "x.h5", {"a": vectors(1)[0]})
        with pytest.raises(ExchangeError, match="16 dimensions, those of ankh-base have 768"):
            protvec.import_file(tmp_path / "x.h5", tmp_path / "db", model="ankh-base")

    def test_into_a_database_of_another_model(self, store, tmp_path):
        h5(tmp_path / "x.h5", {"a": vectors(1)[0]})
        h5(tmp_path / "y.h5", {"a": vectors(1, 8)[0]})
        before = str(contents(store))
        for name, model in (("x.h5", "other"), ("y.h5", "tiny")):
            with pytest.raises(SpaceMismatchError, match="tiny"):
                protvec.import_file(tmp_path / name, store.path, model=model)
        assert str(contents(store)) == before

    def test_the_users_word_lets_vectors_into_a_database_of_that_model(self, tmp_path):
        store = Store.create(tmp_path / "db", data.space(), codec="none")
        data.write(store, data.numbered(0, 3))
        h5(tmp_path / "x.h5", {"a": vectors(1)[0]})
        with pytest.raises(SpaceMismatchError, match="--model tiny"):
            protvec.import_file(tmp_path / "x.h5", store.path, model="esm")
        assert counts(protvec.import_file(tmp_path / "x.h5", store.path, model="tiny"))["added"] == 1


class TestWithoutSequences:
    @pytest.fixture
    def db(self, tmp_path):
        matrix = vectors(4)
        h5(tmp_path / "x.h5", {f"v{i}": matrix[i] for i in range(4)})
        protvec.import_file(tmp_path / "x.h5", tmp_path / "db.lancedb", model="esm")
        return protvec.open(tmp_path / "db.lancedb")

    def test_what_a_row_looks_like(self, db):
        row = contents(db.store)["v1"]
        assert (row["sequence"], row["length"]) == ("", 0)
        assert row["digest"].startswith("NS.")
        assert len({row["digest"] for row in contents(db.store).values()}) == 4

    def test_a_check_finds_nothing_and_a_repair_changes_nothing(self, db, tmp_path):
        assert db.check(full=True).ok
        h5(tmp_path / "r.h5", {"a": vectors(5), "b": vectors(3, seed=1)})
        protvec.import_file(tmp_path / "r.h5", tmp_path / "r", model="esm")
        other = protvec.open(tmp_path / "r")
        assert other.check(full=True).ok
        lance.dataset(f"{other.path}/residues.lance").delete(f"digest = '{contents(other.store)['a']['digest']}'")
        found = run(["check", "--db", other.path, "--repair"])
        assert found == 1  # nobody can embed it again
        assert sorted(contents(Store.open(other.path), residues=False)) == ["a", "b"]

    def test_everything_else_goes_on(self, db, tmp_path):
        assert db.search_id("v1", k=4).ids[0] == "v1"
        assert db.info()["proteins"] == 4
        assert db.get("v1").to_dict()["sequence"] == ""
        with pytest.raises(QueryError, match="without a sequence"):
            db.get("v1").to_fasta()
        with pytest.raises(ExchangeError, match="has no sequence"):
            db.export(tmp_path / "x.fa")
        assert db.delete(["v1"]) == 1
        assert len(db) == 3

    def test_sequences_come_later_with_update(self, db, tmp_path):
        fasta = write_fasta(tmp_path / "s.fa", [("v0 GN=x", "MKVL"), ("v1", "MKVA")])
        before = db.get("v0").vector
        report = db.import_file(tmp_path / "x.h5", model="esm", fasta=fasta)
        assert counts(report) == {"requested": 4, "unchanged": 4, "stale": 2}
        report = db.import_file(tmp_path / "x.h5", model="esm", fasta=fasta, update=True)
        assert counts(report) == {"requested": 4, "updated": 2, "unchanged": 2}
        assert db.get("v0").sequence == "MKVL"
        assert db.get("v0").metadata["length"] == 4
        assert np.array_equal(db.get("v0").vector, before)
        assert counts(db.import_file(tmp_path / "x.h5", model="esm")) == {"requested": 4, "unchanged": 4}
        assert db.get("v0").sequence == "MKVL"

    def test_another_vector_takes_update(self, db, tmp_path):
        h5(tmp_path / "y.h5", {"v1": vectors(1, seed=9)[0]})
        report = db.import_file(tmp_path / "y.h5", model="esm")
        assert "another vector under this id; --update" in report.skipped[0].reason
        digest = contents(db.store)["v1"]["digest"]
        assert counts(db.import_file(tmp_path / "y.h5", model="esm", update=True)) == {"requested": 1, "updated": 1}
        assert contents(db.store)["v1"]["digest"] != digest

    def test_residues_follow_a_vector_that_is_replaced(self, tmp_path):
        h5(tmp_path / "x.h5", {"a": vectors(5), "b": vectors(3, seed=1)})
        h5(tmp_path / "y.h5", {"a": vectors(7, seed=2)})
        protvec.import_file(tmp_path / "x.h5", tmp_path / "db", model="esm")
        report = protvec.import_file(tmp_path / "y.h5", tmp_path / "db", model="esm", update=True)
        assert counts(report) == {"requested": 1, "updated": 1}
        db = protvec.open(tmp_path / "db")
        assert db.residues("a").shape == (7, D)
        assert db.info()["residue_arrays"] == 2


class TestRecordsThatCannotBeUsed:
    def test_each_is_named(self, tmp_path):
        matrix = vectors(9)
        matrix[1, 3], matrix[2] = np.nan, 0
        arrays = {f"v{i}": matrix[i] for i in range(5)} | {"short": matrix[5][:3], "cube": np.ones((2, 2, 2))}
        h5(tmp_path / "x.h5", arrays)
        report = protvec.import_file(tmp_path / "x.h5", tmp_path / "db", model="esm")
        reasons = {skipped.id: skipped.reason for skipped in report.skipped}
        assert counts(report) == {"requested": 7, "added": 3, "skipped": 4}
        assert "not finite" in reasons["v1"]
        assert "zero" in reasons["v2"]
        assert "3 dimensions, not 16" in reasons["short"]
        assert "(2, 2, 2)" in reasons["cube"]
        assert sorted(contents(Store.open(tmp_path / "db"))) == ["v0", "v3", "v4"]

    def test_none_of_them_makes_no_database(self, tmp_path):
        h5(tmp_path / "x.h5", {"a": np.zeros(D)})
        report = protvec.import_file(tmp_path / "x.h5", tmp_path / "db", model="esm")
        assert (len(report.skipped), report.created) == (1, False)
        assert not (tmp_path / "db").exists()

    def test_ids_that_occur_again(self, tmp_path):
        matrix = vectors(3)
        np.savez(tmp_path / "x.npz", ids=["a", "b", "a", "a", ""], vectors=matrix[[0, 1, 0, 2, 1]])
        report = protvec.import_file(tmp_path / "x.npz", tmp_path / "db", model="esm")
        assert counts(report) == {"requested": 5, "added": 2, "unchanged": 1, "repeated": 1, "skipped": 2}
        assert [(s.line, s.id) for s in report.skipped] == [(5, ""), (4, "a")]

    def test_an_array_that_is_not_of_its_sequence(self, tmp_path):
        h5(tmp_path / "x.h5", {"a": vectors(5), "b": vectors(4, seed=1)})
        fasta = write_fasta(tmp_path / "s.fa", [("a", "MKVL"), ("b", "MKVA")])
        report = protvec.import_file(tmp_path / "x.h5", tmp_path / "db", model="esm", fasta=fasta)
        assert counts(report) == {"requested": 2, "added": 1, "skipped": 1}
        assert "5 residues, its sequence 4" in report.skipped[0].reason

    def test_a_vector_that_is_not_the_mean_of_its_residues(self, tmp_path):
        arrays = [vectors(5), vectors(4, seed=1)]
        means = [array.mean(axis=0) for array in arrays]
        table = pa.table({"id": ["a", "b"], "vector": [means[0], -means[1]], "residues": [a.tolist() for a in arrays]})
        pq.write_table(table, tmp_path / "x.parquet")
        report = protvec.import_file(tmp_path / "x.parquet", tmp_path / "db", model="esm")
        assert [(s.id, s.reason) for s in report.skipped] == [("b", "its vector is not the mean of its residues")]

    def test_residues_that_are_not_finite(self, tmp_path):
        bad = vectors(5)
        bad[2, 2] = np.inf
        h5(tmp_path / "x.h5", {"a": bad, "b": vectors(4, seed=1)})
        report = protvec.import_file(tmp_path / "x.h5", tmp_path / "db", model="esm")
        assert [s.id for s in report.skipped] == ["a"]

    def test_vectors_alone_do_not_enter_a_database_with_residues(self, store, tmp_path):
        arrays = {"new": vectors(1)[0], "P0001": np.array(contents(store)["P0001"]["vector"])}
        h5(tmp_path / "x.h5", arrays)
        report = protvec.import_file(tmp_path / "x.h5", store.path, model="tiny")
        assert counts(report) == {"requested": 2, "unchanged": 1, "skipped": 1}
        assert "the database keeps residues" in report.skipped[0].reason

    def test_another_sequence_or_another_vector_under_a_known_id(self, store, tmp_path):
        rows = contents(store, residues=False)
        table = pa.table(
            {
                "id": ["P0001", "P0002", "P0003"],
                "sequence": ["MKVLMKVL", rows["P0002"]["sequence"], rows["P0003"]["sequence"]],
                "vector": [rows["P0001"]["vector"], vectors(1, seed=3)[0].tolist(), rows["P0003"]["vector"]],
            }
        )
        pq.write_table(table, tmp_path / "x.parquet")
        before = str(contents(store))
        report = protvec.import_file(tmp_path / "x.parquet", store.path, model="tiny")
        assert counts(report) == {"requested": 3, "unchanged": 1, "skipped": 2}
        assert "another sequence" in report.skipped[0].reason
        assert "another vector for the same sequence" in report.skipped[1].reason
        assert str(contents(Store.open(store.path))) == before

    def test_update_replaces_what_the_file_says_and_no_more(self, annotated, tmp_path):
        row = contents(annotated, residues=False)["P0001"]
        pq.write_table(
            pa.table(
                {"id": ["P0001"], "vector": [row["vector"]], "gene": ["NEW"], "weight": pa.nulls(1, pa.float64())}
            ),
            tmp_path / "x.parquet",
        )
        db = protvec.open(annotated.path)
        assert counts(db.import_file(tmp_path / "x.parquet", model="tiny"))["stale"] == 1
        assert counts(db.import_file(tmp_path / "x.parquet", model="tiny", update=True))["updated"] == 1
        assert contents(Store.open(annotated.path), residues=False)["P0001"] == row | {"gene": "NEW"}

    def test_a_column_of_another_type(self, annotated, tmp_path):
        pq.write_table(
            pa.table({"id": ["P0001", "new"], "vector": vectors(2).tolist(), "weight": ["1", "2"]}),
            tmp_path / "x.parquet",
        )
        new = Store.create(tmp_path / "new", data.space(), codec="none")
        new.add_columns([pa.field("weight", pa.float64())])
        with pytest.raises(ExchangeError, match="column weight is double in the database, not string: rename it"):
            protvec.import_file(tmp_path / "x.parquet", new.path, model="tiny")
        assert new.count() == 0

    def test_residues_whose_rows_differ_in_width_are_no_matrix(self, tmp_path):
        """Also where the numbers are as many as those of a matrix."""
        rows = [[[1.0, 2], [3, 4]], [[1], [2, 3, 4]], [[1, 2], None, [3, 4], None], [[], []], [], None]
        table = pa.table({"id": list("abcdef"), "residues": pa.array(rows, pa.list_(pa.list_(pa.float32())))})
        pq.write_table(table, tmp_path / "x.parquet")
        report = protvec.import_file(tmp_path / "x.parquet", tmp_path / "db", model="esm", residues="float16")
        assert counts(report) == {"requested": 6, "added": 1, "skipped": 5}
        assert protvec.open(tmp_path / "db").residues("a").tolist() == [[1, 2], [3, 4]]

    def test_numbers_that_float32_cannot_hold_are_not_finite(self, tmp_path):
        values = np.array([[1e300, 1, 1], [1, 2, 3]])
        np.savez(tmp_path / "x.npz", ids=["a", "b"], vectors=values)
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["a"], file["b"] = values
        with h5py.File(tmp_path / "y.h5", "w") as file:
            file["a"], file["b"] = values.reshape(2, 1, 3).repeat(2, axis=1)
        for name in ("x.npz", "x.h5", "y.h5"):
            report = protvec.import_file(tmp_path / name, tmp_path / f"db-{name}", model="esm")
            assert counts(report) == {"requested": 2, "added": 1, "skipped": 1}
            assert "not finite" in report.skipped[0].reason

    def test_a_link_that_leads_nowhere_is_named(self, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["a"] = h5py.SoftLink("/nowhere")
            file["b"] = np.ones(4)
        report = protvec.import_file(tmp_path / "x.h5", tmp_path / "db", model="esm")
        assert counts(report) == {"requested": 2, "added": 1, "skipped": 1}
        assert (report.skipped[0].id, report.skipped[0].reason) == ("a", "it holds nothing, not numbers")

    def test_ids_may_be_numbers(self, tmp_path):
        pq.write_table(pa.table({"id": [7, None], "vector": [[1.0, 2], [3, 4]]}), tmp_path / "x.parquet")
        report = protvec.import_file(tmp_path / "x.parquet", tmp_path / "db", model="esm")
        assert counts(report) == {"requested": 2, "added": 1, "skipped": 1}
        assert protvec.open(tmp_path / "db").get("7").vector.tolist() == [1, 2]


class TestFilesThatCannotBeRead:
    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("x.h5", b"not hdf5", "not an HDF5 file"),
            ("x.parquet", b"not parquet", "not a Parquet file"),
            ("x.npz", b"not npz", "not an .npz file"),
            ("x.npy", b"not npy", "ids cannot be read"),
            ("x.fa", b">a\nMK\n", "protvec ingest"),
            ("x.csv", b"a,b\n", "does not say which format"),
        ],
    )
    def test_what_is_not_what_its_name_says(self, tmp_path, name, content, message):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ExchangeError, match=message):
            protvec.import_file(tmp_path / name, tmp_path / "db", model="esm")
        assert not (tmp_path / "db").exists()

    @pytest.mark.parametrize("name", ["x.h5", "x.parquet", "x.npz", "x.npy"])
    def test_no_such_file(self, tmp_path, name):
        with pytest.raises(ExchangeError, match="no such file"):
            protvec.import_file(tmp_path / name, tmp_path / "db", model="esm")

    @pytest.mark.parametrize("name", ["x.h5", "x.parquet", "x.npz", "x.npy"])
    @pytest.mark.parametrize("part", [0.3, 0.9])
    def test_truncated(self, store, tmp_path, name, part):
        export(store, tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(ExchangeError, match=name):
            protvec.import_file(tmp_path / name, tmp_path / "db", model="tiny")

    def test_npz_without_the_arrays(self, tmp_path):
        np.savez(tmp_path / "x.npz", a=vectors(1)[0])
        with pytest.raises(ExchangeError, match="needs the arrays ids and vectors, but has a"):
            protvec.import_file(tmp_path / "x.npz", tmp_path / "db", model="esm")

    def test_pickles_are_never_loaded(self, tmp_path):
        np.savez(tmp_path / "x.npz", ids=np.array(["a"], dtype=object), vectors=vectors(1))
        with pytest.raises(ExchangeError, match="damaged"):
            protvec.import_file(tmp_path / "x.npz", tmp_path / "db", model="esm")

    def test_ids_and_vectors_of_different_number(self, tmp_path):
        np.save(tmp_path / "x.npy", vectors(3))
        (tmp_path / "names.txt").write_text("a\nb\n")
        with pytest.raises(ExchangeError, match="2 ids"):
            protvec.import_file(tmp_path / "x.npy", tmp_path / "db", model="esm", ids=tmp_path / "names.txt")

    def test_a_table_without_vectors(self, tmp_path):
        pq.write_table(pa.table({"id": ["a"], "x": [1]}), tmp_path / "x.parquet")
        with pytest.raises(ExchangeError, match="needs columns id and vector, but has id, x"):
            protvec.import_file(tmp_path / "x.parquet", tmp_path / "db", model="esm")

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("a b", "'a b' cannot name a column: letters"),
            ("score", "protvec has its own 'score': rename it"),
            ("select", "a word of SQL: rename it"),
            ("gene", "column gene is string in the database, not int64: rename it"),
        ],
    )
    def test_a_column_that_cannot_be_one_makes_no_database(self, tmp_path, name, said):
        table = pa.table({"id": ["a"], "vector": [[1.0, 2.0]], name: [1]})
        pq.write_table(table, tmp_path / "x.parquet")
        with pytest.raises(ExchangeError, match=said):
            protvec.import_file(tmp_path / "x.parquet", tmp_path / "db", model="esm")
        assert not (tmp_path / "db").exists()

    def test_h5_in_another_layout(self, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["embeddings"] = vectors(3)
            file["ids"] = ["a", "b", "c"]
        with pytest.raises(ExchangeError, match="one array of numbers a protein"):
            protvec.import_file(tmp_path / "x.h5", tmp_path / "db", model="esm")

    def test_an_empty_h5(self, tmp_path):
        h5(tmp_path / "x.h5", {})
        with pytest.raises(ExchangeError, match="no dataset"):
            protvec.import_file(tmp_path / "x.h5", tmp_path / "db", model="esm")

    def test_the_file_knows_its_model_better(self, store, tmp_path):
        export(store, tmp_path / "x.h5")
        with pytest.raises(ExchangeError, match="vectors of tiny, not of esm"):
            protvec.import_file(tmp_path / "x.h5", tmp_path / "db", model="esm")

    @pytest.mark.parametrize(
        ("column", "value"), [("vector", 1.0), ("vector", ["x"]), ("residues", [1.0]), ("residues", [["x"]])]
    )
    def test_a_column_that_is_no_array_of_numbers(self, tmp_path, column, value):
        pq.write_table(pa.table({"id": ["a"], column: [value]}), tmp_path / "x.parquet")
        with pytest.raises(ExchangeError, match=rf"column {column} is .*: need a list of"):
            protvec.import_file(tmp_path / "x.parquet", tmp_path / "db", model="esm")
        assert not (tmp_path / "db").exists()


class TestOtherFiles:
    """What an import reads beside the vectors."""

    @pytest.mark.parametrize("start", ["", "\ufeff"], ids=["plain", "with a byte order mark"])
    def test_a_file_of_ids_is_named_in_the_ledger(self, tmp_path, start):
        np.save(tmp_path / "x.npy", np.eye(2, 4, dtype=np.float32))
        names = tmp_path / "names.txt"
        names.write_text(f"{start}a\nb\n", encoding="utf-8")
        report = protvec.import_file(tmp_path / "x.npy", tmp_path / "db", model="esm", ids=names)
        store = Store.open(tmp_path / "db")
        assert set(contents(store)) == {"a", "b"}
        assert store.ledger.entry(report.run).options["ids"] == str(names)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
    def test_sequences_may_come_from_a_pipe_with_a_name(self, tmp_path):
        """It can be read once; its digest is of what was read."""
        np.savez(tmp_path / "x.npz", ids=["a"], vectors=np.eye(1, 4, dtype=np.float32))
        os.mkfifo(tmp_path / "pipe.fa")
        feeding = subprocess.Popen(["/bin/sh", "-c", f"printf '>a x\\nMKV\\n' > '{tmp_path}/pipe.fa'"])
        report = protvec.import_file(tmp_path / "x.npz", tmp_path / "db", model="esm", fasta=tmp_path / "pipe.fa")
        assert feeding.wait(60) == 0
        store = Store.open(tmp_path / "db")
        assert store.known(["a"])["a"].row["sequence"] == "MKV"
        (_, pipe) = store.ledger.entry(report.run).files
        assert (pipe.sha256, pipe.bytes) == (hashlib.sha256(b">a x\nMKV\n").hexdigest(), 9)


def test_a_killed_import_goes_on_where_it_was(store, tmp_path):
    export(store, tmp_path / "x.parquet", level="residue")
    script = (
        "import sys, time\nfrom protvec.exchange import import_file, sources\n"
        "sources._RESIDUE_ROWS = 5\n"
        "def progress(done, total):\n    print(done, flush=True)\n    time.sleep(0.3)\n"
        "import_file(sys.argv[1], sys.argv[2], progress=progress)\n"
    )
    path = tmp_path / "new.lancedb"
    command = [sys.executable, "-c", script, str(tmp_path / "x.parquet"), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    there = Store.open(path).count()
    assert 10 <= there < 32
    report = protvec.import_file(tmp_path / "x.parquet", path)
    assert report.unchanged == there
    assert report.added + report.reused == 32 - there
    assert str(sorted(contents(Store.open(path)).items())) == str(sorted(contents(store).items()))


class TestCommand:
    def test_says_what_it_did_and_leaves_a_line_in_the_log(self, tmp_path, capfd):
        matrix = vectors(3)
        matrix[2] = 0
        h5(tmp_path / "x.h5", {f"v{i}": matrix[i] for i in range(3)})
        db = str(tmp_path / "db.lancedb")
        assert run(["import", str(tmp_path / "x.h5"), "--db", db, "--model", "esm", "--json"]) == 1
        out, err = capfd.readouterr()
        assert json.loads(out)["added"] == 2
        assert "2 added, 0 reused, 0 updated, 0 unchanged, 1 skipped of 3 records" in err
        assert "is new: vectors of esm, residue arrays: none" in err
        assert "x.h5:3: v2: its vector is zero" in err
        assert run(["import", str(tmp_path / "x.h5"), "--db", db, "--model", "esm", "--skip-invalid"]) == 0
        assert run(["log", "--db", db, "--json"]) == 0
        entries = json.loads(capfd.readouterr().out)
        assert [entry["command"] for entry in entries] == ["import", "import"]
        assert (entries[1]["gained"], entries[1]["counts"]["added"], entries[1]["state"]) == (2, 2, "done")
        assert entries[1]["files"][0]["sha256"]
        assert run(["info", "--db", db]) == 0
        assert "not known: the vectors were imported" in capfd.readouterr().out
        assert run(["search", "MKVLA", "--db", db]) == 1
        assert "search by id or by vector" in capfd.readouterr().err
        assert run(["search", "--id", "v0", "--db", db]) == 0

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (["no.h5"], 1, "no such file"),
            (["x.h5"], 1, "--model"),
            (["x.h5", "--model", "esm", "--residues", "int8"], 1, "no residue arrays to keep"),
            (["x.h5", "--model", "esm", "--residues", "zip"], 2, "zip"),
            (["x.h5", "--model", "esm", "--fasta", "no.fa"], 1, "no.fa"),
            (["x.h5", "--model", "esm", "--ids", "ids.txt"], 1, "has its ids inside"),
            ([], 2, "FILE"),
        ],
    )
    def test_mistakes_make_no_database(self, tmp_path, capfd, monkeypatch, arguments, code, message):
        monkeypatch.chdir(tmp_path)
        h5(tmp_path / "x.h5", {"a": vectors(1)[0]})
        assert run(["import", *arguments, "--db", "db.lancedb"]) == code
        assert message in capfd.readouterr().err
        assert not (tmp_path / "db.lancedb").exists()
