"""Whether the compiled loops are worth loading: it takes a second, which whoever handles one array need not wait."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


class Kernels:
    """The module ``kernels``, from a certain amount of work on.

    Args:
        enough: Bytes of float32 that NumPy's steps work on before, in about as long as it takes to load the others.
    """

    def __init__(self, enough: int = 512 << 20) -> None:
        self._left = enough
        self._module: ModuleType | None = None
        self._once = threading.Lock()

    def after(self, nbytes: int) -> ModuleType | None:
        """The compiled loops, for so many bytes of float32; None where NumPy is to do these, which gives the same.

        While one thread loads them, others go on without; where they cannot be had, all do.
        """
        if self._module is None:
            self._left -= nbytes
            if self._left < 0 and self._once.acquire(blocking=False):
                self._module = _load()
        return self._module


def _load() -> ModuleType | None:
    try:
        from protvec.store.codec import kernels
    except (ImportError, RuntimeError):  # no numba on this machine, or nowhere that it may keep what it compiles
        return None
    return kernels


after = Kernels().after
