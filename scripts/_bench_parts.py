"""Where the time goes: the parts of a converted T5 on one thread, each beside what its products need at the peak.

OpenVINO counts the time of every operation. Products of matrices are held against the fastest product of the machine
in the same arithmetic, on one thread too; what has no products (norms, rounding, sums) is all loss.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from _bench import Worker, table
from _bench_encoders import SHAPES, linear_flop, model_argument, product_peaks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from protvec.models import Checkpoint

LENGTHS = (100, 400, 1_000, 2_000)
RUNS = 5  # of each length, after a first that does not count
FIXED, FOUND, MATRICES, ATTENTION, GATE, REST = (
    "matrices, steps fixed",
    "matrices, steps found",
    "matrices",
    "attention",
    "gate of feed-forward",
    "norms, sums, rounding",
)
# OpenVINO's own names of operations. In int8, a matrix with steps found while it runs is a "compressed" one to it.
_KINDS = {
    "FullyConnectedQuantizedLegacy": FIXED,
    "FullyConnectedCompressed": FOUND,
    "FullyConnected": MATRICES,
    "Subgraph": ATTENTION,
    "Multiply": GATE,
}


def show_parts(checkpoint: Checkpoint, precisions: Sequence[str]) -> list[dict[str, Any]]:
    """Measure each precision, print its table, and return every figure."""
    found = []
    worker = Worker()
    peaks = worker.call(one_thread_peaks, 0.5)
    worker.close()
    for precision in precisions:
        worker = Worker()
        arguments = model_argument(checkpoint), precision, LENGTHS
        found += [held_against(entry, peaks) for entry in worker.call(measure, *arguments)]
        worker.close()
    print("\nparts of the time on one thread, and the share of the fastest product in the same arithmetic")
    header = ("precision", "part", *(f"L {length:,}: share, of peak" for length in LENGTHS))
    print(table(header, [line for precision in precisions for line in _lines(found, precision)]))
    for entry in found:
        speed, least = entry["residues_a_second"], entry["at_peak"]
        print(f"{entry['precision']} L {entry['length']:,}: {speed:,.0f} residues/s;", end=" ")
        print(f"its products at the peak would take {least:.0%} of the time")
    return found


def one_thread_peaks(seconds: float) -> dict[str, float | None]:
    """``product_peaks`` of one thread."""
    import torch

    torch.set_num_threads(1)
    return product_peaks(seconds, SHAPES)


def measure(model: str, precision: str, lengths: Sequence[int]) -> list[dict[str, Any]]:
    """Seconds of each part, for one protein of each length.

    Args:
        model: What ``find`` takes.
        precision: To run in.
        lengths: Of proteins, in residues.
    """
    import numpy as np

    from protvec.engine.openvino import convert
    from protvec.engine.openvino.constants import HIGHEST, activation_group
    from protvec.engine.openvino.convert import MODEL_FILE
    from protvec.engine.openvino.device import core, properties
    from protvec.engine.openvino.shape import Shape
    from protvec.models import TokenTable, find

    checkpoint = find(model, offline=True)
    shape = Shape.read(checkpoint.directory)
    source = core().read_model(str(convert(checkpoint, precision).directory / MODEL_FILE))
    fixed = [node.get_friendly_name() for node in source.get_ops() if node.get_friendly_name().endswith(HIGHEST)]
    settings = properties(precision, group=activation_group(shape.widths), streams=1, threads=1)
    config = json.loads((checkpoint.directory / "config.json").read_text(encoding="utf-8"))
    table = TokenTable.from_checkpoint(checkpoint)
    found = []
    for length in lengths:
        ids = table.encode("ACDEFGHIKLMNPQRSTVWY" * (length // 20 + 1))[:length].astype(np.int32)[None]
        request = core().compile_model(source, "CPU", settings | {"PERF_COUNT": True}).create_infer_request()
        seconds = _seconds(request, ids, int8=precision == "int8")
        gflop = work(config, length, fixed if precision == "int8" else None)
        found.append({"precision": precision, "length": length, "seconds": seconds, "gflop": gflop})
    return found


def _seconds(request: Any, ids: Any, *, int8: bool) -> dict[str, float]:  # noqa: ANN401
    """Seconds of each part: of each operation, the mean of the runs after the first.

    OpenVINO gives the mean of all runs of a model so far, of whatever length: the model must be a new one.
    """
    request.infer([ids])
    first = {count.node_name: count.real_time.total_seconds() for count in request.profiling_info}
    for _ in range(RUNS):
        request.infer([ids])
    ran: dict[str, tuple[str, float]] = {}
    for count in request.profiling_info:
        taken = ((RUNS + 1) * count.real_time.total_seconds() - first.get(count.node_name, 0.0)) / RUNS
        ran[count.node_name] = count.node_type, max(taken, 0.0)
    seconds: dict[str, float] = {}
    for kind, taken in ran.values():
        part = _KINDS.get(kind, REST)
        if part in (FIXED, FOUND) and not int8:
            part = MATRICES
        seconds[part] = seconds.get(part, 0.0) + taken
    return seconds


def work(config: Mapping[str, Any], length: int, fixed: Sequence[str] | None) -> dict[str, float]:
    """GFLOP of the products of each part.

    Args:
        config: Of a T5.
        length: Tokens.
        fixed: Names of what has fixed steps, one for queries, keys and values or for the first matrices of a
            feed-forward; None where no input is rounded.
    """
    inner, wide = config["num_heads"] * config["d_kv"], config["d_ff"]
    gated = str(config.get("feed_forward_proj", "relu")).startswith("gated-")
    found = {ATTENTION: 4e-9 * config["num_layers"] * inner * length**2}
    linear = 1e-9 * linear_flop(config) * length
    if fixed is None:
        return found | {MATRICES: linear}
    columns = sum(3 * inner if "SelfAttention" in name else (1 + gated) * wide for name in fixed)
    found[FIXED] = 2e-9 * length * config["d_model"] * columns
    return found | {FOUND: linear - found[FIXED]}


def held_against(entry: dict[str, Any], peaks: Mapping[str, float | None]) -> dict[str, Any]:
    """The shares of the time, and of the peak; attention in int8 models is in bf16."""
    total = sum(entry["seconds"].values())
    least, parts = 0.0, {}
    for part, seconds in entry["seconds"].items():
        other = part == ATTENTION and entry["precision"] == "int8"
        peak, gflop = peaks["bf16" if other else entry["precision"]], entry["gflop"].get(part)
        best = gflop / peak if gflop and peak else None
        least += best or 0.0
        parts[part] = {"share": seconds / total, "of_peak": best / seconds if best and seconds else None}
    return entry | {
        "peaks": dict(peaks),
        "parts": parts,
        "residues_a_second": entry["length"] / total,
        "at_peak": least / total,
    }


def _lines(found: Sequence[dict[str, Any]], precision: str) -> list[list[str]]:
    entries = [entry for entry in found if entry["precision"] == precision]
    parts = [p for p in (FIXED, FOUND, MATRICES, ATTENTION, GATE, REST) if any(p in e["parts"] for e in entries)]
    return [[precision, part, *(_cell(entry["parts"].get(part)) for entry in entries)] for part in parts]


def _cell(part: Mapping[str, float | None] | None) -> str:
    if part is None:
        return "-"
    of_peak = part["of_peak"]
    return f"{part['share']:.1%}, " + (f"{of_peak:.0%}" if of_peak else "-")
