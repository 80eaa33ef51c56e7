"""SHA-256 of weights, without reading gigabytes twice."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 22
# A file changed this lately may change again without its time stamp moving: its digest is not remembered yet.
_SETTLED_SECONDS = 2.0


def weights_digest(files: Sequence[Path]) -> str:
    """The digest that names an embedding space.

    Args:
        files: The weights: one file, or the shards of one checkpoint.

    Returns:
        SHA-256 in hexadecimal: of the file where there is one, else of the lines ``<name> <sha256>`` of the
        shards in the order of their names.
    """
    if len(files) == 1:
        return file_digest(files[0])
    lines = sorted(f"{path.name} {file_digest(path)}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of one file: from the Hugging Face cache, from memory, or by reading it.

    The Hugging Face cache stores a large file as ``blobs/<sha256>`` and links to it. The digest of any other
    file is remembered in the user's cache directory by path, size, time of change and inode.
    """
    real = path.resolve()
    if real.parent.name == "blobs" and _SHA256.fullmatch(real.name):
        return real.name
    stat = real.stat()
    key = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
    memory = _recall()
    known = memory.get(str(real))
    if isinstance(known, list) and known[:-1] == key:
        return str(known[-1])
    digest = _read(real)
    if time.time() - stat.st_mtime > _SETTLED_SECONDS:
        _remember({**memory, str(real): [*key, digest]})
    return digest


def _read(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _memory_file() -> Path:
    return Path(platformdirs.user_cache_dir("protvec", appauthor=False)) / "digests.json"


def _recall() -> dict[str, object]:
    try:
        memory = json.loads(_memory_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return memory if isinstance(memory, dict) else {}


def _remember(memory: dict[str, object]) -> None:
    """Replace the file whole. Of two writers at once the last wins: the other file is read again some day."""
    target = _memory_file()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix="digests-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(memory, file)
        Path(name).replace(target)
    except OSError:
        return  # a cache directory that cannot be written costs time, not correctness
