"""Fetching weights from the Hugging Face hub: the only code of protvec that touches the network."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from protvec.errors import ModelUnavailableError
from protvec.models.checkpoint import Checkpoint, find, locate, unavailable
from protvec.models.config import CONFIG, WEIGHT_NAMES
from protvec.models.table import MODELS, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Progress = Callable[[int, int], None]

# No answer within this: no network. Importing the hub's client comes on top; all of it must stay below 5 s.
PROBE_SECONDS = 3.0
_TOKENIZER_FILES = (
    "tokenizer.json",
    "spiece.model",
    "added_tokens.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)


@dataclass(frozen=True)
class ModelStatus:
    """One line of ``protvec models``.

    Attributes:
        spec: The entry of the table.
        path: Where its checkpoint is on this machine; None where it is not, or not whole.
        size: Bytes of the checkpoint on disk; 0 where it is not here.
    """

    spec: ModelSpec
    path: Path | None
    size: int

    @property
    def here(self) -> bool:
        """Whether it can be used without a fetch."""
        return self.path is not None


def listing(*, cache_dir: Path | None = None) -> list[ModelStatus]:
    """Every model of the table and whether it is here, in the order of the table. Reads no weights."""
    found = [(spec, locate(spec, cache_dir=cache_dir)) for spec in MODELS.values()]
    return [ModelStatus(spec, path, _size(path) if path else 0) for spec, path in found]


def obtain(
    model: str | Path,
    *,
    offline: bool = False,
    notify: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Checkpoint:
    """The checkpoint of a model, fetched where it is not here.

    Args:
        model: A name of ``MODELS`` or a path to a checkpoint directory.
        offline: Never touch the network.
        notify: Called with one line before a fetch: what is fetched, its size, its licence.
        progress: As for ``pull``.

    Raises:
        ModelUnavailableError: Not here, and offline or with no answer from the hub; within 5 seconds.
        UnknownModelError: Neither a name nor a directory.
        CheckpointError: Weights are here, but not what they should be.
    """
    try:
        return find(model, offline=offline)
    except ModelUnavailableError:
        spec = MODELS[str(model)]
        if offline or spec.repository is None:
            raise
    if not reachable(spec):
        raise unavailable(spec, "and the hub does not answer")
    if notify is not None:
        notify(licence_line(spec))
    return pull(spec.name, progress=progress)


def licence_line(spec: ModelSpec) -> str:
    """What a user must know before a fetch: what, from where, how large, under which licence."""
    terms = " (non-commercial use only)" if spec.non_commercial else ""
    what = f"{spec.name} ({spec.download_bytes / 1e9:.1f} GB) from {spec.repository}"
    return f"fetching {what}; licence of the weights: {spec.licence}{terms}"


def pull(name: str, *, progress: Progress | None = None) -> Checkpoint:
    """Fetch a model into the Hugging Face cache; one that is here already is left as it is.

    Args:
        name: A name of ``MODELS``.
        progress: Called now and then with bytes done and bytes in all, from another thread.

    Raises:
        UnknownModelError: No such name.
        ModelUnavailableError: The fetch failed. What came so far is kept, and the next one goes on there.
        CheckpointError: What came is not what it should be.
    """
    with contextlib.suppress(ModelUnavailableError):
        return find(name)
    spec = MODELS[name]
    if spec.repository is None:
        raise unavailable(spec)
    try:
        _fetch(spec, progress)
    except (OSError, RuntimeError) as error:  # every error of the hub's client, of requests and of the disk
        raise unavailable(spec, f"the fetch failed: {_reason(error)}") from error
    return find(name)


def reachable(spec: ModelSpec, *, seconds: float = PROBE_SECONDS) -> bool:
    """Whether the hub answers for a model's repository in time.

    In a thread, because no timeout of a request covers the look-up of the host's name.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    answers: list[bool] = []

    def ask() -> None:
        with contextlib.suppress(OSError):
            url = f"{constants.ENDPOINT}/api/models/{spec.repository}"
            answers.append(bool(get_session().head(url, timeout=seconds, allow_redirects=True).ok))

    probe = threading.Thread(target=ask, daemon=True)
    probe.start()
    probe.join(seconds)
    return answers == [True]


def _reason(error: Exception) -> str:
    from requests import exceptions

    if isinstance(error, (exceptions.ConnectionError, exceptions.Timeout)):
        return "the hub does not answer"
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]


def _fetch(spec: ModelSpec, progress: Progress | None) -> None:
    from huggingface_hub import HfApi, constants

    repository = str(spec.repository)
    api = HfApi(library_name="protvec")
    # A branch, not the commit behind it, so that the cache notes which commit ``main`` was.
    revision = spec.revision or "main"
    info = api.model_info(repository, revision=revision, files_metadata=True, timeout=30)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    files = needed_files(sizes)
    if not files:
        raise ModelUnavailableError(f"{repository}@{revision} holds no weights that protvec can read")
    blobs = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}" / "blobs"
    with _quiet_bars(), _reporting(progress, blobs, total=sum(sizes[name] for name in files)):
        api.snapshot_download(repository, revision=revision, allow_patterns=files)


def needed_files(names: Iterable[str]) -> list[str]:
    """The files of a repository that protvec reads: configuration, vocabulary, and the weights once.

    Weights are often there in several formats; the first of ``WEIGHT_NAMES`` is the one that is loaded.
    """
    present = sorted(names)
    weights = next((name for name in WEIGHT_NAMES if name in present), None)
    if weights is None:
        return []
    files = [name for name in present if name in (CONFIG, weights, *_TOKENIZER_FILES)]
    if weights.endswith(".index.json"):
        stem, suffix = weights.removesuffix(".index.json").rsplit(".", 1)
        files += [name for name in present if name.startswith(f"{stem}-") and name.endswith(f".{suffix}")]
    return files


@contextlib.contextmanager
def _quiet_bars() -> Iterator[None]:
    """Without the hub's own progress bars: printing is the caller's business."""
    from huggingface_hub import utils

    if utils.are_progress_bars_disabled():  # type: ignore[attr-defined]
        yield
        return
    utils.disable_progress_bars()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        utils.enable_progress_bars()  # type: ignore[attr-defined]


@contextlib.contextmanager
def _reporting(progress: Progress | None, blobs: Path, *, total: int) -> Iterator[None]:
    """Report how the cache's folder grows, which is true for every way in which the hub transfers files."""
    if progress is None:
        yield
        return
    before = sum(path.stat().st_size for path in _files(blobs) if path.suffix != ".incomplete")
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            progress(min(max(_size(blobs) - before, 0), total), total)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    progress(total, total)


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.glob("*") if path.is_file()] if directory.is_dir() else []


def _size(directory: Path) -> int:
    """Bytes of the files right in a directory; a file that goes away meanwhile counts nothing."""
    total = 0
    for path in _files(directory):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total
