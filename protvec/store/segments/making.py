"""Where the means of segments come from: what an ingest has at hand, the same sequence's rows, or stored residues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.errors import DatabaseError
from protvec.store.arrays import read_arrays
from protvec.store.filters import LANCE_ERRORS
from protvec.store.scoring.column import Derived, add_columns, fill
from protvec.store.scoring.record import SEGMENTS
from protvec.store.segments.rule import METADATA_KEY, Rule, rule_of
from protvec.store.segments.vectors import means_column
from protvec.store.tables import commit, read_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy as np
    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import NDArray

_ARRAYS_AT_ONCE = 64


def begin(handle: LanceDataset, rule: Rule) -> LanceDataset:
    """Have a database keep segments; no row has any yet."""
    import pyarrow as pa

    handle = add_columns(handle, [pa.field(SEGMENTS, pa.large_binary())])
    metadata = {METADATA_KEY.decode(): rule.to_json()}
    return commit(handle, lambda target: target.update_schema_metadata(metadata))[0]


def end(handle: LanceDataset) -> LanceDataset:
    """Have a database keep no segments: those it has go."""

    def change(target: LanceDataset) -> None:
        if there := [name for name in target.schema.names if name.startswith(SEGMENTS)]:
            target.drop_columns(there)

    return commit(handle, change)[0]


def means(rule: Rule, dimension: int, residues: LanceDataset | None) -> Derived:
    """The column of means, made from residues that are stored; nothing of sequences that have none.

    Args:
        rule: How proteins are cut.
        dimension: D.
        residues: A handle on ``residues``; None where the database keeps none.
    """

    def make(rows: pa.Table) -> pa.Array:
        cut = _cut(rows, rule)
        found = dict(_from_residues(residues, cut, rule, dimension)) if residues is not None else {}
        return means_column([found.get(digest, b"") for digest in rows["digest"].to_pylist()])

    return Derived(SEGMENTS, ("digest", "length"), make)


def fill_means(handle: LanceDataset, rule: Rule, dimension: int, residues: LanceDataset | None) -> LanceDataset:
    """Give every row its means that has none, as ``means`` makes them."""
    return fill(handle, means(rule, dimension, residues))


def with_means(
    table: pa.Table,
    handle: LanceDataset,
    given: Mapping[str, NDArray[np.float16]],
    residues: Sequence[LanceDataset],
) -> pa.Table:
    """Rows of ``proteins`` with the means of their segments, where the table keeps any.

    Args:
        table: The rows, without.
        handle: On ``proteins``.
        given: Means by digest, of some of the sequences.
        residues: Handles on versions of ``residues`` that have between them the arrays of all.
    """
    rule = rule_of(handle.schema)
    if rule is None:
        return table
    dimension = table["vector"].type.list_size
    cut = set(_cut(table, rule))
    found = {digest: given[digest].astype("<f2").tobytes() for digest in cut & given.keys()}
    found |= _known(handle, cut - found.keys())
    for version in residues:
        found |= dict(_from_residues(version, sorted(cut - found.keys()), rule, dimension))
    values = [found.get(digest) if digest in cut else b"" for digest in table["digest"].to_pylist()]
    return table.append_column(handle.schema.field(SEGMENTS), means_column(values))


def _cut(rows: pa.Table, rule: Rule) -> list[str]:
    """The digests of the rows that have segments, each once."""
    lengths = dict(zip(rows["digest"].to_pylist(), rows["length"].to_pylist(), strict=True))
    return sorted(digest for digest, length in lengths.items() if rule.count(length))


def _known(handle: LanceDataset, digests: Iterable[str]) -> dict[str, bytes]:
    """What rows of the same sequence have."""
    rows = read_keys(handle, "digest", sorted(digests), ["digest", SEGMENTS])
    return {row["digest"]: row[SEGMENTS] for row in rows.to_pylist() if row[SEGMENTS]}


def _from_residues(
    residues: LanceDataset, digests: Sequence[str], rule: Rule, dimension: int
) -> Iterator[tuple[str, bytes]]:
    """The means of those of the sequences whose residues are there, in bounded memory."""
    for start in range(0, len(digests), _ARRAYS_AT_ONCE):
        part = digests[start : start + _ARRAYS_AT_ONCE]
        for digest, array in _readable(residues, part, dimension).items():
            yield digest, rule.cut(array).astype("<f2").tobytes()


def _readable(residues: LanceDataset, digests: Sequence[str], dimension: int) -> dict[str, NDArray[np.float32]]:
    """The arrays of those that can be decoded; ``protvec check`` is about the others."""
    try:
        return read_arrays(residues, digests, dimension=dimension)
    except (*LANCE_ERRORS, DatabaseError, TypeError, IndexError):
        if len(digests) == 1:
            return {}
        return {key: array for digest in digests for key, array in _readable(residues, [digest], dimension).items()}
