"""What a checkpoint directory holds: its configuration and its weight files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from protvec.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG = "config.json"
# In the order in which transformers looks for them; an index names the shards of a split checkpoint.
WEIGHT_NAMES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_SIZES = ("d_model", "d_kv", "d_ff", "num_layers", "num_heads", "vocab_size")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        CheckpointError: The file is missing, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: a JSON object was expected, not a {type(content).__name__}")
    return content


def read_config(directory: Path) -> dict[str, Any]:
    """The configuration of a T5 checkpoint, its sizes checked.

    Raises:
        CheckpointError: There is none, or it is not of a T5.
    """
    path = directory / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{directory}: there is no {CONFIG} in it, so it is not a checkpoint directory")
    config = read_json(path)
    if config.get("model_type") != "t5":
        found = config.get("model_type")
        raise CheckpointError(f"{path}: model_type is {found!r}, but only 't5' encoders can be used")
    for key in _SIZES:
        if type(config.get(key)) is not int or config[key] < 1:
            raise CheckpointError(f"{path}: {key} is {config.get(key)!r}, not a positive number")
    return config


def weight_files(directory: Path) -> tuple[Path, ...]:
    """The files that hold the weights: one, or every shard.

    Raises:
        CheckpointError: There are none, or the index of a split checkpoint is malformed or names a file that
            is not there.
    """
    name = next((name for name in WEIGHT_NAMES if (directory / name).is_file()), None)
    if name is None:
        raise CheckpointError(f"{directory}: there is neither model.safetensors nor pytorch_model.bin in it")
    if not name.endswith(".index.json"):
        return (directory / name,)
    shards = tuple(directory / shard for shard in shard_names(directory / name))
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        raise CheckpointError(f"{directory}: {name} names {', '.join(missing)}, which is not there")
    return shards


def shard_names(index: Path) -> list[str]:
    """The shards that an index names, sorted."""
    weight_map = read_json(index).get("weight_map")
    shards = set(weight_map.values()) if isinstance(weight_map, dict) else set()
    if not shards or not all(isinstance(shard, str) for shard in shards):
        raise CheckpointError(f"{index}: it has no weight_map, so the weights cannot be found")
    return sorted(shards)


def encoder_parameters(config: Mapping[str, Any]) -> int:
    """How many parameters the encoder of a T5 configuration has, embedding included."""
    d, inner = config["d_model"], config["num_heads"] * config["d_kv"]
    matrices = 3 if str(config.get("feed_forward_proj", "relu")).startswith("gated-") else 2
    layer = 4 * d * inner + matrices * d * config["d_ff"] + 2 * d
    bias = config.get("relative_attention_num_buckets", 32) * config["num_heads"]
    return int(config["num_layers"] * layer + config["vocab_size"] * d + d + bias)
