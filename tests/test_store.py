from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import store_data as data

from protvec.errors import (
    DatabaseError,
    DatabaseExistsError,
    DatabaseFormatError,
    DatabaseNotFoundError,
    FilterError,
    ProteinNotFoundError,
    QueryError,
    SpaceMismatchError,
)
from protvec.store import CODECS, PROTEIN_COLUMNS, SCHEMA_VERSION, Store, digest, protein_table
from protvec.store.location import locate
from protvec.store.schema import Description, residues_schema
from protvec.store.tables import create_table

ODD_IDS = ["it's", 'say "hi"', "two words", "Ünïcødé-蛋白", "a;b--c", "%_\\", "x') OR ('1'='1"]


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "test.lancedb", data.space())


def files(path):
    return {str(file) for file in path.rglob("*")}


class TestDigest:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [("", "SQ.z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXc"), ("ACGT", "SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2")],
    )
    def test_published_values(self, text, expected):
        assert digest(text) == expected


class TestCreateAndOpen:
    def test_what_was_created_is_what_opens(self, tmp_path):
        path = tmp_path / "deep" / "er" / "a b'ü.lancedb"
        made = Store.create(path, data.space(), precision="int8")
        opened = Store.open(path)
        assert opened.space == made.space == data.space()
        assert (opened.codec, opened.precision, opened.schema_version) == ("int8", "int8", SCHEMA_VERSION)
        assert opened.created_with
        assert opened.path == str(path)
        assert opened.columns == list(PROTEIN_COLUMNS)
        assert opened.count() == 0

    def test_a_relative_path_becomes_absolute(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert Store.create("db.lancedb", data.space()).path == str(tmp_path / "db.lancedb")
        assert Store.open("db.lancedb").count() == 0

    def test_a_database_is_not_overwritten(self, store):
        data.write(store, data.numbered(0, 3))
        with pytest.raises(DatabaseExistsError, match="a database already"):
            Store.create(store.path, data.space())
        assert Store.open(store.path).count() == 3

    def test_other_peoples_directories_are_left_alone(self, tmp_path):
        (tmp_path / "thesis.tex").write_text("x")
        with pytest.raises(DatabaseExistsError, match="something else"):
            Store.create(tmp_path, data.space())
        with pytest.raises(DatabaseFormatError, match="not a protvec database"):
            Store.open(tmp_path)
        assert files(tmp_path) == {str(tmp_path / "thesis.tex")}

    def test_an_unknown_codec_makes_nothing(self, tmp_path):
        with pytest.raises(QueryError, match=r"'zip'.*float16"):
            Store.create(tmp_path / "db", data.space(), codec="zip")
        assert not (tmp_path / "db").exists()

    @pytest.mark.parametrize("left", ["nothing", "fragments", "residues", "both"])
    def test_a_creation_cut_short_is_no_database_and_can_be_made_again(self, tmp_path, left):
        path = tmp_path / "db.lancedb"
        path.mkdir()
        if left in ("fragments", "both"):  # files of a first commit that never happened
            (path / "proteins.lance" / "_transactions").mkdir(parents=True)
            (path / "proteins.lance" / "_transactions" / "0-1.txn").write_bytes(b"x")
        if left in ("residues", "both"):
            create_table(locate(path / "residues.lance"), residues_schema())
        with pytest.raises(DatabaseNotFoundError, match="create it again"):
            Store.open(path)
        store = Store.create(path, data.space())
        data.write(store, data.numbered(0, 2))
        assert Store.open(path).count() == 2

    def test_a_kill_between_the_two_tables(self, tmp_path):
        path = tmp_path / "db.lancedb"
        script = (
            "import os, sys, protvec.store.layout as layout\n"
            "from protvec.space import Space\nfrom protvec.store import Store\n"
            "real, calls = layout.create_table, []\n"
            "def create_table(*args):\n"
            "    if calls: os._exit(9)\n"
            "    calls.append(1); return real(*args)\n"
            "layout.create_table = create_table\n"
            "Store.create(sys.argv[1], Space('other', None, None, 'ff', 8))\n"
        )
        assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == 9
        with pytest.raises(DatabaseNotFoundError):
            Store.open(path)
        assert Store.create(path, data.space()).space == data.space()

    def test_nothing_there_names_what_is_near(self, store, tmp_path):
        with pytest.raises(DatabaseNotFoundError, match=r"near: test\.lancedb"):
            Store.open(tmp_path / "tset.lancedb")
        with pytest.raises(DatabaseNotFoundError, match="nor the directory"):
            Store.open(tmp_path / "no" / "such.lancedb")

    @pytest.mark.parametrize("table", ["proteins", "residues"])
    def test_a_table_dropped_by_hand(self, store, tmp_path, table):
        data.write(store, data.numbered(0, 2))
        (tmp_path / "test.lancedb" / f"{table}.lance").rename(tmp_path / "gone")
        with pytest.raises(DatabaseFormatError, match=f"no table {table}") as caught:
            Store.open(store.path)
        assert "\n" not in str(caught.value)

    def test_a_file(self, tmp_path):
        (tmp_path / "db").write_text("x")
        with pytest.raises(DatabaseFormatError, match="a file"):
            Store.open(tmp_path / "db")

    def test_a_newer_schema_says_what_to_do(self, tmp_path):
        from protvec.store.schema import proteins_schema

        newer = Description(data.space(), "float16", None, 99, "7.0")
        path = tmp_path / "db.lancedb"
        path.mkdir()
        create_table(locate(path / "proteins.lance"), proteins_schema(newer))
        create_table(locate(path / "residues.lance"), residues_schema())
        with pytest.raises(DatabaseFormatError, match=r"schema version 99 by protvec 7\.0.*upgrade"):
            Store.open(path)

    @pytest.mark.parametrize("text", [None, "{", "[]", '{"schema_version": 1}'])
    def test_tables_of_others(self, tmp_path, text):
        path = tmp_path / "db.lancedb"
        path.mkdir()
        metadata = {} if text is None else {"protvec": text}
        create_table(locate(path / "proteins.lance"), pa.schema({"id": pa.string()}, metadata=metadata))
        create_table(locate(path / "residues.lance"), residues_schema())
        with pytest.raises(DatabaseFormatError, match=r"not made by protvec|damaged"):
            Store.open(path)

    def test_a_space_is_known_by_its_weights(self, store):
        store.check_space(data.space())
        other = data.space(weights="cd" * 32)
        with pytest.raises(SpaceMismatchError, match=r"weights abababab.*weights cdcdcdcd") as caught:
            store.check_space(other)
        assert (caught.value.expected, caught.value.actual) == (store.space, other)


class TestWrite:
    def test_everything_comes_back(self, store):
        rows = [
            data.row("a", "MKV", gene="NAC001", symbols=["ANAC001", "X,Y"], taxid=3702, organism="A. thaliana"),
            data.row("b", "MUO", description="", dataset="d'1"),
        ]
        data.write(store, rows)
        got = store.get(["b", "a"]).drop(["vector"]).to_pylist()
        for row, back in zip(reversed(rows), got, strict=True):
            expected = dict.fromkeys(PROTEIN_COLUMNS[:-1]) | row | {"length": 3}
            assert back == expected

    def test_vectors_are_bit_exact_and_residues_within_half_precision(self, store):
        rows = data.numbered(0, 5)
        data.write(store, rows)
        vectors = store.vectors([row["digest"] for row in rows] + ["SQ.absent"])
        arrays = store.residues([row["id"] for row in rows])
        assert list(arrays) == [row["id"] for row in rows]
        assert len(vectors) == 5
        for row in rows:
            exact = data.residues(row["sequence"])
            assert vectors[row["digest"]].tobytes() == exact.mean(axis=0).tobytes()
            assert arrays[row["id"]].dtype == np.float32
            codec = CODECS[store.codec]
            np.testing.assert_array_equal(arrays[row["id"]], codec.decode(*codec.encode(exact), length=len(exact)))

    def test_a_known_id_is_replaced_whole(self, store):
        data.write(store, [data.row("a", "MKV", gene="G", dataset="d"), data.row("b", "MKV")])
        data.write(store, [data.row("a", "MKVL", organism="o")])
        assert store.count() == 2
        row = store.get(["a"]).to_pylist()[0]
        assert (row["sequence"], row["gene"], row["dataset"], row["organism"]) == ("MKVL", None, None, "o")
        assert store.residues(["a"])["a"].shape == (4, data.D)

    def test_residues_of_a_replaced_sequence_go_once_nobody_has_it(self, store):
        data.write(store, [data.row("a", "MKV"), data.row("b", "MKV")])
        data.write(store, [data.row("a", "MKVL")])
        assert store.info()["residue_arrays"] == 2
        data.write(store, [data.row("b", "MKVL")])
        assert store.info()["residue_arrays"] == 1

    def test_identical_sequences_are_stored_once(self, store):
        data.write(store, [data.row("a", "MKV"), data.row("b", "MKV")])
        data.write(store, [data.row("c", "MKV")])
        facts = store.info()
        assert (facts["proteins"], facts["sequences"], facts["residue_arrays"]) == (3, 1, 1)
        assert store.residues(["a", "c"])["a"] is not None

    def test_known_residues_are_left_alone(self, store):
        data.write(store, [data.row("a", "MKV")])
        row, other = data.row("b", "MKV"), np.ones((3, data.D), np.float32)
        store.write(protein_table([row], other[:1]), [(row["digest"], other)])
        np.testing.assert_allclose(store.residues(["b"])["b"], data.residues("MKV"), atol=0.02)
        store.write(protein_table([data.row("c", "MKV")], other[:1]), [])

    def test_writing_the_same_again_changes_nothing(self, store):
        data.write(store, data.numbered(0, 4))
        before = store.get([f"P{i:04d}" for i in range(4)])
        data.write(store, data.numbered(0, 4))
        assert store.get([f"P{i:04d}" for i in range(4)]).equals(before)
        assert store.count() == 4

    def test_nothing_to_write_makes_no_version(self, store):
        before = store.info()["versions"]
        store.write(protein_table([], np.empty((0, data.D), np.float32)), [])
        assert store.info()["versions"] == before

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([data.row("a", "MK"), data.row("a", "MV")], "'a' is repeated"),
            ([data.row("a", "MK"), {**data.row("b", "MV"), "digest": None}], "digest has 1 null"),
        ],
    )
    def test_bad_rows_write_nothing(self, store, rows, message):
        arrays = {row["digest"]: data.residues(row["sequence"]) for row in rows}
        with pytest.raises(ValueError, match=message):
            store.write(protein_table(rows, np.ones((2, data.D), np.float32)), arrays.items())
        assert store.info()["versions"] == {"proteins": 1, "residues": 1}

    @pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
    def test_a_vector_without_direction_is_refused(self, store, value):
        row = data.row("a", "MK")
        vectors = np.full((1, data.D), value, np.float32)
        with pytest.raises(ValueError, match="'a' is zero or not finite"):
            store.write(protein_table([row], vectors), [(row["digest"], data.residues("MK"))])

    def test_a_vector_of_another_length_is_refused(self, store):
        row = data.row("a", "MK")
        with pytest.raises(ValueError, match="column vector is fixed_size_list"):
            store.write(protein_table([row], np.ones((1, 3), np.float32)), [(row["digest"], np.ones((2, 3)))])

    def test_bad_residues_write_nothing(self, store):
        row = data.row("a", "MK")
        table, good = protein_table([row], np.ones((1, data.D), np.float32)), data.residues("MK")
        with pytest.raises(ValueError, match="repeated"):
            store.write(table, [(row["digest"], good), (row["digest"], good)])
        with pytest.raises(ValueError, match="no protein of this batch"):
            store.write(table, [(row["digest"], good), ("SQ.other", good)])
        with pytest.raises(ValueError, match="shape"):
            store.write(table, [(row["digest"], good[:, 1:])])
        with pytest.raises(DatabaseError, match="no residues of 1 sequences"):
            store.write(table, [])
        with pytest.raises(DatabaseError, match=r"1e\+20 does not fit int8"):
            store.write(table, [(row["digest"], np.full((2, data.D), 1e20, np.float32))])
        assert store.info()["versions"] == {"proteins": 1, "residues": 1}

    def test_codec_none_keeps_vectors_alone(self, tmp_path):
        store = Store.create(tmp_path / "db", data.space(), codec="none")
        data.write(store, data.numbered(0, 3))
        assert store.info()["residue_arrays"] == 0
        assert store.search(np.ones(data.D), k=2).num_rows == 2
        with pytest.raises(QueryError, match="codec none"):
            store.residues(["P0000"])
        assert store.delete(ids=["P0000"]) == 1

    def test_the_metadata_survives_writes_and_compaction(self, store):
        for start in range(0, 9, 3):
            data.write(store, data.numbered(start, start + 4, dataset=f"d{start}"))
        store.delete(ids=["P0001"])
        store.compact()
        again = Store.open(store.path)
        assert (again.space, again.codec, again.created_with) == (
            store.space,
            store.codec,
            store.created_with,
        )


class TestRead:
    @pytest.mark.parametrize("identifier", ODD_IDS)
    def test_ids_are_kept_byte_for_byte(self, store, identifier):
        data.write(store, [data.row(identifier, "MKV"), data.row("other", "MKL")])
        assert store.get([identifier])["id"].to_pylist() == [identifier]
        assert list(store.known([identifier])) == [identifier]
        assert list(store.residues([identifier])) == [identifier]
        assert store.delete(ids=[identifier]) == 1
        assert store.count() == 1

    def test_get_keeps_order_and_repeats(self, store):
        data.write(store, data.numbered(0, 9))
        ids = ["P0007", "P0001", "P0007", "P0004"]
        table = store.get(ids, columns=["length", "id"])
        assert table.column_names == ["length", "id"]
        assert table["id"].to_pylist() == ids
        assert store.get([]).num_rows == 0

    def test_thousands_of_ids_at_once(self, tmp_path):
        store = Store.create(tmp_path / "db", data.space(), codec="none")
        rows = [data.row(f"P{i:05d}", "MKV") for i in range(5000)]
        store.write(protein_table(rows, np.ones((5000, data.D), np.float32)), [])
        ids = [row["id"] for row in reversed(rows)]
        assert store.get(ids, columns=["id"])["id"].to_pylist() == ids
        assert len(store.known([*ids, "absent"])) == 5000
        assert store.delete(ids=ids[:4999]) == 4999

    def test_an_absent_id_names_what_is_near(self, store):
        data.write(store, [data.row("AT1G01010.1", "MK"), data.row("AT1G01010.2", "MV"), data.row("x", "MM")])
        with pytest.raises(ProteinNotFoundError, match="'at1g01010' and 1 more") as caught:
            store.get(["x", "at1g01010", "nope"])
        assert caught.value.ids == ["at1g01010", "nope"]
        assert caught.value.near == ["AT1G01010.1", "AT1G01010.2"]
        with pytest.raises(ProteinNotFoundError) as caught:
            store.residues(["AT1G01001.1"])
        assert caught.value.near[0] == "AT1G01010.1"

    @pytest.mark.parametrize("few_rows", [10, 50_000])  # looked for, and told from all keys
    def test_of_many_keys_those_there_now(self, store, monkeypatch, few_rows):
        monkeypatch.setattr("protvec.store.protein_reader._FEW_ROWS", few_rows)
        rows = data.numbered(0, 40)
        ids, digests = [row["id"] for row in rows], [row["digest"] for row in rows]
        data.write(store, rows[:30])
        assert sorted(store.known([*ids, *ids])) == ids[:30]
        assert set(store.vectors(digests)) == set(digests[:30])
        other = Store.open(store.path)
        other.delete(ids=ids[:5])
        data.write(other, rows[30:35])
        store.refresh()
        assert sorted(store.known(ids)) == ids[5:35]
        assert set(store.vectors(digests)) == set(digests[5:35])

    def test_known_gives_the_row_without_its_vector(self, store):
        data.write(store, [data.row("a", "MKV", gene="G")])
        known = store.known(["a", "b"])
        assert list(known) == ["a"]
        assert known["a"].digest == digest("MKV")
        assert known["a"].row["gene"] == "G"
        assert set(known["a"].row) == set(PROTEIN_COLUMNS) - {"vector"}

    def test_iteration_is_complete_bounded_and_filtered(self, store):
        data.write(store, data.numbered(0, 10, dataset="a"))
        data.write(store, data.numbered(10, 25, dataset="b"))
        batches = list(store.iter_proteins(columns=["id"], batch_size=4))
        assert max(batch.num_rows for batch in batches) <= 4
        assert sorted(i for batch in batches for i in batch["id"].to_pylist()) == [f"P{i:04d}" for i in range(25)]
        assert sum(batch.num_rows for batch in store.iter_proteins(where="dataset = 'b'")) == 15
        with pytest.raises(FilterError, match="no column 'nope'"):
            store.iter_proteins(columns=["nope"])

    def test_iteration_sees_one_version(self, store):
        data.write(store, data.numbered(0, 20))
        batches = store.iter_proteins(columns=["id"], batch_size=5)
        seen = next(batches).num_rows
        store.delete(where="true")
        assert seen + sum(batch.num_rows for batch in batches) == 20

    def test_info(self, store):
        data.write(store, [data.row("a", "MKV", dataset="x"), data.row("b", "MKV", dataset="y")])
        data.write(store, [data.row("c", "MKVL")])
        facts = store.info()
        assert (facts["proteins"], facts["sequences"], facts["residues"]) == (3, 2, 10)
        assert facts["datasets"] == {"": 1, "x": 1, "y": 1}
        assert facts["space"] == data.space().to_dict()
        for table in ("proteins", "residues"):
            total, old = facts["bytes"][table]["total"], facts["bytes"][table]["old"]
            on_disk = sum(f.stat().st_size for f in _path(store, table).rglob("*") if f.is_file())
            assert 0 < old < total == on_disk
        assert facts["indexes"] == []


def _path(store, table):
    from pathlib import Path

    return Path(store.path) / f"{table}.lance"


class TestDelete:
    def test_residues_go_with_the_last_protein_that_has_them(self, store):
        data.write(store, [data.row("a", "MKV"), data.row("b", "MKV"), data.row("c", "MKL")])
        assert store.delete(ids=["a", "c", "a"]) == 2
        assert store.info()["residue_arrays"] == 1
        assert store.residues(["b"])["b"].shape == (3, data.D)
        assert store.delete(where="id = 'b'") == 1
        assert store.info()["residue_arrays"] == 0

    def test_an_absent_id_removes_nothing(self, store):
        data.write(store, data.numbered(0, 3))
        with pytest.raises(ProteinNotFoundError):
            store.delete(ids=["P0000", "P0009"])
        assert store.count() == 3

    @pytest.mark.parametrize(
        "where",
        ["length > 0 LIMIT 1", "true; select 1", "true) OR (", "length > 999) OR (1 = 1", "true) --", "", "nope = 1"],
    )
    def test_a_filter_that_is_not_one_expression_removes_nothing(self, store, where):
        data.write(store, data.numbered(0, 3))
        with pytest.raises(FilterError):
            store.delete(where=where)
        assert store.count() == 3

    def test_nothing_matches(self, store):
        data.write(store, data.numbered(0, 3))
        assert store.delete(where="length > 999") == 0

    def test_either_ids_or_where(self, store):
        with pytest.raises(ValueError, match="either"):
            store.delete()
        with pytest.raises(ValueError, match="either"):
            store.delete(ids=["a"], where="true")


class TestImports:
    def test_store_is_light(self):
        """No torch at all; lance, lancedb and pyarrow only once a database is touched."""
        code = (
            "import sys, protvec.store\n"
            "print([m for m in ('torch', 'lance', 'lancedb', 'pyarrow', 'pandas') if m in sys.modules])"
        )
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert out.stdout.strip() == "[]"

    def test_a_search_needs_no_lancedb(self, store):
        data.write(store, data.numbered(0, 3))
        code = (
            "import sys; from protvec.store import Store\n"
            f"Store.open({store.path!r}).search([1.0] * {data.D})\n"
            "print([m for m in ('torch', 'lancedb', 'pydantic') if m in sys.modules])"
        )
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert out.stdout.strip() == "[]"
