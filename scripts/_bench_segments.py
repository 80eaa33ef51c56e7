"""What segments cost searches: one query, many at once, all against all, with them and without, in one database."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from protvec import Database

AT_ONCE = 512
_WAYS = {"without": False, "with": True}


def made(fasta: Path, directory: Path) -> Path:
    """A database of these proteins with ``near``; how long it takes is nothing of this."""
    import protvec

    path = directory / "segments.lancedb"
    database = protvec.create(path, model="near")
    database.ingest(fasta)
    database.calibrate()
    return path


def segments(path: str, queries: int) -> dict[str, Any]:
    """Milliseconds of a clock and of processors a query, with segments and without.

    Args:
        path: The database.
        queries: How many are asked one after another.
    """
    import protvec

    database = protvec.open(path)
    ids = [id for batch in database.store.iter_proteins(columns=["id"]) for id in batch["id"].to_pylist()]
    drawn = np.random.default_rng(0).permutation(ids).tolist()
    found: dict[str, Any] = {"proteins": len(ids)}
    for name, cut in _WAYS.items():
        one = _each(database, drawn[:queries], cut)
        list(database.search_ids(drawn[:16], segments=cut))
        many = drawn[:AT_ONCE]
        at_once = _timed(lambda many=many, cut=cut: list(database.search_ids(many, segments=cut)), len(many))
        every = _timed(lambda cut=cut: sum(1 for _ in database.search_all(segments=cut)), 1)
        found[name] = {"one": one, "at_once": at_once, "all": every}
    return found


def _each(database: Database, ids: list[str], cut: bool) -> dict[str, float]:
    for each in ids[:8]:
        database.search_id(each, segments=cut)
    seconds, processors = [], time.process_time()
    for each in ids:
        start = time.perf_counter()
        database.search_id(each, segments=cut)
        seconds.append(time.perf_counter() - start)
    processors = time.process_time() - processors
    low, high = np.quantile(seconds, [0.5, 0.99]) * 1e3
    return {"p50": float(low), "p99": float(high), "processors": processors / len(ids) * 1e3}


def _timed(work: Callable[[], object], number: int) -> dict[str, float]:
    clock, processors = time.perf_counter(), time.process_time()
    work()
    clock, processors = time.perf_counter() - clock, time.process_time() - processors
    return {"clock": clock / number * 1e3, "processors": processors / number * 1e3}


def shown(found: dict[str, Any]) -> list[list[str]]:
    """A row of a table for each way."""
    rows = []
    for name in _WAYS:
        one, many, every = (found[name][key] for key in ("one", "at_once", "all"))
        figures = [f"{one['p50']:.1f}", f"{one['p99']:.1f}", f"{one['processors']:.1f}"]
        figures += [f"{many[key]:.2f}" for key in ("clock", "processors")]
        rows.append([f"{name} segments", *figures, *(f"{every[key] / 1e3:.1f}" for key in ("clock", "processors"))])
    return rows
