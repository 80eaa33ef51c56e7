"""What OpenVINO's CPU plugin can do here, and how it is asked to."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from protvec.engine.openvino.runtime import import_openvino
from protvec.errors import EngineError
from protvec.files import replacing

if TYPE_CHECKING:
    from pathlib import Path

PRECISIONS = ("fp32", "bf16", "int8")
# Kernels that a stream keeps: four or five, 1.4 MB, for each length that it has seen. 5,000, OpenVINO's default,
# would come to 1.7 GB in each; making those of one length again takes 12 ms.
_KERNELS = 1_000


@functools.cache
def core() -> Any:  # noqa: ANN401
    """The one OpenVINO runtime of this process."""
    return import_openvino().Core()


@functools.cache
def supported_precisions() -> tuple[str, ...]:
    """The precisions that this CPU has instructions for, slowest first; the others would be emulated."""
    capabilities = set(core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    needs = {"fp32": "FP32", "bf16": "BF16", "int8": "INT8"}
    return tuple(precision for precision in PRECISIONS if needs[precision] in capabilities)


def check_precision(precision: str) -> None:
    """Refuse what does not exist or would be emulated.

    Raises:
        EngineError: With what to use instead.
    """
    if precision not in PRECISIONS:
        raise EngineError(f"no precision is named {precision!r}: choose one of {', '.join(PRECISIONS)}")
    if precision not in supported_precisions():
        raise EngineError(f"this CPU cannot compute in {precision}: choose one of {', '.join(supported_precisions())}")


def properties(precision: str, *, group: int, streams: int, threads: int) -> dict[str, Any]:
    """How a model is to be compiled.

    Args:
        precision: Of the model. ``int8`` computes what is no matrix product in bf16 where the CPU can.
        group: Channels that share a scale when activations are quantised; 0 leaves them as they are.
        streams: How many sequences run at once.
        threads: Of all streams together.
    """
    arithmetic = "f32" if precision == "fp32" or "bf16" not in supported_precisions() else "bf16"
    return {
        "INFERENCE_PRECISION_HINT": arithmetic,
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": group if precision == "int8" else 0,
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": threads,
        # Threads that are bound to cores wait for each other when two processes bind to the same.
        "ENABLE_CPU_PINNING": False,
        "CPU_RUNTIME_CACHE_CAPACITY": _KERNELS,
    }


def fingerprint() -> str:
    """What a compiled model depends on beside its source: it is of no use to another CPU or version."""
    import hashlib

    import openvino as ov

    facts = [ov.get_version(), core().get_property("CPU", "FULL_DEVICE_NAME")]
    facts += sorted(core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def compile_files(xml: Path, settings: dict[str, Any]) -> Any:  # noqa: ANN401
    """A model in files, ready to run. The first time on a CPU takes seconds, later times a fraction of one.

    What was compiled is kept beside the model, without the weights, which both share.

    Args:
        xml: The model; its weights are in the ``.bin`` beside it.
        settings: From ``properties``.
    """
    weights, compiled = xml.with_suffix(".bin"), xml.with_name(f"compiled-{fingerprint()}.blob")
    settings = settings | {"CACHE_MODE": "OPTIMIZE_SIZE"}
    if compiled.is_file():
        found = _import(compiled, settings | {"WEIGHTS_PATH": str(weights)})
        if found is not None:
            return found
    model = core().compile_model(str(xml), "CPU", settings)
    _export(model, compiled)
    return model


def _import(compiled: Path, settings: dict[str, Any]) -> Any:  # noqa: ANN401
    import numpy as np
    import openvino as ov

    try:
        return core().import_model(ov.Tensor(np.fromfile(compiled, dtype=np.uint8)), "CPU", settings)
    except RuntimeError:
        return None  # damaged, or of a build that only looks the same: it is written again


def _export(model: Any, compiled: Path) -> None:  # noqa: ANN401
    """Keep a compiled model; where the disk refuses, the next start is slower, and that is all."""
    import contextlib

    data = model.export_model()
    with contextlib.suppress(OSError), replacing(compiled) as temporary:
        temporary.write_bytes(data if isinstance(data, bytes) else data.getvalue())
