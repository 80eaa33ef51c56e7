"""Segments of long proteins against their lengths, their residues, and what searches compare of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from protvec.errors import DatabaseError
from protvec.store.arrays import read_arrays
from protvec.store.check.arrays import SAMPLE
from protvec.store.check.findings import Finding
from protvec.store.digest import NO_SEQUENCE
from protvec.store.filters import LANCE_ERRORS
from protvec.store.schema import PROTEINS, matrix_of
from protvec.store.scoring.column import missing
from protvec.store.scoring.record import SEGMENTS, scoring_of
from protvec.store.segments.rule import rule_of
from protvec.store.segments.vectors import codes_column, means_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from lance import LanceDataset

    from protvec.store.segments import Rule
    from protvec.store.store import Store

_BATCH_ROWS = 1024
_ARRAYS_AT_ONCE = 32
# How far a mean of decoded residues may be off, relative to the residues: int4 takes a fifth of each.
_TOLERANCE = 0.05


def check_segments(store: Store, proteins: LanceDataset, residues: LanceDataset, *, full: bool) -> Iterator[Finding]:
    """Long proteins without segments, short ones with, and segments that are not those of their proteins.

    Args:
        store: The database.
        proteins: A handle on a table whose files can all be read.
        residues: A handle on ``residues``.
        full: Compare all with the residues, not those of a sample of 256.
    """
    rule, scoring = rule_of(proteins.schema), scoring_of(proteins.schema)
    if rule is None:
        return
    if scoring.codes is not None and (lacking := missing(proteins, scoring.codes)):
        message = f"segments of {lacking:,} proteins are not searched"
        yield Finding("no-search-segments", PROTEINS, message, lacking, level="leftover")
    number: list[str] = []
    wrong: list[str] = []
    codes: list[str] = []
    sampled = _sampled(int(proteins.count_rows()), full=full)
    start = 0
    for rows in _rows(proteins, scoring.codes):
        fits = _fits(rows, rule, store)
        number += rows["id"].filter(~fits).to_pylist()
        looked_at = rows.filter(fits & sampled[start : start + rows.num_rows])
        start += rows.num_rows
        wrong += _unlike_residues(looked_at, rule, store, residues)
        if scoring.codes is not None and scoring.segments_key is not None:
            codes += _unlike_means(looked_at, store, scoring.codes, scoring.segments_key)
    if number:
        message = f"{len(number):,} proteins have not the segments of their length"
        yield Finding("no-segments", PROTEINS, message, len(number), tuple(number), level="leftover")
    if wrong:
        message = f"segments of {len(wrong):,} proteins are not those of their residues"
        yield Finding("wrong-segments", PROTEINS, message, len(wrong), tuple(wrong))
    if codes:
        message = f"searched segments of {len(codes):,} proteins are not made of their segments"
        yield Finding("wrong-search-segments", PROTEINS, message, len(codes), tuple(codes))


def _sampled(rows: int, *, full: bool) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if full or rows <= SAMPLE:
        return np.ones(rows, bool)
    chosen = np.zeros(rows, bool)
    chosen[np.random.default_rng().choice(rows, SAMPLE, replace=False)] = True
    return chosen


def _rows(proteins: LanceDataset, codes: str | None) -> Iterator[pa.Table]:
    import pyarrow as pa

    columns = ["id", "digest", "length", "vector", SEGMENTS, *([] if codes is None else [codes])]
    try:
        for batch in proteins.scanner(columns=columns, batch_size=_BATCH_ROWS, scan_in_order=True).to_batches():
            yield pa.Table.from_batches([batch])
    except LANCE_ERRORS as error:
        raise DatabaseError(f"{proteins.uri}: cannot be read: {error}") from error


def _fits(rows: pa.Table, rule: Rule, store: Store) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether each row has as many segments as it should; without residues to make them of, none will do."""
    import pyarrow.compute as pc

    sizes = pc.fill_null(pc.binary_length(rows[SEGMENTS]), -1).to_numpy()
    counts = rule.counts(rows["length"].to_numpy().astype(np.int64))
    fits = sizes == counts * 2 * store.space.dimension
    if store.keeps_residues:
        lacks = pc.starts_with(rows["digest"], NO_SEQUENCE).to_numpy(zero_copy_only=False)
    else:
        lacks = np.ones(len(fits), bool)
    good: np.ndarray[tuple[int], np.dtype[np.bool_]] = fits | (lacks & (sizes <= 0))
    return good


def _unlike_residues(rows: pa.Table, rule: Rule, store: Store, residues: LanceDataset) -> Iterator[str]:
    """Ids of proteins whose segments are not the means of their residues."""
    import pyarrow.compute as pc

    cut = rows.filter(pc.greater(pc.fill_null(pc.binary_length(rows[SEGMENTS]), 0), 0))
    if not store.keeps_residues:
        return
    for start in range(0, cut.num_rows, _ARRAYS_AT_ONCE):
        part = cut.slice(start, _ARRAYS_AT_ONCE)
        digests = part["digest"].to_pylist()
        try:
            arrays = read_arrays(residues, sorted(set(digests)), dimension=store.space.dimension)
        except (*LANCE_ERRORS, DatabaseError, TypeError, IndexError):
            continue  # arrays that cannot be decoded are a finding of their own
        for id, digest, value in zip(part["id"].to_pylist(), digests, part[SEGMENTS].to_pylist(), strict=True):
            array = arrays.get(digest)
            means = means_of(value, store.space.dimension)
            if array is not None and rule.count(len(array)) == len(means):
                away = np.linalg.norm(rule.cut(array).astype(np.float32) - means, axis=1)
                size = np.sqrt(np.square(array.astype(np.float64)).sum(axis=1).mean())
                if not (away <= _TOLERANCE * size).all():
                    yield id


def _unlike_means(rows: pa.Table, store: Store, column: str, key: str) -> Iterator[str]:
    """Ids of proteins whose segments in the search space are not those that their means give, but for rounding."""
    there = rows.filter(rows[column].is_valid())
    try:
        expected = codes_column(there[SEGMENTS], matrix_of(there["vector"]), store.transform(key))
    except DatabaseError:  # a transform that is lost is a finding of its own
        return
    for id, has, made in zip(there["id"].to_pylist(), there[column].to_pylist(), expected.to_pylist(), strict=True):
        one, other = (np.frombuffer(each, np.int8).astype(np.int16) for each in (has, made))
        if len(one) != len(other) or np.abs(one - other).max(initial=0) > 1:
            yield id
