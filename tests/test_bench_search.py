"""The benchmark of searches from end to end, on next to nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from proteins import random_sequence, write_fasta

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import _bench_vectors
import bench_search


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_search, "QUERIES", 12)


def test_compares_engines_over_the_same_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "search.json"
    arguments = ["--sections", "synthetic", "--engines", "numpy,protvec,protvec ivf_sq,lancedb", "--sizes", "3000"]
    assert bench_search.main([*arguments, "--json", str(file)]) == 0
    (case,) = json.loads(file.read_text())["synthetic"]
    engines = {each["engine"]: each for each in case["engines"]}
    assert case["vectors"] == 3000
    for name in ("numpy", "protvec", "lancedb"):
        assert engines[name]["recall_10"] == engines[name]["recall_50"] == engines[name]["recall_10_filtered"] == 1
    assert engines["protvec ivf_sq"]["recall_10"] > 0.8
    assert [each["share"] for each in engines["protvec"]["shares"]] == ["0.1%", "1%", "10%", "50%", "100%"]
    assert {each["recall_10"] for each in engines["protvec"]["shares"]} == {1}
    assert engines["numpy"]["shares"] == []
    assert all(each["p50"] > 0 and each["qps_2"] > 0 for each in engines.values())
    shown = capsys.readouterr().out
    assert "SYNTHETIC mixture, 3,000 x 768" in shown


def test_all_against_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [(f"P{i}", random_sequence(30 + i, seed=i)) for i in range(40)]
    file, cache = write_fasta(tmp_path / "some.fa", records), tmp_path / "cache"
    cache.mkdir()
    assert bench_search.main(["--sections", "all", "--fasta", str(file), "--cache", str(cache)]) == 0
    assert "40 real proteins, top 10: NumPy" in capsys.readouterr().out
    assert [each.name for each in cache.iterdir()] == ["near-40.npy"]


def test_segments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [(f"P{i}", random_sequence(60 + 12 * i, seed=i)) for i in range(30)]
    fasta, file = write_fasta(tmp_path / "some.fa", records), tmp_path / "found.json"
    assert bench_search.main(["--sections", "segments", "--fasta", str(fasta), "--json", str(file)]) == 0
    found = json.loads(file.read_text())["segments"]
    assert found["proteins"] == 30
    assert all(found[name]["one"]["p50"] > 0 for name in ("with", "without"))
    assert "segments, 30 real proteins" in capsys.readouterr().out


def test_a_peer_that_is_missing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: object
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_search, "PEERS", {"hnswlib": "no_such_package"})
        assert bench_search.main(["--sections", "synthetic", "--engines", "hnswlib", "--sizes", "500"]) == 0
    assert "hnswlib: not installed (pip install faiss-cpu hnswlib)" in capsys.readouterr().out


def test_sequences_of_a_blast_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bench_vectors, "_EVERY", 1)
    first, second = b"\x0c\x0a\x13" * 20, b"\x0c\x01\x16" * 30  # MKV…, MAY…
    file = tmp_path / "db.psq"
    file.write_bytes(b"\0".join([b"", first, second, first, b"\x0c\x0a", b""]))
    assert _bench_vectors.swissprot(file, tmp_path, 10) == ["MKV" * 20, "MAY" * 30]
    assert _bench_vectors.swissprot(file, tmp_path, 10, 70) == ["MKV" * 20]
    monkeypatch.setattr(_bench_vectors, "_EVERY", 2)
    assert _bench_vectors.swissprot(file, tmp_path, 10) == ["MKV" * 20]


def test_made_up_vectors_are_near_one_another() -> None:
    drawn = _bench_vectors.synthetic(500)
    unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    assert (unit @ unit.T).mean() > 0.9
    assert np.array_equal(drawn, _bench_vectors.synthetic(500))
