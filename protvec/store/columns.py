"""The user's own columns of ``proteins``: adding, filling and removing them, and what they may be called."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from protvec.errors import QueryError
from protvec.store.filters import LANCE_ERRORS, enclosed
from protvec.store.near import near_names
from protvec.store.schema import PROTEIN_COLUMNS, own_schema
from protvec.store.scoring.record import plain_names
from protvec.store.tables import commit, read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa
    from lance import LanceDataset

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
# Columns that a result of a search has beside those of the table.
_OF_RESULTS = ("query", "target", "rank", "score", "query_index")


def user_columns(schema: pa.Schema) -> dict[str, pa.DataType]:
    """The columns that are not protvec's own, with their types."""
    names = [name for name in plain_names(schema) if name not in PROTEIN_COLUMNS]
    return {name: schema.field(name).type for name in names}


def kind_of(stored: pa.DataType) -> str | None:
    """The kind of a type, of whatever width; None where it is none of them."""
    import pyarrow.types as t

    tests: dict[str, Callable[[pa.DataType], bool]] = {
        "int": t.is_integer,
        "float": t.is_floating,
        "text": lambda each: t.is_string(each) or t.is_large_string(each) or t.is_dictionary(each) or t.is_null(each),
        "bool": t.is_boolean,
        "list": lambda each: t.is_list(each) or t.is_large_list(each),
    }
    return next((kind for kind, test in tests.items() if test(stored)), None)


def check_fields(schema: pa.Schema | None, fields: Sequence[pa.Field]) -> None:
    """Check that ``proteins`` may have these columns.

    Args:
        schema: What it has; None for that of a database that is still to be made.
        fields: What it is to have.

    Raises:
        ValueError: It has a column of that name and another type.
        QueryError: A column cannot have such a name.
    """
    there = own_schema() if schema is None else schema
    for field in fields:
        if field.name not in there.names:
            check_name(there.names, field.name)
        elif (have := there.field(field.name).type) != field.type:
            raise ValueError(f"column {field.name} is {have} in the database, not {field.type}")


def check_name(names: Sequence[str], name: str) -> None:
    """Check that a column may have this name, and that a filter can use it as it stands.

    Args:
        names: The columns that there are.
        name: The new one's, or that of one of these.

    Raises:
        QueryError: It may not; says why.
    """
    if not _NAME.fullmatch(name):
        raise QueryError(
            f"{name!r} cannot name a column: letters, digits and _, the first a letter, at most 63, "
            "so that --where can use it"
        )
    # Filters take no notice of the case of names.
    taken = {other.lower(): other for other in (*PROTEIN_COLUMNS, *_OF_RESULTS)}
    if other := taken.get(name.lower()):
        raise QueryError(f"{name!r} cannot name a column: protvec has its own {other!r}")
    mine = {other.lower(): other for other in names}
    if mine.get(name.lower(), name) != name:
        raise QueryError(f"{name!r} cannot name a column: there is {mine[name.lower()]!r}, which differs in case only")
    if name not in mine.values() and not _is_free(name):
        raise QueryError(f"{name!r} cannot name a column: it is a word of SQL")


def _is_free(name: str) -> bool:
    """Whether a filter takes the name for one of a column, and misses that column."""
    try:
        _no_rows().scanner(filter=enclosed(f"{name} IS NULL"), columns=["id"]).explain_plan()
    except LANCE_ERRORS as error:
        return "No field named" in str(error)
    return False


@cache
def _no_rows() -> LanceDataset:
    """A table in memory to try filters on."""
    import lance
    import pyarrow as pa

    return lance.write_dataset(pa.schema([("id", pa.string())]).empty_table(), "memory://names")


def set_columns(
    dataset: LanceDataset,
    schema: pa.Schema,
    reads: Sequence[str],
    values: Callable[[pa.Table], pa.Table],
) -> None:
    """Set columns of some proteins, and make those that are not there; all values appear in one commit.

    Args:
        dataset: A handle on ``proteins``.
        schema: The columns.
        reads: Other columns that ``values`` wants to see.
        values: Given ``id``, ``reads`` and those of the columns that are there of all proteins: ``id`` and all
            columns of the proteins to set. Asked again after a conflict with another writer.
    """

    def change(target: LanceDataset) -> None:
        there = [name for name in schema.names if name in target.schema.names]
        table = values(read(target, columns=list(dict.fromkeys(["id", *reads, *there]))))
        if not there and table.num_rows:  # lance merges no table without rows
            target.merge(table, "id")
            return
        if new := [field for field in schema if field.name not in there]:
            import pyarrow as pa

            target.add_columns(pa.schema(new))  # all null, and no data written
            target.checkout_latest()
        if table.num_rows:
            _update(target, table)

    commit(dataset, change)


def drop_columns(dataset: LanceDataset, names: Sequence[str]) -> None:
    """Remove columns of the user in one commit.

    Raises:
        QueryError: One is not there, or is protvec's own.
    """

    def change(target: LanceDataset) -> None:
        mine = list(user_columns(target.schema))
        for name in names:
            if name in PROTEIN_COLUMNS:
                raise QueryError(f"{name!r} is a column of protvec's own: only columns that were added can be removed")
            if name not in mine:
                near = near_names(name, mine)
                raise QueryError(f"no column {name!r} was added; there are {', '.join(near or mine) or 'none'}")
        target.drop_columns(list(dict.fromkeys(names)))

    commit(dataset, change)


def _update(dataset: LanceDataset, table: pa.Table) -> None:
    """Write the columns of every fragment anew where a row of it is set; the other columns are not touched."""
    import lance

    fragments, modified = [], set()
    for fragment in dataset.get_fragments():
        changed, fields = fragment.update_columns(table, "id")
        fragments.append(changed)
        modified.update(fields)
    update = lance.LanceOperation.Update(updated_fragments=fragments, fields_modified=sorted(modified))
    lance.LanceDataset.commit(dataset, update, read_version=dataset.version)
