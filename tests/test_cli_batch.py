"""``protvec search`` with many queries: which there are, in which order, and what is an error."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import store_data as data
from proteins import CALMODULIN, HISTONE, UBIQUITIN, write_fasta
from test_cli import Cli, error_line

import protvec
from protvec.store import Store

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 40


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capfd)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("batch") / "a.lancedb"
    store = Store.create(path, data.space(), codec="none")
    data.write(store, data.numbered(20, SIZE, gene="late"))
    data.write(store, data.numbered(0, 20, gene="early"))
    return path


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("batch") / "b.lancedb"
    data.write(Store.create(path, data.space(), codec="none"), data.numbered(10, 30, gene="other"))
    return path


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch")
    file = write_fasta(folder / "in.fa", [("his", HISTONE), ("ubq", UBIQUITIN), ("cam", CALMODULIN)])
    protvec.create(folder / "near.lancedb", model="near").ingest(file)
    return folder / "near.lancedb"


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), delimiter="\t"))


def test_all_is_every_protein_in_the_order_of_ids_without_itself(cli: Cli, db: Path) -> None:
    rows = table(cli("search", "--all", "--db", db, "-k", 3))
    ids = [f"P{number:04d}" for number in range(SIZE)]
    assert [row["query"] for row in rows] == [id for id in ids for _ in range(3)]
    assert all(row["query"] != row["target"] for row in rows)
    one_by_one = [cli("search", "--id", id, "--db", db, "-k", 3, "--exclude-self", "--no-header") for id in ids]
    assert cli("search", "--all", "--db", db, "-k", 3, "--no-header") == "".join(one_by_one)
    rows = table(cli("search", "--all", "--db", db, "-k", 1, "--include-self"))
    assert [row["target"] for row in rows] == ids


def test_conditions_are_of_queries_and_of_hits(cli: Cli, db: Path) -> None:
    ask = ("search", "--all", "--db", db, "-k", 2, "--query-where", "gene = 'early'", "--where", "gene = 'late'")
    rows = table(cli(*ask, "--columns", "query,query.gene,qlen,target,target.gene,tlen,length"))
    assert [row["query"] for row in rows[::2]] == [f"P{number:04d}" for number in range(20)]
    assert {(row["query.gene"], row["target.gene"]) for row in rows} == {("early", "late")}
    lengths = {f"P{number:04d}": str(len(data.sequence(number))) for number in range(SIZE)}
    assert all(row["qlen"] == lengths[row["query"]] for row in rows)
    assert all(row["tlen"] == row["length"] == lengths[row["target"]] for row in rows)


def test_one_database_against_another(cli: Cli, db: Path, other: Path) -> None:
    ask = ("search", "--db", db, "--against", other, "-k", 1, "--columns", "query,query.gene,target,gene,score")
    rows = table(cli(*ask))
    assert [row["query"] for row in rows] == [f"P{number:04d}" for number in range(SIZE)]
    assert [row["target"] for row in rows[10:30]] == [row["query"] for row in rows[10:30]]
    assert {row["gene"] for row in rows} == {"other"}
    some = table(cli(*ask, "--id", "P0035", "--id", "P0012"))
    assert some == [rows[35], rows[12]]
    assert table(cli(*ask, "--all")) == rows


def test_databases_of_two_spaces_are_both_named(cli: Cli, db: Path, near: Path) -> None:
    cli("search", "--db", db, "--against", near, code=1)
    assert "near" in error_line(cli)
    assert "tiny" in error_line(cli)


def test_ids_come_from_a_file_or_standard_input_in_their_order(cli: Cli, db: Path, tmp_path: Path) -> None:
    file = tmp_path / "ids.txt"
    file.write_bytes("\ufeffP0007\r\nP0003  \n\nP0030".encode())
    ask = ("--db", db, "-k", 1, "--columns", "query,target")
    rows = cli("search", "--id", "P0001", "--ids", file, *ask)
    assert rows == "query\ttarget\n" + "".join(f"{id}\t{id}\n" for id in ("P0001", "P0007", "P0003", "P0030"))
    piped = subprocess.run(
        [sys.executable, "-m", "protvec", "search", "--ids", "-", *map(str, ask)],
        input=file.read_bytes(),
        capture_output=True,
        check=True,
    )
    assert [row["query"] for row in table(piped.stdout.decode())] == ["P0007", "P0003", "P0030"]
    assert piped.stderr == b""


def test_a_fasta_file_of_many_through_every_format(cli: Cli, near: Path, tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "q.fa", [("one  two words", UBIQUITIN), ("three", CALMODULIN)])
    ask = ("search", fasta, "--db", near, "-k", 1, "--columns", "query,qheader,qlen,qseq,target")
    expected = [
        {"query": "one", "qheader": "one two words", "qlen": 76, "qseq": UBIQUITIN, "target": "ubq"},
        {"query": "three", "qheader": "three", "qlen": 149, "qseq": CALMODULIN, "target": "cam"},
    ]
    assert [json.loads(line) for line in cli(*ask, "--format", "jsonl").splitlines()] == expected
    assert [query["hits"] for query in json.loads(cli(*ask, "--format", "json"))] == [[row] for row in expected]
    assert cli(*ask, "--format", "m8") == "".join("\t".join(map(str, row.values())) + "\n" for row in expected)
    assert cli(*ask, "--format", "m8", "--header") == cli(*ask)
    assert cli(*ask, "--no-header") == cli(*ask, "--format", "m8")


def test_explain_says_how_the_hits_were_found(cli: Cli, db: Path) -> None:
    cli("search", "--all", "--db", db, "--explain")
    how, chance = cli.err.splitlines()
    assert how == f"exact: compared with all of {SIZE} vectors"
    assert chance.startswith("E-values: hits expected by chance among ")
    assert "fitted on this query's cosines with" in chance


def test_queries_without_hits_are_counted(cli: Cli, db: Path) -> None:
    cli("search", "--all", "--db", db, "--min-score", "0.999999")
    assert "no hit for any query" in cli.err
    cli("search", "--id", "P0001", "--db", db, "--min-score", "1", "--exclude-self")
    assert "no hit for it" in cli.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--all", "--id", "P0001"], 2, "one of them"),
        (["--all", HISTONE], 2, "one of them"),
        ([HISTONE, "--against", "x"], 2, "stored proteins"),
        (["--against", "x", "--exclude-self"], 2, "another database"),
        (["--id", "P0001", "--query-where", "length > 3"], 2, "--all and --against"),
        (["--all", "--model", "near"], 2, "has no use with --all"),
        (["--all", "--format", "json", "--header"], 2, "json has none"),
        (["--all", "--force"], 2, "file of -o"),
        (["--all", "-k", "0"], 2, "-k"),
        (["--all", "--where", "length >"], 1, "not a valid SQL expression"),
        (["--all", "--query-where", "nonsense = 1"], 1, "no column nonsense"),
        (["--all", "--where", "gene = 'absent'"], 1, "no protein of"),
        (["--all", "--query-where", "gene = 'absent'"], 1, "there is no query"),
        (["--all", "--columns", "tagret"], 1, "near: target"),
        (["--text", "histone", "--columns", "query,evalue"], 1, "needs a vector to search with"),
        (["--text", "histone", "--evalue", "1"], 2, "no use with --text alone"),
        (["--all", "--evalue", "-1"], 2, "--evalue"),
        (["--all", "--format", "m8"], 1, "--columns query,target,score"),
        (["--all", "--columns", "query,qstart"], 1, "add --align"),
        (["--vectors", "x.npy", "--align"], 2, "no use with --vectors"),
        (["--id", "P0001", "--text", "x", "--align"], 2, "choose one"),
        (["--id", "P0001", "--candidates", "9"], 2, "is for --align"),
        (["--id", "P0001", "--pairwise"], 2, "is for --align"),
        (["--id", "P0001", "--profiles"], 2, "is for --align"),
        (["--id", "P0001", "--align", "--pairwise", "--format", "tsv"], 1, "take --columns qaln,taln"),
        (["--all", "-o", "x.tsv.gz"], 1, "compress"),
        (["--id", "P00011"], 1, "P0001"),
        (["--id", "P0001", "--id", "P0001"], 1, "named twice"),
        (["--ids", "nowhere.txt"], 1, "nowhere.txt: cannot be read"),
        (["--against", "nowhere.lancedb"], 1, "nowhere.lancedb"),
    ],
)
def test_mistakes_are_one_line(cli: Cli, db: Path, arguments: list[str], code: int, message: str) -> None:
    cli("search", *arguments, "--db", db, code=code)
    assert message in error_line(cli)
    assert cli.out == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "q.fa: the file is empty"),
        (">a\nMKV\n>b\nMK*L\n", "q.fa:3: b: "),
        (">a x\nMKV\n>b\nMKL\n>a y\nMKV\n", "q.fa:5: two queries are called 'a', the first in line 1"),
        (f">a\n{'ACGT' * 20}\n", "nucleotides"),
        (f">a\n{HISTONE * 800}\n>b\n{'ACGT' * 20}\n", "q.fa:3: b looks like nucleotides"),
    ],
)
def test_a_fasta_file_that_cannot_be_used_is_said_before_anything_is_embedded(
    cli: Cli, near: Path, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "q.fa").write_text(content)
    cli("search", tmp_path / "q.fa", "--db", near, "-o", tmp_path / "hits.tsv", code=1)
    assert message in error_line(cli)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["q.fa"]


def test_an_empty_list_of_ids_and_an_empty_database(cli: Cli, db: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("\n  \n")
    cli("search", "--ids", tmp_path / "ids.txt", "--db", db, code=1)
    assert "no ids in it" in error_line(cli)
    (tmp_path / "ids.txt").write_bytes(b"\xff\xfe")
    cli("search", "--ids", tmp_path / "ids.txt", "--db", db, code=1)
    assert "not UTF-8" in error_line(cli)
    Store.create(tmp_path / "empty.lancedb", data.space(), codec="none")
    for ask in (["--all", "--db", tmp_path / "empty.lancedb"], ["--db", db, "--against", tmp_path / "empty.lancedb"]):
        cli("search", *ask, code=1)
        assert "holds no proteins yet" in error_line(cli)


def test_help_is_in_groups(cli: Cli) -> None:
    text = cli("search", "--help")
    headings = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert headings[1:] == ["Queries:", "Database:", "Hits:", "Output:", "Model:", "Options:"]
    assert "qheader" in text
