"""The benchmark of the store from end to end, on next to nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from protvec.data import sample

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import bench_store

if TYPE_CHECKING:
    from typing import Any

CODECS = ("float16", "int8", "int4")
SIZES = {
    "fidelity_residues": 2_000,
    "write_proteins": 5,
    "read_proteins": 50,
    "ingests": 2,
    "overhead_residues": 900,
    "memory_residues": 500,
    "vectors": 50,
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("bench") / "store.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_store, "SIZES", {name: (size, size) for name, size in SIZES.items()})
        assert bench_store.main(["--quick", "--rounds", "1", "--fasta", str(sample()), "--json", str(file)]) == 0
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_every_section_has_its_figures(result: dict[str, Any]) -> None:
    assert set(bench_store.SECTIONS) < set(result)
    assert [each["codec"] for each in result["fidelity"]] == list(CODECS)
    assert {"machine", "versions", "command"} < set(result)


def test_fidelity_falls_with_the_bytes(result: dict[str, Any]) -> None:
    worst = [each["residue_worst"] for each in result["fidelity"]]
    assert worst == sorted(worst, reverse=True)
    assert worst[1] > 0.9999
    assert all(each["pooled_worst"] > 0.9999999 for each in result["fidelity"])


def test_rates_and_sizes_fit_each_other(result: dict[str, Any]) -> None:
    for name in CODECS:
        each = result["write"][name]
        for ours, ratio in (("ours", "ratio"), ("raw", "raw_ratio")):
            assert each[ours]["median"] == pytest.approx(each[ratio]["median"] * each["plain"]["median"])
    for each in result["read"]:
        assert each["ms_1"]["median"] > 0
        assert "ms_500" not in each, "there are not as many"
        assert 0.99 < each["of_its_own_size"] < 1.1
    growth = result["growth"]
    assert growth["before"]["residues"]["total"] > growth["after"]["residues"]["total"] >= growth["codec_own"]


def test_memory_is_of_processes_of_their_own(result: dict[str, Any]) -> None:
    assert len(result["memory"]["ingest"]) == 2
    assert all(each["peak"] > 1 << 26 for each in result["memory"]["ingest"])
    search = result["memory"]["search"]
    assert (search["proteins"], search["searched"] >= search["opened"]) == (50, True)
    overhead = result["overhead"]["overhead"]
    assert overhead["cpu"]["low"] <= overhead["cpu"]["median"] <= overhead["cpu"]["high"]
    assert all(turn[which]["cpu"] > 0 for turn in result["overhead"]["rounds"] for which in ("alone", "ingest"))


@pytest.mark.parametrize("argument", ["--sections=write,moon", "--rounds=0"])
def test_a_wrong_argument_is_refused(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench_store.parse([argument])
    assert argument.split("=", maxsplit=1)[0] in capsys.readouterr().err
