"""What the sections of ``bench_cluster`` do in processes of their own, where memory and time are theirs alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import forget_peak_memory, peak_memory
from _bench_vectors import mixture

if TYPE_CHECKING:
    from protvec.cluster import Shards

DIMENSION = 768
_ROWS_AT_ONCE = 100_000


def size_of(path: str | Path) -> int:
    """Bytes of all files below a directory."""
    return sum(each.stat().st_size for each in Path(path).rglob("*") if each.is_file())


# -- shards ------------------------------------------------------------------------------------------------------


class _Noise:
    """An engine of Ankh base's shape that gives random numbers: what comes after it is measured."""

    dimension, precision, engine = DIMENSION, "fp32", "torch"

    def encode(self, sequences: Any) -> Any:  # noqa: ANN401
        """See ``protvec.engine.base.Encoder``."""
        draw = np.random.default_rng(0)
        for sequence in sequences:
            yield draw.standard_normal((len(sequence), DIMENSION), dtype=np.float32)


def _random_fasta(path: Path, count: int, length: int) -> Path:
    chance = np.random.default_rng(1)
    letters = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8)
    with path.open("wb") as stream:
        for number in range(count):
            stream.write(b">random%09d of the benchmark\n" % number + letters[chance.integers(0, 20, length)].tobytes())
            stream.write(b"\n")
    return path


def _cut(folder: str, count: int, length: int, shards: int) -> tuple[Shards, float, float]:
    from protvec import cluster
    from protvec.ingest import Options, open_sources
    from protvec.space import Space

    fasta = _random_fasta(Path(f"{folder}.fa"), count, length)
    space = Space("noise", "none", None, "ab" * 32, DIMENSION)
    forget_peak_memory()
    began, cpu = time.monotonic(), time.process_time()
    with open_sources([fasta]) as sources:
        made = cluster.cut(sources, folder, shards=shards, space=space, codec="int8", options=Options())
    return made, time.monotonic() - began, time.process_time() - cpu


def cut_records(folder: str, count: int) -> dict[str, Any]:
    """Cut records of a tenth of a protein's length."""
    _, seconds, cpu = _cut(folder, count, 40, 64)
    return {"records": count, "seconds": seconds, "cpu": cpu, "peak": peak_memory()}


def make_shards(folder: str, count: int) -> None:
    """Four shards of noise."""
    from protvec import cluster

    made, _, _ = _cut(folder, count, 400, 4)
    for number in range(made.count):
        cluster.embed_shard(made, number, _Noise)


def commit_shards(folder: str, db: str) -> dict[str, Any]:
    """Commit them."""
    from protvec import cluster
    from protvec.store import Store

    shards = cluster.Shards.open(folder)
    store = Store.create(db, shards.manifest.space)
    forget_peak_memory()
    began, cpu = time.monotonic(), time.process_time()
    report = cluster.commit(shards, store)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    size = size_of(db)
    return {
        "proteins": report.added,
        "bytes": size,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "bytes_per_second": size / seconds,
        "proteins_per_second": report.added / seconds,
        "peak": peak_memory(),
    }


# -- searches ----------------------------------------------------------------------------------------------------


def build_index(db: str) -> dict[str, Any]:
    """Build and tune the index of vectors that a database beyond the memory for searches gets."""
    from protvec.store import Store

    store = Store.open(db)
    forget_peak_memory()
    began, cpu = time.monotonic(), time.process_time()
    (index,) = [each for each in store.index("ivf_sq") if each.kind == "ivf_sq"]
    return {
        "seconds": time.monotonic() - began,
        "cpu_seconds": time.process_time() - cpu,
        "peak": peak_memory(),
        "bytes": index.bytes,
        "recall": index.recall,
    }


def search_there(db: str, memory: int | None, searches: int) -> dict[str, Any]:
    """Search with vectors of the database itself, k = 10, as an open database does it after some searches.

    Args:
        db: The database.
        memory: For searches, in bytes; None: protvec's own.
        searches: How many.
    """
    import protvec

    opened = protvec.open(db, search_memory=memory)
    before = peak_memory()
    chance = np.random.default_rng(5)
    rows = opened.store.search(chance.standard_normal(opened.store.space.dimension), k=200, columns=["vector"])
    queries = np.stack(rows["vector"].to_numpy(zero_copy_only=False))
    queries = queries + 0.1 * queries.std() * chance.standard_normal(queries.shape)
    for number in range(5):
        opened.search_vector(queries[number % len(queries)], k=10)
    took = []
    for number in range(searches):
        began = time.perf_counter()
        hits = opened.search_vector(queries[number % len(queries)], k=10)
        took.append(time.perf_counter() - began)
    return {
        "proteins": len(opened),
        "p50": float(np.percentile(took, 50)),
        "p99": float(np.percentile(took, 99)),
        "how": str(hits.index),
        "opened": before,
        "peak": peak_memory(),
    }


def make_vectors(db: str, count: int, dimension: int) -> dict[str, Any]:
    """A database of made-up vectors, written in parts."""
    from protvec.space import Space
    from protvec.store import Store, digest, protein_table

    store = Store.create(db, Space("synthetic", "lab/synthetic", "0" * 40, "0" * 64, dimension), codec="none")
    began, start = time.monotonic(), 0
    for part in mixture(count, dimension, at_once=_ROWS_AT_ONCE):
        rows = [
            {"id": f"P{i:08d}", "digest": digest(f"{i}"), "sequence": "MKV", "description": f"protein {i}"}
            for i in range(start, start + len(part))
        ]
        store.write(protein_table(rows, part), ())
        start += len(part)
    return {"seconds": time.monotonic() - began, "peak": peak_memory(), "bytes": size_of(db)}
