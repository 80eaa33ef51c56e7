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
# Columns that users do not see; their own begin with a letter.
PREFIX = "_search_"  # and the key of a transform: search vectors
SEGMENTS = "_segments"  # means of segments
CODES_PREFIX = "_segments_"  # and the key of a transform: these in its search space


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
        segments_key: Of the transform of segments, whose vectors vary in other directions than those of proteins; None
            where none are compared.
    """

    wanted: str = "auto"
    kind: str = "raw"
    key: str | None = None
    proteins: int = 0
    rows: int = 0
    shrinkage: float | None = None
    fitted: str | None = None
    segments_key: str | None = None

    @property
    def column(self) -> str:
        """The column of ``proteins`` that searches compare."""
        return "vector" if self.key is None else f"{PREFIX}{self.key}"

    @property
    def codes(self) -> str | None:
        """The column of segments in their search space; None where there is none."""
        return None if self.segments_key is None else f"{CODES_PREFIX}{self.segments_key}"

    @property
    def columns(self) -> list[str]:
        """The columns that were made for searches."""
        return [name for name in (None if self.key is None else self.column, self.codes) if name is not None]

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
    if scoring.column not in schema.names:
        return Scoring(wanted=scoring.wanted)
    return scoring if scoring.codes in schema.names else dataclasses.replace(scoring, segments_key=None)


def key_of(name: str) -> str | None:
    """The key of the transform that makes a column of ``proteins``; None of a column that none makes."""
    prefix = next((prefix for prefix in (PREFIX, CODES_PREFIX) if name.startswith(prefix)), None)
    return None if prefix is None else name.removeprefix(prefix)


def is_search_column(name: str) -> bool:
    """Whether a column of ``proteins`` is of one search space: it is made from others, and is no metadata."""
    return key_of(name) is not None


def is_hidden(name: str) -> bool:
    """Whether a column of ``proteins`` is none that users see."""
    return name == SEGMENTS or is_search_column(name)


def plain_names(schema: pa.Schema) -> list[str]:
    """The columns of ``proteins`` that users see."""
    return [name for name in schema.names if not is_hidden(name)]
