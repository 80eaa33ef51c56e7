"""The benchmark of the cluster, the sections that need no engine, on next to nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import bench_cluster


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
    assert "no section moon" in capsys.readouterr().err
