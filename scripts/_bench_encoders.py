"""What runs in a benchmark's workers: the plain loop, protvec's engines, matrix products, random weights.

Nothing here imports torch or protvec until it is called, so that a worker pays for what it runs alone.
"""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _bench import forget_peak_memory, peak_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from protvec.models import Checkpoint

PLAIN = "plain loop"
ON = " on "  # between an engine and its device
RANDOM_MARK = "RANDOM_WEIGHTS"
# Of ankh-base's encoder, as its configuration has it.
ANKH_BASE: Mapping[str, Any] = {
    "d_model": 768,
    "num_layers": 48,
    "num_heads": 12,
    "d_kv": 64,
    "d_ff": 3072,
    "vocab_size": 144,
    "feed_forward_proj": "gated-gelu",
    "relative_attention_num_buckets": 64,
    "relative_attention_max_distance": 128,
}
_ANKH_PIECES = ("<pad>", "</s>", "<unk>", *"ALGVSREDTIPKFQNYMHWC", *"XBOUZ")

# A small one (all in cache), those of Ankh's feed-forward, and large ones; each with the right matrix as it is
# and transposed. The peak is the best of all.
SHAPES = ((256, 256, 256), (1024, 1024, 1024), (2048, 768, 3072), (2048, 3072, 768), (4096, 4096, 4096))
_PRODUCT_SECONDS = 4.0  # a shape that would take longer for one product is left out

_state: dict[str, Any] = {}  # of this worker


class PlainLoop:
    """The plain loop that protvec is measured against: transformers, fp32, one sequence at a time."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        from transformers import T5EncoderModel, logging

        from protvec.models import TokenTable

        logging.set_verbosity_error()
        self._tokens = TokenTable.from_checkpoint(checkpoint)
        self._model = T5EncoderModel.from_pretrained(str(checkpoint.directory), local_files_only=True).float().eval()

    def encode(self, sequences: Iterable[str]) -> Iterator[NDArray[np.float32]]:
        """ndarray, shape=(L, D), of each sequence, without ``</s>``."""
        import torch

        for sequence in sequences:
            ids = torch.from_numpy(self._tokens.encode(sequence))[None]
            with torch.no_grad():
                hidden = self._model(input_ids=ids).last_hidden_state[0]
            yield self._tokens.residues(hidden.numpy())


def model_argument(checkpoint: Checkpoint) -> str:
    """What ``find`` and ``--model`` take for it."""
    named = checkpoint.space.repository is not None or checkpoint.spec.architecture == "near"
    return checkpoint.spec.name if named else str(checkpoint.directory)


def load(model: str, engine: str, precision: str) -> dict[str, Any]:
    """Make this worker an encoder; how long it took, imports included, and the memory at its peak.

    Args:
        model: What ``find`` takes.
        engine: ``PLAIN``, or an engine of protvec, also with a device: ``torch on cuda``.
        precision: Of the engine.
    """
    start = time.perf_counter()
    from protvec.engine import load as load_engine
    from protvec.models import find

    checkpoint = find(model, offline=True)
    if engine == PLAIN:
        _state["encoder"] = PlainLoop(checkpoint)
    else:
        name, _, device = engine.partition(ON)
        _state["encoder"] = load_engine(checkpoint, engine=name, precision=precision, device=device or "cpu")
    return {"seconds": time.perf_counter() - start, "peak_bytes": peak_memory()}


def encode(sequences: Sequence[str], output: str) -> dict[str, float]:
    """Embed all, write the rows one after another to a file, and say how long it took.

    The shortest one is embedded before, uncounted: while others had their turn, the system may have taken back
    memory that this process did not touch.

    Returns:
        Seconds by the clock, seconds of all threads on the CPUs, and the peak of memory in bytes.
    """
    list(_state["encoder"].encode([min(sequences, key=len)]))
    forget_peak_memory()
    clock, cpu = time.perf_counter(), time.process_time()
    with Path(output).open("wb") as file:
        for residues in _state["encoder"].encode(iter(sequences)):
            residues.tofile(file)
    return {
        "seconds": time.perf_counter() - clock,
        "cpu_seconds": time.process_time() - cpu,
        "peak_bytes": peak_memory(),
    }


# --- What the machine can do -------------------------------------------------------------------------------


def product_peaks(seconds: float, shapes: Sequence[tuple[int, int, int]] = SHAPES) -> dict[str, float | None]:
    """The fastest matrix product of torch in each arithmetic, all threads, in GFLOP/s; None where it has none.

    Args:
        seconds: For each arithmetic and shape.
        shapes: Rows, inner, columns.
    """
    import torch

    kinds: dict[str, tuple[Any, Callable[[Any, Any], Any]]] = {
        "fp32": (torch.float32, torch.matmul),
        "bf16": (torch.bfloat16, torch.matmul),
        "int8": (torch.int8, torch._int_mm),  # noqa: SLF001  # the only integer product that torch has
    }
    return {kind: _best_product(*how, seconds=seconds, shapes=shapes) for kind, how in kinds.items()}


def _best_product(
    dtype: Any,  # noqa: ANN401
    multiply: Callable[[Any, Any], Any],
    *,
    seconds: float,
    shapes: Sequence[tuple[int, int, int]],
) -> float | None:
    import torch

    best = 0.0
    try:
        for rows, inner, columns in shapes:
            gflop = 2e-9 * rows * inner * columns
            if best and gflop / best > _PRODUCT_SECONDS:
                continue
            left = torch.randint(-127, 128, (rows, inner)).to(dtype)
            right = torch.randint(-127, 128, (inner, columns)).to(dtype)
            for matrix in (right, right.T.contiguous().T):
                quickest = fastest(functools.partial(multiply, left, matrix), seconds / 2)
                best = max(best, gflop / quickest)
    except RuntimeError:  # not for this machine
        return None
    return best


def fastest(run: Callable[[], object], seconds: float) -> float:
    """The shortest of as many runs as fit, of two at least."""
    taken: list[float] = []
    while len(taken) < 2 or sum(taken) < seconds:
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return min(taken)


# --- What a model costs ------------------------------------------------------------------------------------


def flop(checkpoint: Checkpoint, lengths: Iterable[int]) -> float:
    """Operations of the matrix products that embed sequences of these lengths; a multiply-add is two.

    T5: the linear layers and attention, ``</s>`` included. NEAR: its convolutions.
    """
    if checkpoint.spec.architecture == "near":
        from protvec.engine.near import BLOCKS, CHANNELS, KERNEL

        return float(sum(lengths)) * 2 * (2 * BLOCKS) * CHANNELS * CHANNELS * KERNEL
    config = json.loads((checkpoint.directory / "config.json").read_text(encoding="utf-8"))
    linear, inner = linear_flop(config), config["num_heads"] * config["d_kv"]
    tokens = [length + 1 + bool(checkpoint.spec.prefix) for length in lengths]
    return float(sum(n * linear + config["num_layers"] * 4 * n * n * inner for n in tokens))


def linear_flop(config: Mapping[str, Any]) -> float:
    """Operations of a T5's linear layers for one token."""
    gated = str(config.get("feed_forward_proj", "relu")).startswith("gated-")
    attention = 4 * config["d_model"] * config["num_heads"] * config["d_kv"]
    feed_forward = (3 if gated else 2) * config["d_model"] * config["d_ff"]
    return float(2 * config["num_layers"] * (attention + feed_forward))


# --- A model where there is none ---------------------------------------------------------------------------


def write_random(directory: Path, shape: Mapping[str, Any] = ANKH_BASE) -> None:
    """Write a T5 encoder with random weights, always the same ones; it appears whole or not at all."""
    import torch
    from transformers import T5Config, T5EncoderModel

    directory.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = T5EncoderModel(T5Config(**shape))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # A position bias that matters, and channels that differ. Sharper attention would make 48 random
            # layers chaotic: they would amplify any rounding, as trained ones do not.
            if name.endswith("relative_attention_bias.weight"):
                parameter.normal_(0.0, 1.0)
            elif name.endswith("layer_norm.weight"):
                parameter.uniform_(0.5, 1.5)
    scratch = Path(tempfile.mkdtemp(dir=directory.parent))
    try:
        model.save_pretrained(scratch)
        _write_tokenizer(scratch / "tokenizer.json", shape["vocab_size"])
        (scratch / RANDOM_MARK).write_text("Made by a benchmark of protvec. These weights know nothing.\n")
        scratch.rename(directory)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _write_tokenizer(path: Path, size: int) -> None:
    """The vocabulary of Ankh, as far as protvec reads it."""
    pieces = [*_ANKH_PIECES, *(f"<extra_id_{i}>" for i in range(size - len(_ANKH_PIECES)))]
    model = {"type": "Unigram", "unk_id": 2, "vocab": [[piece, 0.0] for piece in pieces]}
    path.write_text(json.dumps({"version": "1.0", "model": model}), encoding="utf-8")
