"""What the schema of the table ``map`` says about how the map was made."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

METADATA_KEY = b"protvec.map"


@dataclass(frozen=True, kw_only=True)
class MapRecord:
    """How a map was made.

    Attributes:
        method: ``umap`` or ``pca``.
        parameters: Its settings.
        space: Which vectors it was made of: the name of the search space (``Scoring.name``).
        sequences: Distinct sequences that it was made of.
        proteins: Proteins that there were then.
        version: Number of the version of ``proteins`` then.
        placed: Distinct sequences that came later, and were put among their nearest.
        made: When, in UTC, as ISO 8601.
        software: What made it, with versions.
    """

    method: str
    parameters: dict[str, Any] = field(default_factory=dict)
    space: str = "raw"
    sequences: int = 0
    proteins: int = 0
    version: int = 0
    placed: int = 0
    made: str = ""
    software: str = ""

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """As text."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def __str__(self) -> str:
        later = f", {self.placed:,} placed later" if self.placed else ""
        return f"{self.method.upper()} of {self.sequences:,} distinct sequences in {self.space}{later}"


def record_of(schema: pa.Schema) -> MapRecord | None:
    """What the schema says; None where it says nothing that can be read."""
    try:
        values = json.loads((schema.metadata or {})[METADATA_KEY])
        known = {each.name for each in dataclasses.fields(MapRecord)}
        return MapRecord(**{name: value for name, value in values.items() if name in known})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def schema_of(record: MapRecord) -> pa.Schema:
    """The schema of the table with that record."""
    import pyarrow as pa

    key = {"lance-schema:unenforced-primary-key": "true"}
    return pa.schema(
        [
            pa.field("digest", pa.string(), nullable=False, metadata=key),
            pa.field("x", pa.float32(), nullable=False),
            pa.field("y", pa.float32(), nullable=False),
            pa.field("placed", pa.bool_(), nullable=False),
        ],
        metadata={METADATA_KEY: record.to_json()},
    )
