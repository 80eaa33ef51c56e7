"""The benchmark of E-values, on domains with labels and on a proteome without."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from proteins import random_sequence, write_fasta

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import bench_statistics
from _bench_homology import Found
from _bench_homology_peers import PeerError


def answer(query: str, **evalues: float) -> Any:
    table = pa.table({"evalue": list(evalues.values())})
    return SimpleNamespace(query=query, ids=list(evalues), to_arrow=lambda: table)


def test_errors_are_counted_at_each_threshold() -> None:
    answers = [answer("a", b=0.005, c=0.5, d=20.0), answer("e", b=0.03)]
    wrong = [("a", "b"), ("a", "c"), ("e", "b")]
    found = bench_statistics.errors(answers, lambda query, target: (query, target) in wrong)
    assert found == [0.5, 1.0, 1.0, 1.0, 1.5, 1.5, 1.5]
    assert bench_statistics.errors([], lambda *_: True) == [0.0] * 7


@pytest.fixture
def domains(tmp_path: Path) -> Path:
    rows = [(f"d{i:02d} a.{i % 10}.1.1", random_sequence(60 + i, seed=i)) for i in range(40)]
    return write_fasta(tmp_path / "scop.fa", [*rows, ("twin a.0.1.1", rows[0][1])])


def test_domains_with_labels(domains: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures, drawing = tmp_path / "out.json", tmp_path / "out.svg"
    options = ["--queries", "6", "--aligned", "2", "--json", str(figures), "--svg", str(drawing), "--threads", "1"]
    assert bench_statistics.main([str(domains), *options]) == 0
    written = json.loads(figures.read_text())
    assert (written["proteins"], written["queries"], written["aligned"]) == (40, 6, 2)
    names = ["vectors, other folds", "aligned, other folds"]
    for kind in ("vectors", "aligned"):
        names += [f"{kind}, reversed queries", f"{kind}, reversed, other folds"]
    assert list(written["errors"]) == names
    every, others = (written["errors"][f"vectors, reversed{which}"][-1] for which in (" queries", ", other folds"))
    assert 0 < others < every
    assert drawing.read_text().count("<polyline") >= 3 + 1
    assert all(name in capsys.readouterr().out or name in drawing.read_text() for name in names)


def test_a_proteome(domains: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without labels: hits of the own family are those that BLASTP finds, where there is one."""
    proteome = tmp_path / "proteome.fa"
    proteome.write_text(domains.read_text().replace(" a.", " protein a."))
    options = ["--queries", "5", "--aligned", "2", "--json", str(tmp_path / "out.json"), "--threads", "1"]
    everything = [Found(f"d{i:02d}", 50.0, 1e-3) for i in range(40)]
    monkeypatch.setattr(
        bench_statistics, "search", lambda _, queries, *__: ({query.id: everything for query in queries}, 1.0)
    )
    assert bench_statistics.main([str(proteome), *options]) == 0
    errors = json.loads((tmp_path / "out.json").read_text())["errors"]
    assert errors["vectors, reversed queries"][-1] > 0
    assert errors["vectors, reversed, other families"] == [0.0] * 7
    monkeypatch.setattr(bench_statistics, "search", missing)
    assert bench_statistics.families([], [], 1) is None


def missing(*_: object) -> Any:
    raise PeerError("blastp: not installed")
