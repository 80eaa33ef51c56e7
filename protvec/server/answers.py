"""Hits as the bytes of an answer: JSON, Arrow, or a table with tabs."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from protvec.projection import Chart
    from protvec.search import Hits

ARROW = "application/vnd.apache.arrow.stream"
NDJSON = "application/x-ndjson"
TSV = "text/tab-separated-values"
JSON = "application/json"
METADATA_KEY = b"protvec.hits"
CHART_KEY = b"protvec.chart"


def about(hits: Hits, *, query_length: int | None, took_ms: float) -> dict[str, Any]:
    """What is said of hits as a whole."""
    return {
        "query": hits.query,
        "query_length": query_length,
        "index": asdict(hits.index) | {"text": str(hits.index)},
        "chance": hits.chance,
        "scoring": hits.index.scoring,
        "took_ms": round(took_ms, 1),
    }


def as_json(hits: Hits, *, query_length: int | None, took_ms: float) -> bytes:
    """Hits as an object of JSON, in one line."""
    rows = hits.to_arrow().drop_columns(["query"]).to_pylist()
    return dumps(about(hits, query_length=query_length, took_ms=took_ms) | {"hits": rows})


def as_arrow(hits: Hits, *, query_length: int | None, took_ms: float) -> bytes:
    """Hits as an Arrow stream; what is said of them as a whole, and alignments, are in its metadata."""
    whole = about(hits, query_length=query_length, took_ms=took_ms)
    whole["alignments"] = [asdict(each) for each in hits.alignments]
    table = hits.to_arrow()
    return arrow_stream(table.replace_schema_metadata({METADATA_KEY: dumps(whole)}))


def as_tsv(hits: Hits) -> bytes:
    """Hits as a table with a line of names."""
    table = hits.to_arrow()
    lines = [table.column_names, *([_cell(value) for value in row.values()] for row in table.to_pylist())]
    return "".join("\t".join(line) + "\n" for line in lines).encode()


def chart_as_arrow(chart: Chart) -> bytes:
    """A map as an Arrow stream, a row for each protein; its record, column and groups are in its metadata."""
    import pyarrow as pa

    x, y = chart.coordinates.T.copy()
    ours = {"id": pa.array(chart.ids, pa.string()), "x": x, "y": y, "placed": pa.array(chart.placed)}
    table = pa.table({**ours, "group": chart.groups.members})
    for name in chart.metadata.column_names:  # a user's own may be called x: names may occur twice
        table = table.append_column(chart.metadata.schema.field(name), chart.metadata[name])
    groups = [each.to_dict() for each in chart.groups.groups]
    whole = {"record": chart.record.to_dict(), "column": chart.column, "groups": groups}
    return arrow_stream(table.replace_schema_metadata({CHART_KEY: dumps(whole)}))


def arrow_stream(table: pa.Table) -> bytes:
    """A table as an Arrow stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def dumps(value: object) -> bytes:
    """JSON, in which a number that is none is null, and what JSON does not have is text."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str).encode()
    except ValueError:
        return dumps(_finite(value))


def _finite(value: Any) -> Any:  # noqa: ANN401  # any value of JSON
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = ";".join(map(str, value)) if isinstance(value, list) else str(value)
    return " ".join(text.split()) if any(blank in text for blank in "\t\r\n") else text
