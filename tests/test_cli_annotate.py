"""``protvec annotate`` as a user types it."""

from __future__ import annotations

import io
import json
import sys

import pytest
import store_data as data
from proteins import HISTONE, UBIQUITIN, write_fasta

from protvec.cli.app import run
from protvec.store import Store


@pytest.fixture
def db(tmp_path):
    store = Store.create(tmp_path / "db", data.space())
    data.write(store, data.numbered(0, 5, locus="L"))
    return store.path


@pytest.fixture
def cli(capsys, db, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments, code=0):
        capsys.readouterr()
        assert run([*arguments, "--db", db]) == code
        return capsys.readouterr()

    call.db = db
    return call


def test_a_table_becomes_columns_everywhere(cli, tmp_path):
    (tmp_path / "t.tsv").write_text(
        "Entry\tdepth\ttags\nP0000\t1.5\ta;b\nP0001\t2\t\n" + "".join(f"N{i}\t0\t\n" for i in range(9))
    )
    done = cli("annotate", "--table", "t.tsv", "--key", "id=Entry", "--separator", ";", "--report", "r.json")
    assert done.out == ""
    assert "depth (float), tags (list): 2 proteins changed, 0 as before" in done.err
    assert "11 rows read; 3 proteins without a row" in done.err
    assert "9 keys match no protein: N0, N1, N2, N3, N4, …" in done.err
    assert json.loads((tmp_path / "r.json").read_text())["unmatched"] == [f"N{i}" for i in range(9)]
    found = cli(
        "search", "--id", "P0002", "--where", "depth < 2", "--columns", "target,depth,tags", "--format", "tsv"
    ).out
    assert found == "target\tdepth\ttags\nP0000\t1.5\ta,b\n"
    assert "depth       1.5" in cli("get", "P0000").out
    assert json.loads(cli("get", "P0001", "--json").out)[0]["tags"] is None
    assert "Added columns       depth (float), tags (list)" in cli("info").out
    assert "removed tags" in cli("annotate", "--drop", "tags").err
    assert json.loads(cli("info", "--json").out)["columns"] == {"depth": "float"}


def test_standard_input_and_json(cli, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"locus\tx\nL\t1\n")))
    answer = json.loads(cli("annotate", "--table", "-", "--key", "locus", "--json").out)
    assert (answer["table"], answer["proteins"], answer["columns"]) == ("<stdin>", 5, {"x": "int"})


def test_a_second_ingest_changes_no_protein_for_its_columns(tmp_path, capsys):
    fasta = write_fasta(tmp_path / "in.fa", [("ubq ubiquitin", UBIQUITIN), ("his histone", HISTONE)])
    (tmp_path / "t.tsv").write_text("id\tdepth\nubq\t3\n")
    words = ["--db", str(tmp_path / "db")]
    assert run(["ingest", str(fasta), *words, "--model", "near"]) == 0
    assert run(["annotate", "--table", str(tmp_path / "t.tsv"), *words]) == 0
    write_fasta(fasta, [("ubq ubiquitin", UBIQUITIN), ("his histone three", HISTONE)])
    capsys.readouterr()
    assert run(["ingest", str(fasta), *words, "--update", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["updated"], report["unchanged"]) == (1, 1)
    write_fasta(fasta, [("ubq ubiquitin alpha", UBIQUITIN)])
    assert run(["ingest", str(fasta), *words, "--update"]) == 0
    assert run(["get", "ubq", *words]) == 0
    card = capsys.readouterr().out
    assert "ubiquitin alpha" in card
    assert "depth       3" in card


def test_mistakes(cli, tmp_path):
    (tmp_path / "t.tsv").write_text("id\tx\nP0000\t1\n")
    for words in (
        [],
        ["--table", "t.tsv", "--drop", "x"],
        ["--table", "t.tsv", "--rename", "x"],
        ["--drop", "x", "--replace"],
        ["--drop", "x", "--report", "r.json"],
    ):
        assert cli("annotate", *words, code=2).err.startswith("protvec: error: Invalid value")
    for words, message in (
        (["--table", "absent.tsv"], "absent.tsv: cannot be read: No such file"),
        (["--table", "t.tsv", "--type", "x=number"], "'number' is no type"),
        (["--table", "t.tsv", "--key", "idd"], "no column 'idd'"),
        (["--drop", "x"], "no column 'x' was added"),
        (["--table", "t.tsv", "--columns", ""], "--columns names no column"),
        (["--table", "t.tsv", "--report", "nowhere/r.json"], "nowhere/r.json: there is no directory nowhere"),
    ):
        err = cli("annotate", *words, code=1).err
        assert message in err
        assert err.count("\n") == 1
    assert "x" not in Store.open(cli.db).columns
