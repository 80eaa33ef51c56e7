"""An encoder that runs: sequences in, embeddings out, in order."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, cast

from protvec.engine.base import Embedding, Encoder, embed, pool
from protvec.errors import EngineError

if TYPE_CHECKING:
    from protvec.models import Checkpoint

__all__ = ["ENGINES", "PRECISIONS", "Embedding", "Encoder", "embed", "load", "pool"]

ENGINES = ("auto", "torch", "openvino")
PRECISIONS = ("auto", "fp32", "bf16", "int8")
_FAST = "protvec.engine.openvino"


def load(
    checkpoint: Checkpoint,
    *,
    engine: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    device: str = "cpu",
) -> Encoder:
    """Make a checkpoint ready to run.

    Args:
        checkpoint: From ``protvec.models.find`` or ``obtain``.
        engine: ``torch`` is the reference, fp32, one sequence at a time; ``openvino`` the fast one;
            ``auto`` chooses.
        precision: ``fp32``, ``bf16``, ``int8``, or ``auto`` for the engine's choice.
        threads: At most so many; None for the engine's choice.
        device: A torch device, ``cpu`` or ``cuda``.

    Raises:
        EngineError: This machine, this model or this engine cannot run as asked.
        CheckpointError: The weights are not what they should be.
    """
    _check("engine", engine, ENGINES)
    _check("precision", precision, PRECISIONS)
    if threads is not None and threads < 1:
        raise EngineError(f"threads is {threads}, but at least one is needed")
    if engine == "openvino":
        return _fast(checkpoint, precision=precision, threads=threads, device=device)
    if precision not in ("auto", "fp32"):
        raise EngineError(f"the torch engine runs in fp32 alone, not in {precision}: leave --precision out")
    if checkpoint.spec.architecture == "near":
        from protvec.engine import near

        return near.load(checkpoint, threads=threads, device=device)
    from protvec.engine import reference

    return reference.load(checkpoint, threads=threads, device=device)


def _fast(checkpoint: Checkpoint, *, precision: str, threads: int | None, device: str) -> Encoder:
    """The OpenVINO engine, which is not loaded until it is asked for."""
    if device != "cpu":
        raise EngineError(f"the openvino engine runs on the CPU alone, not on {device}: use --engine torch")
    if importlib.util.find_spec(_FAST) is None:
        raise EngineError("this protvec has no openvino engine: use --engine torch")
    module = importlib.import_module(_FAST)
    return cast("Encoder", module.load(checkpoint, precision=precision, threads=threads))


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise EngineError(f"no {name} is named {value!r}: choose one of {', '.join(known)}")
