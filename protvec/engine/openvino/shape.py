"""The shape of a T5 encoder: what its configuration says, and the position bias as a table of distances."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from protvec.errors import CheckpointError
from protvec.models.config import read_config

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Activation = Literal["gelu_new", "silu", "relu"]

_ACTIVATIONS: dict[str, tuple[Activation, bool]] = {
    "gated-gelu": ("gelu_new", True),
    "gated-silu": ("silu", True),
    "gated-relu": ("relu", True),
    "relu": ("relu", False),
    "silu": ("silu", False),
    "gelu_new": ("gelu_new", False),
}


@dataclass(frozen=True)
class Shape:
    """A T5 encoder without its weights.

    Attributes:
        d_model: D.
        d_kv: Width of one head.
        d_ff: Width of the feed-forward.
        layers: How many there are.
        heads: How many there are in each layer.
        buckets: Rows of the position bias.
        max_distance: Distances from here on share a bucket.
        epsilon: Of the layer norms.
        activation: Of the feed-forward.
        gated: Whether the feed-forward has a second, linear branch.
    """

    d_model: int
    d_kv: int
    d_ff: int
    layers: int
    heads: int
    buckets: int
    max_distance: int
    epsilon: float
    activation: Activation
    gated: bool

    @property
    def widths(self) -> set[int]:
        """How many channels the inputs of its matrices have."""
        return {self.d_model, self.d_ff, self.heads * self.d_kv}

    @classmethod
    def read(cls, directory: Path) -> Shape:
        """From the ``config.json`` of a checkpoint.

        Raises:
            CheckpointError: It is missing or malformed, or its feed-forward is of a kind that is not known.
        """
        config = read_config(directory)
        kind = str(config.get("feed_forward_proj", "relu"))
        if kind not in _ACTIVATIONS:
            raise CheckpointError(
                f"{directory}: its feed_forward_proj is {kind!r}, which the openvino engine does not know: "
                f"use --engine torch"
            )
        activation, gated = _ACTIVATIONS[kind]
        return cls(
            d_model=config["d_model"],
            d_kv=config["d_kv"],
            d_ff=config["d_ff"],
            layers=config["num_layers"],
            heads=config["num_heads"],
            buckets=int(config.get("relative_attention_num_buckets", 32)),
            max_distance=int(config.get("relative_attention_max_distance", 128)),
            epsilon=float(config.get("layer_norm_epsilon", 1e-6)),
            activation=activation,
            gated=gated,
        )


def distance_buckets(shape: Shape) -> NDArray[np.int64]:
    """The bucket of every distance that has one of its own, as Raffel et al. 2020 define them for encoders.

    Half of the buckets are for keys after the query. Of each half, the first half are single distances, the
    rest grow with the logarithm of the distance; all from ``max_distance`` on share the last.

    Returns:
        ndarray, shape=(2 * max_distance + 1,): entry ``d + max_distance`` is of ``key - query == d``.
    """
    distance = np.arange(-shape.max_distance, shape.max_distance + 1)
    half = shape.buckets // 2
    exact = half // 2
    far = np.abs(distance).astype(np.float32)
    # In float32, step by step, as the models were trained: float64 puts some distances into other buckets.
    steps = np.log(np.maximum(far, 1) / np.float32(exact)) / np.float32(math.log(shape.max_distance / exact))
    large = np.minimum(exact + (steps * np.float32(half - exact)).astype(np.int64), half - 1)
    return np.where(distance > 0, half, 0) + np.where(far < exact, np.abs(distance), large)


def bias_table(shape: Shape, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """The position bias by distance: the same in all layers and for all lengths.

    Args:
        shape: Of the encoder.
        weight: ndarray, shape=(buckets, heads).

    Returns:
        ndarray, shape=(heads, 2 * max_distance + 1); farther distances have the bias of the ends.
    """
    return np.ascontiguousarray(weight[distance_buckets(shape)].T, dtype=np.float32)
