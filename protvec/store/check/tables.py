"""Schemas, indexes and the ledger: what can be said of a table without reading its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protvec.store.check.findings import Finding
from protvec.store.check.fragments import Fragments
from protvec.store.filters import LANCE_ERRORS, brief
from protvec.store.index.record import rows_outside
from protvec.store.schema import (
    LEDGER,
    PROTEINS,
    RESIDUES,
    SCHEMA_VERSION,
    Description,
    ledger_schema,
    proteins_schema,
    residues_schema,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from lance import LanceDataset

    from protvec.store.store import Store

_LOOKS = 5  # at the ledger and the proteins, until nobody wrote to the ledger in between
_KEY = b"lance-schema:unenforced-primary-key"


def check_schemas(store: Store, proteins: LanceDataset, residues: LanceDataset) -> Iterator[Finding]:
    """Columns that are missing or of another type, keys that are not declared, and an old schema version."""
    description = Description.from_schema(proteins.schema, path=store.path)
    yield from _compare(PROTEINS, proteins.schema, proteins_schema(description))
    yield from _compare(RESIDUES, residues.schema, residues_schema())
    if description.schema_version < SCHEMA_VERSION:
        message = f"schema version {description.schema_version}: the first write makes it {SCHEMA_VERSION}"
        yield Finding("old-schema", PROTEINS, message, 0, level="note")


def _compare(name: str, schema: pa.Schema, expected: pa.Schema) -> Iterator[Finding]:
    for field in expected:
        if field.name not in schema.names:
            wrong = "is missing"
        elif (found := schema.field(field.name)).type != field.type:
            wrong = f"is {found.type}, not {field.type}"
        elif _KEY in (field.metadata or {}) and (found.nullable or _KEY not in (found.metadata or {})):
            wrong = "is not declared as the key"
        else:
            continue
        yield Finding("schema", name, f"column {field.name} {wrong}", 0, (field.name,), repairable=False)


def check_indexes(name: str, dataset: LanceDataset) -> Iterator[Finding]:
    """Indexes that cannot be read, and those that lack rows."""
    for index in dataset.describe_indices():
        try:
            _open(dataset, index)
        except LANCE_ERRORS as error:
            yield Finding(
                "index-damaged", name, f"index {index.name} cannot be read ({brief(error)})", 1, (index.name,)
            )
            continue
        if lacking := rows_outside(dataset, index):
            message = f"index {index.name} lacks {lacking:,} rows, which are searched one by one"
            yield Finding("index-behind", name, message, lacking, (index.name,), level="note")


def _open(dataset: LanceDataset, index: Any) -> None:  # noqa: ANN401 - lance does not export the type
    """Read what an index begins with; raises where that cannot be."""
    import pyarrow as pa

    column = index.field_names[0]
    if not pa.types.is_fixed_size_list(kind := dataset.schema.field(column).type):
        dataset.stats.index_stats(index.name)
        return
    # Asked for statistics of vectors, lance warns on the standard error of what it will leave out of them one day.
    nearest = {"column": column, "q": [1.0] * kind.list_size, "k": 1, "minimum_nprobes": 1, "maximum_nprobes": 1}
    dataset.to_table(columns=["_distance"], nearest=nearest, fast_search=True)


def check_ledger(store: Store) -> Iterator[Finding]:
    """A ledger that is missing, damaged, or does not add up to the proteins that there are."""
    table = store.ledger.table()
    if table is None:
        if store.schema_version >= 2:
            yield Finding("ledger-missing", LEDGER, "there is no such table", 0)
        return
    fragments = Fragments(table, LEDGER)
    fragments.scan(ledger_schema().names, lambda *_: None)
    yield from _compare(LEDGER, table.schema, ledger_schema())
    yield from fragments.findings()
    if not fragments.damaged:
        yield from _balance(store)


def _balance(store: Store) -> Iterator[Finding]:
    """Rows of ``proteins`` against what the runs say that they added and removed."""
    for _ in range(_LOOKS):
        before = store.ledger.accounts()
        rows = store.handles()[0].count_rows()
        accounts = store.ledger.accounts()
        if accounts.version == before.version:
            break
    else:
        return  # others are writing all the time
    if accounts.running:
        return  # what these have added they have not said yet
    more = rows - accounts.gained
    if accounts.killed:
        runs = tuple(entry.run for entry in accounts.killed)
        who = "a run was killed; it" if len(runs) == 1 else f"{len(runs)} runs were killed; they"
        message = f"{who} left {more:+,} rows that could not be recorded"
        yield Finding("killed-run", LEDGER, message, len(runs), runs, level="leftover")
    elif more:
        message = f"the runs add up to {accounts.gained:,} proteins, and there are {rows:,}"
        yield Finding("ledger-count", LEDGER, message, abs(more))
