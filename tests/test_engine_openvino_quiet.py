"""Importing OpenVINO as it comes sends statistics over the network from a forked process. protvec's does not."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import os, socket, sys

def refuse(*args, **kwargs):
    raise AssertionError("the network was touched, or a process forked")

socket.socket.connect = refuse
os.register_at_fork(before=lambda: os._exit(7))
from protvec import engine, models
encoder = engine.load(models.find(sys.argv[1]), engine="openvino", precision="fp32")
assert next(encoder.encode(["MKVLLA"])).shape[0] == 6
assert "openvino_telemetry" not in sys.modules
for heavy in ("torch", "transformers", "ankh"):
    assert heavy not in sys.modules, heavy
"""


def test_no_message_is_sent_and_nothing_heavy_is_imported_after_conversion(tiny_t5: Path) -> None:
    from protvec import engine, models

    engine.load(models.find(tiny_t5), engine="openvino", precision="fp32")
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tiny_t5)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
