"""Columns of the user's own: what a table becomes, what it may not do, and what ingest leaves alone."""

from __future__ import annotations

import gzip
import hashlib

import lance
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import store_data as data
from hypothesis import given, settings
from hypothesis import strategies as st

from protvec.annotate import Options, annotate, open_sheet
from protvec.annotate.kinds import infer
from protvec.database import Database
from protvec.errors import QueryError, TableError
from protvec.store import Store, protein_table


@pytest.fixture
def store(tmp_path):
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    rows = [data.row(f"L{i}.{j}", data.sequence(2 * i + j), locus=f"L{i}", taxid=i) for i in range(3) for j in (1, 2)]
    data.write(store, rows)
    return store


def put(store, text, tmp_path, name="t.tsv", **options):
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    return annotate(store, open_sheet(tmp_path / name), Options(**options))


def column(store, name):
    table = store._newest()[0].to_table(columns=["id", name])
    return dict(zip(table["id"].to_pylist(), table[name].to_pylist(), strict=True))


def ids(store):
    return store._newest()[0].to_table(columns=["id"])["id"].to_pylist()


class TestTypes:
    @pytest.mark.parametrize(
        ("cells", "kind"),
        [
            (["1", "-2", "0"], "int"),
            (["007", "12"], "text"),
            (["+5"], "text"),
            (["9223372036854775807"], "int"),
            (["9223372036854775808"], "text"),
            (["9007199254740993", "0.5"], "text"),
            (["1", "0.5", ".5", "5.", "1e-50", "-inf"], "float"),
            (["1", "NA", ""], "int"),
            (["0.5", "NaN", "-"], "float"),
            (["NA", "-"], "text"),
            (["TRUE", "false", ""], "bool"),
            (["0", "1"], "int"),
            (["T", "F"], "text"),
            (["1_000"], "text"),
            (["٣"], "text"),
            (["1.1.1.1"], "text"),
            (["0x1F"], "text"),
            (["", None], "text"),
            (["a;b", "c"], "list"),
            (["1;2"], "list"),
        ],
    )
    def test_inference(self, cells, kind):
        assert infer(cells, separator=";") == kind

    @given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
    def test_integers_are_integers(self, values):
        assert infer([str(value) for value in values], separator=None) == "int"

    @given(st.lists(st.floats(allow_nan=False), min_size=1))
    def test_floats_are_floats(self, values):
        assert infer([repr(value) for value in values], separator=None) == "float"

    def test_each_type_is_stored_and_filtered(self, store, tmp_path):
        text = "id\tn\tx\tword\tacc\tok\tgo\nL0.1\t1\t0.5\ta b\t007\tTRUE\tGO:1; GO:2;\nL0.2\t\tNA\tNA\t12\t\t\n"
        done = put(store, text, tmp_path, separator=";")
        assert done.columns == {"n": "int", "x": "float", "word": "text", "acc": "text", "ok": "bool", "go": "list"}
        assert store.info()["columns"] == done.columns
        rows = store.get(["L0.1", "L0.2", "L1.1"], columns=list(done.columns)).to_pylist()
        assert rows[0] == {"n": 1, "x": 0.5, "word": "a b", "acc": "007", "ok": True, "go": ["GO:1", "GO:2"]}
        assert rows[1] == {"n": None, "x": None, "word": "NA", "acc": "12", "ok": None, "go": None}
        assert set(rows[2].values()) == {None}
        for where in ("n = 1", "x < 1", "word = 'a b'", "acc = '007'", "ok", "array_has(go, 'GO:2')"):
            assert store.count(where) == 1, where
        found = store.search(np.ones(data.D), where="ok", columns=["go", "x"])
        assert found.select(["id", "go", "x"]).to_pylist() == [{"id": "L0.1", "go": ["GO:1", "GO:2"], "x": 0.5}]

    def test_a_type_that_is_said(self, store, tmp_path):
        types = {"a": "int", "b": "text", "c": "bool", "d": "list", "e": "float"}
        put(store, "id\ta\tb\tc\td\te\nL0.1\t007\t12\tyes\tx|y\t3\n", tmp_path, types=types, separator="|")
        assert store.get(["L0.1"], columns=list("abcde")).to_pylist() == [
            {"a": 7, "b": "12", "c": True, "d": ["x", "y"], "e": 3.0}
        ]

    @pytest.mark.parametrize(
        ("kind", "cell", "message"),
        [
            ("int", "1.5", r"t\.tsv:3: column 'x': '1.5' is not an integer; --type x=text"),
            ("int", str(2**63), "is not an integer"),
            ("float", "five", "'five' is not a number"),
            ("bool", "maybe", "'maybe' is not true or false"),
            ("double", "1", "'double' is no type"),
        ],
    )
    def test_a_cell_that_does_not_fit(self, store, tmp_path, kind, cell, message):
        with pytest.raises((TableError, QueryError), match=message):
            put(store, f"id\tx\nL0.1\t1\nL0.2\t{cell}\n", tmp_path, types={"x": kind})
        assert store.user_columns == {}

    def test_texts_for_nothing(self, store, tmp_path):
        put(store, "id\ta\nL0.1\tnone\nL0.2\tb\n", tmp_path, nulls="none")
        assert (column(store, "a")["L0.1"], column(store, "a")["L0.2"]) == (None, "b")

    def test_texts_for_nothing_in_columns_that_have_a_type(self, store, tmp_path):
        table = pa.table(
            {
                "id": ["L0.1", "L0.2", "L1.1"],
                "word": ["none", " none ", "b"],
                "count": [-999, 1, 2],
                "depth": [-999.0, 0.5, -999.5],
                "flag": [True, False, None],
                "terms": [["none"], ["none", "a"], []],
            }
        )
        pq.write_table(table, tmp_path / "t.parquet")
        options = Options(nulls=["none", "-999", "false"])
        annotate(store, open_sheet(tmp_path / "t.parquet"), options)
        names = table.column_names[1:]
        assert store.get(["L0.1", "L0.2", "L1.1"], columns=names).to_pylist() == [
            {"word": None, "count": None, "depth": None, "flag": True, "terms": None},
            {"word": None, "count": 1, "depth": 0.5, "flag": None, "terms": ["none", "a"]},
            {"word": "b", "count": 2, "depth": -999.5, "flag": None, "terms": []},
        ]
        # Also where the database has the column, and where numbers are kept as text.
        more = {"id": ["L1.2", "L2.1"], "word": ["none", "c"], "text": [-999.0, 1.0]}
        annotate(store, open_sheet(more), Options(nulls=["none", "-999"], types={"text": "text"}))
        assert store.get(["L1.2", "L2.1"], columns=["word", "text"]).to_pylist() == [
            {"word": None, "text": None},
            {"word": "c", "text": "1.0"},
        ]

    def test_a_name_or_a_type_for_a_column_that_is_not_taken(self, store):
        for more in ({"types": {"y": "text"}}, {"rename": {"y": "z"}}, {"types": {"id": "text"}}):
            with pytest.raises(TableError, match=r"'(y|id)' is none of the columns to take: x"):
                annotate(store, open_sheet({"id": ["L0.1"], "x": [5], "y": [6]}), Options(columns=["x"], **more))

    @pytest.mark.parametrize("cells", [["1", "2"], [1, 2]])
    def test_a_type_other_than_that_of_the_column_that_is_there(self, store, cells):
        annotate(store, open_sheet({"id": ["L0.1"], "x": [5]}), Options())
        sheet = open_sheet({"id": ["L1.1", "L1.2"], "x": cells})
        with pytest.raises(TableError, match="'x' of the database holds int64, not text: drop it first"):
            annotate(store, sheet, Options(types={"x": "text"}))


class TestFiles:
    def test_csv_with_quotes_line_ends_and_a_byte_order_mark(self, store, tmp_path):
        text = '\ufeffid,note\r\nL0.1,"a ""b"", c\nd"\r\n\r\nL0.2,e\r\n'
        assert put(store, text, tmp_path, "t.csv").proteins == 2
        assert column(store, "note")["L0.1"] == 'a "b", c\nd'

    @pytest.mark.parametrize("name", ["t.csv", "t.txt"])
    def test_semicolons(self, store, tmp_path, name):
        put(store, "id;x\nL0.1;0,5\n", tmp_path, name)
        assert column(store, "x")["L0.1"] == "0,5"

    def test_lines_of_two_hashes_are_comments(self, store, tmp_path):
        put(store, "## made by a tool\n#query\tx\nL0.1\t5\n## 1 query\n", tmp_path, key_column="#query")
        assert column(store, "x")["L0.1"] == 5

    def test_gzip(self, store, tmp_path):
        (tmp_path / "t.tsv.gz").write_bytes(gzip.compress(b"id\tx\nL0.1\t5\n"))
        annotate(store, open_sheet(tmp_path / "t.tsv.gz"), Options())
        assert column(store, "x")["L0.1"] == 5

    def test_parquet_keeps_types(self, store, tmp_path):
        table = pa.table(
            {
                "id": ["L0.1", "L0.2"],
                "i": pa.array([1, None], pa.int8()),
                "f": pa.array([float("nan"), 0.5], pa.float32()),
                "s": pa.array(["007", None]).dictionary_encode(),
                "l": pa.array([[1, 2], None], pa.large_list(pa.int16())),
                "t": pa.array(["1", "2"], pa.large_string()),
            }
        )
        pq.write_table(table, tmp_path / "t.parquet")
        annotate(store, open_sheet(tmp_path / "t.parquet"), Options())
        rows = store.get(["L0.1", "L0.2"], columns=["i", "f", "s", "l", "t"]).to_pylist()
        assert rows[0] == {"i": 1, "f": None, "s": "007", "l": [1, 2], "t": "1"}
        assert rows[1] == {"i": None, "f": 0.5, "s": None, "l": None, "t": "2"}

    def test_tables_in_memory(self, store):
        db = Database(store)
        frame = pd.DataFrame({"a": [1, None], "b": ["x", None]}, index=pd.Index(["L0.1", "L0.2"], name="id"))
        assert db.annotate(frame, types={"a": "int"}).columns == {"a": "int", "b": "text"}
        assert db.annotate(pa.table({"id": ["L0.1"], "c": [True]})).columns == {"c": "bool"}
        assert db.annotate({"id": ["L0.1"], "d": [0.5]}).changed == 1
        assert db.get("L0.1").metadata["d"] == 0.5
        db.drop_columns(["a", "d"])
        assert list(db.info()["columns"]) == ["b", "c"]
        for wrong in ({"id": [["a"], "b"]}, 7, {"id": ["L0.1"], "x": [{"y": 1}]}):
            with pytest.raises(TableError, match=r"not a table|is struct"):
                db.annotate(wrong)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "empty"),
            (b"id\tx\tx\nL0.1\t1\t2\n", r"t\.tsv:1: two columns are named 'x'"),
            (b"id\t\nL0.1\t1\n", r"t\.tsv:1: column 2 has no name"),
            (b"id\tx\nL0.1\t1\nL0.2\n", r"t\.tsv:3: 1 cells, but the header names 2"),
            (b'id\tx\n"L\n0.1"\t1\nL0.2\t1\t1\n', r"t\.tsv:4: 3 cells"),
            (b'id\tx\nL0.1\t"a" b\n', r"t\.tsv:2: not a well-formed row, perhaps a stray quote"),
            (b'id\tx\nL0.1\t1\nL0.2\t"a\nL1.1\t1\n', r"t\.tsv:3: not a well-formed row"),
            (b"id\tx\nL0.1\t\xff\n", r"t\.tsv:2: not UTF-8"),
            (b"PAR1 not", "damaged Parquet"),
            (b"PK\x03\x04xl", "Excel"),
            (b"\x1f\x8bxx", "damaged gzip"),
            (b"id\nL0.1\n", "no columns beside 'id'"),
            (b"Entry\tx\nL0.1\t1\n", r"no column 'id' of keys among 'Entry', 'x': --key id=COLUMN"),
            (b"id\tx\nL0.1\t1\nL0.2\t3\nL0.1\t2\n", r"t\.tsv:4: 'L0.1' has x 2 here and 1 in line 2"),
            (b"id\tx\nNOPE\t1\n", "none of 1 keys, such as 'NOPE', is the id of a protein"),
            (b"id\tx\nL1\t1\n", "--key locus would match"),
            (b"id\tx\n\t1\n", "no row has a key"),
            (b"id\tGO terms\nL0.1\t1\n", r"'GO terms' cannot name a column.*--rename 'GO terms=NEW'"),
            (b"id\tGene\nL0.1\t1\n", "protvec has its own 'gene'"),
            (b"id\tscore\nL0.1\t1\n", "protvec has its own 'score'"),
            (b"id\tnull\nL0.1\t1\n", "it is a word of SQL"),
            (b"id\ttrue\nL0.1\t1\n", "it is a word of SQL"),
            (b"id\tselect\nL0.1\t1\n", "it is a word of SQL"),  # in parentheses, as filters are
            (b"id\ta\tA\nL0.1\t1\t2\n", "two columns would be named 'a'"),
        ],
    )
    def test_a_table_that_cannot_be_used_changes_nothing(self, store, tmp_path, content, message):
        before = store.info()["versions"]
        (tmp_path / "t.tsv").write_bytes(content)
        with pytest.raises(TableError, match=message) as caught:
            annotate(store, open_sheet(tmp_path / "t.tsv"), Options())
        assert "\n" not in str(caught.value)
        assert store.info()["versions"] == before

    def test_options_that_cannot_be_used(self, store, tmp_path):
        for options in ({"columns": ["y"]}, {"rename": {"y": "z"}}, {"types": {"y": "int"}}):
            with pytest.raises(TableError, match="no column 'y'; there are 'id', 'x'"):
                put(store, "id\tx\nL0.1\t1\n", tmp_path, **options)
        with pytest.raises(QueryError, match="no column 'vector' of text or integers to match by"):
            put(store, "id\tx\nL0.1\t1\n", tmp_path, key="vector")
        with pytest.raises(TableError, match="no such file"):
            raise TableError("no such file", place="x")
        with pytest.raises(TableError, match="cannot be read: No such file"):
            open_sheet(tmp_path / "absent.tsv")


class TestMatching:
    @pytest.mark.parametrize(("key", "value"), [("locus", "L1"), ("taxid", "1")])
    def test_a_key_of_many_proteins_annotates_all(self, store, tmp_path, key, value):
        done = put(store, f"{key}\tx\n {value} \t5\nL9\t6\n\t7\n", tmp_path, key=key)
        assert {i for i, x in column(store, "x").items() if x == 5} == {"L1.1", "L1.2"}
        assert (done.rows, done.proteins, done.changed, done.without) == (3, 2, 2, 4)
        assert done.unmatched == ["L9", "line 4: no key"]

    def test_an_added_column_can_be_a_key(self, store, tmp_path):
        put(store, "id\tcluster\nL0.1\tc1\nL2.1\tc1\n", tmp_path)
        assert put(store, "Cluster\tsize\nc1\t2\n", tmp_path, key="cluster").proteins == 2

    def test_rows_that_repeat_are_counted(self, store, tmp_path):
        assert put(store, "id\tx\nL0.1\t1\nL0.1\t1\n", tmp_path).repeated == 1

    def test_columns_can_be_chosen_and_renamed(self, store, tmp_path):
        put(store, "id\tGO terms\ty\nL0.1\ta\tb\n", tmp_path, columns=["GO terms"], rename={"GO terms": "go_terms"})
        assert list(store.user_columns) == ["go_terms"]

    def test_integers_that_a_data_frame_made_floats_are_keys(self, store):
        """As it does with those of a column in which one is missing."""
        pd = pytest.importorskip("pandas")
        data.write(store, [data.row("man", data.sequence(50), taxid=9606)])
        frame = pd.DataFrame({"taxid": [9606, None, 1.5], "x": ["a", "b", "c"]})
        done = annotate(store, open_sheet(frame), Options(key="taxid"))
        assert column(store, "x")["man"] == "a"
        assert done.unmatched == ["1.5", "row 2: no key"]

    def test_nan_in_a_list_is_nothing_and_the_same_again(self, store):
        sheet = open_sheet({"id": ["L0.1"], "x": [[1.5, float("nan")]]})
        assert annotate(store, sheet, Options()).changed == 1
        assert column(store, "x")["L0.1"] == [1.5, None]
        assert annotate(store, sheet, Options()).changed == 0


class TestSeparator:
    def test_text_of_typed_tables_is_split_where_it_occurs(self, store):
        table = {"id": ["L0.1", "L0.2"], "go": ["GO:1; GO:2", None], "word": ["a", "b"], "kept": ["a;b", "c"]}
        done = annotate(store, open_sheet(table), Options(separator=";", types={"kept": "text"}))
        assert done.columns == {"go": "list", "word": "text", "kept": "text"}
        assert [column(store, "go")[id] for id in ("L0.1", "L0.2")] == [["GO:1", "GO:2"], None]
        assert column(store, "kept")["L0.1"] == "a;b"

    @pytest.mark.parametrize("typed", [False, True])
    def test_a_column_that_holds_text_is_not_filled_with_what_it_would_split(self, store, tmp_path, typed):
        put(store, "id\tgo\nL0.1\tGO:1\n", tmp_path)
        table = {"id": ["L0.2"], "go": ["GO:1;GO:2"]} if typed else tmp_path / "t.tsv"
        (tmp_path / "t.tsv").write_text("id\tgo\nL0.2\tGO:1;GO:2\n")
        with pytest.raises(TableError, match="column 'go' of the database holds text, and ';' would split it here"):
            annotate(store, open_sheet(table), Options(separator=";"))
        assert column(store, "go")["L0.2"] is None
        said = Options(columns=["go"], types={"go": "text"})
        annotate(store, open_sheet(table), said)
        assert column(store, "go")["L0.2"] == "GO:1;GO:2"

    def test_one_that_separates_nothing_is_an_error(self, store, tmp_path):
        text = "id\tgo\tx\nL0.1\tGO:1;GO:2\t1,5\n"
        for wrong, columns in ((",", ["go"]), ("|", None), ("", None)):
            with pytest.raises(TableError, match="separates nothing"):
                put(store, text, tmp_path, separator=wrong, columns=columns)
        assert store.user_columns == {}
        put(store, "id\tgo\nL0.1\tGO:1\n", tmp_path, separator=";", types={"go": "list"})
        assert put(store, "id\tgo\nL0.2\tGO:3\n", tmp_path, separator=";").columns == {"go": "list"}


class TestColumnsThatAreThere:
    def test_empty_places_are_filled_and_the_same_again_changes_nothing(self, store, tmp_path):
        put(store, "id\tx\nL0.1\t1\n", tmp_path)
        done = put(store, "id\tx\ty\nL0.1\t\ta\nL0.2\t2\tb\n", tmp_path)
        assert (done.added, done.changed) == (["y"], 2)
        assert [column(store, name)[i] for i in ("L0.1", "L0.2", "L1.1") for name in "xy"] == [
            1,
            "a",
            2,
            "b",
            None,
            None,
        ]
        before = store.info()["versions"]
        assert put(store, "id\tx\ty\nL0.1\t\ta\nL0.2\t2\tb\n", tmp_path).changed == 0
        assert store.info()["versions"] == before
        logged = [entry for entry in store.ledger.entries() if entry.command == "annotate"]
        assert [entry.counts["changed"] for entry in logged] == [2, 1]
        assert logged[0].files[0].sha256 == hashlib.sha256((tmp_path / "t.tsv").read_bytes()).hexdigest()

    def test_another_value_is_an_error_unless_it_is_to_replace(self, store, tmp_path):
        put(store, "id\tx\nL0.1\t1\nL0.2\t2\nL1.1\t3\n", tmp_path)
        with pytest.raises(TableError, match=r"t\.tsv:2: 'L0.1' has x 1 already, here it is 9 \(1 more .*--replace"):
            put(store, "id\tx\ty\nL0.1\t9\t1\nL0.2\t8\t1\n", tmp_path)
        assert list(store.user_columns) == ["x"]
        assert put(store, "id\tx\nL0.1\t9\nL0.2\t\n", tmp_path, replace=True).changed == 2
        assert [column(store, "x")[i] for i in ("L0.1", "L0.2", "L1.1")] == [9, None, 3]

    def test_the_type_stays(self, store, tmp_path):
        put(store, "id\tx\tl\nL0.1\t1\ta;b\n", tmp_path, separator=";")
        with pytest.raises(TableError, match=r"t\.tsv:2: column 'x': '0.5' is not an integer; which is what"):
            put(store, "id\tx\nL0.2\t0.5\n", tmp_path)
        with pytest.raises(TableError, match="holds int64, not text: drop it first"):
            put(store, "id\tx\nL0.2\t5\n", tmp_path, types={"x": "text"})
        with pytest.raises(TableError, match="'X' cannot name a column: there is 'x'"):
            put(store, "id\tX\nL0.2\t5\n", tmp_path)
        with pytest.raises(TableError, match="cannot be stored as int64"):
            annotate(store, open_sheet({"id": ["L0.2"], "x": [1.5]}), Options())
        annotate(store, open_sheet({"id": ["L0.2", "L1.1"], "x": [2.0, None]}), Options())
        put(store, "id\tl\nL0.2\tc\n", tmp_path)
        assert (column(store, "x")["L0.2"], column(store, "l")["L0.2"]) == (2, ["c"])

    def test_dropping(self, store, tmp_path):
        put(store, "id\txpos\ty\nL0.1\t1\t2\n", tmp_path)
        for name, message in (("gene", "protvec's own"), ("xpox", "there are xpos")):
            with pytest.raises(QueryError, match=message):
                store.drop_columns(["y", name])
        store.drop_columns(["y", "y"])
        assert list(store.user_columns) == ["xpos"]
        put(store, "id\ty\nL0.2\ttext\n", tmp_path)
        assert column(store, "y") == dict.fromkeys(ids(store)) | {"L0.2": "text"}


class TestBesideTheRest:
    def test_ingest_leaves_added_columns_alone(self, tmp_path):
        store = Store.create(tmp_path / "db", data.space())
        data.write(store, data.numbered(0, 4, gene="g"))
        put(store, "id\tx\tl\nP0001\t1\ta;b\nP0002\t2\tc\n", tmp_path, separator=";")
        data.write(store, [data.row("P0001", "MKVLLL", gene="h"), *data.numbered(8, 10)])
        row = store.get(["P0001"]).to_pylist()[0]
        assert (row["sequence"], row["gene"], row["x"], row["l"]) == ("MKVLLL", "h", 1, ["a", "b"])
        assert row["vector"] == data.residues("MKVLLL").mean(axis=0).tolist()
        assert store.get(["P0008"]).to_pylist()[0]["x"] is None
        assert store.residues(["P0001"])["P0001"].shape == (6, data.D)
        assert store.count() == 6
        full = data.row("P0003", "MKV")
        table = protein_table([full], data.residues("MKV")[:1]).append_column("x", pa.array([3], pa.int64()))
        store.write(table, [(full["digest"], data.residues("MKV"))])
        assert column(store, "x")["P0003"] == 3

    def test_two_writers_of_one_new_key_do_not_double_it(self, store, tmp_path):
        put(store, "id\tx\nL0.1\t1\n", tmp_path)
        uri = f"{store.path}/proteins.lance"
        rows = lance.dataset(uri).to_table(filter="id = 'L0.1'").drop_columns(["x"])
        rows = rows.set_column(0, rows.schema.field("id"), [["new"]])
        for handle in (lance.dataset(uri), lance.dataset(uri, version=store.info()["versions"]["proteins"])):
            builder = handle.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            builder.use_index(False).execute(rows)
        assert lance.dataset(uri).count_rows("id = 'new'") == 1

    def test_snapshots_search_and_compaction(self, store, tmp_path):
        store.snapshot("plain")
        put(store, "id\tx\nL0.1\t1\n", tmp_path)
        store.snapshot("one")
        put(store, "id\tx\ty\nL0.1\t5\tb\nL0.2\t6\tc\n", tmp_path, replace=True)
        store.delete(ids=["L1.1"])
        store.compact(keep_seconds=0)
        assert Store.open(store.path, at="plain").user_columns == {}
        assert column_at(store, "one", "x")["L0.1"] == 1
        vector = data.residues(data.sequence(1)).mean(axis=0)
        assert store.search(vector, k=1, where="x = 5", columns=["y"]).to_pylist()[0]["y"] == "b"
        assert [column(store, "x").get(i) for i in ("L0.1", "L0.2", "L1.1")] == [5, 6, None]
        store.drop_columns(["x"])
        store.restore("one")
        assert column(store, "x")["L0.1"] == 1
        assert list(store.user_columns) == ["x"]
        data.write(store, [data.row("L0.1", "MKV")])
        assert column(store, "x")["L0.1"] == 1

    def test_lancedb_reads_them(self, store, tmp_path):
        import lancedb

        put(store, "id\tx\nL0.1\t1\n", tmp_path)
        table = lancedb.connect(store.path).open_table("proteins")
        assert table.count_rows("x = 1") == 1

    def test_a_kill_between_the_commits_leaves_an_empty_column_and_the_same_again_fills_it(
        self, store, tmp_path, monkeypatch
    ):
        put(store, "id\tx\nL0.1\t1\n", tmp_path)
        text = "id\tx\ty\nL0.1\t\ta\nL0.2\t2\tb\n"

        class Killed(BaseException):
            pass

        def killed(*_):
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr("protvec.store.columns._update", killed)
            with pytest.raises(Killed):
                put(store, text, tmp_path)
        fresh = Store.open(store.path)
        assert column(fresh, "x") == dict.fromkeys(ids(fresh)) | {"L0.1": 1}
        put(fresh, text, tmp_path)
        assert (column(fresh, "x")["L0.2"], column(fresh, "y")["L0.1"]) == (2, "a")


def column_at(store, name, wanted):
    table = Store.open(store.path, at=name)._current()[0].to_table(columns=["id", wanted])
    return dict(zip(table["id"].to_pylist(), table[wanted].to_pylist(), strict=True))


def _write(path, start, barrier):
    store = Store.open(path)
    barrier.wait()
    for first in range(start, start + 60, 10):
        data.write(store, data.numbered(first, first + 10))


def _annotate(path, name, barrier):
    store = Store.open(path)
    barrier.wait()
    for i in range(8):
        table = {"id": [f"P{j:04d}" for j in range(50)], name: [i] * 50}
        annotate(store, open_sheet(table), Options(replace=True))


def test_annotating_beside_ingest_and_another_annotation(tmp_path):
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    data.write(store, data.numbered(0, 50))
    context = data.forking()
    barrier = context.Barrier(3)
    jobs = [(_write, 40), (_annotate, "a"), (_annotate, "b")]  # the writer replaces ten of the annotated
    workers = [context.Process(target=job, args=(store.path, what, barrier)) for job, what in jobs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    table = Store.open(store.path)._current()[0].to_table(columns=["id", "a", "b"]).sort_by("id").to_pylist()
    assert [row["id"] for row in table] == [f"P{i:04d}" for i in range(100)]
    assert [(row["a"], row["b"]) for row in table] == [(7, 7)] * 50 + [(None, None)] * 50


@given(
    st.dictionaries(
        st.sampled_from([f"P{i:04d}" for i in range(12)] + ["none"]),
        st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        min_size=1,
    )
)
@settings(max_examples=15)
def test_what_is_read_back_is_what_the_table_said(tmp_path_factory, values):
    store = Store.create(tmp_path_factory.mktemp("h") / "db", data.space(), codec="none")
    data.write(store, data.numbered(0, 12))
    matched = values.keys() - {"none"}
    sheet = open_sheet(pa.table({"id": list(values), "x": pa.array(list(values.values()), pa.int64())}))
    if not matched:
        with pytest.raises(TableError):
            annotate(store, sheet, Options())
        return
    done = annotate(store, sheet, Options())
    expected = dict.fromkeys(ids(store)) | {key: values[key] for key in matched}
    assert column(store, "x") == expected
    assert (done.proteins, done.unmatched) == (len(matched), ["none"] * ("none" in values))
