"""The user's own columns of an open database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.store import columns
from protvec.store.changes import Changes
from protvec.store.tables import commit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa
    from lance import LanceDataset


class Editing(Changes):
    """Adding, filling and removing columns."""

    def add_columns(self, fields: Sequence[pa.Field]) -> list[str]:
        """Add columns of the user's own to ``proteins``, null in every row; those it has are left alone.

        Returns:
            Names of the columns that were added.

        Raises:
            ValueError: It has a column of that name and another type.
            QueryError: A column cannot have such a name.
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        import pyarrow as pa

        def change(target: LanceDataset) -> list[str]:
            new = [pa.field(field.name, field.type) for field in fields if field.name not in target.schema.names]
            if new:
                target.add_columns(pa.schema(new))
            return [field.name for field in new]

        with self._writing:
            handle, _ = self._newest()
            columns.check_fields(handle.schema, fields)
            if all(field.name in handle.schema.names for field in fields):
                return []
            added = commit(handle, change)[1]
            self._newest()
            return added

    def set_columns(self, schema: pa.Schema, reads: Sequence[str], values: Callable[[pa.Table], pa.Table]) -> None:
        """Set columns of the user's own for some proteins, and make those that are not there.

        Args:
            schema: The columns.
            reads: Other columns that ``values`` wants to see.
            values: Given a table of ``id``, ``reads`` and those of the columns that are there, of all proteins:
                a table of ``id`` and all of the columns, of the proteins to set. Asked again where another
                writer got in first; what it raises is raised, and nothing is changed.

        Raises:
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        with self._writing:
            columns.set_columns(self._newest()[0], schema, reads, values)
            self._newest()

    def drop_columns(self, names: Sequence[str]) -> None:
        """Remove columns that users added.

        Raises:
            QueryError: One is not there, or is protvec's own.
        """
        with self._writing:
            columns.drop_columns(self._newest()[0], names)
            self._newest()
            self.ledger.record("annotate --drop", options={"columns": list(names)})
