"""The fidelity check: it passes what is good, fails what is bad, and decides what ``auto`` takes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from checkpoints import add_outlier_letter, add_outliers, has_amx, write_t5

from protvec.cli.app import run
from protvec.engine import fidelity, load, verify
from protvec.engine.fidelity import Card, Fidelity
from protvec.engine.openvino import (
    calibrate,
    convert,
    converted,
    free,
    is_free,
    remove,
    supported_precisions,
)
from protvec.models import find

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


# Wide enough that rounding averages out, as it does in a real model.
SHAPE = {"d_model": 256, "layers": 1, "d_ff": 512, "heads": 8, "d_kv": 32}


def arrays(seed: int = 0, *, noise: float = 0.0) -> list[NDArray[np.float32]]:
    draw = np.random.default_rng(seed)
    shapes = [(5 + i, 16) for i in range(14)]
    clean = [draw.normal(size=shape).astype(np.float32) for shape in shapes]
    return [a + noise * draw.normal(size=a.shape).astype(np.float32) for a in clean]


def compared(candidate: list[NDArray[np.float32]]) -> Fidelity:
    return fidelity.compare("int8", arrays(), candidate, residues_per_second=1.0)


def test_equal_arrays_are_perfect() -> None:
    result = compared(arrays())
    assert result.pooled_min == pytest.approx(1)
    assert result.residue_min == pytest.approx(1)
    assert result.overlap == 1
    assert result.passed


@pytest.mark.parametrize("noise", [0.2, 1.0])
def test_noise_lowers_every_figure(noise: float) -> None:
    result = compared(arrays(noise=noise))
    assert result.residue_min <= result.residue_mean < 0.995
    assert result.pooled_min <= result.pooled_mean < 1
    assert not result.passed


def test_one_bad_residue_is_enough_to_fail() -> None:
    candidate = arrays()
    candidate[3][2] *= -1
    result = compared(candidate)
    assert result.residue_min == pytest.approx(-1)
    assert result.residue_mean > 0.98
    assert not result.passed


def test_overflow_counts_as_wrong() -> None:
    candidate = arrays()
    candidate[0][:] = np.nan
    candidate[1][0, 0] = np.inf
    result = compared(candidate)
    assert result.pooled_min == 0
    assert result.residue_min == 0
    assert not result.passed


def test_neighbours_that_change_are_counted() -> None:
    draw = np.random.default_rng(1)
    reference = [draw.normal(size=(3, 8)).astype(np.float32) for _ in range(40)]
    other = [draw.normal(size=(3, 8)).astype(np.float32) for _ in range(40)]
    result = fidelity.compare("bf16", reference, other, residues_per_second=1.0)
    assert 0.1 < result.overlap < 0.5, "ten of 39 neighbours agree by chance"


def test_the_probe_is_real_proteins_of_many_lengths() -> None:
    sequences = fidelity.probe()
    assert len(sequences) == len(set(sequences)) > fidelity.NEIGHBOURS + 1
    assert max(map(len, sequences)) >= 400
    assert sum(map(len, sequences)) < 6000
    assert sequences == fidelity.probe()


def test_a_card_survives_the_disk() -> None:
    entry = Fidelity("int8", 0.9991, 0.9999, 0.997, 0.999, 0.98, 600.0)
    card = Card("m", "ab", "cpu", 2, "1", 34, 4000, 110.0, 0.999, {"int8": entry})
    assert Card.from_json(card.to_json()) == card
    freed = replace(card, fixed=replace(entry, pooled_min=0.9))
    assert Card.from_json(freed.to_json()) == freed
    for text in ("", "[]", "{}", '{"measured": {"int8": {}}}'):
        with pytest.raises(ValueError, match=r"fidelity card|Expecting"):
            Card.from_json(text)


def test_the_fastest_that_passed_is_the_best() -> None:
    def entry(name: str, residue: float, speed: float) -> Fidelity:
        return Fidelity(name, 0.9999, 0.9999, residue, 0.999, 1.0, speed)

    def card(*entries: Fidelity) -> Card:
        return Card("m", "ab", "cpu", 2, "1", 34, 4000, 110.0, None, {e.precision: e for e in entries})

    assert card(entry("int8", 0.996, 600), entry("bf16", 0.999, 400)).best == "int8"
    assert card(entry("int8", 0.994, 600), entry("bf16", 0.999, 400)).best == "bf16"
    assert card(entry("int8", 0.994, 600), entry("bf16", 0.9, 400)).best is None


@pytest.fixture(scope="module")
def tame(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_t5(tmp_path_factory.mktemp("tame") / "tame", **SHAPE)


needs_int8 = pytest.mark.skipif(
    not {"int8", "bf16"} <= set(supported_precisions()), reason="this CPU has no int8 or bf16 instructions"
)


@needs_int8
def test_auto_takes_a_precision_that_passed(tame: Path) -> None:
    said: list[str] = []
    encoder = load(find(tame), notify=said.append)
    card = verify.read_card(find(tame))
    assert card is not None
    assert set(card.measured) == {"int8", "bf16"}
    assert encoder.precision == card.best
    assert card.measured["bf16"].passed
    assert "measuring" in said[0]
    again: list[str] = []
    assert load(find(tame), notify=again.append).precision == encoder.precision
    assert not any("measuring" in line for line in again), "measured twice"


@needs_int8
@pytest.mark.parametrize(
    "factor",
    [
        pytest.param(30.0, marks=pytest.mark.skipif(has_amx(), reason="with AMX, int8 bears outliers of 30")),
        1000.0,
    ],
)
def test_outliers_make_plain_int8_fail_and_auto_says_so(
    factor: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights have no outlier channels, and trained ones do: the check must see the difference."""
    monkeypatch.setattr(calibrate, "calibrate", lambda shape, weights, inputs, group: calibrate.Calibrated(weights))
    wild = find(add_outliers(write_t5(tmp_path / f"wild-{factor}", **SHAPE), factor))
    said: list[str] = []
    encoder = load(wild, notify=said.append)
    card = verify.read_card(wild)
    assert card is not None
    assert card.measured["bf16"].passed
    assert not card.measured["int8"].passed
    assert encoder.precision == "bf16"
    assert any("int8 is not used" in line and "0.995" in line for line in said)
    assert load(wild, precision="int8").precision == "int8", "it can still be forced"


@needs_int8
@pytest.mark.parametrize("factor", [30.0, 1000.0])
def test_calibrated_int8_bears_outliers(factor: float, tame: Path, tmp_path: Path) -> None:
    wild = find(add_outliers(write_t5(tmp_path / f"calibrated-{factor}", **SHAPE), factor))
    bears = verify.verify(wild, ["int8"]).measured["int8"]
    without = verify.verify(find(tame), ["int8"]).measured["int8"]
    assert bears.passed
    assert 1 - bears.residue_min < 1.5 * (1 - without.residue_min)


@pytest.fixture
def unforeseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint with a large letter that no protein of the calibration has: its fixed steps are too small for it."""
    without = [sequence.replace("W", "F") for sequence in calibrate.proteins()]
    monkeypatch.setattr(calibrate, "proteins", lambda: without)
    return add_outlier_letter(write_t5(tmp_path / "unforeseen", **SHAPE), "W", 100.0)


@needs_int8
def test_int8_that_fails_for_its_fixed_steps_goes_on_without_them(
    unforeseen: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoint = find(unforeseen)
    convert(checkpoint, "int8")
    assert not is_free(checkpoint)
    said: list[str] = []
    load(checkpoint, notify=said.append)
    card = verify.read_card(checkpoint)
    assert card is not None
    assert card.fixed is not None
    assert not card.fixed.passed
    assert card.measured["int8"].passed
    assert card.measured["int8"].residue_min > card.fixed.residue_min + 0.01
    assert any(f"fell to {card.fixed.pooled_min:.4f}" in line for line in said)
    assert not any("int8 is not used" in line for line in said)
    assert is_free(checkpoint)
    (kept,) = [c for c in converted() if c.key.model == "unforeseen" and c.key.precision == "int8"]
    assert kept.directory == convert(checkpoint, "int8").directory, "forced int8 has free steps too"
    assert free(checkpoint) == kept, "as for a process that was at the same"

    assert run(["models", "verify", str(unforeseen), "--precision", "int8"]) == 0
    again = verify.read_card(checkpoint)
    assert again is not None
    assert again.fixed == card.fixed, "what was found before stays on the card"
    assert f"fell to\n{card.fixed.pooled_min:.5f} for a protein" in capfd.readouterr().out


@needs_int8
def test_a_new_conversion_has_fixed_steps_again_where_they_pass(
    unforeseen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = find(unforeseen)
    assert verify.verify(checkpoint, ["int8"]).fixed is not None
    remove("unforeseen", precision="int8")
    seen = [*calibrate.proteins(), "MKWVTFISLLWLFSSAYSRGVFRRDAHKSEVAHRFKDLGEWNFK"]
    monkeypatch.setattr(calibrate, "proteins", lambda: seen)
    card = verify.verify(checkpoint, ["int8"])
    assert card.measured["int8"].passed
    assert card.fixed is None
    assert not is_free(checkpoint)


@needs_int8
def test_nothing_is_given_up_where_no_step_is_fixed(tame: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "fixed_limit", lambda *_, **__: None)
    remove("tame", precision="int8")
    made = convert(find(tame), "int8")
    assert free(find(tame)) is None
    assert convert(find(tame), "int8") == made
    remove("tame", precision="int8")  # the other tests' have fixed steps


def test_a_card_of_other_weights_or_another_conversion_is_not_believed(tame: Path) -> None:
    checkpoint = find(tame)
    verify.verify(checkpoint, ["fp32"])
    path = verify._path(checkpoint)
    facts = json.loads(path.read_text())
    assert facts["measured"]["fp32"]["residue_min"] > 0.99999
    for name in ("weights", "machine", "converter"):
        path.write_text(json.dumps(facts | {name: "other"}))
        assert verify.read_card(checkpoint) is None
    path.write_text("{half a ca")
    assert verify.read_card(checkpoint) is None
    path.write_text(json.dumps(facts))
    assert verify.read_card(checkpoint) is not None


def test_models_verify_prints_the_card(tame: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "verify", str(tame), "--precision", "fp32"]) == 0
    text = capfd.readouterr().out
    assert "Fidelity card of tame" in text
    assert "fp32" in text
    assert run(["models", "verify", str(tame), "--precision", "fp32", "--json"]) == 0
    card = Card.from_json(capfd.readouterr().out)
    assert card.measured["fp32"].passed
    assert run(["models"]) == 0
    assert "tame" in capfd.readouterr().out
    assert run(["models", "rm", str(tame)]) == 0
    assert "freed" in capfd.readouterr().err
    assert run(["models", "rm", str(tame)]) == 1


def test_bfloat16_in_torch_keeps_order_and_is_close(tame: Path) -> None:
    """What a GPU would run; here on the CPU."""
    sequences = fidelity.probe()[:12]
    exact, _ = fidelity.run(load(find(tame), engine="torch"), sequences)
    encoder = load(find(tame), engine="torch", precision="bf16")
    assert encoder.precision == "bf16"
    rounded, speed = fidelity.run(encoder, sequences)
    assert [len(a) for a in rounded] == [len(s) for s in sequences]
    assert fidelity.compare("bf16", exact, rounded, residues_per_second=speed).passed
