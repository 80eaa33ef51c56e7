"""Columns that are made from others: what a writer puts there, and filling the rows that have none.

Search vectors are made from ``vector``, segments in a search space from their means, and these from residues. A column
of a search space is named after its transform, so its values are of that one alone, whoever wrote them. Writers give
every column of this kind that the table has its value. A writer whose commit began before the column was there looks
again after it, and fills the rows that it added; rows that another client of Lance added have no value until the next
fit: searches make their vectors from ``vector``, and know of no segments of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from protvec.errors import ColumnGoneError
from protvec.store.schema import matrix_of, vector_column
from protvec.store.scoring.record import PREFIX, SEGMENTS, is_search_column, key_of
from protvec.store.segments.vectors import codes_column
from protvec.store.tables import commit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import pyarrow as pa
    from lance import LanceDataset, LanceFragment

    from protvec.store.scoring.transforms import Transforms
    from protvec.transform import Transform

# Rows that one commit fills.
_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Derived:
    """A column that is made from others of its row.

    Attributes:
        name: Its name.
        reads: What it is made from.
        make: Makes it from a table of these; no value is null.
    """

    name: str
    reads: tuple[str, ...]
    make: Callable[[pa.Table], pa.Array]


def derived(name: str, transform: Transform) -> Derived:
    """A column of a search space by its name, made by its transform."""
    if name.startswith(PREFIX):
        return Derived(name, ("vector",), lambda rows: vector_column(transform.apply(matrix_of(rows["vector"]))))
    return Derived(
        name, ("vector", SEGMENTS), lambda rows: codes_column(rows[SEGMENTS], matrix_of(rows["vector"]), transform)
    )


def with_search(rows: pa.Table, schema: pa.Schema, transforms: Transforms) -> pa.Table:
    """Rows of ``proteins`` as a table of that schema is to have them: with what is made of their own columns.

    Means of segments are taken as they are; rows that come without are given none.
    """
    import pyarrow as pa

    kept = rows.select([name for name in rows.column_names if not is_search_column(name)])
    if SEGMENTS not in schema.names and SEGMENTS in kept.column_names:
        kept = kept.drop_columns([SEGMENTS])
    for field in schema:
        if field.name == SEGMENTS and SEGMENTS not in kept.column_names:
            kept = kept.append_column(field, pa.nulls(kept.num_rows, field.type))
        if (key := key_of(field.name)) is not None:
            kept = kept.append_column(field, derived(field.name, transforms.get(key)).make(kept))
    return kept


def lacking(dataset: LanceDataset, column: str) -> list[LanceFragment]:
    """Fragments in which no row has a value of the column, as their metadata says."""
    if column not in dataset.schema.names:
        return []
    field = dataset.lance_schema.field(column).id()
    return [each for each in dataset.get_fragments() if all(field not in file.fields for file in each.data_files())]


def add_columns(dataset: LanceDataset, fields: Collection[pa.Field]) -> LanceDataset:
    """Have the columns, without a value in any row: a commit of no data."""
    import pyarrow as pa

    def change(target: LanceDataset) -> None:
        if new := [field for field in fields if field.name not in target.schema.names]:
            target.add_columns(pa.schema(new))

    return commit(dataset, change)[0]


def field_of(column: str, dimension: int) -> pa.Field:
    """The field of a column of this kind."""
    import pyarrow as pa

    kind = pa.list_(pa.float32(), dimension) if column.startswith(PREFIX) else pa.large_binary()
    return pa.field(column, kind)


def fill(dataset: LanceDataset, column: Derived) -> LanceDataset:
    """Give every row of the newest version its value, some tens of thousands a commit.

    Raises:
        ColumnGoneError: Another process has fitted another space meanwhile, or removed the segments.
        DatabaseError: The disk, or other writers that keep getting in first.
    """
    for find in (_lacking, _with_nulls):
        left = True
        while left:
            dataset, left = commit(dataset, partial(_fill_some, column=column, find=find))
    return dataset


def missing(dataset: LanceDataset, column: str) -> int:
    """How many rows have no value: every row is looked at."""
    return int(dataset.count_rows(f"{column} IS NULL"))


def _lacking(dataset: LanceDataset, column: Derived) -> list[LanceFragment]:
    return lacking(dataset, column.name)


def _with_nulls(dataset: LanceDataset, column: Derived) -> list[LanceFragment]:
    """Fragments in which some row has no value."""
    if not missing(dataset, column.name):
        return []
    return [each for each in dataset.get_fragments() if each.count_rows(f"{column.name} IS NULL")]


def drop_columns(dataset: LanceDataset, *, but: Collection[str]) -> LanceDataset:
    """Remove all columns of search spaces but those."""

    def change(target: LanceDataset) -> None:
        others = [name for name in target.schema.names if is_search_column(name) and name not in but]
        if others:
            target.drop_columns(others)

    return commit(dataset, change)[0]


def _fill_some(
    target: LanceDataset, *, column: Derived, find: Callable[[LanceDataset, Derived], list[LanceFragment]]
) -> bool:
    """Fill some of the fragments that are found; whether there were any."""
    import lance

    if column.name not in target.schema.names:
        did = "removed the segments" if column.name == SEGMENTS else "fitted another search space"
        raise ColumnGoneError(f"{target.uri}: another process has {did}: run it again")
    changed: list[Any] = []
    fields, rows = set[int](), 0
    for fragment in find(target, column):
        if changed and rows + fragment.count_rows() > _ROWS_AT_ONCE:
            break
        rows += fragment.count_rows()
        done, modified = fragment.update_columns(_values(fragment, column), "_rowaddr", "_rowaddr")
        changed.append(done)
        fields.update(modified)
    if changed:
        update = lance.LanceOperation.Update(updated_fragments=changed, fields_modified=sorted(fields))
        lance.LanceDataset.commit(target, update, read_version=target.version)
    return bool(changed)


def _values(fragment: LanceFragment, column: Derived) -> pa.Table:
    import pyarrow as pa

    rows = fragment.to_table(columns=list(column.reads), with_row_address=True)
    return pa.table({"_rowaddr": rows["_rowaddr"], column.name: column.make(rows)})
