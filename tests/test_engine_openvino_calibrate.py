"""Calibration: weights that compute the same and round better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from checkpoints import add_outliers, write_t5

from protvec.engine.openvino import calibrate
from protvec.engine.openvino.calibrate import Calibrated, Inputs
from protvec.engine.openvino.constants import HIGHEST, FromCheckpoint, FromModel, as_float32, bfloat16
from protvec.engine.openvino.convert import MODEL_FILE, _observe, convert
from protvec.engine.openvino.device import core, properties
from protvec.engine.openvino.graph import T5Graph
from protvec.engine.openvino.rounding import compensated, feedback, nearest
from protvec.engine.openvino.shape import Shape
from protvec.engine.openvino.weights import Weights, attention, feed_forward
from protvec.models import TokenTable, find

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from protvec.engine.openvino.constants import Source
    from protvec.models import Checkpoint

SEQUENCE = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVVHSLAKWKR"


class One:
    """A checkpoint of one matrix."""

    def __init__(self, matrix: NDArray[np.float32]) -> None:
        self._matrix = matrix

    def get(self, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float32]:
        return self._matrix


def hidden(checkpoint: Checkpoint, shape: Shape, weights: Source) -> NDArray[np.float32]:
    model = T5Graph(shape, FromCheckpoint(weights, "fp32")).encoder()
    compiled = core().compile_model(model, "CPU", properties("fp32", group=0, streams=1, threads=1))
    ids = TokenTable.from_checkpoint(checkpoint).encode(SEQUENCE).astype(np.int32)
    return np.array(compiled([ids[None]])[0][0])


@pytest.mark.parametrize("activation", ["gated-gelu", "gated-silu", "relu", "gelu_new"])
def test_smoothing_changes_nothing_in_exact_arithmetic(activation: str, tmp_path: Path) -> None:
    directory = write_t5(tmp_path / "model", activation=activation)
    if activation.startswith("gated"):
        add_outliers(directory, 100.0)
    checkpoint = find(directory)
    shape, weights = Shape.read(directory), Weights(checkpoint)
    better = calibrate.calibrate(shape, weights, _observe(checkpoint, shape, weights), group=16)
    assert any(np.ptp(factor) > 0 for factor in better.columns.values()), "nothing was smoothed"
    plain, smooth = hidden(checkpoint, shape, weights), hidden(checkpoint, shape, better)
    np.testing.assert_allclose(smooth, plain, atol=2e-5 * np.abs(plain).max())


def test_every_matrix_has_a_mean_input(tmp_path: Path) -> None:
    for activation in ("gated-gelu", "gelu_new"):
        checkpoint = find(write_t5(tmp_path / activation, activation=activation))
        shape, weights = Shape.read(checkpoint.directory), Weights(checkpoint)
        better = calibrate.calibrate(shape, weights, _observe(checkpoint, shape, weights), group=16)
        for layer in range(shape.layers):
            for name, (_, inputs) in _matrices(shape, layer).items():
                assert better.means[name].shape == (inputs,)


def test_what_is_observed_is_what_the_matrix_is_fed_with(tmp_path: Path) -> None:
    """Against transformers: the input of the first layer's queries is the normed embedding."""
    import torch
    from transformers import T5EncoderModel

    checkpoint = find(write_t5(tmp_path / "model"))
    shape, weights = Shape.read(checkpoint.directory), Weights(checkpoint)
    name = next(iter(_matrices(shape, 0)))
    seen = _observe(checkpoint, shape, weights)[name]
    table = TokenTable.from_checkpoint(checkpoint)
    ids = np.concatenate([table.encode(sequence) for sequence in calibrate.proteins()])
    model = T5EncoderModel.from_pretrained(checkpoint.directory)
    with torch.no_grad():
        fed = model.encoder.block[0].layer[0].layer_norm(model.shared(torch.from_numpy(ids))).numpy()
    assert len(seen) == len(ids)
    np.testing.assert_allclose(seen.mean, fed.mean(axis=0), atol=1e-2)
    np.testing.assert_allclose(seen.square, (fed**2).mean(axis=0), rtol=2e-2)
    np.testing.assert_allclose(seen.largest, np.abs(fed).max(axis=0), rtol=1e-2)


def test_the_shift_takes_back_the_mean_error_of_rounding() -> None:
    draw = np.random.default_rng(0)
    matrix = draw.normal(size=(32, 64)).astype(np.float32)
    x = (draw.normal(size=(500, 64)) + 3 * draw.normal(size=64)).astype(np.float32)

    constants = FromCheckpoint(One(matrix), "int8", calibration=Calibrated(One(matrix), means={"w": x.mean(axis=0)}))
    constants.matrix("w", (32, 64))
    stored, scale = nearest(matrix)
    error = x @ (stored * scale).T - x @ matrix.T
    left = error + constants.shift("w").data
    assert np.abs(error.mean(axis=0)).max() > 1e-3
    assert np.abs(left.mean(axis=0)).max() < 1e-5
    assert constants.shift("another") is None


def correlated(draw: np.random.Generator, tokens: int, width: int) -> NDArray[np.float32]:
    """Inputs that mostly lie in a few directions, as those of a transformer do."""
    mixing = draw.normal(size=(width // 8, width))
    return (draw.normal(size=(tokens, width // 8)) @ mixing + 0.1 * draw.normal(size=(tokens, width))).astype(
        np.float32
    )


@pytest.mark.parametrize("width", [64, 300])  # within one block of columns, and over several
def test_rounding_with_feedback_loses_less_on_inputs_it_has_not_seen(width: int) -> None:
    draw = np.random.default_rng(2)
    matrix = draw.normal(size=(48, width)).astype(np.float32)
    x = correlated(draw, 4000, width)
    spread = feedback(x[:2000])
    assert spread is not None
    stored, scale = compensated(matrix, spread)
    plain, plain_scale = nearest(matrix)
    np.testing.assert_array_equal(scale, plain_scale)
    assert stored.min() >= -127
    assert np.abs(stored - matrix / scale).max() < 20, "feedback ran away"

    def error(rounded: NDArray[np.int8]) -> float:
        return float(np.square(x[2000:] @ ((rounded * scale) - matrix).T).mean())

    assert error(stored) < 0.5 * error(plain)


def test_without_correlation_feedback_is_rounding_to_the_nearest() -> None:
    matrix = np.random.default_rng(3).normal(size=(16, 32)).astype(np.float32)
    spread = feedback(np.eye(32, dtype=np.float32).repeat(4, axis=0))
    assert spread is not None
    np.testing.assert_array_equal(compensated(matrix, spread)[0], nearest(matrix)[0])


def test_feedback_bears_dead_channels_and_refuses_inputs_that_say_nothing() -> None:
    draw = np.random.default_rng(4)
    x = correlated(draw, 200, 64)
    x[:, 5] = 0
    spread = feedback(x)
    assert spread is not None
    assert np.isfinite(spread).all()
    assert feedback(np.zeros((10, 8), dtype=np.float32)) is None
    assert feedback(np.full((10, 8), np.nan, dtype=np.float32)) is None


def test_feedback_is_the_factor_of_the_inverse() -> None:
    x = correlated(np.random.default_rng(5), 500, 24)
    spread = feedback(x)
    assert spread is not None
    moments = x.T @ x / len(x)
    moments += 0.01 * np.diag(moments).mean() * np.eye(24)
    np.testing.assert_allclose(spread.T @ spread @ moments, np.eye(24), atol=2e-3)
    np.testing.assert_array_equal(np.tril(spread, -1), 0)


def test_bfloat16_there_and_back() -> None:
    x = np.random.default_rng(6).normal(size=100).astype(np.float32)
    np.testing.assert_allclose(as_float32(bfloat16(x)), x, rtol=2**-8)
    np.testing.assert_array_equal(as_float32(bfloat16(as_float32(bfloat16(x)))), as_float32(bfloat16(x)))


def test_matrices_that_share_inputs_are_rounded_with_them(tmp_path: Path) -> None:
    """Every matrix of a layer is rounded with feedback: none falls back to the nearest in silence."""
    checkpoint = find(write_t5(tmp_path / "model"))
    shape, weights = Shape.read(checkpoint.directory), Weights(checkpoint)
    better = calibrate.calibrate(shape, weights, _observe(checkpoint, shape, weights), group=16)
    for name, size in _matrices(shape, 0).items():
        matrix = better.get(name, size)
        stored, _, shift = better.quantise(name, matrix)
        assert (stored != nearest(matrix)[0]).any()
        assert shift is not None


def test_expected_error_predicts_the_real_one() -> None:
    draw = np.random.default_rng(1)
    matrix = draw.normal(size=(96, 128)).astype(np.float32)
    x = draw.normal(size=(2000, 128)).astype(np.float32)
    x[:, ::32] *= 50  # outlier channels
    seen = Inputs([bfloat16(x)])

    def real(factor: NDArray[np.float32], group: int) -> float:
        stored, scale = nearest(matrix * factor)
        parts = (x / factor).reshape(len(x), -1, group)
        steps = np.abs(parts).max(axis=2, keepdims=True) / 127
        rounded = (np.rint(parts / steps) * steps).reshape(x.shape)
        return float((((rounded @ (stored * scale).T) - x @ matrix.T) ** 2).mean(axis=0).sum())

    ones = np.ones(128, dtype=np.float32)
    best = calibrate.best_factor(seen, matrix, group=64)
    for factor in (ones, best):
        expected = calibrate.expected_error(seen.square, matrix, factor, group=64)
        assert 0.4 < expected / real(factor, 64) < 2.5
    assert real(best, 64) < 0.2 * real(ones, 64)


def even(draw: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Tokens of one size, and a matrix."""
    return draw.uniform(-1, 1, size=(500, 128)).astype(np.float32), draw.normal(size=(96, 128)).astype(np.float32)


def limit_of(x: NDArray[np.float32], matrix: NDArray[np.float32]) -> float | None:
    return calibrate.fixed_limit(Inputs([bfloat16(x)]), matrix, np.ones(128, dtype=np.float32), group=64)


def test_one_step_serves_tokens_of_one_size() -> None:
    x, matrix = even(np.random.default_rng(7))
    assert limit_of(x, matrix) == pytest.approx(np.abs(x).max(), rel=2**-8)


@pytest.mark.parametrize("place", [np.s_[3, 5], np.s_[3, :], np.s_[:, 5]], ids=["value", "token", "channel"])
def test_one_step_does_not_serve_outliers(place: Any) -> None:
    x, matrix = even(np.random.default_rng(8))
    x[place] *= 30
    assert limit_of(x, matrix) is None


def test_one_step_does_not_serve_what_is_silent_or_not_finite() -> None:
    _, matrix = even(np.random.default_rng(9))
    for value in (0, np.inf, np.nan):
        with np.errstate(invalid="ignore"):
            assert limit_of(np.full((10, 128), value, dtype=np.float32), matrix) is None


def test_fixed_steps_are_of_the_inputs_behind_norms_and_survive_in_the_files(tmp_path: Path) -> None:
    checkpoint = find(write_t5(tmp_path / "model"))
    shape = Shape.read(checkpoint.directory)
    model = core().read_model(str(convert(checkpoint, "int8").directory / MODEL_FILE))
    fixed = {
        node.input_value(2).get_node().get_friendly_name()
        for node in model.get_ops()
        if node.get_type_name() == "FakeQuantize"
    }
    readers = [
        place.readers[0] for layer in range(shape.layers) for place in calibrate.places(shape, layer) if place.norm
    ]
    assert fixed
    assert fixed <= {name + HIGHEST for name in readers}
    constants = FromModel(model, "int8")
    for name in readers:
        ends = constants.limits(name)
        assert (ends is not None) == (name + HIGHEST in fixed)
        if ends:
            lowest, highest = (float(end.data[0]) for end in ends)
            assert lowest == pytest.approx(-highest * 128 / 127)


def test_the_proteins_observed_are_not_those_measured() -> None:
    from protvec.engine.fidelity import probe

    observed = calibrate.proteins()
    assert len(observed) == 10
    assert not set(observed) & set(probe())


def _matrices(shape: Shape, layer: int) -> dict[str, tuple[int, int]]:
    """Matrices of one layer by name, with their shapes (out, in)."""
    inner = shape.heads * shape.d_kv
    dense = f"{feed_forward(layer)}.DenseReluDense"
    names = {f"{attention(layer)}.SelfAttention.{x}.weight": (inner, shape.d_model) for x in "qkv"}
    names[f"{attention(layer)}.SelfAttention.o.weight"] = (shape.d_model, inner)
    for name in ("wi_0", "wi_1") if shape.gated else ("wi",):
        names[f"{dense}.{name}.weight"] = (shape.d_ff, shape.d_model)
    names[f"{dense}.wo.weight"] = (shape.d_model, shape.d_ff)
    return names
