"""What makes int8 hold on trained weights: outliers evened out, errors made up for, the shift of rounding taken back.

All use what a T5's matrices are fed with, observed once on real proteins when a checkpoint is converted; none costs
time afterwards, and fixed steps save some.

*Smoothing* (Xiao et al. 2023, SmoothQuant, arXiv:2211.10438): a channel whose activations are large is divided by
a factor and its weights are multiplied by it, so that a group of channels that is rounded with one scale holds
numbers of one size. In exact arithmetic nothing changes. All factors go into weights that are there anyway: those
of the layer norm, of the values, and of the linear branch of the feed-forward. How much moves from the activations
into the weights is chosen for each input by the error that rounding both is expected to make; it may be nothing.

*Rounding with feedback* (``rounding``): a column of a matrix takes up what rounding the columns before it lost.

*Fixed steps*: an input whose range hardly differs from token to token is rounded with one step, settled here, where
finding a step for each token and group of channels would take its time while it runs and gain little.

*Bias correction* (Nagel et al. 2019, arXiv:1906.04721): rounding a matrix W to V shifts its outputs by (V - W) x.
The mean of that over proteins is known, and is subtracted. It is the part that a mean over residues keeps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.engine.openvino import rounding
from protvec.engine.openvino.constants import as_float32, bfloat16
from protvec.engine.openvino.weights import attention, feed_forward

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from protvec.engine.openvino.constants import Rounded, Source
    from protvec.engine.openvino.shape import Shape

    Vector = NDArray[np.float32]

# Shares of an outlier that may move from the activations into the weights.
STRENGTHS = (0.0, 0.25, 0.5, 0.75)
# An input keeps one step for all tokens where that makes the noise of its rounding at most so many times larger.
FIXED_NOISE = 2.5
# A channel that is nearly silent keeps a factor that its weights can bear.
_RANGE = 1e4


class Inputs:
    """What one matrix is fed with, by token.

    Args:
        parts: The bits of bfloat16 (``bfloat16``), ndarray, shape=(N, in), of some tokens at a time.

    Attributes:
        mean: ndarray, shape=(in,): the mean over tokens.
        square: ndarray, shape=(in,): the mean square over tokens.
        largest: ndarray, shape=(in,): the largest absolute value of each channel.
    """

    def __init__(self, parts: Sequence[NDArray[np.uint16]]) -> None:
        self._bits = np.concatenate(parts)
        values = self.tokens()
        self.mean: Vector = values.mean(axis=0)
        self.square: Vector = np.square(values).mean(axis=0)
        self.largest: Vector = np.abs(values).max(axis=0)

    def __len__(self) -> int:
        return len(self._bits)

    def tokens(self) -> NDArray[np.float32]:
        """ndarray, shape=(N, in), dtype=float32."""
        return as_float32(self._bits)


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
        limits: The largest absolute value of an input that is rounded with one step, by name of the matrix that was
            observed with it.
        inputs: What each matrix was fed with, before smoothing.
    """

    weights: Source
    columns: dict[str, Vector] = field(default_factory=dict)
    rows: dict[str, Vector] = field(default_factory=dict)
    means: dict[str, Vector] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    inputs: dict[str, Inputs] = field(default_factory=dict)
    _spread: tuple[Inputs, NDArray[np.float32] | None] | None = None  # of the matrix rounded last

    def get(self, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float32]:
        """See ``Source.get``."""
        array = self.weights.get(name, shape)
        if name in self.columns:
            array = array * self.columns[name]
        if name in self.rows:
            array = array / (self.rows[name] if array.ndim == 1 else self.rows[name][:, None])
        return np.asarray(array, dtype=np.float32)

    def limit(self, name: str) -> float | None:
        """See ``Calibration.limit``."""
        return self.limits.get(name)

    def quantise(self, name: str, matrix: NDArray[np.float32]) -> Rounded:
        """See ``Calibration.quantise``."""
        spread = self._feedback(name)
        stored, scale = rounding.nearest(matrix) if spread is None else rounding.compensated(matrix, spread)
        if name not in self.means:
            return stored, scale, None
        # In two steps: the shift is the small difference of two large numbers.
        shift = (matrix.astype(np.float64) - stored * scale.astype(np.float64)) @ self.means[name]
        return stored, scale, shift.astype(np.float32)

    def _feedback(self, name: str) -> NDArray[np.float32] | None:
        """Of the inputs of a matrix; those that share theirs follow each other."""
        inputs = self.inputs.get(name)
        if inputs is None:
            return None
        if self._spread is None or self._spread[0] is not inputs:
            self._spread = inputs, rounding.feedback(inputs.tokens() / self.columns.get(name, np.float32(1)))
        return self._spread[1]


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
                result.inputs[name] = seen
            result.rows[place.norm or place.maker or ""] = factor
            # Only behind a layer norm: what attention gives shrinks with the length of the protein.
            if place.norm and group and (limit := fixed_limit(seen, matrix, factor, group=group)):
                result.limits[place.readers[0]] = limit
        for name in observed(shape, layer):
            result.means.setdefault(name, inputs[name].mean)
            result.inputs.setdefault(name, inputs[name])
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


def fixed_limit(seen: Inputs, matrix: NDArray[np.float32], factor: Vector, *, group: int) -> float | None:
    """The largest absolute value of an input, if one step for all of it does about as well as one for each group.

    Args:
        seen: What the matrix is fed with, before smoothing.
        matrix: ndarray, shape=(out, in): all that read this input, one below the other, before smoothing.
        factor: Of each channel.
        group: Channels that otherwise share a step, in each token.

    Returns:
        The limit; None where the noise in the outputs would be more than ``FIXED_NOISE`` times that of groups.
    """
    tokens = seen.tokens() / factor
    weight = np.square(matrix * factor).sum(axis=0)
    limit = float((seen.largest / factor).max())
    if not 0 < limit < np.inf:
        return None
    peaks = np.abs(tokens).reshape(len(tokens), -1, group).max(axis=2)
    # A step of d adds noise of variance d²/12.
    grouped = float((np.square(peaks).mean(axis=0) * weight.reshape(-1, group).sum(axis=1)).sum())
    return limit if limit**2 * float(weight.sum()) <= FIXED_NOISE * grouped else None


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
    seen: dict[str, list[NDArray[np.uint16]]] = {name: [] for name in names}
    for ids in tokens:
        request.infer([ids[None]])
        for place, name in enumerate(names):
            seen[name].append(bfloat16(request.get_output_tensor(place).data[0]))
    return {name: Inputs(seen.pop(name)) for name in names}


def proteins() -> list[str]:
    """The proteins to observe on: real ones, and none of those that fidelity is measured on."""
    from protvec.engine.fidelity import distinct, probe

    left = sorted(set(distinct()) - set(probe()), key=lambda sequence: (len(sequence), sequence))
    usual = [sequence for sequence in left if 120 <= len(sequence) <= 260]
    return usual[:: max(1, len(usual) // 10)][:10]
