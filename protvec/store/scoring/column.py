"""The column of transformed vectors: what a writer puts there, and filling the rows that have none.

A column is named after its transform, so its values are of that one alone, whoever wrote them. Writers give every
column of this kind that the table has its value. A writer whose commit began before the column was there looks again
after it, and fills the rows that it added; rows that another client of Lance added have no value until the next fit,
and searches make it from their ``vector``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.errors import DatabaseError
from protvec.store.schema import matrix_of, vector_column
from protvec.store.scoring.record import PREFIX, is_search_column
from protvec.store.tables import commit

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from lance import LanceDataset, LanceFragment

    from protvec.store.scoring.transforms import Transforms
    from protvec.transform import Transform

# Rows that one commit fills.
_ROWS_AT_ONCE = 65_536


def with_search(rows: pa.Table, schema: pa.Schema, transforms: Transforms) -> pa.Table:
    """Rows of ``proteins`` as a table of that schema is to have them: with the search vectors of their own vectors."""
    kept = rows.select([name for name in rows.column_names if not is_search_column(name)])
    for field in schema:
        if is_search_column(field.name):
            transform = transforms.get(field.name.removeprefix(PREFIX))
            kept = kept.append_column(field, vector_column(transform.apply(matrix_of(kept["vector"]))))
    return kept


def lacking(dataset: LanceDataset, column: str) -> list[LanceFragment]:
    """Fragments in which no row has a value of the column, as their metadata says."""
    if column not in dataset.schema.names:
        return []
    field = dataset.lance_schema.field(column).id()
    return [each for each in dataset.get_fragments() if all(field not in file.fields for file in each.data_files())]


def add_column(dataset: LanceDataset, column: str, dimension: int) -> LanceDataset:
    """Have the column, without a value in any row: a commit of no data."""
    import pyarrow as pa

    def change(target: LanceDataset) -> None:
        if column not in target.schema.names:
            target.add_columns(pa.schema([pa.field(column, pa.list_(pa.float32(), dimension))]))

    return commit(dataset, change)[0]


def fill(dataset: LanceDataset, column: str, transform: Transform) -> LanceDataset:
    """Give every row of the newest version its value, some tens of thousands a commit.

    Raises:
        DatabaseError: The column is gone: another process has fitted another space meanwhile.
    """
    for find in (lacking, _with_nulls):
        left = True
        while left:
            dataset, left = commit(dataset, partial(_fill_some, column=column, transform=transform, find=find))
    return dataset


def missing(dataset: LanceDataset, column: str) -> int:
    """How many rows have no value: every row is looked at."""
    return int(dataset.count_rows(f"{column} IS NULL"))


def _with_nulls(dataset: LanceDataset, column: str) -> list[LanceFragment]:
    """Fragments in which some row has no value."""
    if not missing(dataset, column):
        return []
    return [each for each in dataset.get_fragments() if each.count_rows(f"{column} IS NULL")]


def drop_columns(dataset: LanceDataset, *, but: str) -> LanceDataset:
    """Remove all columns of this kind but one."""

    def change(target: LanceDataset) -> None:
        others = [name for name in target.schema.names if is_search_column(name) and name != but]
        if others:
            target.drop_columns(others)

    return commit(dataset, change)[0]


def _fill_some(
    target: LanceDataset,
    *,
    column: str,
    transform: Transform,
    find: Callable[[LanceDataset, str], list[LanceFragment]],
) -> bool:
    """Fill some of the fragments that are found; whether there were any."""
    import lance

    if column not in target.schema.names:
        raise DatabaseError(f"{target.uri}: another process has fitted another search space: run it again")
    changed: list[Any] = []
    fields, rows = set[int](), 0
    for fragment in find(target, column):
        if changed and rows + fragment.count_rows() > _ROWS_AT_ONCE:
            break
        rows += fragment.count_rows()
        done, modified = fragment.update_columns(_values(fragment, column, transform), "_rowaddr", "_rowaddr")
        changed.append(done)
        fields.update(modified)
    if changed:
        update = lance.LanceOperation.Update(updated_fragments=changed, fields_modified=sorted(fields))
        lance.LanceDataset.commit(target, update, read_version=target.version)
    return bool(changed)


def _values(fragment: LanceFragment, column: str, transform: Transform) -> pa.Table:
    import pyarrow as pa

    rows = fragment.to_table(columns=["vector"], with_row_address=True)
    vectors = np.asarray(matrix_of(rows["vector"]), np.float32)
    return pa.table({"_rowaddr": rows["_rowaddr"], column: vector_column(transform.apply(vectors))})
