"""What the schema of ``proteins`` says about the search space, of the version that it is of."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

METADATA_KEY = b"protvec.scoring"
CHOICES = ("auto", "raw", "centred", "whitened")
PREFIX = "_search_"  # of columns; users' own begin with a letter


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How the vectors of a database are compared.

    Attributes:
        wanted: What was asked for, one of ``CHOICES``; ``auto`` is fitted and refitted by itself.
        kind: What there is: ``raw``, ``centred`` or ``whitened``.
        key: Of the transform; None where it is raw.
        proteins: Distinct sequences that it was fitted on.
        rows: Proteins that there were then.
        shrinkage: Of a whitened one.
        fitted: When, in UTC, as ISO 8601.
    """

    wanted: str = "auto"
    kind: str = "raw"
    key: str | None = None
    proteins: int = 0
    rows: int = 0
    shrinkage: float | None = None
    fitted: str | None = None

    @property
    def column(self) -> str:
        """The column of ``proteins`` that searches compare."""
        return "vector" if self.key is None else f"{PREFIX}{self.key}"

    @property
    def name(self) -> str:
        """The kind, and which of all fits it is: the same name is the same scale."""
        return self.kind if self.key is None else f"{self.kind}-{self.key[:8]}"

    def to_json(self) -> str:
        """As text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, with ``name``."""
        return dataclasses.asdict(self) | {"name": self.name}

    def __str__(self) -> str:
        if self.key is None:
            return "raw cosines"
        shrunk = "" if self.shrinkage is None else f", shrinkage {self.shrinkage:.3g}"
        return f"{self.kind} cosines ({self.name}, fitted on {self.proteins:,} distinct proteins{shrunk})"


RAW = Scoring(wanted="raw")


def scoring_of(schema: pa.Schema) -> Scoring:
    """What the schema says; raw where it says nothing, or where the column is not there."""
    try:
        values = json.loads((schema.metadata or {}).get(METADATA_KEY, b"{}"))
        scoring = Scoring(
            **{each.name: values[each.name] for each in dataclasses.fields(Scoring) if each.name in values}
        )
    except (ValueError, TypeError):
        return Scoring()
    return scoring if scoring.column in schema.names else Scoring(wanted=scoring.wanted)


def is_search_column(name: str) -> bool:
    """Whether a column of ``proteins`` is one of these, which is made from ``vector`` and is no metadata."""
    return name.startswith(PREFIX)


def plain_names(schema: pa.Schema) -> list[str]:
    """The columns of ``proteins`` but these."""
    return [name for name in schema.names if not is_search_column(name)]
