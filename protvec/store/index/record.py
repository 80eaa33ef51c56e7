"""What is recorded about the indexes of a database, and what lance says about them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lance import LanceDataset

KEY = "protvec.index"  # in the configuration of the table
VECTOR_INDEX = "protvec_vector"
# Kinds that may be asked for. auto: none while a byte of each value fits the memory, ivf_sq beyond.
KINDS = ("auto", "exact", "ivf_flat", "ivf_sq")
TARGET = 0.98


@dataclass(frozen=True, kw_only=True)
class Record:
    """How vectors are to be indexed, and how those that are were found to be searched.

    Attributes:
        kind: What was asked for, one of ``KINDS``.
        built: The kind of the index that there is, or None.
        target: The recall that it was tuned to.
        recall: What was measured: the share of the true ten nearest of vectors of the database.
        nprobes: Partitions that a search looks into, at least.
        refine: So many times k rows are compared by their own vectors.
    """

    kind: str = "auto"
    built: str | None = None
    target: float = TARGET
    recall: float | None = None
    nprobes: int = 1
    refine: int = 1

    def to_json(self) -> str:
        """As text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class IndexInfo:
    """One index.

    Attributes:
        name: Its name.
        kind: ``ivf_sq``, ``btree``, ``bitmap``…
        column: What it is of.
        indexed: Proteins in it.
        pending: Proteins that came later; they are compared one by one.
        bytes: What it takes on disk.
        recall: Of an index of vectors: what was measured on this database.
        target: The recall that it was tuned to.
    """

    name: str
    kind: str
    column: str
    indexed: int
    pending: int
    bytes: int | None
    recall: float | None = None
    target: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        return dataclasses.asdict(self)


def record_of(dataset: LanceDataset) -> Record:
    """What is recorded; the defaults where nothing is, or what a newer protvec wrote."""
    try:
        values = json.loads(dataset.config().get(KEY, "{}"))
        return Record(**{each.name: values[each.name] for each in dataclasses.fields(Record) if each.name in values})
    except (ValueError, TypeError, KeyError):
        return Record()


def usable(dataset: LanceDataset, column: str) -> Record | None:
    """The record of the index of vectors, if there is one of this column that searches may use.

    One of another kind than was recorded is that of a run that was killed before it was tuned.
    """
    record = record_of(dataset)
    kinds = [
        str(each.index_type).lower()
        for each in dataset.describe_indices()
        if each.name == VECTOR_INDEX and each.field_names == [column]
    ]
    return record if record.built and kinds == [record.built] else None


def rows_outside(dataset: LanceDataset, index: Any) -> int:  # noqa: ANN401 - lance does not export the type
    """The rows that an index does not have: those of the fragments that came after it. Nothing of it is read."""
    covered = {fragment for segment in index.segments for fragment in segment.fragment_ids}
    return sum(each.count_rows() for each in dataset.get_fragments() if each.fragment_id not in covered)


def indexes_of(dataset: LanceDataset) -> list[IndexInfo]:
    """The indexes that there are, by name."""
    record, rows = record_of(dataset), int(dataset.count_rows())
    found = []
    for each in sorted(dataset.describe_indices(), key=lambda index: str(index.name)):
        ours = each.name == VECTOR_INDEX
        pending = rows_outside(dataset, each)
        found.append(
            IndexInfo(
                name=each.name,
                kind=str(each.index_type).lower(),
                column=", ".join(each.field_names),
                indexed=rows - pending,
                pending=pending,
                bytes=each.total_size_bytes,
                recall=record.recall if ours else None,
                target=record.target if ours else None,
            )
        )
    return found
