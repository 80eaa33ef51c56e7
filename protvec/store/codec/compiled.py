"""Whether the compiled loops are worth loading: it takes a second, which whoever handles one array need not wait."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


class Kernels:
    """The module ``kernels``, some time after there was enough to do.

    Args:
        enough: Bytes of float32 that NumPy's steps work on before, in about as long as it takes to load the others.

    Attributes:
        loading: The thread that loads them; None as long as it does not pay.
    """

    def __init__(self, enough: int = 512 << 20) -> None:
        self.loading: threading.Thread | None = None
        self._left = enough
        self._module: ModuleType | None = None
        self._once = threading.Lock()

    def after(self, nbytes: int) -> ModuleType | None:
        """The compiled loops, for so many bytes of float32; None where NumPy is to do these, which gives the same.

        Nobody waits for them; where they cannot be had, NumPy does all.
        """
        if self._module is None:
            self._left -= nbytes
            if self._left < 0 and self._once.acquire(blocking=False):
                self.loading = threading.Thread(target=self._load, name="protvec-kernels")
                self.loading.start()
        return self._module

    def _load(self) -> None:
        # Without numba, or with nowhere to keep what is compiled.
        with contextlib.suppress(ImportError, RuntimeError):
            from protvec.store.codec import kernels

            self._module = kernels


after = Kernels().after
