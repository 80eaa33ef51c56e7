"""The benchmark of re-ranking: a whole run of little, and what it writes down."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import bench_align


def test_a_run_measures_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "align.json"
    size = ["--candidates", "6", "--length", "30", "--hits", "2", "--rounds", "2"]
    assert bench_align.main(["--quick", *size, "--json", str(file)]) == 0
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert [row["what"] for row in figures["pairs"]] == [
        "256 dimensions, scoring of near",
        "256 dimensions, scoring of ankh-base",
    ]
    assert [row["what"] for row in figures["search"]] == ["without alignment", "aligned"]
    assert all(0 < row["low"] <= row["median"] <= row["high"] for row in figures["pairs"] + figures["search"])
    assert "6 candidates of 30 residues, 2 hits: seconds" in capsys.readouterr().out


def test_other_lengths_and_sections_are_asked_for() -> None:
    options = bench_align.parse(["--sections", "search", "--quick"])
    assert (options.sections, options.rounds, options.candidates, options.length) == (("search",), 3, 200, 400)
    with pytest.raises(SystemExit):
        bench_align.parse(["--candidates", "0"])
