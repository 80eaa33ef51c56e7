"""How long a whole ``protvec search`` takes, from a cold process to printed hits."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import Spread, WorkerError
from _bench_encoders import model_argument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protvec.fasta import Record
    from protvec.models import Checkpoint

SEARCHES, QUERY_RESIDUES, DATABASE_PROTEINS = 5, 300, 12_653


def time_searches(
    title: str, checkpoint: Checkpoint, records: Sequence[Record], settings: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Whole processes of ``protvec search``, with the first engine and precision that works here."""
    query = next(r.sequence for r in records if len(r.sequence) >= QUERY_RESIDUES)[:QUERY_RESIDUES]
    stored = records[:DATABASE_PROTEINS]
    with tempfile.TemporaryDirectory() as scratch:
        db = Path(scratch) / "synthetic.lancedb"
        write_database(db, checkpoint, stored)
        for engine, precision in settings:
            model = model_argument(checkpoint)
            command = [sys.executable, "-m", "protvec", "search", query, "--db", str(db), "--model", model]
            command += ["--engine", engine, "--precision", precision, "--offline", "--format", "tsv"]
            try:
                first = time_process(command)  # may convert and check the model
                seconds = [time_process(command) for _ in range(SEARCHES)]
            except WorkerError as error:
                print(f"{title}: {engine} {precision} not available: {error}", flush=True)
                continue
            spread = Spread.of(seconds)
            print(f"{title}: {engine} {precision}, {len(stored)} proteins, {len(query)} residues:", end=" ")
            print(f"{spread.median:.2f} s ({spread.low:.2f}-{spread.high:.2f})", flush=True)
            found = {
                "engine": engine,
                "precision": precision,
                "first": first,
                "seconds": seconds,
                "median": spread.median,
            }
            return {"model": title, "proteins": len(stored), "query_residues": len(query), **found}
    return {"model": title, "problem": "no engine could search"}


def write_database(path: Path, checkpoint: Checkpoint, records: Sequence[Record]) -> None:
    """A database of real proteins with vectors that are not: from a normal distribution, always the same.

    Its search space is fitted as an ingest does it, so that hits have what they have in a real one.
    """
    from protvec.store import Store, digest, protein_table

    store = Store.create(path, checkpoint.space, codec="none")
    rng = np.random.default_rng(0)
    for start in range(0, len(records), 2_000):
        part = records[start : start + 2_000]
        rows = [
            {"id": r.id, "digest": digest(r.sequence), "sequence": r.sequence, "description": r.description}
            for r in part
        ]
        vectors = rng.standard_normal((len(part), checkpoint.space.dimension), dtype=np.float32)
        store.write(protein_table(rows, vectors), ())
    store.compact()
    store.calibrate()


def time_process(command: Sequence[str]) -> float:
    """Seconds that a search takes as a whole.

    Raises:
        WorkerError: It failed, or printed no hits.
    """
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode or len(done.stdout.splitlines()) < 2:  # a header and a hit
        raise WorkerError((done.stderr.strip() or "it printed no hits").splitlines()[-1][:200])
    return seconds
