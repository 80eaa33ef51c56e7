"""Weights as constants of an OpenVINO graph: made from a checkpoint, or taken out of a converted model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from protvec.engine.openvino.rounding import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Rounded = tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.float32] | None]

SCALE, SHIFT, LOWEST, HIGHEST = "/scale", "/shift", "/lowest", "/highest"
# Activations are quantised in groups of so many channels, while they run: the widest that fits all matrices.
# Wider is faster (256: 5-8% over 128), narrower keeps an outlier's damage to fewer neighbours.
_GROUPS = (256, 128, 64, 32, 16)


class Source(Protocol):
    """Weights by name: ``Weights``, or arrays that a test made."""

    def get(self, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float32]:
        """One tensor; None matches any size."""
        ...


class Calibration(Protocol):
    """What is known of a checkpoint's matrices that makes rounding them harm less: ``calibrate.Calibrated``."""

    def quantise(self, name: str, matrix: NDArray[np.float32]) -> Rounded:
        """8-bit integers in [-127, 127], (out, in), the scale of each row, (out, 1), and the mean error, (out,)."""
        ...

    def limit(self, name: str) -> float | None:
        """The largest absolute value of a matrix's input, if one step serves for all of it; None: it does not."""
        ...


class Constants(Protocol):
    """Where a graph takes its weights from, by name."""

    def array(self, name: str, shape: tuple[int | None, ...]) -> Any:  # noqa: ANN401
        """A node, float32."""
        ...

    def rounded(self, name: str, make: Callable[[], NDArray[np.float32]]) -> Any:  # noqa: ANN401
        """A node that is stored as the model computes, float32 or bfloat16; ``make`` gives its values."""
        ...

    def matrix(self, name: str, shape: tuple[int, int]) -> Any:  # noqa: ANN401
        """A node of shape (out, in), float32 when it is used, stored in the model's precision."""
        ...

    def shift(self, name: str) -> Any | None:  # noqa: ANN401
        """What is added to the outputs of a matrix to take back what rounding it does to their mean; None: nothing."""
        ...

    def limits(self, name: str) -> tuple[Any, Any] | None:
        """The lowest and the highest input of a matrix, between which it is rounded to 256 levels; None: it is not."""
        ...


def activation_group(widths: set[int]) -> int:
    """Channels that share a scale when activations are quantised; 0 where no group fits these widths."""
    return next((group for group in _GROUPS if all(width % group == 0 for width in widths)), 0)


def bfloat16(array: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bits of the nearest bfloat16, ties to even; the numbers must be finite."""
    bits = np.ascontiguousarray(array, dtype=np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return rounded.astype(np.uint16)


def as_float32(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The numbers that ``bfloat16`` gave the bits of."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def constant(array: NDArray[Any], name: str) -> Any:  # noqa: ANN401
    """A named constant that shares the array's memory."""
    from openvino.op import Constant

    node = Constant(array, shared_memory=True)
    node.set_friendly_name(name)
    return node


def bfloat16_constant(bits: NDArray[np.uint16], name: str) -> Any:  # noqa: ANN401
    """A named constant of bfloat16."""
    import openvino as ov
    from openvino.op import Constant

    tensor = ov.Tensor(bits.reshape(-1), ov.Shape(bits.shape), ov.Type.bf16)
    node = Constant(tensor, shared_memory=False)
    node.set_friendly_name(name)
    return node


# A conversion to float32 that the plugin leaves as it is: it would otherwise keep all weights in float32 beside
# those that it computes with. Python cannot set the mark, but a model that is read has it.
_UNPACK = b"""<net name="unpack" version="11"><layers>
<layer id="0" name="in" type="Parameter" version="opset1"><data shape="?,?" element_type="bf16"/>
<output><port id="0" precision="BF16"><dim>-1</dim><dim>-1</dim></port></output></layer>
<layer id="1" name="to" type="Convert" version="opset1"><data destination_type="f32"/>
<rt_info><attribute name="decompression" version="0"/></rt_info><input><port id="0"><dim>-1</dim><dim>-1</dim></port>
</input><output><port id="1" precision="FP32"><dim>-1</dim><dim>-1</dim></port></output></layer>
<layer id="2" name="out" type="Result" version="opset1"><input><port id="0"><dim>-1</dim><dim>-1</dim></port></input>
</layer></layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/>
<edge from-layer="1" from-port="1" to-layer="2" to-port="0"/></edges></net>"""


def _unpacked(node: Any) -> Any:  # noqa: ANN401
    """A matrix of bfloat16 as float32, to be read as it is stored."""
    from protvec.engine.openvino.device import core

    model = core().read_model(_UNPACK, b"")
    (convert,) = (op for op in model.get_ops() if op.get_type_name() == "Convert")
    convert.input(0).replace_source_output(node.output(0))
    convert.set_friendly_name(f"{node.get_friendly_name()}/unpacked")
    convert.validate_and_infer_types()
    return convert


def _as_float(node: Any) -> Any:  # noqa: ANN401
    from openvino import opset13 as op

    return op.convert(node, "f32")


def _scaled(stored: Any, scale: Any) -> Any:  # noqa: ANN401
    """The pattern that OpenVINO's CPU plugin runs as an integer matrix product."""
    from openvino import opset13 as op

    return op.multiply(_as_float(stored), scale)


class FromCheckpoint:
    """Constants made from a checkpoint, in one precision.

    Args:
        weights: Of the checkpoint.
        precision: ``fp32``, ``bf16`` or ``int8``.
        progress: Called with the number of weights of each matrix when it is done.
        calibration: How int8 rounds matrices; without it, each number to the nearest.
    """

    def __init__(
        self,
        weights: Source,
        precision: str,
        progress: Callable[[int], None] | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self._weights = weights
        self._calibration = calibration
        self._shifts: dict[str, Any] = {}
        self._precision = precision
        self._progress = progress or (lambda _: None)
        self._shared: list[NDArray[Any]] = []  # what constants point to must outlive them

    def array(self, name: str, shape: tuple[int | None, ...]) -> Any:  # noqa: ANN401
        """See ``Constants.array``."""
        return self._constant(self._weights.get(name, shape), name)

    def rounded(self, name: str, make: Callable[[], NDArray[np.float32]]) -> Any:  # noqa: ANN401
        """See ``Constants.rounded``."""
        values = make()
        return self._constant(values, name) if self._precision == "fp32" else self._bfloat16(values, name)

    def matrix(self, name: str, shape: tuple[int, int]) -> Any:  # noqa: ANN401
        """See ``Constants.matrix``."""
        values = self._weights.get(name, shape)
        self._progress(values.size)
        if self._precision == "fp32":
            return self._constant(values, name)
        if self._precision == "bf16":
            return _unpacked(self._bfloat16(values, name))
        stored, scale, shift = self._quantise(name, values)
        if shift is not None:
            self._shifts[name] = self._constant(shift, name + SHIFT)
        return _scaled(self._constant(stored, name), self._constant(scale, name + SCALE))

    def shift(self, name: str) -> Any | None:  # noqa: ANN401
        """See ``Constants.shift``; of a matrix that was asked for before."""
        return self._shifts.get(name)

    def limits(self, name: str) -> tuple[Any, Any] | None:
        """See ``Constants.limits``."""
        limit = self._calibration.limit(name) if self._calibration else None
        if limit is None:
            return None
        ends = (LOWEST, -limit * 128 / 127), (HIGHEST, limit)  # 0 is one of the levels
        lowest, highest = (self._constant(np.full(1, value, np.float32), name + end) for end, value in ends)
        return lowest, highest

    def _quantise(self, name: str, values: NDArray[np.float32]) -> Rounded:
        return self._calibration.quantise(name, values) if self._calibration else (*nearest(values), None)

    def _constant(self, array: NDArray[Any], name: str) -> Any:  # noqa: ANN401
        self._shared.append(np.asarray(array, order="C"))
        return constant(self._shared[-1], name)

    def _bfloat16(self, values: NDArray[np.float32], name: str) -> Any:  # noqa: ANN401
        self._shared.append(bfloat16(values))
        return bfloat16_constant(self._shared[-1], name)


class FromModel:
    """The constants of a converted model, shared with it.

    Args:
        model: An ``openvino.Model``, as it was read from its files.
        precision: Of the model.
    """

    def __init__(self, model: Any, precision: str) -> None:  # noqa: ANN401
        self._nodes = {node.get_friendly_name(): node for node in model.get_ops() if node.get_type_name() == "Constant"}
        self._precision = precision

    def array(self, name: str, shape: tuple[int | None, ...]) -> Any:  # noqa: ANN401, ARG002
        """See ``Constants.array``."""
        return self._nodes[name]

    def rounded(self, name: str, make: Callable[[], NDArray[np.float32]]) -> Any:  # noqa: ANN401, ARG002
        """See ``Constants.rounded``."""
        return self._nodes[name]

    def matrix(self, name: str, shape: tuple[int, int]) -> Any:  # noqa: ANN401, ARG002
        """See ``Constants.matrix``."""
        node = self._nodes[name]
        if self._precision == "fp32":
            return node
        return _unpacked(node) if self._precision == "bf16" else _scaled(node, self._nodes[name + SCALE])

    def shift(self, name: str) -> Any | None:  # noqa: ANN401
        """See ``Constants.shift``."""
        return self._nodes.get(name + SHIFT)

    def limits(self, name: str) -> tuple[Any, Any] | None:
        """See ``Constants.limits``."""
        lowest = self._nodes.get(name + LOWEST)
        return None if lowest is None else (lowest, self._nodes[name + HIGHEST])
