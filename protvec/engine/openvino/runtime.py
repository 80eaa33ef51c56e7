"""OpenVINO itself, imported so that it stays quiet."""

from __future__ import annotations

import sys
from typing import Any

_CONVERTER = "openvino.tools.ovc"


def import_openvino() -> Any:  # noqa: ANN401
    """The module ``openvino``, without its model converter, which protvec does not use.

    Importing the converter sends a message to a statistics server, from a forked process. OpenVINO does without it
    where it cannot be imported; so it looks absent for as long as this import takes, and only then.
    """
    if "openvino" not in sys.modules and _CONVERTER not in sys.modules:
        sys.modules[_CONVERTER] = None  # type: ignore[assignment]  # what makes an import fail
        try:
            import openvino
        finally:
            del sys.modules[_CONVERTER]
    import openvino

    return openvino
