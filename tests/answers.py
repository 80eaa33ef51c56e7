"""Answers made by hand, for tests of what is written of them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from protvec.cli.layout import Answer
from protvec.search import Hits
from protvec.store.answer import exactly

SCHEMA = pa.schema(
    [
        ("query", pa.string()),
        ("target", pa.string()),
        ("rank", pa.int32()),
        ("score", pa.float64()),
        ("length", pa.int32()),
        ("description", pa.string()),
        ("header", pa.string()),
        ("symbols", pa.list_(pa.string())),
        ("plddt", pa.float64()),
        ("secreted", pa.bool_()),
    ]
)
METADATA = SCHEMA.names[4:]
FACTS = {"length": pa.int32(), "header": pa.string(), "gene": pa.string()}


def answer(query: str, rows: list[dict[str, Any]], **facts: Any) -> Answer:
    """The hits of one query; rank is their place."""
    rows = [{"query": query, "rank": place, **row} for place, row in enumerate(rows, start=1)]
    about = {"length": 7, "header": "of a query", "gene": None, **facts}
    schema = SCHEMA.append(pa.field("evalue", pa.float64())) if rows and "evalue" in rows[0] else SCHEMA
    return Answer.of(Hits(query, pa.Table.from_pylist(rows, schema), exactly(len(rows))), about, query)
