"""The pieces of the benchmarks, on a tiny checkpoint: a figure that is wrong is worse than none."""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protvec.data import sample
from protvec.engine.openvino import supported_precisions
from protvec.fasta import Record
from protvec.models import Checkpoint, find

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import _bench
import _bench_encoders
import _bench_limit
import _bench_long
import _bench_parts
import _bench_race
import _bench_search
import bench_engine
from _bench_race import Contender

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TINY = {**_bench_encoders.ANKH_BASE, "d_model": 48, "num_layers": 2, "num_heads": 3, "d_kv": 16, "d_ff": 64}
SEQUENCES = ["MKTAYIAKQRQISFVKSHFSRQ", "ACDEFGHIKLMNPQRSTVWYX", "M"]


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return _bench.proteins(sample())


@pytest.fixture(scope="module")
def random_t5(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    directory = tmp_path_factory.mktemp("models") / "tiny-random"
    _bench_encoders.write_random(directory, TINY)
    return find(directory)


@pytest.fixture
def worker() -> Iterator[_bench.Worker]:
    worker = _bench.Worker()
    yield worker
    worker.close()


# --- Proteins ----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=60), st.integers(1, 50_000), st.integers(0, 9))
def test_a_draw_has_one_protein_of_each_stratum(lengths: list[int], residues: int, seed: int) -> None:
    everything = [Record(str(i), "", "A" * length) for i, length in enumerate(lengths)]
    drawn = _bench.draw(everything, residues=residues, seed=seed)
    assert drawn == _bench.draw(everything, residues=residues, seed=seed)
    assert len({record.id for record in drawn}) == len(drawn) <= len(lengths)
    ranks = sorted(lengths)
    for i, length in enumerate(sorted(len(record.sequence) for record in drawn)):
        low, high = (round(edge * len(ranks) / len(drawn)) for edge in (i, i + 1))
        assert ranks[low] <= length <= ranks[high - 1]


def test_a_draw_is_as_large_and_as_long_as_it_should_be(records: Sequence[Record]) -> None:
    drawn = _bench.draw(records, residues=12_000)
    assert _bench.total(drawn) == pytest.approx(12_000, rel=0.02)
    means = [statistics.fmean(len(record.sequence) for record in some) for some in (drawn, records)]
    assert means[0] == pytest.approx(means[1], rel=0.05)
    assert _bench.draw(records, residues=12_000, seed=2) != drawn


# --- Figures -----------------------------------------------------------------------------------------------


def test_a_spread_is_median_and_ends() -> None:
    assert _bench.Spread.of(iter([3.0, 1.0, 8.0])) == _bench.Spread(3.0, 1.0, 8.0)


def test_a_table_lines_up() -> None:
    text = _bench.table(["who", "how", "n"], [["ab", "c", "1,000"], ["long name", "d", "2"]])
    assert text == "who        how      n\nab         c    1,000\nlong name  d        2"


def test_cosines_are_of_rows_and_of_means(tmp_path: Path, random_t5: Checkpoint) -> None:
    rng = np.random.default_rng(0)
    ours = rng.standard_normal((5, 48)).astype(np.float32)
    theirs = ours.copy()
    theirs[4] *= -3  # the second protein is rows 3 and 4
    both = []
    for name, rows in (("ours", ours), ("theirs", theirs)):
        rows.tofile(tmp_path / name)
        both.append(Contender(random_t5, "torch", "fp32", outputs=str(tmp_path / name)))
    found = bench_engine.cosines(both[0], both[1], [3, 2])
    assert found["residue_cosine"] == pytest.approx({"min": -1.0, "mean": 0.6})
    a, b = ours[3:].mean(axis=0), theirs[3:].mean(axis=0)
    pooled = float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert found["pooled_cosine"] == pytest.approx({"min": pooled, "mean": (1 + pooled) / 2}, abs=1e-6)
    with pytest.raises(SystemExit, match="5 residues and the yardstick 5 of 6"):
        bench_engine.cosines(both[0], both[1], [3, 3])


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    _bench.write_json(path, {"speed": 1.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        _bench.write_json(path, {"speed": float("nan")})
    assert json.loads(path.read_text()) == {"speed": 1.5}
    assert [entry.name for entry in tmp_path.iterdir()] == ["figures.json"]


# --- The machine and its processes -------------------------------------------------------------------------


def test_provenance_says_what_figures_depend_on() -> None:
    found = json.loads(json.dumps(_bench.provenance()))
    assert found["machine"]["cpus"] >= 1
    assert found["machine"]["memory_bytes"] > 1 << 28
    assert found["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["versions"]["torch"]
    assert found["versions"].keys() >= {"protvec", "transformers", "openvino"}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets its peak")
def test_peak_memory_rises_and_is_forgotten() -> None:
    _bench.forget_peak_memory()
    before = _bench.peak_memory()
    held = np.ones(1 << 26, dtype=np.uint8)
    assert _bench.peak_memory() - before >= 0.9 * held.nbytes
    del held
    _bench.forget_peak_memory()
    assert _bench.peak_memory() < before + (1 << 25)


def test_a_worker_is_one_process_of_its_own(worker: _bench.Worker) -> None:
    first = worker.call(os.getpid)
    assert first == worker.call(os.getpid) != os.getpid()
    with pytest.raises(_bench.WorkerError, match=r"^JSONDecodeError: Expecting value: line 1 column 1 \(char 0\)$"):
        worker.call(json.loads, "?")
    assert worker.call(os.getpid) == first


@pytest.mark.parametrize("precision", [p for p in ("fp32", "int8") if p in supported_precisions()])
def test_the_parts_of_the_time_are_all_of_it(random_t5: Checkpoint, precision: str) -> None:
    (entry,) = _bench_parts.measure(str(random_t5.directory), precision, [60])
    assert sum(entry["gflop"].values()) == pytest.approx(_bench_encoders.flop(random_t5, [59]) / 1e9), "59 and </s>"
    assert set(entry["gflop"]) - {_bench_parts.FIXED} <= set(entry["seconds"]), "a part that has products takes time"
    assert min(entry["seconds"].values()) >= 0, "what takes less than a microsecond counts as nothing"


def test_parts_are_held_against_the_peak_of_their_arithmetic() -> None:
    seconds = {_bench_parts.FOUND: 2.0, _bench_parts.ATTENTION: 1.0, _bench_parts.REST: 1.0}
    entry = {"precision": "int8", "length": 100, "seconds": seconds}
    entry["gflop"] = {_bench_parts.FOUND: 800.0, _bench_parts.ATTENTION: 100.0}
    found = _bench_parts.held_against(entry, {"int8": 500.0, "bf16": 200.0, "fp32": 100.0})
    assert found["parts"] == {
        _bench_parts.FOUND: {"share": 0.5, "of_peak": pytest.approx(0.8)},
        _bench_parts.ATTENTION: {"share": 0.25, "of_peak": pytest.approx(0.5)},
        _bench_parts.REST: {"share": 0.25, "of_peak": None},
    }
    assert found["at_peak"] == pytest.approx((1.6 + 0.5) / 4)
    assert found["residues_a_second"] == 25
    unknown = _bench_parts.held_against(entry, {"int8": None, "bf16": None, "fp32": None})
    assert unknown["parts"][_bench_parts.FOUND]["of_peak"] is None


def test_fixed_steps_are_counted_with_all_that_read_the_input() -> None:
    config = TINY | {"d_model": 10, "num_heads": 2, "d_kv": 5, "d_ff": 7}
    names = ["encoder.block.0.layer.0.SelfAttention.q.weight/highest"]
    attention = _bench_parts.work(config, 1000, names)
    assert attention[_bench_parts.FIXED] == pytest.approx(2e-9 * 1000 * 10 * 30)
    both = _bench_parts.work(config, 1000, [*names, "encoder.block.0.layer.1.DenseReluDense.wi_0.weight/highest"])
    assert both[_bench_parts.FIXED] == pytest.approx(2e-9 * 1000 * 10 * (30 + 14))
    assert sum(both.values()) == pytest.approx(sum(attention.values()))


def test_a_worker_that_dies_says_so(worker: _bench.Worker) -> None:
    with pytest.raises(_bench.WorkerError, match="died"):
        worker.call(os._exit, 9)


def test_matrix_products_are_fastest_runs() -> None:
    peaks = _bench_encoders.product_peaks(0.01, [(64, 64, 64), (128, 64, 32)])
    assert peaks.keys() == {"fp32", "bf16", "int8"}
    assert all(peak is None or peak > 0 for peak in peaks.values())
    assert peaks["fp32"]


def test_the_ceiling_is_of_this_models_own_products(random_t5: Checkpoint) -> None:
    config = json.loads((random_t5.directory / "config.json").read_text())
    matrices = sum(count * a * b for (a, b), count in _bench_limit.shapes(config).items())
    assert 2 * matrices * config["num_layers"] == _bench_encoders.linear_flop(config)
    found = _bench_limit.ceilings(config, [20, 60], 0.001)
    assert found["fp32"]
    assert all(value is None or value > 0 for value in found.values())


def test_lengths_are_spread_over_their_ranks() -> None:
    assert _bench_limit.spread([9, 1, 5], 5) == [1, 5, 9]
    assert _bench_limit.spread(range(100), 4) == [12, 37, 62, 87]


# --- Models ------------------------------------------------------------------------------------------------


def test_ankh_base_costs_what_is_known() -> None:
    assert _bench_encoders.linear_flop(_bench_encoders.ANKH_BASE) == pytest.approx(0.906e9, rel=1e-3)


@pytest.mark.parametrize("model", ["t5", "near"])
def test_operations_are_those_that_torch_counts(model: str, random_t5: Checkpoint) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    from protvec import engine

    checkpoint = random_t5 if model == "t5" else find("near")
    encoder = engine.load(checkpoint, engine="torch")
    with FlopCounterMode(display=False) as counter:
        list(encoder.encode(SEQUENCES))
    assert _bench_encoders.flop(checkpoint, map(len, SEQUENCES)) == counter.get_total_flops()


def test_random_weights_are_a_model_that_attends(random_t5: Checkpoint, tmp_path: Path) -> None:
    _bench_encoders.write_random(tmp_path / "again", TINY)
    assert find(tmp_path / "again").space.weights == random_t5.space.weights
    assert (random_t5.directory / _bench_encoders.RANDOM_MARK).is_file()
    loop = _bench_encoders.PlainLoop(random_t5)
    one, other = loop.encode(["MKTAYIAK", "KAIYATKM"])
    assert one.shape == (8, 48)
    assert not np.allclose(one, other[::-1], atol=0.1)


def test_the_plain_loop_is_the_reference(random_t5: Checkpoint) -> None:
    from protvec import engine

    plain = _bench_encoders.PlainLoop(random_t5).encode(SEQUENCES)
    reference = engine.load(random_t5, engine="torch").encode(SEQUENCES)
    for ours, theirs in zip(plain, reference, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_a_contender_that_cannot_start_is_out_with_its_reason(random_t5: Checkpoint) -> None:
    entry = Contender(random_t5, "moon", "fp32")
    entry.start()
    assert entry.problem is not None
    assert entry.problem.startswith("EngineError: no engine is named 'moon'")


# --- The command -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["--precisions=fp64", "--rounds=0", "--sections=engine,moon"])
def test_a_wrong_argument_is_refused(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench_engine.parse([argument])
    assert argument.split("=", maxsplit=1)[0] in capsys.readouterr().err


def test_quick_is_fewer_residues_unless_said() -> None:
    assert bench_engine.parse([]).residues == bench_engine.RESIDUES
    assert bench_engine.parse(["--quick"]).residues == bench_engine.QUICK_RESIDUES
    assert bench_engine.parse(["--quick", "--residues", "7"]).residues == 7
    assert bench_engine.parse(["--precisions", "int8,fp32"]).precisions == ("fp32", "int8")


def test_the_race_from_end_to_end(
    random_t5: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_engine, "QUICK_PRODUCTS", (0.001, [(64, 64, 64)]))
    monkeypatch.setattr(_bench_race, "PAUSE_SECONDS", 0)
    arguments = ["--quick", "--sections", "engine", "--precisions", "fp32", "--rounds", "2", "--residues", "900"]
    arguments += ["--fasta", str(sample()), "--model", str(random_t5.directory), "--json", str(tmp_path / "f.json")]
    assert bench_engine.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "tiny-random (RANDOM WEIGHTS)" in printed
    result = json.loads((tmp_path / "f.json").read_text())
    assert result["model"] == {"name": "tiny-random", "random_weights": True}
    race = result["engine"]
    assert race["gflops_ceilings"]["fp32"] > 0
    assert "this model's products alone, at" in printed
    rows: dict[str, Any] = {row["engine"]: row for row in race["contenders"]}
    assert rows.keys() == {"plain loop", "openvino"}
    assert rows["plain loop"]["ratio"] == {"median": 1, "low": 1, "high": 1}
    for name in [name for name, row in rows.items() if row["problem"] is None]:
        check_row(rows[name], residues=sum(race["lengths"]), peaks=race["gflops_peaks"])
        assert any(line.startswith(name) for line in printed.splitlines())


def check_row(row: dict[str, Any], *, residues: int, peaks: dict[str, float]) -> None:
    """The figures of one contender fit each other."""
    assert row["problem"] is None
    assert len(row["rounds"]) == 2
    assert row["residue_cosine"]["min"] > 0.9999
    assert row["pooled_cosine"]["min"] > 0.9999
    assert row["peak_bytes"] > 1 << 26
    for turn in row["rounds"]:
        assert turn["residues_a_second"] * turn["seconds"] == pytest.approx(residues)
        assert turn["share_of_peak"] * peaks["fp32"] == pytest.approx(turn["gflops"])
    low, high = (row["ratio"][end] for end in ("low", "high"))
    assert low <= row["ratio"]["median"] <= high


def test_a_search_is_timed_with_the_engine_that_works(
    records: Sequence[Record], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_bench_search, "SEARCHES", 1)
    monkeypatch.setattr(_bench_search, "QUERY_RESIDUES", 100)
    settings = (("moon", "fp32"), ("torch", "fp32"))
    found = _bench_search.time_searches("tiny", find("near"), records, settings)
    assert "tiny: moon fp32 not available: protvec: error: " in capsys.readouterr().out
    assert (found["engine"], found["precision"], found["proteins"]) == ("torch", "fp32", len(records))
    assert found["seconds"] == [found["median"]]


def test_a_long_protein_is_measured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bench_long, "ANKH_BASE", TINY)
    result = _bench_long.time_long(700, 1, "fp32")
    assert result["finite"]
    assert result["long"]["seconds"] > 0
    assert "700 residues" in capsys.readouterr().out
