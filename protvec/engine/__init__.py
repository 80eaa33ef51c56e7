"""An encoder that runs: sequences in, embeddings out, in order."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from protvec.engine.base import Embedding, Encoder, embed, pool
from protvec.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from protvec.models import Checkpoint

__all__ = ["ENGINES", "PRECISIONS", "Embedding", "Encoder", "embed", "load", "pool"]

ENGINES = ("auto", "openvino", "torch")
PRECISIONS = ("auto", "fp32", "bf16", "int8")


def load(
    checkpoint: Checkpoint,
    *,
    engine: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    device: str = "cpu",
    latency: bool = False,
    notify: Callable[[str], None] | None = None,
) -> Encoder:
    """Make a checkpoint ready to run.

    Args:
        checkpoint: From ``protvec.models.find`` or ``obtain``.
        engine: ``openvino`` is the fast one; ``torch`` the reference, one sequence at a time; ``auto`` takes
            openvino where it is installed and the device is the CPU.
        precision: ``fp32``, ``bf16``, ``int8``; or ``auto``: on the CPU the fastest that has passed its check
            on this machine (see ``protvec.engine.verify``), on a GPU bf16, in torch on the CPU fp32.
        threads: At most so many; None for all that this process may use.
        device: A torch device, ``cpu`` or ``cuda``.
        latency: Have the first sequence sooner, and many of them later; the vectors are the same.
        notify: Called with a line of text where the user should know something.

    Raises:
        EngineError: This machine, this model or this engine cannot run as asked.
        CheckpointError: The weights are not what they should be.
    """
    _check("engine", engine, ENGINES)
    _check("precision", precision, PRECISIONS)
    if threads is not None and threads < 1:
        raise EngineError(f"threads is {threads}, but at least one is needed")
    if engine == "auto":
        engine = "openvino" if device == "cpu" and importlib.util.find_spec("openvino") else "torch"
    if engine == "torch":
        return _torch(checkpoint, precision=precision, threads=threads, device=device)
    if device != "cpu":
        raise EngineError(f"the openvino engine runs on the CPU alone, not on {device}: use --engine torch")
    return _openvino(checkpoint, precision=precision, threads=threads, latency=latency, notify=notify)


def _torch(checkpoint: Checkpoint, *, precision: str, threads: int | None, device: str) -> Encoder:
    near = checkpoint.spec.architecture == "near"
    if precision == "auto":
        precision = "fp32" if near or device == "cpu" else "bf16"
    if precision == "int8" or (near and precision != "fp32"):
        raise EngineError(f"the torch engine does not run {checkpoint.spec.name} in {precision}: leave --precision out")
    if near:
        from protvec.engine import near as near_engine

        return near_engine.load(checkpoint, threads=threads, device=device)
    from protvec.engine import reference

    return reference.load(checkpoint, precision=precision, threads=threads, device=device)


def _openvino(
    checkpoint: Checkpoint,
    *,
    precision: str,
    threads: int | None,
    latency: bool,
    notify: Callable[[str], None] | None,
) -> Encoder:
    if importlib.util.find_spec("openvino") is None:
        raise EngineError("OpenVINO is not installed: `pip install openvino`, or use --engine torch")
    from protvec.engine import openvino, verify

    if precision == "auto":
        precision = verify.choose(checkpoint, threads=threads, notify=notify)
    return openvino.load(checkpoint, precision=precision, threads=threads, latency=latency)


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise EngineError(f"no {name} is named {value!r}: choose one of {', '.join(known)}")
