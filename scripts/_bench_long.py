"""One very long protein: how much memory it takes beyond the model, and how long."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _bench import Worker
from _bench_encoders import ANKH_BASE, encode, load, write_random

TITIN = 35_213  # residues of human titin, the longest protein of Swiss-Prot
RESIDUES = "ACDEFGHIKLMNPQRSTVWY"


def time_long(residues: int, layers: int, precision: str) -> dict[str, Any]:
    """Embed one protein of random residues, with random weights of Ankh-base's shape or fewer of its layers.

    Args:
        residues: Its length.
        layers: Of the 48. Memory does not depend on them but for the weights; time is proportional.
        precision: To embed in.
    """
    sequence = "".join(np.random.default_rng(0).choice(list(RESIDUES), residues))
    print(f"\none protein of {residues:,} residues, RANDOM WEIGHTS, {layers} of Ankh-base's 48 layers, {precision}")
    worker = Worker()
    with tempfile.TemporaryDirectory() as scratch:
        directory, output = Path(scratch) / "ankh-base-random", str(Path(scratch) / "residues")
        worker.call(write_random, directory, {**ANKH_BASE, "num_layers": layers})
        worker.call(load, str(directory), "openvino", precision)  # converts
        worker.close()
        worker = Worker()
        loaded = worker.call(load, str(directory), "openvino", precision)
        before = worker.call(encode, ["MKV"], output)
        turn = worker.call(encode, [sequence], output)
        rows = np.memmap(output, np.float32, "r").reshape(residues, -1)
        finite = bool(np.isfinite(rows).all())
        del rows
    worker.close()
    beyond = turn["peak_bytes"] - before["peak_bytes"]
    took = f"{turn['seconds']:,.0f} s, {turn['cpu_seconds']:,.0f} s of CPU"
    print(f"{took}; peak memory {turn['peak_bytes'] / 1e9:.2f} GB, {beyond / 1e9:.2f} GB more than for 3 residues")
    facts = {"residues": residues, "layers": layers, "precision": precision, "finite": finite}
    return facts | {"beyond_bytes": beyond, "load": loaded, "short": before, "long": turn}
