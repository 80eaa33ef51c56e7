"""The weights of a T5 encoder out of a checkpoint's files. Needs torch; only conversions come here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from protvec.models import Checkpoint

EMBEDDING = "shared.weight"
FINAL_NORM = "encoder.final_layer_norm.weight"
BIAS = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"


def attention(layer: int) -> str:
    """The prefix of names in an attention layer."""
    return f"encoder.block.{layer}.layer.0"


def feed_forward(layer: int) -> str:
    """The prefix of names in a feed-forward layer."""
    return f"encoder.block.{layer}.layer.1"


class Weights:
    """The tensors of a checkpoint by name, read when they are asked for.

    Args:
        checkpoint: Of a T5; encoder alone, or encoder and decoder.

    Raises:
        CheckpointError: A file cannot be read.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._where = checkpoint.directory
        self._tensors: dict[str, Any] = {}
        for path in checkpoint.weights:
            self._tensors |= _open(path)

    def get(self, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float32]:
        """One tensor, its shape checked; None matches any size.

        Raises:
            CheckpointError: It is not there, has another shape, or holds something that is not finite.
        """
        tensor = self._tensors.get(name)
        if tensor is None and name == EMBEDDING:
            tensor = self._tensors.get("encoder.embed_tokens.weight")
        if tensor is None:
            raise CheckpointError(f"{self._where}: its weights lack a part of the encoder: {name}")
        array: NDArray[np.float32] = tensor.float().numpy()
        fits = array.ndim == len(shape) and all(
            want in (None, have) for want, have in zip(shape, array.shape, strict=True)
        )
        if not fits:
            raise CheckpointError(f"{self._where}: {name} has shape {array.shape}, not {shape}")
        if not np.isfinite(array).all():
            raise CheckpointError(f"{self._where}: {name} holds numbers that are not finite; fetch it again")
        return np.ascontiguousarray(array)


def _open(path: Path) -> dict[str, Any]:
    """Tensors of one file, mapped into memory where its format allows."""
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        try:
            return dict(torch.load(path, map_location="cpu", weights_only=True, mmap=True))
        except RuntimeError:  # the format before torch 1.6 cannot be mapped
            return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # each format raises its own kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path}: cannot be read as weights ({reason[:160]})") from error
