"""``protvec search`` with a text, with vectors of a file, and with what several proteins have in common."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import store_data as data
from test_cli import Cli, error_line

from protvec.store import Store

if TYPE_CHECKING:
    from pathlib import Path

GENES = {"P0003": "FBX1", "P0007": "NAC2", "P0011": "FBX10"}


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capfd)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ask") / "db.lancedb"
    rows = data.numbered(0, 20, description="some protein")
    for row in rows:
        if row["id"] in GENES:
            row |= {"gene": GENES[row["id"]], "description": "F-box protein"}
    data.write(Store.create(path, data.space(), codec="none"), rows)
    return path


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), delimiter="\t"))


def test_text_alone(cli: Cli, db: Path) -> None:
    rows = table(cli("search", "--text", "F-box", "--db", db))
    assert [row["target"] for row in rows] == sorted(GENES)
    assert {row["query"] for row in rows} == {"F-box"}
    assert cli.err == ""
    rows = table(
        cli("search", "--text", "FBX", "--db", db, "-k", 5, "--where", "length > 0", "--columns", "target,gene")
    )
    assert [row["gene"] for row in rows] == ["FBX1", "FBX10"]
    found = json.loads(cli("search", "--text", "fbx10", "--db", db, "--format", "json", "--explain"))
    assert [hit["target"] for hit in found[0]["hits"]] == ["P0011"]
    assert "exact: the ids, genes and descriptions of all of 20 proteins" in cli.err


def test_nothing_found_is_said(cli: Cli, db: Path) -> None:
    assert table(cli("search", "--text", "expansin", "--db", db)) == []
    assert cli.err == "nothing found: no id, gene or description matches 'expansin'\n"
    cli("search", "--id", "P0001", "--text", "expansin", "--db", db)
    assert cli.err == "no id, gene or description matches 'expansin': hits are ranked by their vectors alone\n"
    cli("search", "--text", "F-box", "--where", "length < 0", "--db", db, code=1)
    assert "there is nothing to search" in error_line(cli)


def test_text_beside_a_protein(cli: Cli, db: Path) -> None:
    rows = table(cli("search", "--id", "P0001", "--text", "F-box", "--db", db, "-k", 20))
    assert {row["target"] for row in rows if row["evidence"] == "both"} == GENES.keys()
    assert {row["trank"] for row in rows if row["evidence"] == "both"} == {"1"}
    assert [row["cosine"] for row in rows if row["target"] == "P0001"] == ["1"]
    cli("search", "--id", "P0001", "--text", "F-box", "--db", db, "--columns", "target,evidence,vector_rank", "-k", 1)
    cli("search", "--id", "P0001", "--db", db, "--columns", "target,evidence", code=1)
    assert "is of searches with --text" in error_line(cli)


def test_a_column_of_the_users_own_is_not_hidden(cli: Cli, db: Path, tmp_path: Path) -> None:
    data.write(Store.create(tmp_path / "db", data.space(), codec="none"), data.numbered(0, 2))
    (tmp_path / "t.tsv").write_text("id\tevidence\nP0000\tEXP\nP0001\tIEA\n")
    cli("annotate", "--table", tmp_path / "t.tsv", "--db", tmp_path / "db")
    rows = table(cli("search", "--id", "P0000", "--db", tmp_path / "db", "--columns", "target,evidence"))
    assert [row["evidence"] for row in rows] == ["EXP", "IEA"]
    asked = ("search", "--id", "P0000", "--text", "P0", "--db", tmp_path / "db", "--columns")
    cli(*asked, "target,target.evidence", code=1)
    assert "rename the database's column" in error_line(cli)
    assert {row["evidence"] for row in table(cli(*asked, "target,evidence"))} == {"both"}


def test_like_and_unlike(cli: Cli, db: Path) -> None:
    given = ("search", "--like", "P0001", "--like", "P0002", "--unlike", "P0003", "--db", db, "-k", 50)
    rows = table(cli(*given))
    assert len(rows) == 17
    assert not {"P0001", "P0002", "P0003"} & {row["target"] for row in rows}
    assert table(cli(*given, "--text", "F-box"))[0]["evidence"] == "both"
    cli("search", "--like", "P0001", "--like", "nobody", "--db", db, code=1)
    assert "no protein 'nobody'" in error_line(cli)


def test_vectors_of_a_file_go_on_where_they_stopped(cli: Cli, db: Path, tmp_path: Path) -> None:
    file = tmp_path / "v.npy"
    cli("export", "--db", db, "-o", file)
    rows = table(cli("search", "--vectors", file, "--db", db, "-k", 1))
    assert [row["query"] for row in rows] == [row["target"] for row in rows] == [f"P{i:04d}" for i in range(20)]
    cli("search", "--vectors", file, "--db", db, "-k", 1, "-o", tmp_path / "hits.tsv")
    assert table((tmp_path / "hits.tsv").read_text()) == rows
    assert "20 hits of 20 queries" in cli.err
    np.save(tmp_path / "bad.npy", np.ones(3))
    cli("search", "--vectors", tmp_path / "bad.npy", "--db", db, code=1)
    assert "its vectors have 3 dimensions, those of the database 16" in error_line(cli)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--unlike", "a"], "needs --like"),
        (["--like", "a", "--id", "b"], "one of them"),
        (["--vectors", "v.npy", "--all"], "one of them"),
        (["--all", "--text", "x"], "not for a whole database"),
        (["--against", "other", "--text", "x"], "not for a whole database"),
        (["--against", "other", "--like", "x"], "searches with stored proteins"),
        (["--text", "x", "--min-score", "0.1"], "is a cosine"),
        (["--text", "x", "--exclude-self"], "no use with --text"),
        (["--like", "x", "--exclude-self"], "no use with --like"),
        (["--vectors", "x", "--query-where", "length > 1"], "is for --all and --against"),
        (["--text", "x", "--model", "near"], "needs no model"),
    ],
)
def test_options_that_do_not_go_together(cli: Cli, db: Path, arguments: list[str], said: str) -> None:
    cli("search", *arguments, "--db", db, code=2)
    assert said in error_line(cli)
