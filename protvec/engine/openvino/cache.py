"""Converted models under the user's cache directory: made once, never seen half-written.

A conversion is a directory that is filled under another name and renamed when it is complete. A manifest in
it says what it was made from and how long its files are; a directory that does not agree with its manifest
is made again. Processes that want the same conversion wait for one another.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from protvec.models import Checkpoint

# Raised whenever the same checkpoint would be converted to something else.
VERSION = 8
MANIFEST = "manifest.json"
_UNFINISHED = ".unfinished"
_LOCK = ".lock"


@dataclass(frozen=True)
class Key:
    """What a conversion depends on.

    Attributes:
        model: Name of the model.
        revision: Of the model; None for a local directory.
        weights: SHA-256 of the weights.
        precision: ``fp32``, ``bf16`` or ``int8``.
        openvino: Version of OpenVINO that wrote it.
        version: Of the converter.
        fixed: Whether inputs may be rounded with steps that were settled at conversion; int8 alone has such.
    """

    model: str
    revision: str | None
    weights: str
    precision: str
    openvino: str
    version: int = VERSION
    fixed: bool = True

    @classmethod
    def of(cls, checkpoint: Checkpoint, precision: str, *, fixed: bool = True) -> Key:
        """The key of a checkpoint in a precision, here and now."""
        from importlib.metadata import version

        space = checkpoint.space
        return cls(space.model, space.revision, space.weights, precision, version("openvino"), fixed=fixed)

    @property
    def directory_name(self) -> str:
        """A name that differs wherever the key does, and that a person can read."""
        name = re.sub(r"[^A-Za-z0-9._-]", "_", self.model).lstrip(".") or "model"
        revision = f"-{self.revision[:12]}" if self.revision else ""
        precision = self.precision if self.fixed else f"{self.precision}-free"
        parts = (self.weights[:16], precision, f"v{self.version}", f"ov{self.openvino}")
        return f"{name}{revision}-{'-'.join(parts)}"


@dataclass(frozen=True)
class Conversion:
    """A complete conversion on this machine.

    Attributes:
        key: What it was made from.
        directory: Where it is.
        bytes: Room that it takes on the disk, with what was derived from it.
    """

    key: Key
    directory: Path
    bytes: int


def cache_directory() -> Path:
    """Where conversions are kept."""
    from platformdirs import user_cache_path

    return user_cache_path("protvec") / "openvino"


def find(key: Key, root: Path | None = None) -> Conversion | None:
    """The complete conversion of that key; None where there is none."""
    conversion = _read((root or cache_directory()) / key.directory_name)
    return conversion if conversion and conversion.key == key else None


def make(key: Key, fill: Callable[[Path], None], root: Path | None = None) -> Conversion:
    """Find a conversion, or make it.

    Args:
        key: What it depends on.
        fill: Writes its files into an empty directory.
        root: Instead of the cache directory.
    """
    root = root or cache_directory()
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / f"{key.directory_name}{_LOCK}"):
        if found := find(key, root):
            return found  # another process made it while this one waited
        final, unfinished = root / key.directory_name, root / f"{key.directory_name}{_UNFINISHED}"
        for leftover in (final, unfinished):  # of a process that was killed, or of a disk that failed
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished.mkdir()
        try:
            fill(unfinished)
            _write_manifest(unfinished, key)
            unfinished.rename(final)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    made = find(key, root)
    if made is None:
        raise OSError(f"{final}: the conversion was written but cannot be read back")
    return made


@contextlib.contextmanager
def held(key: Key, root: Path | None = None) -> Iterator[Conversion | None]:
    """A conversion, or None, that no other process makes or replaces for as long as this holds."""
    root = root or cache_directory()
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / f"{key.directory_name}{_LOCK}"):
        yield find(key, root)


def discard(conversion: Conversion) -> None:
    """Delete one conversion; a process that runs it keeps running."""
    _delete(conversion.directory)


def converted(root: Path | None = None) -> list[Conversion]:
    """All complete conversions, sorted by name."""
    root = root or cache_directory()
    entries = sorted(root.iterdir()) if root.is_dir() else []
    return [found for entry in entries if (found := _read(entry))]


def remove(model: str | None = None, *, precision: str | None = None, root: Path | None = None) -> int:
    """Delete conversions, and what killed conversions left behind.

    A process that runs one of them keeps running.

    Args:
        model: Name of the model; None for every model.
        precision: Of the conversion; None for every one.
        root: Instead of the cache directory.

    Returns:
        Bytes that were freed.
    """
    root = root or cache_directory()
    freed = 0
    for conversion in converted(root):
        key = conversion.key
        if model in (None, key.model) and precision in (None, key.precision):
            freed += _delete(conversion.directory)
    for entry in root.iterdir() if root.is_dir() else ():
        if entry.name.endswith(_UNFINISHED):
            freed += _delete_abandoned(entry)
    return freed


def _delete_abandoned(unfinished: Path) -> int:
    """Delete it, unless a process is at work on it."""
    lock = unfinished.with_name(unfinished.name.removesuffix(_UNFINISHED) + _LOCK)
    with contextlib.suppress(BlockingIOError), _locked(lock, wait=False):
        return _delete(unfinished)
    return 0


def _delete(directory: Path) -> int:
    """Delete a directory; it is renamed first, so that what is half deleted does not look complete."""
    size = _size(directory)
    name = directory.name.removesuffix(_UNFINISHED)
    gone = directory.rename(directory.with_name(f"{name}{_UNFINISHED}"))
    shutil.rmtree(gone)
    return size


def _read(directory: Path) -> Conversion | None:
    """A conversion, if the directory holds all that its manifest lists."""
    if directory.name.endswith(_UNFINISHED):
        return None
    try:
        manifest: dict[str, Any] = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        key = Key(**manifest["key"])
        sizes = dict(manifest["files"])
        complete = all((directory / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return Conversion(key, directory, _size(directory)) if complete else None


def _write_manifest(directory: Path, key: Key) -> None:
    files = {path.name: path.stat().st_size for path in sorted(directory.iterdir())}
    content = json.dumps({"key": asdict(key), "files": files}, indent=1)
    (directory / MANIFEST).write_text(content, encoding="utf-8")


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir() if path.is_file())


@contextlib.contextmanager
def _locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock of the system, which lets go when its process ends, however it ends."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
