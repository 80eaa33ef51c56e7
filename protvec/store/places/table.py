"""The table ``map``, which is read and written whole: one commit, with the record of how it was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protvec.errors import DatabaseError
from protvec.store.places.record import MapRecord, record_of, schema_of
from protvec.store.schema import MAP
from protvec.store.tables import create_table, drop_table, open_table, overwrite, read
from protvec.store.upkeep import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lance import LanceDataset
    from numpy.typing import NDArray

    from protvec.store.location import Location

# A reader of the version before has read all of it by then.
_KEEP_SECONDS = 60.0


@dataclass(frozen=True)
class Places:
    """A map: where distinct sequences lie.

    Attributes:
        record: How it was made.
        digests: Of the sequences, ascending.
        coordinates: ndarray, shape=(N, 2), dtype=float32.
        placed: ndarray, shape=(N,), dtype=bool: which came later, and were put among their nearest.
    """

    record: MapRecord
    digests: Sequence[str]
    coordinates: NDArray[np.float32]
    placed: NDArray[np.bool_]


class MapTable:
    """The table of one database."""

    def __init__(self, root: Location) -> None:
        self._where = root.join(f"{MAP}.lance")

    def table(self) -> LanceDataset | None:
        """A handle on the newest version; None before any map was made."""
        return open_table(self._where)

    def record(self) -> MapRecord | None:
        """How the map was made; None where there is none.

        Raises:
            DatabaseError: The table is damaged.
        """
        table = self.table()
        return None if table is None else record_of(table.schema)

    def get(self) -> Places | None:
        """The map; None where there is none.

        Raises:
            DatabaseError: The table is damaged.
        """
        table = self.table()
        record = None if table is None else record_of(table.schema)
        if table is None or record is None:
            return None
        wanted = schema_of(record)
        if any(name not in table.schema.names for name in wanted.names):
            raise DatabaseError(f"{self._where}: columns are missing: make the map again (`protvec map --again`)")
        rows = read(table, columns=wanted.names).sort_by("digest")
        coordinates = np.stack([rows[axis].to_numpy() for axis in "xy"], axis=1).astype(np.float32)
        if not np.isfinite(coordinates).all():
            raise DatabaseError(f"{self._where}: not all places are finite: make the map again (`protvec map --again`)")
        return Places(record, rows["digest"].to_pylist(), coordinates, rows["placed"].to_numpy().astype(bool))

    def put(self, places: Places) -> None:
        """Have this map, in one commit, and no older one.

        Raises:
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        import pyarrow as pa

        schema = schema_of(places.record)
        xy = np.asarray(places.coordinates, np.float32)
        columns = [pa.array(places.digests, pa.string()), pa.array(xy[:, 0]), pa.array(xy[:, 1])]
        rows = pa.Table.from_arrays([*columns, pa.array(places.placed)], schema=schema)
        table = self.table()
        if table is None:
            create_table(self._where, schema)
            table = self.table()
        assert table is not None
        clean(overwrite(table, rows, self._where.storage), keep_seconds=_KEEP_SECONDS)

    def drop(self) -> None:
        """Remove the table, whatever is in it."""
        drop_table(self._where)
