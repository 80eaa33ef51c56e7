"""The vectors that searches are compared on: of real proteins with ``near``, and made up to imitate Ankh's."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

# Sequences of Swiss-Prot as Debian packages them, in a BLAST database.
DEBIAN = "metastudent-data"
BLAST = "usr/share/metastudent-data/dataset_201401/BPO/goasp.fasta.psq"
_PART = 10_000  # made-up vectors at a time
_EVERY = 4  # those beside one another are alike; fewer are the first of more
_STDAA = b"-ABCDEFGHIKLMNPQRSTVWXYZU*OJ"  # NCBI's code of residues


def synthetic(count: int, dimension: int = 768, *, seed: int = 0) -> NDArray[np.float32]:
    """A mixture: one direction that all vectors share, clusters of some 50 around it, and noise. Cosines near 1.

    Returns:
        ndarray, shape=(count, dimension), dtype=float32.
    """
    vectors = np.empty((count, dimension), np.float32)
    for number, part in enumerate(mixture(count, dimension, seed=seed)):
        vectors[number * _PART : number * _PART + len(part)] = part
    return vectors


def mixture(count: int, dimension: int, *, seed: int = 0, at_once: int = _PART) -> Iterator[NDArray[np.float32]]:
    """The same in parts: ndarrays, shape=(at most ``at_once``, dimension), dtype=float32."""
    rng = np.random.default_rng(seed)
    common = 3 * np.random.default_rng(0).standard_normal(dimension, dtype=np.float32)
    centres = np.random.default_rng(1).standard_normal((max(20, count // 50), dimension), dtype=np.float32)
    for start in range(0, count, at_once):
        part = rng.standard_normal((min(at_once, count - start), dimension), dtype=np.float32)
        part *= 0.3
        part += common
        part += 0.5 * centres[rng.integers(0, len(centres), len(part))]
        yield part


def embedded(sequences: Sequence[str], cache: Path | None, name: str) -> NDArray[np.float32]:
    """The vectors of ``near``; kept in a file of the cache directory, if there is one."""
    file = cache / f"{name}-{len(sequences)}.npy" if cache else None
    if file and file.exists():
        return np.load(file)
    from protvec import Settings
    from protvec.engine.base import embed

    settings = Settings(model="near", offline=True)
    encoder = settings.encoder(settings.checkpoint())
    vectors = np.stack([each.vector for each in embed(encoder, sequences)])
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, vectors)
    return vectors


def swissprot(file: Path | None, scratch: Path, count: int, longest: int = 2_000) -> list[str]:
    """Distinct sequences of Swiss-Prot, at most so many and so long, from the file or from Debian's package."""
    source = file or _installed() or _fetched(scratch)
    table = bytes.maketrans(bytes(range(len(_STDAA))), _STDAA)
    unique = dict.fromkeys(part for part in source.read_bytes().split(b"\0") if 30 <= len(part) <= longest)
    return [part.translate(table).decode().strip("*-") for part in list(unique)[::_EVERY][:count]]


def _installed() -> Path | None:
    file = Path("/", BLAST)
    return file if file.exists() else None


def _fetched(scratch: Path) -> Path:
    """The file out of the package, which is downloaded and not installed."""
    subprocess.run(["apt-get", "download", DEBIAN], cwd=scratch, check=True, capture_output=True)
    (package,) = scratch.glob(f"{DEBIAN}_*.deb")
    subprocess.run(["dpkg", "-x", str(package), str(scratch)], check=True)
    package.unlink()
    return scratch / BLAST
