"""A T5 encoder as an OpenVINO graph: whole, or in pieces of one layer for sequences too long for that.

Shapes in comments: L tokens, D = d_model, H heads, K = d_kv, F = d_ff, C tokens of a block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.engine.openvino.runtime import import_openvino
from protvec.engine.openvino.shape import bias_table
from protvec.engine.openvino.weights import BIAS, EMBEDDING, FINAL_NORM, attention, feed_forward

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from protvec.engine.openvino.constants import Constants
    from protvec.engine.openvino.shape import Shape

POSITION_BIAS = "position_bias"

# No value is below it. It keeps a gated network with GELU from becoming one operation of the plugin (LLMMLP), as on
# CPUs with AMX: that divides by zero where a stream has one thread, and ends the process (OpenVINO 2026.4.1).
_LOWEST = -1e38


class T5Graph:
    """Builds graphs of one encoder.

    Args:
        shape: Of the encoder.
        constants: Its weights.
    """

    def __init__(self, shape: Shape, constants: Constants) -> None:
        self._op = import_openvino().opset13
        self._shape = shape
        self._constants = constants
        self._inputs: dict[str, Any] = {}  # of every matrix, by its name, in the graph built last

    def encoder(self) -> Any:  # noqa: ANN401
        """The whole encoder: input ids, int32 (N, L), to the last hidden state, float32 (N, L, D)."""
        import openvino as ov

        ids, x = self._layers()
        return ov.Model([self._op.result(x)], [ids], "encoder")

    def observer(self, names: Sequence[str]) -> Any:  # noqa: ANN401
        """The whole encoder, but out of it come the inputs of some matrices.

        Args:
            names: Of the matrices.

        Returns:
            A model from input ids, int32 (1, L), to one output for each name in turn, float32 (1, L, in).
        """
        import openvino as ov

        ids, _ = self._layers()
        return ov.Model([self._op.result(self._inputs[name]) for name in names], [ids], "observer")

    def _layers(self) -> tuple[Any, Any]:
        """Input ids, and the last hidden state that they give."""
        op = self._op
        ids = op.parameter([-1, -1], np.int32, "ids")
        x = op.gather(self._constants.array(EMBEDDING, (None, self._shape.d_model)), ids, _int(0))
        length = op.gather(op.shape_of(ids, "i32"), _int(1), _int(0))
        bias = self._bias(_int(0), length, length)
        for layer in range(self._shape.layers):
            x = self._finish(layer, x, *self._project(layer, x), bias)
        return ids, x

    def projection(self, layer: int) -> Any:  # noqa: ANN401
        """The start of a layer: hidden state (1, C, D) to queries, keys and values, each (1, H, C, K)."""
        import openvino as ov

        x = self._op.parameter([1, -1, self._shape.d_model], np.float32, "hidden")
        return ov.Model([self._op.result(y) for y in self._project(layer, x)], [x], f"projection.{layer}")

    def block(self, layer: int) -> Any:  # noqa: ANN401
        """The rest of a layer for C queries against L keys.

        Inputs: hidden state (1, C, D), queries (1, H, C, K), keys and values (1, H, L, K), and the place of
        the first query, int32. Output: the next hidden state (1, C, D).
        """
        import openvino as ov

        op, heads, width = self._op, self._shape.heads, self._shape.d_kv
        x = op.parameter([1, -1, self._shape.d_model], np.float32, "hidden")
        q, k, v = (op.parameter([1, heads, -1, width], np.float32, name) for name in "qkv")
        first = op.parameter([], np.int32, "first")
        queries, keys = (op.gather(op.shape_of(y, "i32"), _int(2), _int(0)) for y in (q, k))
        y = self._finish(layer, x, q, k, v, self._bias(first, queries, keys))
        return ov.Model([op.result(y)], [x, q, k, v, first], f"block.{layer}")

    def _bias(self, first: Any, queries: Any, keys: Any) -> Any:  # noqa: ANN401
        """The position bias (1, H, C, L) of queries from ``first`` on, from its table of distances."""
        op, reach = self._op, self._shape.max_distance
        row = op.unsqueeze(op.range(_int(0), keys, _int(1), "i32"), _int(0))
        column = op.unsqueeze(op.range(first, op.add(first, queries), _int(1), "i32"), _int(1))
        distance = op.minimum(op.maximum(op.subtract(row, column), _int(-reach)), _int(reach))
        table = self._constants.rounded(POSITION_BIAS, self._bias_table)
        # Gathered as it is stored: half the memory traffic where that is bfloat16, and the same numbers.
        bias = op.gather(table, op.add(distance, _int(reach)), _int(1))
        return op.unsqueeze(op.convert(bias, "f32"), _int(0))

    def _bias_table(self) -> NDArray[np.float32]:
        weight = self._constants.array(BIAS, (self._shape.buckets, self._shape.heads))
        return bias_table(self._shape, weight.data)

    def _project(self, layer: int, x: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401
        """Queries, keys and values of a layer, each (1, H, C, K)."""
        op, shape = self._op, self._shape
        prefix = attention(layer)
        h = self._fixed(self._norm(x, f"{prefix}.layer_norm.weight"), f"{prefix}.SelfAttention.q.weight")

        def heads(name: str) -> Any:  # noqa: ANN401
            weight = f"{prefix}.SelfAttention.{name}.weight"
            y = self._linear(h, weight, shape.heads * shape.d_kv, shape.d_model)
            return op.transpose(op.reshape(y, _ints(0, 0, shape.heads, shape.d_kv), True), _ints(0, 2, 1, 3))

        return heads("q"), heads("k"), heads("v")

    def _finish(self, layer: int, x: Any, q: Any, k: Any, v: Any, bias: Any) -> Any:  # noqa: ANN401
        """What follows the projections of a layer: attention and feed-forward (1, C, D)."""
        op, shape = self._op, self._shape
        inner = shape.heads * shape.d_kv
        # T5 does not divide by the root of K. The plugin makes one kernel of these four.
        scores = op.add(op.matmul(q, k, False, True), bias)  # (1, H, C, L)
        mixed = op.transpose(op.matmul(op.softmax(scores, -1), v, False, False), _ints(0, 2, 1, 3))
        mixed = op.reshape(mixed, _ints(0, 0, inner), True)
        out = f"{attention(layer)}.SelfAttention.o.weight"
        x = op.add(x, self._linear(mixed, out, shape.d_model, inner))
        x = op.add(x, self._feed_forward(layer, x))
        return self._norm(x, FINAL_NORM) if layer == shape.layers - 1 else x

    def _feed_forward(self, layer: int, x: Any) -> Any:  # noqa: ANN401
        shape = self._shape
        prefix = feed_forward(layer)
        first = "wi_0" if shape.gated else "wi"
        h = self._fixed(self._norm(x, f"{prefix}.layer_norm.weight"), f"{prefix}.DenseReluDense.{first}.weight")

        def widen(name: str) -> Any:  # noqa: ANN401
            return self._linear(h, f"{prefix}.DenseReluDense.{name}.weight", shape.d_ff, shape.d_model)

        if shape.gated:
            y = self._op.multiply(self._activate(widen("wi_0")), widen("wi_1"))
            y = self._op.maximum(y, _float(_LOWEST))
        else:
            y = self._activate(widen("wi"))
        return self._linear(y, f"{prefix}.DenseReluDense.wo.weight", shape.d_model, shape.d_ff)

    def _activate(self, x: Any) -> Any:  # noqa: ANN401
        op = self._op
        if self._shape.activation == "gelu_new":
            return op.gelu(x, "TANH")
        return op.swish(x) if self._shape.activation == "silu" else op.relu(x)

    def _fixed(self, x: Any, name: str) -> Any:  # noqa: ANN401
        """The input of a matrix, rounded to 8 bits with one step if that is settled; if not, the plugin rounds it."""
        limits = self._constants.limits(name)
        return self._op.fake_quantize(x, *limits, *limits, 256) if limits else x

    def _linear(self, x: Any, name: str, outputs: int, inputs: int) -> Any:  # noqa: ANN401
        self._inputs[name] = x
        y = self._op.matmul(x, self._constants.matrix(name, (outputs, inputs)), False, True)
        shift = self._constants.shift(name)
        return y if shift is None else self._op.add(y, shift)

    def _norm(self, x: Any, name: str) -> Any:  # noqa: ANN401
        """T5's layer norm: no mean, no shift. In the form that the plugin knows as one operation."""
        op = self._op
        square = op.reduce_mean(op.power(x, _float(2.0)), _ints(-1), True)
        inverse = op.divide(_float(1.0), op.sqrt(op.add(square, _float(self._shape.epsilon))))
        return op.multiply(self._constants.array(name, (self._shape.d_model,)), op.multiply(x, inverse))


def _int(value: int) -> Any:  # noqa: ANN401
    """A scalar constant."""
    from openvino import opset13 as op

    return op.constant(np.int32(value))


def _ints(*values: int) -> Any:  # noqa: ANN401
    from openvino import opset13 as op

    return op.constant(np.array(values, dtype=np.int64))


def _float(value: float) -> Any:  # noqa: ANN401
    from openvino import opset13 as op

    return op.constant(np.float32(value))
