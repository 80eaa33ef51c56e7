"""What makes int8 hold on trained weights: outlier channels evened out, and the shift of rounding taken back.

Both use what a T5's matrices are fed with, observed once on real proteins when a checkpoint is converted, and
neither costs time afterwards.

*Smoothing* (Xiao et al. 2023, SmoothQuant, arXiv:2211.10438): a channel whose activations are large is divided by
a factor and its weights are multiplied by it, so that a group of channels that is rounded with one scale holds
numbers of one size. In exact arithmetic nothing changes. All factors go into weights that are there anyway: those
of the layer norm, of the values, and of the linear branch of the feed-forward. How much moves from the activations
into the weights is chosen for each input by the error that rounding both is expected to make; it may be nothing.

*Bias correction* (Nagel et al. 2019, arXiv:1906.04721): rounding a matrix W to V shifts its outputs by (V - W) x.
The mean of that over proteins is known, and is subtracted. It is the part that a mean over residues keeps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.engine.openvino.weights import attention, feed_forward

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from protvec.engine.openvino.constants import Source
    from protvec.engine.openvino.shape import Shape

    Vector = NDArray[np.float32]

# Shares of an outlier that may move from the activations into the weights.
STRENGTHS = (0.0, 0.25, 0.5, 0.75)
# A channel that is nearly silent keeps a factor that its weights can bear.
_RANGE = 1e4


@dataclass
class Inputs:
    """What one matrix is fed with.

    Attributes:
        total: ndarray, shape=(in,): the sum over tokens.
        squares: ndarray, shape=(in,): the sum of squares.
        largest: ndarray, shape=(in,): the largest absolute value of each channel.
        tokens: How many were seen.
    """

    total: Vector
    squares: Vector
    largest: Vector
    tokens: int = 0

    def add(self, mean: Vector, square: Vector, largest: Vector, tokens: int) -> None:
        """Take in what one protein showed: its means over tokens, and its largest."""
        self.total = self.total + mean * tokens
        self.squares = self.squares + square * tokens
        self.largest = np.maximum(self.largest, largest)
        self.tokens += tokens

    @property
    def mean(self) -> Vector:
        """ndarray, shape=(in,): the mean over tokens."""
        return np.asarray(self.total / max(self.tokens, 1), dtype=np.float32)

    @property
    def square(self) -> Vector:
        """ndarray, shape=(in,): the mean square over tokens."""
        return np.asarray(self.squares / max(self.tokens, 1), dtype=np.float32)


@dataclass(frozen=True)
class Places:
    """The matrices of one layer that share an input, and who can divide that input.

    Attributes:
        readers: Names of the matrices, the observed one first.
        norm: The layer norm whose weight scales the input; None where a matrix does.
        maker: The matrix whose rows scale the input; None where the layer norm does.
    """

    readers: tuple[str, ...]
    norm: str | None = None
    maker: str | None = None


def places(shape: Shape, layer: int) -> list[Places]:
    """All inputs of a layer that can be smoothed; those that others depend on come last."""
    attend, dense = f"{attention(layer)}.SelfAttention", f"{feed_forward(layer)}.DenseReluDense"
    wide = ("wi_0", "wi_1") if shape.gated else ("wi",)
    linear = "wi_1" if shape.gated else "wi"
    found = [Places((f"{attend}.o.weight",), maker=f"{attend}.v.weight")]
    if shape.gated or shape.activation == "relu":  # the others do not commute with a factor
        found.append(Places((f"{dense}.wo.weight",), maker=f"{dense}.{linear}.weight"))
    found.append(Places(tuple(f"{attend}.{x}.weight" for x in "qkv"), norm=f"{attention(layer)}.layer_norm.weight"))
    found.append(Places(tuple(f"{dense}.{x}.weight" for x in wide), norm=f"{feed_forward(layer)}.layer_norm.weight"))
    return found


def observed(shape: Shape, layer: int) -> list[str]:
    """One matrix for each different input of a layer; the feed-forward's second also where it is not smoothed."""
    names = [place.readers[0] for place in places(shape, layer)]
    last = f"{feed_forward(layer)}.DenseReluDense.wo.weight"
    return names if last in names else [*names, last]


@dataclass
class Calibrated:
    """Weights of a checkpoint that compute the same and round better.

    Attributes:
        weights: Those of the checkpoint.
        columns: Factor of each input channel, by name of the matrix.
        rows: Divisor of each output channel, by name of the matrix or layer norm.
        means: Mean input of each matrix, after smoothing.
    """

    weights: Source
    columns: dict[str, Vector] = field(default_factory=dict)
    rows: dict[str, Vector] = field(default_factory=dict)
    means: dict[str, Vector] = field(default_factory=dict)

    def get(self, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float32]:
        """See ``Source.get``."""
        array = self.weights.get(name, shape)
        if name in self.columns:
            array = array * self.columns[name]
        if name in self.rows:
            array = array / (self.rows[name] if array.ndim == 1 else self.rows[name][:, None])
        return np.asarray(array, dtype=np.float32)


def calibrate(shape: Shape, weights: Source, inputs: Mapping[str, Inputs], *, group: int) -> Calibrated:
    """Smooth every layer, and note what each matrix will be fed with.

    Args:
        shape: Of the encoder.
        weights: Of the checkpoint.
        inputs: What each matrix of ``observed`` was fed with.
        group: Channels that share a scale when activations are rounded.
    """
    result = Calibrated(weights)
    for layer in range(shape.layers):
        for place in places(shape, layer):
            seen = inputs[place.readers[0]]
            matrix = np.concatenate([result.get(name, (None, None)) for name in place.readers])
            factor = best_factor(seen, matrix, group=group)
            for name in place.readers:
                result.columns[name] = factor
                result.means[name] = seen.mean / factor
            result.rows[place.norm or place.maker or ""] = factor
        for name in observed(shape, layer):
            result.means.setdefault(name, inputs[name].mean)
    return result


def best_factor(seen: Inputs, matrix: NDArray[np.float32], *, group: int) -> Vector:
    """The factor of each channel with which rounding is expected to harm least.

    Args:
        seen: What the matrix is fed with.
        matrix: ndarray, shape=(out, in): all that read this input, one below the other.
        group: Channels that share a scale when activations are rounded; 0 where none do.

    Returns:
        ndarray, shape=(in,), dtype=float32.
    """
    factors = [_factor(seen.largest, np.abs(matrix).max(axis=0), strength) for strength in STRENGTHS]
    return min(factors, key=lambda factor: expected_error(seen.square, matrix, factor, group=group))


def expected_error(square: Vector, matrix: NDArray[np.float32], factor: Vector, *, group: int) -> float:
    """Mean square error of the outputs, summed, when weights and activations are rounded to 8 bits.

    Rounding to steps of d adds noise of variance d²/12: to each row of weights with a step of its own, and to each
    group of activations. Both kinds of noise are taken as independent.
    """
    scaled, power = matrix * factor, square / factor**2
    weight_steps = np.abs(scaled).max(axis=1) / 127
    error = float((weight_steps**2).sum()) * float(power.sum())
    if group:
        groups = power.reshape(-1, group)
        most = np.maximum(groups.max(axis=1), np.finfo(np.float32).tiny)
        # The square of the largest of n equal normal channels is about 1 + 2 ln n times theirs.
        peaks = most * (1 + 2 * np.log(np.maximum(groups.sum(axis=1) / most, 1)))
        error += float((peaks / 127**2 * (scaled**2).sum(axis=0).reshape(-1, group).sum(axis=1)).sum())
    return error / 12


def _factor(largest: Vector, weight: Vector, strength: float) -> Vector:
    """SmoothQuant's factor of each channel, with mean one on a logarithmic scale; 1 for a strength of 0."""
    if not strength:
        return np.ones_like(largest)
    weight = np.maximum(weight, weight.max() / _RANGE + np.finfo(np.float32).tiny)
    active = np.maximum(largest, largest.max() / _RANGE + np.finfo(np.float32).tiny)
    logarithm = strength * np.log(active) - (1 - strength) * np.log(weight)
    factor: Vector = np.exp(logarithm - logarithm.mean()).astype(np.float32)
    return factor


def observe(model: Any, names: Sequence[str], tokens: Iterable[NDArray[np.int32]]) -> dict[str, Inputs]:  # noqa: ANN401
    """Run proteins through a model that reports the inputs of its matrices.

    Args:
        model: From ``T5Graph.observer``, compiled.
        names: Of the matrices.
        tokens: ids of each protein, ndarray, shape=(L,).
    """
    request = model.create_infer_request()
    seen: dict[str, Inputs] = {}
    for ids in tokens:
        request.infer([ids[None]])
        for place, name in enumerate(names):
            mean, square, largest = (np.array(request.get_output_tensor(3 * place + part).data) for part in range(3))
            nothing = np.zeros_like(mean)
            seen.setdefault(name, Inputs(nothing, nothing, nothing)).add(mean, square, largest, len(ids))
    return seen


def proteins() -> list[str]:
    """The proteins to observe on: real ones, and none of those that fidelity is measured on."""
    from protvec.engine.fidelity import distinct, probe

    left = sorted(set(distinct()) - set(probe()), key=lambda sequence: (len(sequence), sequence))
    usual = [sequence for sequence in left if 120 <= len(sequence) <= 260]
    return usual[:: max(1, len(usual) // 10)][:10]
