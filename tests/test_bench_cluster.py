"""The benchmark of the cluster, the sections that need no engine, on next to nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import bench_cluster
from _bench_commands import protvec


def test_commit_and_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_cluster, "COMMITTED", (20, 20))
    monkeypatch.setattr(bench_cluster, "RECORDS", (2_000, 2_000))
    file = tmp_path / "found.json"
    assert bench_cluster.main(["--quick", "--sections", "commit,cut", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert found["commit"]["proteins"] == 20
    assert found["commit"]["bytes"] > 20 * 400 * 768
    assert found["commit"]["peak"] > 1 << 26
    assert found["cut"]["records_per_second"] > 0
    assert {"machine", "versions", "command"} < set(found)


def test_a_wrong_section_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench_cluster.main(["--sections", "moon"])
    assert "'moon' is none of scaling, overhead" in capsys.readouterr().err


def test_a_command_is_watched() -> None:
    code = "import sys, time; held = b'x' * (100 << 20); print('a'); print(sys.argv[1]); time.sleep(0.7)"
    run = protvec("last", code=code)
    assert run.lines == ["a", "last"]
    assert run.seconds > 0.7
    assert run.peak() > 100 << 20
    assert run.peak("worker") == 0
    assert set(run.cpu()) == {"driver"}
    with pytest.raises(RuntimeError, match="no good"):
        protvec(code="raise SystemExit('no good')")


def test_what_every_run_takes_is_told_from_the_rate() -> None:
    found = bench_cluster._line([1_000, 9_000], [5.0, 13.0])
    assert found["every_run"] == pytest.approx(4.0)
    assert found["residues_per_second"] == pytest.approx(1_000)
