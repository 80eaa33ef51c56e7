"""The products of a model with nothing around them: as close to the machine's peak as its shapes allow.

The fastest matrix product of a machine is one of large, round matrices. A protein of some hundred residues has
smaller ones, and attention has products of 64 channels, which int8 leaves in bf16. What torch reaches on exactly
those shapes, without norms, softmax, rounding or reading a weight twice, is the ceiling that an engine is held to.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from _bench_encoders import fastest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LENGTHS = 5  # of the proteins, evenly spread over their ranks


def shapes(config: Mapping[str, Any]) -> dict[tuple[int, int], int]:
    """Inputs and outputs of a T5 layer's matrices, and how many there are of each."""
    inner, model, wide = config["num_heads"] * config["d_kv"], config["d_model"], config["d_ff"]
    gated = str(config.get("feed_forward_proj", "relu")).startswith("gated-")
    found: dict[tuple[int, int], int] = {}
    for shape, count in (((model, inner), 3), ((inner, model), 1), ((model, wide), 1 + gated), ((wide, model), 1)):
        found[shape] = found.get(shape, 0) + count
    return found


def spread(lengths: Sequence[int], count: int = LENGTHS) -> list[int]:
    """So many of the lengths, from the middle of equally many ranks each."""
    ranked = sorted(lengths)
    count = min(count, len(ranked))
    return [ranked[int((i + 0.5) * len(ranked) / count)] for i in range(count)]


def ceilings(config: Mapping[str, Any], lengths: Sequence[int], seconds: float) -> dict[str, float | None]:
    """GFLOP/s of one layer's products by arithmetic, all threads, over those lengths together; None: not here.

    Args:
        config: Of a T5.
        lengths: Of proteins.
        seconds: For each shape of product.
    """
    import torch

    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}
    return {kind: _ceiling(dtype, config, lengths, seconds) for kind, dtype in kinds.items()}


def _ceiling(dtype: Any, config: Mapping[str, Any], lengths: Sequence[int], seconds: float) -> float | None:  # noqa: ANN401
    import torch

    multiply = torch._int_mm if dtype == torch.int8 else torch.matmul  # noqa: SLF001  # torch's only integer product
    heads, width = config["num_heads"], config["d_kv"]
    work = spent = 0.0
    try:
        for length in lengths:
            for (inputs, outputs), count in shapes(config).items():
                left = torch.randint(-127, 128, (length, inputs)).to(dtype)
                right = torch.randint(-127, 128, (outputs, inputs)).to(dtype).T
                spent += count * fastest(functools.partial(multiply, left, right), seconds)
                work += count * 2e-9 * length * inputs * outputs
            scores = torch.rand(heads, length, length).to(torch.bfloat16 if dtype == torch.int8 else dtype)
            values = torch.rand(heads, length, width).to(scores.dtype)
            spent += fastest(functools.partial(torch.bmm, values, values.transpose(1, 2)), seconds)
            spent += fastest(functools.partial(torch.bmm, scores, values), seconds)
            work += 4e-9 * heads * length * length * width
    except RuntimeError:  # not for this machine
        return None
    return work / spent
