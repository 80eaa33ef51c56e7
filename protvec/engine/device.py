"""Where torch runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.errors import EngineError

if TYPE_CHECKING:
    import torch


def torch_device(name: str, *, threads: int | None = None) -> torch.device:
    """A device that torch can use now.

    Args:
        name: ``cpu`` or ``cuda``, also with a number (``cuda:1``).
        threads: Threads of torch on the CPU, set for the whole process; None leaves them.

    Raises:
        EngineError: torch does not know or does not see it.
    """
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EngineError(f"torch knows no device {name!r}: use cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise EngineError(f"protvec runs on cpu or cuda, not on {name}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineError(f"torch sees no device {name} on this machine: use cpu")
    return device
