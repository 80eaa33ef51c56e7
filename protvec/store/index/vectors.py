"""Search by an index of vectors, and how many of its parts to look into."""

from __future__ import annotations

import dataclasses
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from protvec.store import exact
from protvec.store.filters import enclosed
from protvec.store.index.record import VECTOR_INDEX
from protvec.store.schema import matrix_of
from protvec.store.tables import read

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import NDArray

    from protvec.store.index.record import Record

# Rows more than k that are asked for: float64 decides which of nearly equal ones are the k best.
_SPARE = 16
_SAMPLE = 64  # vectors of the database that recall is measured with
_K = 10
_PARTITION_ROWS = 1024  # of which a search looks through some dozens
_REFINE = {"ivf_flat": (1,), "ivf_sq": (2, 8)}


def build(dataset: LanceDataset, kind: str) -> None:
    """Make the index of vectors, in one commit, in place of one that there is."""
    partitions = max(1, int(dataset.count_rows()) // _PARTITION_ROWS)
    dataset.create_index(
        "vector", kind.upper(), name=VECTOR_INDEX, metric="cosine", num_partitions=partitions, replace=True
    )


def pending(dataset: LanceDataset) -> int:
    """Rows that the index has not."""
    indexed = sum(int(each.num_rows_indexed) for each in dataset.describe_indices() if each.name == VECTOR_INDEX)
    return max(0, int(dataset.count_rows()) - indexed)


def search(
    dataset: LanceDataset,
    queries: NDArray[np.float32],
    record: Record,
    *,
    k: int,
    where: str | None,
    columns: Sequence[str],
) -> list[pa.Table]:
    """The k rows nearest to each query, as far as the index finds them; rows it has not are compared one by one.

    Args:
        dataset: A handle on ``proteins``.
        queries: ndarray, shape=(N, D), dtype=float32, checked.
        record: How to search it.
        k: Rows for each query.
        where: The user's filter.
        columns: Columns of the result, before ``score`` (float64), with ``id``.
    """
    fetched = list(dict.fromkeys([*columns, "vector", "_distance"]))
    found = [exact.ranked(_near(dataset, query, record, k + _SPARE, where, fetched), query) for query in queries]
    return [table.slice(0, k).select([*columns, "score"]) for table in found]


def _near(
    dataset: LanceDataset, query: NDArray[np.float32], record: Record, k: int, where: str | None, columns: list[str]
) -> pa.Table:
    nearest = {
        "column": "vector",
        "q": query,
        "k": k,
        "metric": "cosine",
        "minimum_nprobes": record.nprobes,
        "refine_factor": record.refine,
    }
    return read(dataset, where=enclosed(where), user=where, columns=columns, nearest=nearest, prefilter=True)


def tuned(dataset: LanceDataset, record: Record) -> Record:
    """The record with the cheapest settings that reach its target on vectors of the database, and what they reach.

    Each of a sample of proteins is a query; it itself does not count.
    """
    rows = int(dataset.count_rows())
    places = np.sort(np.random.default_rng(0).choice(rows, min(_SAMPLE, rows), replace=False))
    sample = dataset.take(places.tolist(), columns=["id", "vector"])
    queries = matrix_of(sample["vector"])
    names = sample["id"].to_pylist()
    truth = [
        _others(table, name)
        for name, table in zip(names, exact.search(dataset, queries, k=_K + 1, where=None, columns=["id"]), strict=True)
    ]
    partitions = max(1, rows // _PARTITION_ROWS)
    probes = [n for n in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if n < partitions] + [partitions]
    best = record
    for nprobes, refine in product(probes, _REFINE[str(record.built)]):
        attempt = dataclasses.replace(record, nprobes=nprobes, refine=refine)
        found = search(dataset, queries, attempt, k=_K + 1, where=None, columns=["id"])
        shares = [
            len(_others(table, name) & true) / max(1, len(true))
            for name, table, true in zip(names, found, truth, strict=True)
        ]
        best = dataclasses.replace(attempt, recall=float(np.mean(shares)))
        if best.recall is not None and best.recall >= record.target:
            break
    return best


def _others(table: pa.Table, name: str) -> set[str]:
    return set([each for each in table["id"].to_pylist() if each != name][:_K])
