"""What makes int8 hold on trained weights: outlier channels evened out, and the shift of rounding taken back.

Both use what a T5's matrices are fed with, observed once on real proteins when a checkpoint is converted, and
neither costs time afterwards.

*Smoothing* (Xiao et al. 2023, SmoothQuant, arXiv:2211.10438): a channel whose activations are large is divided by
a factor and its weights are multiplied by it, so that a group of channels that is rounded with one scale holds
numbers of one size. In exact arithmetic nothing changes. All factors go into weights that are there anyway: those
of the layer norm, of the values, and of the linear branch of the feed-forward.

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

# How much of an outlier moves from the activations into the weights, between 0 and 1.
STRENGTH = 0.5
# A channel that is nearly silent keeps a factor that its weights can bear.
_RANGE = 1e4


@dataclass
class Inputs:
    """What one matrix is fed with.

    Attributes:
        total: ndarray, shape=(in,): the sum over tokens.
        largest: ndarray, shape=(in,): the largest absolute value of each channel.
        tokens: How many were seen.
    """

    total: Vector
    largest: Vector
    tokens: int = 0

    def add(self, mean: Vector, largest: Vector, tokens: int) -> None:
        """Take in what one protein showed."""
        self.total = self.total + mean * tokens
        self.largest = np.maximum(self.largest, largest)
        self.tokens += tokens

    @property
    def mean(self) -> Vector:
        """ndarray, shape=(in,): the mean over tokens."""
        return np.asarray(self.total / max(self.tokens, 1), dtype=np.float32)


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


def calibrate(shape: Shape, weights: Source, inputs: Mapping[str, Inputs]) -> Calibrated:
    """Smooth every layer, and note what each matrix will be fed with.

    Args:
        shape: Of the encoder.
        weights: Of the checkpoint.
        inputs: What each matrix of ``observed`` was fed with.
    """
    result = Calibrated(weights)
    for layer in range(shape.layers):
        for place in places(shape, layer):
            seen = inputs[place.readers[0]]
            factor = _factor(seen.largest, [result.get(name, (None, None)) for name in place.readers])
            for name in place.readers:
                result.columns[name] = factor
                result.means[name] = seen.mean / factor
            result.rows[place.norm or place.maker or ""] = factor
        for name in observed(shape, layer):
            result.means.setdefault(name, inputs[name].mean)
    return result


def _factor(largest: Vector, matrices: Sequence[NDArray[np.float32]]) -> Vector:
    """SmoothQuant's factor of each channel, with mean one on a logarithmic scale."""
    weight = np.max([np.abs(matrix).max(axis=0) for matrix in matrices], axis=0)
    weight = np.maximum(weight, weight.max() / _RANGE + np.finfo(np.float32).tiny)
    active = np.maximum(largest, largest.max() / _RANGE + np.finfo(np.float32).tiny)
    logarithm = STRENGTH * np.log(active) - (1 - STRENGTH) * np.log(weight)
    factor: Vector = np.exp(logarithm - logarithm.mean()).astype(np.float32)
    return factor


def observe(model: Any, names: Sequence[str], tokens: Iterable[NDArray[np.int32]]) -> dict[str, Inputs]:  # noqa: ANN401
    """Run proteins through a model that reports the inputs of its matrices.

    Args:
        model: From ``T5Graph.observer``, compiled: its outputs are the mean and the largest of each name in turn.
        names: Of the matrices.
        tokens: ids of each protein, ndarray, shape=(L,).
    """
    request = model.create_infer_request()
    seen: dict[str, Inputs] = {}
    for ids in tokens:
        request.infer([ids[None]])
        for place, name in enumerate(names):
            mean, largest = (np.array(request.get_output_tensor(2 * place + part).data) for part in (0, 1))
            entry = seen.setdefault(name, Inputs(np.zeros_like(mean), np.zeros_like(largest)))
            entry.add(mean, largest, len(ids))
    return seen


def proteins() -> list[str]:
    """The proteins to observe on: real ones, and none of those that fidelity is measured on."""
    from protvec.engine.fidelity import distinct, probe

    left = sorted(set(distinct()) - set(probe()), key=lambda sequence: (len(sequence), sequence))
    usual = [sequence for sequence in left if 120 <= len(sequence) <= 260]
    return usual[:: max(1, len(usual) // 10)][:10]
