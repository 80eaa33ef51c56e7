"""A map with its proteins: what is drawn, written and sent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protvec.errors import QueryError
from protvec.projection.groups import Groups, group

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.store import MapRecord, Places, Store

SHOWN = ("description", "gene")  # beside the id, of a point that is pointed at
SUFFIXES = (".html", ".png", ".svg", ".tsv")


@dataclass(frozen=True)
class Chart:
    """Where the proteins of a database lie on its map, by id.

    Attributes:
        record: How the map was made.
        ids: Of the proteins, ascending.
        coordinates: ndarray, shape=(N, 2), dtype=float32.
        placed: ndarray, shape=(N,), dtype=bool: those that came later, and were put among their nearest.
        metadata: Table of the columns that are shown of a point.
        column: The column that points are coloured by, or None.
        groups: The colours.
    """

    record: MapRecord
    ids: list[str]
    coordinates: NDArray[np.float32]
    placed: NDArray[np.bool_]
    metadata: pa.Table
    column: str | None
    groups: Groups

    def __len__(self) -> int:
        return len(self.ids)

    def to_arrow(self) -> pa.Table:
        """A table of ``id``, ``x``, ``y``, ``placed``, and what is shown of a point."""
        import pyarrow as pa

        columns = {"id": pa.array(self.ids, pa.string()), "x": self.coordinates[:, 0], "y": self.coordinates[:, 1]}
        rows = pa.table({**columns, "placed": pa.array(self.placed)})
        for name in self.metadata.column_names:
            free = name if name not in rows.column_names else f"{name}_"  # a user's own may be called x
            rows = rows.append_column(free, self.metadata[name])
        return rows

    def to_dict(self) -> dict[str, Any]:
        """What is needed to draw it, as plain values: points by columns, groups with their colours, the record."""
        return {
            "record": self.record.to_dict(),
            "ids": self.ids,
            "x": [round(float(each), 4) for each in self.coordinates[:, 0]],
            "y": [round(float(each), 4) for each in self.coordinates[:, 1]],
            **{name: self.metadata[name].to_pylist() for name in SHOWN},
            "column": self.column,
            "groups": [each.to_dict() for each in self.groups.groups],
            "group": self.groups.members.tolist(),
        }

    def write(self, path: str | Path) -> None:
        """Write it: ``.html``, one file that needs nothing else; ``.png`` or ``.svg``; or ``.tsv``, the coordinates.

        Raises:
            QueryError: Another ending, or matplotlib is not installed.
            ExchangeError: The file cannot be written.
        """
        from protvec.projection.files import write

        write(self, Path(path))


def check_suffix(path: Path) -> str:
    """The ending of a file that a map can be written to.

    Raises:
        QueryError: It cannot.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise QueryError(f"{path}: a map is written to {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}: end its name so")
    return suffix


def chart_of(store: Store, places: Places, color: str | None) -> Chart:
    """The proteins of a database on its map, those without a place left out; in the order of their ids."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = list(dict.fromkeys(["id", "digest", *SHOWN, *([color] if color else [])]))
    schema = pa.schema([store.schema.field(name) for name in names])
    rows = pa.Table.from_batches(list(store.iter_proteins(columns=names)), schema).sort_by("id")
    found = pc.index_in(rows["digest"], value_set=pa.array(places.digests, pa.string()))
    there = pc.is_valid(found)
    rows, numbers = rows.filter(there), found.filter(there).to_numpy()
    return Chart(
        record=places.record,
        ids=rows["id"].to_pylist(),
        coordinates=places.coordinates[numbers],
        placed=places.placed[numbers],
        metadata=rows.select([name for name in names if name not in ("id", "digest")]),
        column=color,
        groups=group(rows[color] if color else None, len(rows)),
    )
