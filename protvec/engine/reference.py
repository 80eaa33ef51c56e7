"""The yardstick: a T5 encoder in torch, one sequence at a time, as upstream runs it; fp32, or bf16 for a GPU."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any

from protvec.engine.device import torch_device
from protvec.errors import CheckpointError, EngineError
from protvec.models.config import weight_files
from protvec.models.tokens import TokenTable
from protvec.words import some

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from protvec.models import Checkpoint

# The embedding goes by two names and is stored under one or both.
_EMBEDDING_NAMES = frozenset({"shared.weight", "encoder.embed_tokens.weight"})


def load(
    checkpoint: Checkpoint, *, precision: str = "fp32", threads: int | None = None, device: str = "cpu"
) -> ReferenceEncoder:
    """The reference engine of a T5 checkpoint.

    Args:
        checkpoint: Of a T5.
        precision: ``fp32`` or ``bf16``. Ankh's activations overflow fp16.
        threads: Threads of torch, which are set for the whole process; None leaves them.
        device: A torch device.

    Raises:
        CheckpointError: The weights cannot be read, or lack a part of the encoder.
        EngineError: torch sees no such device.
    """
    place = torch_device(device, threads=threads)
    tokens = TokenTable.from_checkpoint(checkpoint)
    return ReferenceEncoder(load_t5(checkpoint.directory), tokens, precision=precision, device=place)


class ReferenceEncoder:
    """A T5 encoder in torch: one sequence at a time, no padding.

    Memory grows with the square of the length: the position bias alone takes heads x L x L numbers, and the
    scores and their softmax as much again.
    """

    engine = "torch"

    def __init__(
        self, model: torch.nn.Module, tokens: TokenTable, *, precision: str = "fp32", device: torch.device | None = None
    ) -> None:
        import torch

        self.precision = precision
        self._bytes = {"fp32": 4, "bf16": 2}[precision]
        self._model = model.to(device=device, dtype={4: torch.float32, 2: torch.bfloat16}[self._bytes])
        self._tokens = tokens
        self.dimension = int(model.config.d_model)

    def encode(self, sequences: Iterable[str]) -> Iterator[NDArray[np.float32]]:
        """See ``Encoder.encode``."""
        for sequence in sequences:
            yield self._encode(sequence)

    def _encode(self, sequence: str) -> NDArray[np.float32]:
        import torch

        ids = torch.from_numpy(self._tokens.encode(sequence))[None]
        self._check_memory(ids.shape[1])
        with torch.inference_mode():
            hidden = self._model(input_ids=ids.to(self._model.device)).last_hidden_state[0]
        # A copy, so that a caller who keeps the residues does not keep </s> and the tensor behind them.
        return self._tokens.residues(hidden.float().cpu().numpy()).copy()

    def _check_memory(self, length: int) -> None:
        """Say that a sequence is too long for this engine before the system kills the process for it."""
        needed = 3 * int(self._model.config.num_heads) * length**2 * self._bytes
        if needed > 2**30 and needed > (free := _free_memory(self._model.device)):
            raise EngineError(
                f"{length:,} residues need about {needed / 1e9:.0f} GB of memory in the torch engine, and "
                f"{free / 1e9:.0f} GB are free on {self._model.device}; --engine openvino --device cpu takes any length"
            )


def _free_memory(device: torch.device) -> int:
    """What torch can still take there, what it keeps for itself included."""
    import psutil
    import torch

    if device.type == "cpu":
        return int(psutil.virtual_memory().available)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0] + kept)


def load_t5(directory: Path) -> Any:  # noqa: ANN401  (transformers has no types)
    """The encoder of a T5 checkpoint, fp32, in evaluation mode, from local files alone.

    The package ``ankh`` loads it where that installs (up to Python 3.11), elsewhere the call that it makes.

    Args:
        directory: A checkpoint; a decoder in it is left aside.

    Returns:
        A ``transformers.T5EncoderModel``.

    Raises:
        CheckpointError: The weights cannot be read, or a part of the encoder is not among them.
    """
    path = str(directory)
    with _quiet():
        try:
            model = _from_pretrained(path)
        except Exception as error:  # each format of weights raises its own kinds
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise CheckpointError(f"{path}: its weights cannot be loaded ({reason[:160]})") from error
    _require_all(set(model.state_dict()), directory)
    return model.float().eval()


def _from_pretrained(path: str) -> Any:  # noqa: ANN401
    try:
        from ankh.models.ankh_transformers import get_specified_model
    except ImportError:
        from transformers import T5EncoderModel

        return T5EncoderModel.from_pretrained(path, local_files_only=True)
    return get_specified_model(path=path, generation=False, output_attentions=False, model_format="pt")


def _require_all(needed: set[str], directory: Path) -> None:
    """Check that every weight was in the files: transformers fills what is missing with random numbers."""
    stored: set[str] = set()
    for file in weight_files(directory):
        stored |= _names(file)
    missing = sorted(needed - _EMBEDDING_NAMES - stored)
    if not stored & _EMBEDDING_NAMES:
        missing.insert(0, "shared.weight")
    if missing:
        raise CheckpointError(f"{directory}: its weights lack a part of the encoder: {some(missing)}")


def _names(file: Path) -> set[str]:
    """The names of the tensors in a weight file."""
    if file.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(file, framework="pt") as tensors:
            return set(tensors.keys())
    import torch

    return set(torch.load(file, map_location="meta", weights_only=True))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from writing to the user's screen while it loads in this thread.

    It reports weights of the decoder as unused. A filter that knows this thread is added and removed; levels
    and handlers, which belong to the whole process, stay as they are. Its progress bars have one switch for
    the process, which is put back.
    """
    from transformers.utils import logging as transformers_logging

    thread = threading.get_ident()
    bars = transformers_logging.is_progress_bar_enabled()

    def elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != thread or record.levelno >= logging.ERROR

    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(elsewhere)
    if bars:
        transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        logger.removeFilter(elsewhere)
        if bars:
            transformers_logging.enable_progress_bar()
