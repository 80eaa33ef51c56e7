"""NEAR as an OpenVINO graph: eight residual blocks of two convolutions each. See ``protvec.engine.near``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.engine.near import BLOCKS, CHANNELS, KERNEL
from protvec.engine.openvino.runtime import import_openvino

if TYPE_CHECKING:
    from protvec.engine.openvino.constants import Constants

LETTERS = 25


def near_graph(constants: Constants) -> Any:  # noqa: ANN401
    """Input ids, int32 (N, L), to residues, float32 (N, L, 256)."""
    ov = import_openvino()
    op = ov.opset13

    ids = op.parameter([-1, -1], np.int32, "ids")
    swap = op.constant(np.array([0, 2, 1], dtype=np.int64))
    table = constants.array("embedding_layer.weight", (CHANNELS, LETTERS))
    x = op.transpose(op.gather(op.transpose(table, op.constant([1, 0])), ids, op.constant(0)), swap)
    for block in range(BLOCKS):
        x = op.add(x, _convolve(_convolve(x, block, 1, constants), block, 2, constants))  # (1, 256, L)
    return ov.Model([op.result(op.transpose(x, swap))], [ids], "near")


def _convolve(x: Any, block: int, layer: int, constants: Constants) -> Any:  # noqa: ANN401
    """ELU, then a convolution that sees zeros past both ends: (1, 256, L) to the same shape."""
    from openvino import opset13 as op

    name = f"conv_layers.{block}.conv{layer}"
    weight = constants.array(f"{name}.weight", (CHANNELS, CHANNELS, KERNEL))
    bias = constants.array(f"{name}.bias", (CHANNELS,))
    side = KERNEL // 2
    y = op.convolution(op.elu(x, 1.0), weight, [1], [side], [side], [1])
    return op.add(y, op.reshape(bias, op.constant(np.array([1, -1, 1], dtype=np.int64)), False))
