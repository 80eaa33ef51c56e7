"""Search by an index of vectors, and how many of its parts to look into."""

from __future__ import annotations

import dataclasses
import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from protvec.store import exact
from protvec.store.filters import enclosed
from protvec.store.index.record import VECTOR_INDEX, rows_outside
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
_SAMPLE = 128  # vectors of the database that recall is measured with
_K = 10
METRIC = "cosine"
_PARTITION_ROWS = 1024  # of which a search looks through some dozens
# Vectors for each partition that its centre is learnt from, and bytes that all of these may take while it is.
_SAMPLED, _LEAST_SAMPLED, _SAMPLE_BYTES = 256, 8, 1 << 30
_REFINE = {"ivf_flat": (1,), "ivf_sq": (2, 8)}
_MORE = 2  # times as many partitions as in proportion, where a condition leaves few rows in each


def build(dataset: LanceDataset, kind: str, column: str) -> None:
    """Make the index of vectors, in one commit, in place of one that there is; in bounded memory."""
    partitions = partitions_of(int(dataset.count_rows()))
    dataset.create_index(
        column,
        kind.upper(),
        name=VECTOR_INDEX,
        metric=METRIC,
        num_partitions=partitions,
        sample_rate=sampled(partitions, dataset.schema.field(column).type.list_size),
        replace=True,
    )


def partitions_of(rows: int) -> int:
    """How many partitions an index of so many rows has."""
    return max(1, rows // _PARTITION_ROWS)


def sampled(partitions: int, dimension: int) -> int:
    """How many vectors for each partition its centre is learnt from: as many as there is memory for."""
    return max(_LEAST_SAMPLED, min(_SAMPLED, _SAMPLE_BYTES // (partitions * dimension * 4)))


def pending(dataset: LanceDataset) -> int:
    """Rows that the index has not."""
    ours = [each for each in dataset.describe_indices() if each.name == VECTOR_INDEX]
    return sum(rows_outside(dataset, each) for each in ours) if ours else int(dataset.count_rows())


def search(
    dataset: LanceDataset,
    queries: NDArray[np.float32],
    record: Record,
    *,
    k: int,
    where: str | None,
    columns: Sequence[str],
    vectors: str,
    passing: int | None = None,
) -> list[pa.Table]:
    """The k rows nearest to each query, as far as the index finds them; rows it has not are compared one by one.

    Of few rows that meet a condition, the nearest are spread over more partitions: so many more are looked into.

    Args:
        dataset: A handle on ``proteins``.
        queries: ndarray, shape=(N, D), dtype=float32, checked.
        record: How to search it.
        k: Rows for each query.
        where: The user's filter.
        columns: Columns of the result, before ``score`` (float64), with ``id``.
        vectors: The column that is indexed.
        passing: How many rows meet the condition; by default all.
    """
    rows = int(dataset.count_rows())
    passing = rows if passing is None else passing
    partitions = partitions_of(rows)
    share = passing / max(1, rows)
    nprobes = round(record.nprobes * max(1, k / _K))  # it was tuned for ten: more neighbours are farther apart
    if share < 1:
        nprobes = math.ceil(_MORE * nprobes / max(share, 1e-9))
    fetched = list(dict.fromkeys([*columns, vectors, "_distance"]))
    least = min(k, passing)
    tables = []
    for query in queries:
        nearest = {"column": vectors, "q": query, "k": k + _SPARE, "refine_factor": record.refine}
        near = _near(dataset, nearest, where, fetched, min(nprobes, partitions))
        if near.num_rows < least:
            near = _near(dataset, nearest, where, fetched, partitions)
        tables.append(exact.ranked(near, query, vectors).slice(0, k).select([*columns, "score"]))
    return tables


def _near(
    dataset: LanceDataset, nearest: dict[str, object], where: str | None, columns: list[str], nprobes: int
) -> pa.Table:
    """What so many partitions have. Without a maximum, lance goes through all of them."""
    nearest = nearest | {"metric": METRIC, "minimum_nprobes": nprobes, "maximum_nprobes": nprobes}
    return read(dataset, where=enclosed(where), user=where, columns=columns, nearest=nearest, prefilter=True)


def tuned(dataset: LanceDataset, record: Record, column: str) -> Record:
    """The record with the cheapest settings that reach its target on vectors of the database, and what they reach.

    Each of a sample of proteins is a query; it itself does not count. The mean of so few may be off by two of its
    standard errors, which are to leave it above the target.
    """
    rows = int(dataset.count_rows())
    places = np.sort(np.random.default_rng(0).choice(rows, min(_SAMPLE, rows), replace=False))
    sample = dataset.take(places.tolist(), columns=["id", column])
    queries = matrix_of(sample[column])
    names = sample["id"].to_pylist()
    nearest = exact.search(dataset, queries, k=_K + 1, where=None, columns=["id"], vectors=column)
    truth = [_others(table, name) for name, table in zip(names, nearest, strict=True)]
    partitions = partitions_of(rows)
    probes = [n for n in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if n < partitions] + [partitions]
    best = record
    for nprobes, refine in product(probes, _REFINE[str(record.built)]):
        attempt = dataclasses.replace(record, nprobes=nprobes, refine=refine)
        found = search(dataset, queries, attempt, k=_K + 1, where=None, columns=["id"], vectors=column)
        shares = [
            len(_others(table, name) & true) / max(1, len(true))
            for name, table, true in zip(names, found, truth, strict=True)
        ]
        best = dataclasses.replace(attempt, recall=float(np.mean(shares)))
        if np.mean(shares) - 2 * np.std(shares) / np.sqrt(len(shares)) >= record.target:
            break
    return best


def _others(table: pa.Table, name: str) -> set[str]:
    return set([each for each in table["id"].to_pylist() if each != name][:_K])
