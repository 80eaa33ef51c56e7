"""The command line as a user types it: what it prints, where, and with which exit code."""

from __future__ import annotations

import csv
import inspect
import io
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
from proteins import CALMODULIN, HISTONE, UBIQUITIN, random_sequence, write_fasta

from protvec.cli.app import build, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typer import Typer

RECORDS = [
    ("his1 histone one", HISTONE),
    ("his2 histone two", HISTONE[:100] + "GG" + HISTONE[102:]),
    ("ubq ubiquitin", UBIQUITIN),
    ("cam calmodulin, with a comma", CALMODULIN),
]


class Cli:
    """Runs a command line in this process; ``out`` and ``err`` are what it printed last."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        self.out = self.err = ""

    def __call__(self, *arguments: object, code: int = 0) -> str:
        self._capfd.readouterr()
        got = run([str(argument) for argument in arguments])
        self.out, self.err = self._capfd.readouterr()
        assert got == code, self.err
        return self.out


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capfd)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cli")
    path = directory / "db.lancedb"
    fasta = write_fasta(directory / "in.fa", RECORDS)
    assert run(["ingest", str(fasta), "--db", str(path), "--model", "near", "--dataset", "four"]) == 0
    return path


def error_line(cli: Cli) -> str:
    """The one line of the error; anything else on standard error is a note."""
    lines = [line for line in cli.err.splitlines() if line.startswith("protvec: error: ")]
    assert len(lines) == 1, cli.err
    assert "Traceback" not in cli.err
    return lines[0]


# -- ingest ----------------------------------------------------------------------------------------------------


def test_ingest_reports_on_standard_error_and_prints_nothing(cli: Cli, tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "in.fa", RECORDS)
    assert cli("ingest", fasta, "--db", tmp_path / "db", "--model", "near") == ""
    assert "4 records read; 4 proteins to store in new" in cli.err
    assert "it is not Ankh" in cli.err
    assert "4 added, 0 reused, 0 updated, 0 unchanged, 0 skipped of 4 records" in cli.err
    assert cli("ingest", fasta, "--db", tmp_path / "db") == ""
    assert "0 added, 0 reused, 0 updated, 4 unchanged" in cli.err


def test_ingest_json_and_report_file_say_the_same(cli: Cli, tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "in.fa", [*RECORDS, ("bad", "M*K")])
    out = cli(
        "ingest",
        fasta,
        "--db",
        tmp_path / "db",
        "--model",
        "near",
        "--json",
        "--report",
        tmp_path / "r.json",
        code=1,
    )
    report = json.loads(out)
    assert report == json.loads((tmp_path / "r.json").read_text())
    assert (report["requested"], report["added"], len(report["skipped"])) == (5, 4, 1)
    assert report["skipped"][0]["line"] == 9
    assert f"skipped {fasta}:9: bad: " in cli.err


def test_skip_invalid_makes_skipping_a_success(cli: Cli, tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "in.fa", [*RECORDS, ("bad", "M*K")])
    cli("ingest", fasta, "--db", tmp_path / "db", "--model", "near", "--skip-invalid")
    cli("ingest", fasta, "--db", tmp_path / "db", code=1)
    cli("ingest", fasta, "--db", tmp_path / "db", "--fix", "stops,gaps")
    assert "1 added" in cli.err
    assert "1 sequence cleaned: fixed stops" in cli.err


def test_a_run_that_was_killed_before_it_had_stored_anything_goes_on(cli: Cli, tmp_path: Path) -> None:
    import protvec

    protvec.create(tmp_path / "db", model="near")
    fasta = write_fasta(tmp_path / "in.fa", RECORDS)
    plan = json.loads(cli("ingest", fasta, "--db", tmp_path / "db", "--dry-run", "--json"))
    assert plan["added"] == 4
    for option in ((), ("--model", "near")):
        cli("ingest", fasta, "--db", tmp_path / "db", *option)
    assert len(protvec.open(tmp_path / "db")) == 4


def test_dry_run_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "in.fa", RECORDS)
    plan = json.loads(cli("ingest", fasta, "--db", tmp_path / "db", "--model", "near", "--dry-run", "--json"))
    assert (plan["added"], plan["distinct"]) == (4, 4)
    cli("ingest", fasta, "--db", tmp_path / "db", "--model", "near", "--dry-run", "--report", tmp_path / "plan.json")
    assert json.loads((tmp_path / "plan.json").read_text()) == plan
    assert plan["estimate"]["bytes"] > sum(len(s) for _, s in RECORDS) * 256
    assert not (tmp_path / "db").exists()


def test_dry_run_of_a_long_input_estimates_time(cli: Cli, tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "in.fa", [(f"p{i}", random_sequence(300, seed=i)) for i in range(120)])
    plan = json.loads(cli("ingest", fasta, "--db", tmp_path / "db", "--model", "near", "--dry-run", "--json"))
    assert plan["estimate"]["seconds"] > 0
    assert "residues/s" in cli.err


def test_several_skipped_are_summed_up_by_reason(cli: Cli, tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "in.fa", [("good", HISTONE), *((f"b{i}", "MKL*V") for i in range(30))])
    cli("ingest", fasta, "--db", tmp_path / "db", "--model", "near", code=1)
    assert cli.err.count("warning: skipped") == 10
    assert "and 20 more skipped" in cli.err
    assert "30 x " in cli.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "in.fa: "),
        (b"MKVLLA\n>a\nMK\n", "in.fa:1: "),
        (b">a\n\x00\x01\x02\n", "in.fa"),
        (b">a\n" + b"ACGT" * 100 + b"\n", "nucleotide"),
    ],
)
def test_an_unusable_file_is_one_line_and_no_database(cli: Cli, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "in.fa").write_bytes(content)
    cli("ingest", tmp_path / "in.fa", "--db", tmp_path / "db", "--model", "near", code=1)
    assert message in error_line(cli)
    assert not (tmp_path / "db").exists()


def test_no_weights_and_no_network_is_said_within_seconds(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    fasta = write_fasta(tmp_path / "in.fa", RECORDS)
    start = time.monotonic()
    cli("ingest", fasta, "--db", tmp_path / "db", "--offline", code=1)
    assert time.monotonic() - start < 5
    line = error_line(cli)
    for way in ("protvec models pull ankh-base", "--model DIR", "--model near"):
        assert way in line


def test_the_wrong_model_or_codec_for_a_database(cli: Cli, db: Path, tiny_t5: Path, tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "in.fa", RECORDS)
    cli("ingest", fasta, "--db", db, "--model", tiny_t5, code=1)
    assert "near" in error_line(cli)
    assert "tiny-ankh" in error_line(cli)
    cli("ingest", fasta, "--db", db, "--residues", "none", code=1)
    assert "as int8, not none" in error_line(cli)


def test_a_checkpoint_directory_is_a_model(cli: Cli, tiny_t5: Path, tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "in.fa", RECORDS)
    cli("ingest", fasta, "--db", tmp_path / "db", "--model", tiny_t5)
    cli("search", HISTONE, "--db", tmp_path / "db", "--model", tiny_t5, "--columns", "target")
    assert cli.out.splitlines()[1] == "his1"


def test_without_residues_vectors_are_kept(cli: Cli, tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "in.fa", RECORDS)
    cli("ingest", fasta, "--db", tmp_path / "db", "--model", "near", "--residues", "none")
    cli("search", "--id", "his1", "--db", tmp_path / "db")
    cli("get", "his1", "--residues", "-o", tmp_path / "r.npy", "--db", tmp_path / "db", code=1)
    assert "none" in error_line(cli)


# -- search ----------------------------------------------------------------------------------------------------


def test_search_prints_tsv_where_nobody_looks(cli: Cli, db: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(cli("search", HISTONE, "--db", db, "-k", 2)), delimiter="\t"))
    assert [row["target"] for row in rows] == ["his1", "his2"]
    assert float(rows[0]["score"]) == pytest.approx(1)
    assert list(rows[0]) == ["query", "target", "score", "evalue", "length", "gene", "organism", "description"]


def test_search_formats_hold_the_same_hits(cli: Cli, db: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    ask = (
        "search",
        "--id",
        "his1",
        "--id",
        "cam",
        "--db",
        db,
        "-k",
        3,
        "--columns",
        "query,target,length,description",
    )
    tsv = list(csv.DictReader(io.StringIO(cli(*ask, "--format", "tsv")), delimiter="\t"))
    comma = list(csv.DictReader(io.StringIO(cli(*ask, "--format", "csv"))))
    lines = [json.loads(line) for line in cli(*ask, "--format", "jsonl").splitlines()]
    nested = json.loads(cli(*ask, "--format", "json"))
    cli(*ask, "--format", "parquet", "-o", tmp_path / "hits.parquet")
    table: list[dict[str, Any]] = pq.read_table(tmp_path / "hits.parquet").to_pylist()
    text = cli(*ask, "--format", "table")
    assert len(tsv) == 6
    assert tsv == comma == [{k: str(v) for k, v in row.items()} for row in lines]
    assert [row for query in nested for row in query["hits"]] == lines == table
    assert [query["query"] for query in nested] == ["his1", "cam"]
    assert all(row["target"] in text for row in lines)


def test_a_sequence_longer_than_any_file_name_is_a_query(cli: Cli, db: Path) -> None:
    out = cli("search", HISTONE * 3, "--db", db, "-k", 1, "--columns", "query,target")
    assert out.splitlines()[1].startswith("query\this")


def test_search_reads_fasta_and_standard_input(cli: Cli, db: Path, tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "q.fa", [("mine", UBIQUITIN), ("yours", CALMODULIN)])
    out = cli("search", fasta, "--db", db, "-k", 1, "--columns", "query,target")
    assert out == "query\ttarget\nmine\tubq\nyours\tcam\n"
    piped = subprocess.run(
        [
            sys.executable,
            "-m",
            "protvec",
            "search",
            "-",
            "--db",
            str(db),
            "-k",
            "1",
            "--columns",
            "query,target",
        ],
        input=fasta.read_bytes(),
        capture_output=True,
        check=True,
    )
    assert piped.stdout.decode() == out


def test_search_options_act(cli: Cli, db: Path) -> None:
    assert "his1" not in cli("search", HISTONE, "--db", db, "--exclude-self", "--columns", "target")
    assert cli("search", HISTONE, "--db", db, "--where", "length < 80", "--columns", "target") == "target\nubq\n"
    assert cli("search", HISTONE, "--db", db, "--min-score", "0.9999", "--columns", "target") == "target\nhis1\n"
    assert cli("search", HISTONE, "--db", db, "-k", 1, "--columns", "rank,dataset") == "rank\tdataset\n1\tfour\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["query.fa"], 1, "neither a file nor a protein sequence"),
        ([""], 1, "the query sequence is empty"),
        ([HISTONE, "--columns", " ,"], 1, "--columns names no column"),
        ([HISTONE, "--where", "nonsense = 1"], 1, "nonsense"),
        ([HISTONE, "--columns", "nonsense"], 1, "no column 'nonsense'"),
        (["--id", "hsi1"], 1, "his1"),
        ([HISTONE, "-k", "0"], 2, "-k"),
        ([HISTONE, "--id", "his1"], 2, "one of them"),
        ([], 2, "one of them"),
        (["--id", "his1", "--model", "near"], 2, "--model: has no use with --id"),
        (["--id", "his1", "--precision", "fp32"], 2, "--precision: has no use with --id"),
        (["--id", "his1", "--engine", "torch"], 2, "--engine: has no use with --id"),
        (["--id", "his1", "--threads", "1"], 2, "--threads: has no use with --id"),
        (["--id", "his1", "--device", "cuda"], 2, "--device: has no use with --id"),
        ([HISTONE, "--format", "xml"], 2, "xml"),
        ([HISTONE, "--model", "ankh-bse"], 1, "ankh-base"),
        ([HISTONE, "--colums", "target"], 2, "--colum"),
    ],
)
def test_search_mistakes_are_one_line(cli: Cli, db: Path, arguments: list[str], code: int, message: str) -> None:
    cli("search", *arguments, "--db", db, code=code)
    assert message in error_line(cli)
    assert cli.out == ""


def test_a_failed_search_leaves_the_output_file_alone(cli: Cli, db: Path, tmp_path: Path) -> None:
    file = tmp_path / "hits.tsv"
    file.write_text("precious")
    cli("search", "--id", "nowhere", "--db", db, "-o", file, code=1)
    assert file.read_text() == "precious"


def test_no_database_and_an_empty_one(cli: Cli, tmp_path: Path) -> None:
    import protvec

    cli("search", HISTONE, "--db", tmp_path / "none.lancedb", code=1)
    assert "none.lancedb" in error_line(cli)
    protvec.create(tmp_path / "empty.lancedb", model="near")
    cli("search", HISTONE, "--db", tmp_path / "empty.lancedb", code=1)
    assert "protvec ingest" in error_line(cli)


# -- get, info, delete -----------------------------------------------------------------------------------------


def test_get_shows_a_record_fasta_and_json(cli: Cli, db: Path) -> None:
    assert cli("get", "ubq", "his1", "--fasta", "--db", db) == (
        f">ubq ubiquitin\n{UBIQUITIN[:60]}\n{UBIQUITIN[60:]}\n"
        f">his1 histone one\n{HISTONE[:60]}\n{HISTONE[60:120]}\n{HISTONE[120:]}\n"
    )
    assert "calmodulin, with a comma" in cli("get", "cam", "--db", db)
    (record,) = json.loads(cli("get", "cam", "--json", "--db", db))
    assert (record["id"], record["length"], "vector" in record) == ("cam", len(CALMODULIN), False)
    (record,) = json.loads(cli("get", "cam", "--json", "--vector", "--db", db))
    assert len(record["vector"]) == 256


def test_get_saves_arrays(cli: Cli, db: Path, tmp_path: Path) -> None:
    cli("get", "cam", "--residues", "-o", tmp_path / "one.npy", "--db", db)
    residues = np.load(tmp_path / "one.npy")
    assert residues.shape == (len(CALMODULIN), 256)
    cli("get", "cam", "ubq", "--vector", "-o", tmp_path / "two.npz", "--db", db)
    vectors = np.load(tmp_path / "two.npz")
    assert sorted(vectors) == ["cam", "ubq"]
    np.testing.assert_allclose(vectors["cam"], residues.mean(axis=0), atol=1e-3)
    printed = cli("get", "cam", "--vector", "--db", db).rstrip("\n").split("\t")
    assert printed[0] == "cam"
    np.testing.assert_array_equal(np.array(printed[1:], dtype=np.float32), vectors["cam"])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["cam", "--residues"], 2),
        (["cam", "ubq", "--residues", "-o", "two.npy"], 2),
        (["cam", "--fasta", "--vector"], 2),
        (["mac"], 1),
        ([], 2),
    ],
)
def test_get_mistakes(
    cli: Cli, db: Path, arguments: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cli("get", *arguments, "--db", db, code=code)
    error_line(cli)
    assert not list(tmp_path.iterdir())


def test_info(cli: Cli, db: Path) -> None:
    facts = json.loads(cli("info", "--db", db, "--json"))
    assert (facts["proteins"], facts["sequences"], facts["datasets"]) == (4, 4, {"four": 4})
    assert facts["space"]["model"] == "near"
    text = cli("info", "--db", db)
    for word in ("near", "int8", "four", "256"):
        assert word in text


def test_delete_asks_unless_told(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "db"
    cli("ingest", write_fasta(tmp_path / "in.fa", RECORDS), "--db", path, "--model", "near")
    cli("delete", "--id", "cam", "--db", path, code=1)
    assert "--yes" in error_line(cli)
    assert json.loads(cli("delete", "--id", "cam", "--db", path, "--yes", "--json")) == {
        "deleted": 1,
        "left": 3,
    }
    cli("delete", "--where", "length > 100", "--db", path, "--yes")
    assert "2 proteins deleted, 1 left" in cli.err
    cli("delete", "--id", "cam", "--db", path, "--yes", code=1)
    cli("delete", "--db", path, code=2)


# -- the rest --------------------------------------------------------------------------------------------------


def test_models_lists_them_with_licence(cli: Cli) -> None:
    text = cli("models")
    for name in (
        "ankh-base",
        "ankh-large",
        "ankh3-large",
        "prot-t5",
        "near",
        "CC-BY-NC-SA-4.0",
        "GPL-3.0-or-later",
    ):
        assert name in text
    listed = {row["name"]: row for row in json.loads(cli("models", "--json"))}
    assert listed["ankh-base"]["dimension"] == 768
    assert listed["near"]["path"]
    assert cli("models", "path", "near").strip() == listed["near"]["path"]
    cli("models", "path", "ankh-bsae", code=1)
    assert "ankh-base" in error_line(cli)


def test_help_and_version(cli: Cli) -> None:
    import protvec

    assert cli("--version") == f"protvec {protvec.__version__}\n"
    assert "ingest" in cli("--help")
    for command in ("ingest", "search", "get", "info", "delete", "demo", "models"):
        assert "Usage: protvec " + command in cli(command, "-h")
    cli("serach", code=2)
    error_line(cli)


def test_options_that_are_alike_are_declared_once() -> None:
    declared: dict[tuple[str, type, str], set[int]] = {}
    for command in commands(build()):
        for name, parameter in inspect.signature(inspect.unwrap(command), eval_str=True).parameters.items():
            kind, *declarations = get_args(parameter.annotation) or (parameter.annotation,)
            for each in declarations:
                declared.setdefault((name, kind, each.help), set()).add(id(each))
    assert ("db", str, "The database: a directory, or s3://…, gs://…, az://…") in declared
    assert not {alike: len(times) for alike, times in declared.items() if len(times) > 1}


def commands(app: Typer) -> Iterator[Callable[..., object]]:
    yield from (command.callback for command in app.registered_commands if command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from commands(group.typer_instance)


def test_debug_shows_the_traceback(cli: Cli, db: Path) -> None:
    cli("--debug", "search", "--id", "nowhere", "--db", db, code=1)
    assert "Traceback" in cli.err


def test_the_database_comes_from_the_environment(cli: Cli, db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROTVEC_DB", str(db))
    assert json.loads(cli("info", "--json"))["proteins"] == 4


def test_a_reader_that_leaves_early_is_no_error(db: Path) -> None:
    script = f"{sys.executable} -m protvec search --id his1 --id cam --db '{db}' --format jsonl | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", script], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_ctrl_c_stops_after_a_commit_and_says_how_to_go_on(cli: Cli, tmp_path: Path) -> None:
    import signal

    fasta = write_fasta(tmp_path / "many.fa", [(f"p{i}", random_sequence(300, seed=i)) for i in range(110)])
    command = [
        sys.executable,
        "-m",
        "protvec",
        "ingest",
        str(fasta),
        "--db",
        str(tmp_path / "db"),
        "--model",
        "near",
    ]
    report = tmp_path / "report.json"
    with subprocess.Popen(
        [*command, "--threads", "1", "--report", str(report)], stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        while "Estimate" not in running.stderr.readline():
            assert running.poll() is None
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        rest = running.stderr.read()
    assert running.returncode == 130, rest
    assert "goes on from here" in rest
    assert json.loads(report.read_text())["interrupted"]
    assert "Traceback" not in rest
    cli(*command[3:])
    assert "0 skipped of 110 records" in cli.err


def test_demo_shows_neighbours_and_runs_twice(cli: Cli, tmp_path: Path) -> None:
    cli("demo", "--db", tmp_path / "demo")
    assert "not Ankh" in cli.err
    assert " added" in cli.err
    assert cli.out.count("score") == cli.out.count("evalue") == 3
    first = cli.out
    assert cli("demo", "--db", tmp_path / "demo") == first
    assert "0 added" in cli.err


def test_delete_takes_no_for_an_answer(cli: Cli, db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    cli("delete", "--id", "cam", "--db", db, code=1)
    assert "This would delete 1 protein from" in cli.err
    assert "nothing changed" in cli.err
    assert json.loads(cli("info", "--db", db, "--json"))["proteins"] == 4
