"""From a checkpoint to files that run without torch and transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.engine.openvino import cache
from protvec.engine.openvino.constants import FromCheckpoint, activation_group
from protvec.engine.openvino.device import check_precision
from protvec.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from protvec.engine.openvino.calibrate import Inputs
    from protvec.engine.openvino.shape import Shape
    from protvec.engine.openvino.weights import Weights
    from protvec.models import Checkpoint

MODEL_FILE = "model.xml"


def convert(
    checkpoint: Checkpoint, precision: str, *, progress: Callable[[int, int], None] | None = None
) -> cache.Conversion:
    """Convert a checkpoint, unless that has been done; the result is kept in the user's cache directory.

    One whose fixed steps were given up (``free``) stays so.

    Args:
        checkpoint: From ``protvec.models.find``.
        precision: ``fp32``, ``bf16`` or ``int8``.
        progress: Called with the number of weights that are done, and of all.

    Raises:
        CheckpointError: The weights are not what they should be.
        EngineError: The precision cannot be used, or the disk is full.
    """
    check_precision(precision)
    if checkpoint.spec.architecture == "near" and precision == "int8":
        raise EngineError("near runs in fp32 or bf16: in int8 it would lose too much")
    done = 0

    def count(weights: int) -> None:
        nonlocal done
        done += weights
        if progress:
            progress(min(done, checkpoint.spec.parameters), checkpoint.spec.parameters)

    if found := cache.find(cache.Key.of(checkpoint, precision, fixed=False)):
        return found
    return _kept(cache.Key.of(checkpoint, precision), lambda: _graph(checkpoint, precision, count))


def is_free(checkpoint: Checkpoint) -> bool:
    """Whether the fixed steps of a checkpoint's int8 conversion were given up."""
    return cache.find(cache.Key.of(checkpoint, "int8", fixed=False)) is not None


def free(checkpoint: Checkpoint) -> cache.Conversion | None:
    """Give up the fixed steps of an int8 conversion: from now on each step is found while the model runs.

    The conversion with fixed steps is deleted.

    Args:
        checkpoint: That was converted to int8.

    Returns:
        What ``convert`` gives from now on; None where no step was fixed, and nothing was done.

    Raises:
        EngineError: The disk is full.
    """
    freed = cache.Key.of(checkpoint, "int8", fixed=False)
    with cache.held(cache.Key.of(checkpoint, "int8")) as fixed:  # another process may be at the same
        model = _without_steps(fixed.directory / MODEL_FILE) if fixed else None
        if fixed and model:
            _kept(freed, lambda: model)
            cache.discard(fixed)
    return cache.find(freed)


def _without_steps(xml: Path) -> Any | None:  # noqa: ANN401
    """A converted model whose inputs are rounded by the plugin, all of them; None if they are already."""
    from protvec.engine.openvino.device import core

    model = core().read_model(str(xml))
    steps = [node for node in model.get_ops() if node.get_type_name() == "FakeQuantize"]
    for node in steps:
        for reader in node.output(0).get_target_inputs():
            reader.replace_source_output(node.input_value(0))
    return model if steps else None


def _kept(key: cache.Key, make: Callable[[], Any]) -> cache.Conversion:
    """The conversion of that key; ``make`` gives its model where it is not there yet."""
    try:
        return cache.make(key, lambda directory: _write(make(), directory))
    except OSError as error:
        raise EngineError(
            f"{error.filename or cache.cache_directory()}: the conversion cannot be kept "
            f"({error.strerror or error}): make room, or `protvec models rm` another"
        ) from error


def _write(model: Any, directory: Path) -> None:  # noqa: ANN401
    import openvino as ov

    target = directory / MODEL_FILE
    try:
        ov.serialize(model, str(target), str(target.with_suffix(".bin")))
    except RuntimeError as error:
        raise OSError(f"OpenVINO could not write {target}") from error


def _graph(checkpoint: Checkpoint, precision: str, count: Callable[[int], None]) -> Any:  # noqa: ANN401
    if checkpoint.spec.architecture == "near":
        from protvec.engine.near import read_weights
        from protvec.engine.openvino.near import near_graph

        return near_graph(FromCheckpoint(_Arrays(read_weights(checkpoint.weights[0])), precision, count))
    from protvec.engine.openvino.calibrate import calibrate
    from protvec.engine.openvino.graph import T5Graph
    from protvec.engine.openvino.shape import Shape
    from protvec.engine.openvino.weights import Weights

    shape, weights = Shape.read(checkpoint.directory), Weights(checkpoint)
    if precision != "int8":
        return T5Graph(shape, FromCheckpoint(weights, precision, count)).encoder()
    better = calibrate(shape, weights, _observe(checkpoint, shape, weights), group=activation_group(shape.widths))
    return T5Graph(shape, FromCheckpoint(better, precision, count, better)).encoder()


def _observe(checkpoint: Checkpoint, shape: Shape, weights: Weights) -> dict[str, Inputs]:
    """What the matrices are fed with, on real proteins; in bf16 where that is quicker, which changes no decision."""
    from protvec.engine.openvino.calibrate import observe, observed, proteins
    from protvec.engine.openvino.device import core, properties, supported_precisions
    from protvec.engine.openvino.graph import T5Graph
    from protvec.engine.threads import available_cpus
    from protvec.models.tokens import TokenTable

    precision = "bf16" if "bf16" in supported_precisions() else "fp32"
    names = [name for layer in range(shape.layers) for name in observed(shape, layer)]
    model = T5Graph(shape, FromCheckpoint(weights, precision)).observer(names)
    settings = properties(precision, group=0, streams=1, threads=available_cpus())
    table = TokenTable.from_checkpoint(checkpoint)
    tokens = [table.encode(sequence).astype(np.int32) for sequence in proteins()]
    return observe(core().compile_model(model, "CPU", settings), names, tokens)


class _Arrays:
    """Weights that are in memory and have been checked."""

    def __init__(self, arrays: dict[str, NDArray[np.float32]]) -> None:
        self._arrays = arrays

    def get(self, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float32]:  # noqa: ARG002
        return self._arrays[name]
