"""Files of answers: a killed search goes on where it stopped, and nothing is gone on with that is of another."""

from __future__ import annotations

import json
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import store_data as data
from proteins import CALMODULIN, HISTONE, UBIQUITIN, write_fasta

import protvec
from protvec.cli.app import run
from protvec.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    Attempt = Callable[..., str]

HERE = Path(__file__).parent


@pytest.mark.parametrize("format", ["tsv", "parquet"])
def test_killed_before_every_change_of_a_file(tmp_path: Path, format: str) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "kill_search.py"), str(tmp_path), format],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    killed = found["killed"]
    assert len(killed) > 25
    assert sum(each["torn"] for each in killed) > 20
    for number, each in enumerate(killed, start=1):
        assert each["before"] in (None, found["whole"]), number  # whole, or not there
        assert each["after"] == found["whole"], number
        left = [name for name in each["beside"] if not name.endswith(".part")]
        assert left == [] or each["before"] is not None, number
    assert [each["after"] for each in found["again and again"]] == [found["whole"]] * 4


# -- the command -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("resume") / "db"
    data.write(Store.create(path, data.space(), codec="none"), data.numbered(0, 300))
    return str(path)


@pytest.fixture
def attempt(capfd: pytest.CaptureFixture[str]) -> Attempt:
    """Runs a search and returns what it said on standard error."""

    def search(*arguments: object, code: int = 0) -> str:
        capfd.readouterr()
        got = run(["search", *map(str, arguments)])
        said = capfd.readouterr().err
        assert got == code, said
        return said

    return search


def interrupted(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Ctrl-C pressed once so many answers are written."""
    import protvec.cli.partial as module

    whole = module.Progress.after

    def counting(progress: module.Progress, *given: Any) -> module.Progress:
        now = whole(progress, *given)
        if now.queries == after:
            signal.raise_signal(signal.SIGINT)
        return now

    monkeypatch.setattr(module.Progress, "after", counting)
    monkeypatch.setattr(module, "CHECKPOINT_EVERY", 0.0)


def test_kill_9_at_random_moments_of_the_command(db: str, tmp_path: Path, attempt: Attempt) -> None:
    whole, target = tmp_path / "whole.tsv", tmp_path / "hits.tsv"
    attempt("--all", "--db", db, "-k", 5, "-o", whole)
    program = (
        "import sys, time; from protvec.cli import partial; from protvec.cli.app import run\n"
        "partial.CHECKPOINT_EVERY = 0.0\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "search", "--all", "--db", db, "-k", "5", "-o", str(target)]
    draw, killed = random.Random(5), 0
    for _ in range(3):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not Path(f"{target}.partial.json").exists():
                time.sleep(0.005)
            time.sleep(draw.uniform(0, 0.3))
            process.kill()
        killed += process.returncode == -signal.SIGKILL
        assert not target.exists() or target.read_bytes() == whole.read_bytes()
    assert killed
    if not target.exists():
        attempt("--all", "--db", db, "-k", 5, "-o", target)
    assert target.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("format", ["tsv", "json", "parquet"])
@pytest.mark.parametrize("queries", ["--all", "--ids"])
def test_ctrl_c_keeps_what_is_done(
    db: str, tmp_path: Path, attempt: Attempt, format: str, queries: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tmp_path / "ids.txt"
    names.write_text("".join(f"P{number:04d}\n" for number in range(0, 300, 7)))
    ask = [queries, *([names] if queries == "--ids" else []), "--db", db, "-k", 3]
    ask += ["--columns", "query,target,score,qlen,query.header"]
    whole, target = tmp_path / f"whole.{format}", tmp_path / f"hits.{format}"
    attempt(*ask, "-o", whole)
    with monkeypatch.context() as patch:
        interrupted(20, patch)
        said = attempt(*ask, "-o", target, code=130)
    assert not target.exists()
    done = json.loads(Path(f"{target}.partial.json").read_text())["progress"]["queries"]
    assert done in (19, 20)
    assert f"{done} queries answered" in said
    assert f"going on after {done} queries" in attempt(*ask, "-o", target)
    assert target.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["ids.txt", whole.name, target.name])


def test_sequences_go_on_without_being_embedded_again(
    tmp_path: Path, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = [("a first", HISTONE), ("b", UBIQUITIN), ("c", CALMODULIN)]
    file = write_fasta(tmp_path / "q.fa", three)
    protvec.create(tmp_path / "db", model="near").ingest(write_fasta(tmp_path / "in.fa", three))
    ask = [file, "--db", tmp_path / "db", "--columns", "query,qheader,qlen,target,score"]
    attempt(*ask, "-o", tmp_path / "whole.tsv")
    with monkeypatch.context() as patch:
        interrupted(2, patch)
        attempt(*ask, "-o", tmp_path / "hits.tsv", code=130)
    partial = (tmp_path / "hits.tsv.partial").read_bytes()
    write_fasta(file, [("a first", HISTONE[1:]), *three[1:]])
    assert "other queries: --force starts anew" in attempt(*ask, "-o", tmp_path / "hits.tsv", code=1)
    assert (tmp_path / "hits.tsv.partial").read_bytes() == partial
    write_fasta(file, three)
    attempt(*ask, "-o", tmp_path / "hits.tsv")
    assert (tmp_path / "hits.tsv").read_bytes() == (tmp_path / "whole.tsv").read_bytes()


def test_a_finished_file_is_not_done_again_in_silence(db: str, tmp_path: Path, attempt: Attempt) -> None:
    target = tmp_path / "hits.tsv"
    target.write_text("precious")
    assert "such a file already: choose another name, or --force" in attempt(
        "--id", "P0001", "--db", db, "-o", target, code=1
    )
    assert target.read_text() == "precious"
    assert "10 hits of 1 query" in attempt("--id", "P0001", "--db", db, "-o", target, "--force")
    assert target.read_text().startswith("query\ttarget\t")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["-k", 4], "k was 5, and is 4"),
        (["--where", "length > 5"], "where was not given, and is length > 5"),
        (["--columns", "target,score"], "columns was query,target,score"),
        (["--no-header"], "header was True, and is False"),
        (["--format", "csv"], "format was tsv, and is csv"),
        (["--include-self"], "exclude-self was True, and is False"),
        (["--query-where", "length > 9"], "query-where was not given"),
    ],
)
def test_a_partial_file_of_another_search_is_refused(
    db: str, tmp_path: Path, attempt: Attempt, change: list[object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "hits.tsv"
    ask = ["--all", "--db", db, "-k", 5, "-o", target]
    with monkeypatch.context() as patch:
        interrupted(10, patch)
        attempt(*ask, code=130)
    before = Path(f"{target}.partial").read_bytes()
    said = attempt(*ask, *change, code=1)
    assert message in said
    assert "--force" in said
    assert Path(f"{target}.partial").read_bytes() == before
    attempt(*ask, *change, "--force")
    assert target.exists()
    assert not Path(f"{target}.partial").exists()


def test_a_full_disk_is_one_line_and_gone_on_from(
    db: str, tmp_path: Path, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, target = tmp_path / "whole.tsv", tmp_path / "hits.tsv"
    ask = ["--all", "--db", db, "-k", 5, "-o"]
    attempt(*ask, whole)
    monkeypatch.setattr("protvec.cli.partial.CHECKPOINT_EVERY", 0.0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole.stat().st_size // 2, before[1]))
    try:
        said = attempt(*ask, target, code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    note, error = said.splitlines()
    assert re.fullmatch(r"\d+ queries answered in .*hits.tsv.partial: the same command goes on from there", note)
    assert error.endswith("hits.tsv: cannot be written: File too large")
    attempt(*ask, target)
    assert target.read_bytes() == whole.read_bytes()


def test_less_memory_is_another_search_where_it_leaves_segments_out(
    tmp_path: Path, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.create(tmp_path / "db", data.space())
    data.write(store, [data.row(f"P{i:03d}", data.sequence(i) * 40) for i in range(40)])
    assert str(store.calibrate()).startswith("whitened")
    ask = ["--all", "--db", store.path, "-k", 5, "-o", tmp_path / "hits.tsv"]
    with monkeypatch.context() as patch:
        interrupted(10, patch)
        attempt(*ask, code=130)
    assert "segments was True, and is False" in attempt(*ask, "--search-memory", "1K", code=1)
    assert "going on after " in attempt(*ask)


def test_a_database_that_changed_since_is_named(
    tmp_path: Path, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    data.write(store, data.numbered(0, 40))
    ask = ["--all", "--db", tmp_path / "db", "-o", tmp_path / "hits.tsv"]
    with monkeypatch.context() as patch:
        interrupted(10, patch)
        attempt(*ask, code=130)
    data.write(store, data.numbered(40, 41))
    assert "the database has changed since (version " in attempt(*ask, code=1)


def test_a_partial_file_that_cannot_be_trusted_is_refused(db: str, tmp_path: Path, attempt: Attempt) -> None:
    target = tmp_path / "hits.tsv"
    partial, record = Path(f"{target}.partial"), Path(f"{target}.partial.json")
    ask = ["--all", "--db", db, "-o", target]
    partial.write_text("somebody's own\n")
    assert "there is no hits.tsv.partial.json" in attempt(*ask, code=1)
    record.write_text("{")
    assert "hits.tsv.partial.json: cannot be read" in attempt(*ask, code=1)
    assert partial.read_text() == "somebody's own\n"
    attempt(*ask, "--force")
    assert target.exists()


def test_a_partial_file_that_lost_bytes_is_refused(
    db: str, tmp_path: Path, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "hits.tsv"
    ask = ["--all", "--db", db, "-o", target]
    with monkeypatch.context() as patch:
        interrupted(10, patch)
        attempt(*ask, code=130)
    with Path(f"{target}.partial").open("r+b") as stream:
        stream.truncate(40)
    assert "40 bytes, but" in attempt(*ask, code=1)


def test_two_processes_do_not_write_one_file(db: str, tmp_path: Path, attempt: Attempt) -> None:
    import fcntl

    target = tmp_path / "hits.tsv"
    with Path(f"{target}.partial").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        for force in ([], ["--force"]):
            said = attempt("--all", "--db", db, "-o", target, *force, code=1)
            assert "another process is writing it" in said


def test_a_search_that_fails_at_once_leaves_nothing(db: str, tmp_path: Path, attempt: Attempt) -> None:
    for wrong in (["--id", "P9"], ["--all", "--where", "length > 1000"], ["--all", "--columns", "pident"]):
        attempt(*wrong, "--db", db, "-o", tmp_path / "hits.tsv", code=1)
        assert not list(tmp_path.iterdir())
    attempt("--all", "--db", db, "-o", tmp_path / "no" / "hits.tsv", code=1)
    attempt("--all", "--db", db, "-o", tmp_path, code=1)


def test_a_device_is_written_to_as_it_is(db: str, attempt: Attempt) -> None:
    attempt("--id", "P0001", "--db", db, "-o", "/dev/null")
    assert not Path("/dev/null.partial").exists()
