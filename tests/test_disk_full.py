"""A full disk: one clear line, a readable database, and the same command goes on once there is room."""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from proteins import random_sequence, write_fasta

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from _crash import Task, examine, work

if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNT = 'mount -t tmpfs -o size=16m tmpfs "$0" && exec "$@"'


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> str:
    records = [(f"p{i}", "M" + random_sequence(400, seed=i)) for i in range(200)]
    return str(write_fasta(tmp_path_factory.mktemp("input") / "long.fa", records))


def in_small_space(folder: Path, *line: str) -> subprocess.CompletedProcess[str]:
    """Run a program with a file system of 16 MB at the folder, that it alone sees."""
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", MOUNT, str(folder), *line],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, fasta: str) -> dict[str, Any]:
    """What ``full_disk.py`` found."""
    folder = tmp_path_factory.mktemp("small")
    if shutil.which("unshare") is None or (trial := in_small_space(folder, "true")).returncode:
        reason = trial.stderr.strip() if shutil.which("unshare") else "no unshare"
        pytest.skip(f"a file system cannot be mounted here: {reason}")
    helper = Path(__file__).with_name("full_disk.py")
    done = in_small_space(folder, sys.executable, str(helper), str(folder), fasta)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_an_ingest_ends_in_one_line_and_loses_nothing(found: dict[str, Any]) -> None:
    full = found["full"]
    assert "the disk is full: make room and run it again" in full["error"]
    assert "\n" not in full["error"]
    assert 0 < full["proteins"] < 200
    assert full["proteins"] % 20 == 0, "half a commit"
    assert (full["faults"], full["temporary"]) == ([], [])


def test_tries_on_a_full_disk_do_not_fill_it_further(found: dict[str, Any]) -> None:
    before, after = found["full"], found["tried again and again"]
    assert (after["faults"], after["temporary"]) == ([], [])
    assert after["proteins"] >= before["proteins"]
    assert after["bytes"] <= before["bytes"] + 200_000


def test_the_same_command_goes_on_with_room(found: dict[str, Any], tmp_path: Path, fasta: str) -> None:
    again = found["room again"]
    assert again["error"] == ""
    assert (again["proteins"], again["faults"], again["orphans"]) == (200, [], 0)


def test_compaction_deletion_and_creation_fail_cleanly(found: dict[str, Any]) -> None:
    whole = found["room again"]["content"]
    for name in ("compaction", "deletion"):
        assert "the disk is full" in found[name]["error"]
        assert (found[name]["content"], found[name]["faults"]) == (whole, []), name
    assert "the disk is full" in found["creation"]
    assert found["deletion with room"]["error"] == found["creation with room"] == ""
    assert (found["deletion with room"]["proteins"], found["deletion with room"]["orphans"]) == (198, 0)


def test_outputs_say_so_and_leave_no_half_file(found: dict[str, Any]) -> None:
    for name, file in (("get", "out.npy"), ("search", "hits.tsv")):
        assert found[name]["code"] == 1
        assert f"{file}: cannot be written: No space left on device" in found[name]["error"]
        assert found[name]["error"].count("\n") == 1
    assert found["files left"] == ["ballast", "db"]


def test_an_ingest_that_cannot_fit_does_not_begin(found: dict[str, Any]) -> None:
    refused = found["cannot fit"]
    assert refused["code"] == 1
    assert "this needs about" in refused["error"]
    assert re.search(r"and [0-9.]+ (bytes|kB) are free", refused["error"])
    library = found["library"]
    assert "this needs about 1." in library["error"]
    assert re.search(r"MB, and [89][0-9]+ kB are free on that disk: make room", library["error"])
    assert not library["changed"]


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 64 kB: what a quota does, on any machine."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_a_write_that_is_refused_leaves_what_was_there(tmp_path: Path, fasta: str) -> None:
    from protvec.errors import DatabaseError

    db = str(tmp_path / "db")
    few = str(write_fasta(tmp_path / "few.fa", [("first", "M" + random_sequence(400, seed=999))]))
    work(Task(db, [["ingest", few]]))
    with pytest.raises(DatabaseError, match="cannot be written"):
        work(Task(db, [["ingest", fasta]], rows=50))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    left = examine(db)
    assert list(left.content) == ["first"]
    assert not left.faults
    work(Task(db, [["ingest", fasta]], rows=50))
    assert len(examine(db).content) == 201
