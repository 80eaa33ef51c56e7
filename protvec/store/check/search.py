"""Search vectors against the vectors that they are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from protvec.errors import DatabaseError
from protvec.store.check.arrays import SAMPLE
from protvec.store.check.findings import Finding
from protvec.store.filters import LANCE_ERRORS, brief
from protvec.store.schema import PROTEINS, TRANSFORMS, matrix_of
from protvec.store.scoring.column import missing
from protvec.store.scoring.record import is_search_column, scoring_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from lance import LanceDataset

    from protvec.store.scoring import Scoring
    from protvec.store.store import Store

# What rounding may change of a component, on another machine too; those of unit vectors.
_TOLERANCE = 1e-4
_BATCH_ROWS = 4096


def check_search(store: Store, proteins: LanceDataset, *, full: bool) -> Iterator[Finding]:
    """Search vectors that are missing or not what the transform makes, and columns of fits that came to nothing.

    Args:
        store: The database.
        proteins: A handle on a table whose files can all be read.
        full: Compare every search vector, not a sample of 256.
    """
    scoring = scoring_of(proteins.schema)
    loose = tuple(name for name in proteins.schema.names if is_search_column(name) and name not in scoring.columns)
    if loose and store.at is None:
        message = f"{len(loose)} columns of search vectors that no search uses"
        yield Finding("search-column", PROTEINS, message, len(loose), loose, level="leftover")
    if scoring.key is None:
        return
    try:
        yield from _column(store, proteins, scoring, full=full)
    except LANCE_ERRORS as error:
        message = f"the file of the search vectors cannot be read ({brief(error)}); they are made of the vectors"
        yield Finding("search-damaged", PROTEINS, message, 1, (scoring.column,))


def _column(store: Store, proteins: LanceDataset, scoring: Scoring, *, full: bool) -> Iterator[Finding]:
    """What there is to be said of the column that searches use."""
    assert scoring.key is not None
    if lacking := missing(proteins, scoring.column):
        message = f"{lacking:,} proteins have no search vector, which is made anew for every search"
        yield Finding("no-search-vector", PROTEINS, message, lacking, level="leftover")
    try:
        transform = store.transform(scoring.key)
        if scoring.segments_key is not None:
            store.transform(scoring.segments_key)
    except DatabaseError as error:
        yield Finding("no-transform", TRANSFORMS, str(error), 1, (scoring.key,))
        return
    wrong: list[str] = []
    for batch in _rows(proteins, scoring.column, full=full):
        there = batch.filter(batch[scoring.column].is_valid())
        expected = transform.apply(matrix_of(there["vector"]))
        differs = ~(np.abs(expected - matrix_of(there[scoring.column])) <= _TOLERANCE).all(axis=1)
        wrong += there["id"].filter(differs).to_pylist()
    if wrong:
        message = f"{len(wrong):,} search vectors are not those of their proteins"
        yield Finding("wrong-search-vector", PROTEINS, message, len(wrong), tuple(wrong))


def _rows(proteins: LanceDataset, column: str, *, full: bool) -> Iterator[pa.Table]:
    import pyarrow as pa

    columns = ["id", "vector", column]
    rows = int(proteins.count_rows())
    if full or rows <= SAMPLE:
        for batch in proteins.scanner(columns=columns, batch_size=_BATCH_ROWS).to_batches():
            yield pa.Table.from_batches([batch])
        return
    places = np.sort(np.random.default_rng().choice(rows, SAMPLE, replace=False))
    yield proteins.take(places.tolist(), columns=columns)
