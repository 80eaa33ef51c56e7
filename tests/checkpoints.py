"""Small real T5 checkpoints of the kinds that protvec meets, written with transformers itself."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from protvec.errors import ModelUnavailableError
from protvec.models import Checkpoint, find

if TYPE_CHECKING:
    from collections.abc import Sequence

ANKH_PIECES = ["<pad>", "</s>", "<unk>", *"ALGVSREDTIPKFQNYMHWC", *"XBOUZ"]
ANKH3_PIECES = [*ANKH_PIECES[:3], "[NLU]", "[S2S]", "<mask>", "<sep>", *"LAGSVERTIDPKNFQYHMCW", *"XBOUZ"]
PROT_T5_PIECES = ["<pad>", "</s>", "<unk>", *(f"▁{letter}" for letter in "ALGVSREDTIPKFQNYMHWCXBOUZ")]


def with_extra_ids(pieces: Sequence[str], size: int) -> list[str]:
    """Fill a vocabulary up to its size with T5's sentinels, as the real ones are."""
    return [*pieces, *(f"<extra_id_{i}>" for i in range(size - len(pieces)))]


def write_tokenizer_json(directory: Path, pieces: Sequence[str]) -> None:
    """A ``tokenizer.json`` of Ankh's shape: Unigram, words start with a metaspace, ``</s>`` ends."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.Unigram([(piece, 0.0) for piece in pieces], unk_id=pieces.index("<unk>")))
    tokenizer.add_special_tokens([AddedToken(p, special=True) for p in pieces if p[0] in "<["])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", pieces.index("</s>"))]
    )
    tokenizer.save(str(directory / "tokenizer.json"))


def write_spiece_model(directory: Path, pieces: Sequence[str]) -> None:
    """A ``spiece.model`` with these pieces at these ids: the protobuf of SentencePiece, by hand.

    Its trainer cannot be told which id each piece gets.
    """
    kinds = {"<unk>": 2, "<pad>": 3, "</s>": 3}  # 1 normal, 2 unknown, 3 control, 4 user-defined
    body = bytearray()
    for piece in pieces:
        name = piece.encode()
        kind = kinds.get(piece, 4 if piece[0] in "<[" else 1)
        score = b"\x15" + struct.pack("<f", -1.0)
        entry = b"\x0a" + bytes([len(name)]) + name + score + b"\x18" + bytes([kind])
        body += b"\x0a" + bytes([len(entry)]) + entry
    (directory / "spiece.model").write_bytes(bytes(body))


def has_amx() -> bool:
    """Whether this CPU multiplies matrices in tiles: sums of 8 bits and of bfloat16 are rounded otherwise there."""
    file = Path("/proc/cpuinfo")
    return file.is_file() and "amx_tile" in file.read_text()


def write_t5(
    directory: Path,
    *,
    d_model: int = 64,
    layers: int = 2,
    heads: int = 4,
    d_kv: int = 16,
    d_ff: int = 128,
    activation: str = "gated-gelu",
    buckets: int = 64,
    max_distance: int = 128,
    pieces: Sequence[str] = ANKH_PIECES,
    vocabulary: int = 144,
    tokenizer: str = "tokenizer.json",
    weights: str = "model.safetensors",
    shard_size: str | None = None,
    decoder: bool = False,
    outliers: float | None = None,
    seed: int = 0,
) -> Path:
    """Write a T5 checkpoint with fixed random weights; the same arguments give the same weights.

    Args:
        directory: Made if it is not there.
        d_model, layers, heads, d_kv, d_ff, buckets, max_distance: T5's shape.
        activation: ``feed_forward_proj``: ``gated-gelu`` (Ankh), ``gated-silu`` (Ankh3), ``relu`` (ProtT5).
        pieces: The first entries of the vocabulary, in the order of their ids.
        vocabulary: Its size, filled up with sentinels.
        tokenizer: ``tokenizer.json`` or ``spiece.model``.
        weights: ``model.safetensors`` or ``pytorch_model.bin``.
        shard_size: Splits the weights, as ``save_pretrained(max_shard_size=...)`` does.
        decoder: Encoder and decoder together, as the official Ankh checkpoints are.
        outliers: Multiply the embedding of four channels by this, as trained transformers have them.
        seed: Of the weights.
    """
    import torch
    from transformers import T5Config, T5EncoderModel, T5ForConditionalGeneration

    config = T5Config(
        d_model=d_model,
        num_layers=layers,
        num_decoder_layers=1,
        num_heads=heads,
        d_kv=d_kv,
        d_ff=d_ff,
        feed_forward_proj=activation,
        relative_attention_num_buckets=buckets,
        relative_attention_max_distance=max_distance,
        vocab_size=vocabulary,
        layer_norm_epsilon=1e-6,
        decoder_start_token_id=0,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = (T5ForConditionalGeneration if decoder else T5EncoderModel)(config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                # T5's initial values barely attend: a bias and a query of trained size make mistakes visible.
                if name.endswith("relative_attention_bias.weight"):
                    parameter.normal_(0.0, 1.5)
                elif name.endswith("SelfAttention.q.weight"):
                    parameter.mul_(4.0)
                elif name.endswith("layer_norm.weight"):
                    parameter.uniform_(0.5, 1.5)
            if outliers is not None:
                model.get_input_embeddings().weight[:, [3, 17, 29, 41]] *= outliers
    directory.mkdir(parents=True, exist_ok=True)
    extra: dict[str, Any] = {} if shard_size is None else {"max_shard_size": shard_size}
    model.save_pretrained(directory, safe_serialization=weights == "model.safetensors", **extra)
    write = {"tokenizer.json": write_tokenizer_json, "spiece.model": write_spiece_model}[tokenizer]
    write(directory, with_extra_ids(pieces, vocabulary))
    return directory


def add_outliers(directory: Path, factor: float, *, every: int = 32) -> Path:
    """Give a gated checkpoint the outlier channels that training makes, without changing what it computes.

    One in ``every`` channels of each feed-forward is made ``factor`` times larger on its way in and as much
    smaller on its way out. In exact arithmetic nothing changes; whoever rounds a group of channels with one
    scale loses the others.
    """
    from safetensors.numpy import load_file, save_file

    file = directory / "model.safetensors"
    tensors = load_file(file)
    for name in tensors:
        if name.endswith("DenseReluDense.wi_1.weight"):
            tensors[name][::every] *= factor
        elif name.endswith("DenseReluDense.wo.weight"):
            tensors[name][:, ::every] /= factor
    save_file(tensors, file, metadata={"format": "pt"})
    return directory


def add_outlier_letter(directory: Path, letter: str, size: float, *, channel: int = 3) -> Path:
    """Give one letter of a checkpoint of Ankh's vocabulary an embedding that is nearly all in one channel.

    Behind the layer norm that channel of this letter is as large as a number can be there, and some times larger than
    any of the other letters.
    """
    from safetensors.numpy import load_file, save_file

    file = directory / "model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if name in ("shared.weight", "encoder.embed_tokens.weight"))
    tensors[name][ANKH_PIECES.index(letter), channel] = size
    save_file(tensors, file, metadata={"format": "pt"})
    return directory


def edit_config(directory: Path, **changes: object) -> None:
    """Change fields of ``config.json``; None removes one."""
    path = directory / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def require_weights(name: str) -> Checkpoint:
    """The official checkpoint of that name, or a skip that says why: for tests marked ``weights``."""
    try:
        return find(name, offline=True)
    except ModelUnavailableError as error:
        pytest.skip(str(error))
