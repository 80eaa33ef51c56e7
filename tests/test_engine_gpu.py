"""The torch engine on a GPU: the same answers in the same order as on a CPU, and a clear word when memory is short."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from protvec.engine import load
from protvec.errors import EngineError
from protvec.models import find

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.gpu

LENGTHS = (300, 1, 64, 700, 3, 129)


@pytest.fixture(autouse=True)
def _needs_a_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU on this machine")


def _sequences() -> list[str]:
    draw = np.random.default_rng(0)
    return ["".join(draw.choice(list("ACDEFGHIKLMNPQRSTVWY"), length)) for length in LENGTHS]


def _cosines(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float64]:
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    cosines: NDArray[np.float64] = (a * b).sum(axis=-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return cosines


@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.999999), ("bf16", 0.999), ("auto", 0.999)])
def test_a_gpu_gives_what_the_cpu_gives_in_the_same_order(tiny_t5: Path, precision: str, least: float) -> None:
    checkpoint = find(tiny_t5)
    here = load(checkpoint, engine="torch", precision="fp32")
    there = load(checkpoint, engine="torch", precision=precision, device="cuda")
    for sequence, ours, theirs in zip(_sequences(), there.encode(_sequences()), here.encode(_sequences()), strict=True):
        assert ours.shape == (len(sequence), there.dimension)
        assert ours.dtype == np.float32
        assert _cosines(ours, theirs).min() > least
        assert _cosines(ours.mean(axis=0), theirs.mean(axis=0)) > least


def test_auto_takes_bf16_there(tiny_t5: Path) -> None:
    assert load(find(tiny_t5), device="cuda").precision == "bf16"


def test_a_protein_too_long_for_its_memory_is_an_error_before_it_starts(
    tiny_t5: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    encoder = load(find(tiny_t5), engine="torch", precision="bf16", device="cuda")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**20, 2**40))
    with pytest.raises(EngineError, match="free on cuda"):
        list(encoder.encode(["M" * 20_000]))
    assert len(next(iter(encoder.encode(["MKV"])))) == 3
