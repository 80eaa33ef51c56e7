"""The table ``transforms``: the numbers of every search space that was fitted, never changed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError, QueryError
from protvec.store.filters import quote
from protvec.store.schema import TRANSFORMS, transforms_schema
from protvec.store.tables import create_table, merge, open_table, read
from protvec.transform import Transform

if TYPE_CHECKING:
    from lance import LanceDataset, Session

    from protvec.store.location import Location


class Transforms:
    """The transforms of one database by key; those that were read are remembered. For many threads."""

    def __init__(self, root: Location, session: Session | None = None) -> None:
        self._where = root.join(f"{TRANSFORMS}.lance")
        self._session = session
        self._known: dict[str, Transform] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> Transform:
        """One of them.

        Raises:
            DatabaseError: It is not there, or damaged.
        """
        with self._lock:
            if key not in self._known:
                self._known[key] = self._read(key)
            return self._known[key]

    def put(self, transform: Transform) -> None:
        """Have one of them in the table."""
        import pyarrow as pa

        table = self.table()
        if table is None:
            create_table(self._where, transforms_schema())
            table = self.table()
        assert table is not None
        row = {
            "key": transform.key,
            "kind": transform.kind,
            "proteins": transform.proteins,
            "dimension": transform.dimension,
            "data": transform.to_bytes(),
        }
        rows = pa.Table.from_pylist([row], schema=transforms_schema())
        merge(table, "key", rows, replace=False)
        try:
            self._read(transform.key)
        except DatabaseError:  # one of this key was there, whose bytes somebody has damaged
            merge(table, "key", rows, replace=True)
        with self._lock:
            self._known[transform.key] = transform

    def table(self) -> LanceDataset | None:
        """A handle on the newest version; None before anything was fitted."""
        return open_table(self._where, session=self._session)

    def _read(self, key: str) -> Transform:
        table = self.table()
        rows = [] if table is None else read(table, where=f"key = {quote(key)}", columns=["data"])["data"].to_pylist()
        if not rows:
            raise DatabaseError(
                f"{self._where}: no search space {key}: run `protvec calibrate`, or search with raw scores"
            )
        try:
            transform = Transform.from_bytes(rows[0])
        except QueryError as error:
            raise DatabaseError(f"{self._where}: {error}") from error
        if transform.key != key:
            raise DatabaseError(f"{self._where}: search space {key} is damaged: run `protvec calibrate`")
        return transform
