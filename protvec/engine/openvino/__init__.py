"""T5 encoders and NEAR, fast on a CPU: OpenVINO graphs built from the weights, converted once and cached."""

from __future__ import annotations

from protvec.engine.openvino.cache import Conversion, converted, remove
from protvec.engine.openvino.convert import convert, free, is_free
from protvec.engine.openvino.device import PRECISIONS, supported_precisions
from protvec.engine.openvino.encoder import OpenVinoEncoder, load

__all__ = [
    "PRECISIONS",
    "Conversion",
    "OpenVinoEncoder",
    "convert",
    "converted",
    "free",
    "is_free",
    "load",
    "remove",
    "supported_precisions",
]
