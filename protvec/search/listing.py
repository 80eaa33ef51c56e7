"""Results as a sequence that is also a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

T_co = TypeVar("T_co", covariant=True)


class Listing(Sequence[T_co]):
    """Rows of a table, each of which is a value of its own when it is asked for.

    It has a length, can be indexed and iterated; and it is a table, through ``to_arrow``, ``to_pandas`` and
    ``to_dicts``.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def to_arrow(self) -> pa.Table:
        """The table: a column for each attribute of a row, and the metadata asked for."""
        return self._table

    def to_pandas(self) -> pd.DataFrame:
        """The same as a pandas frame; needs pandas (``pip install 'protvec[pandas]'``)."""
        return self._table.to_pandas()

    def to_dicts(self) -> list[dict[str, Any]]:
        """The same as one dict a row."""
        rows: list[dict[str, Any]] = self._table.to_pylist()
        return rows

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> list[T_co]: ...
    def __getitem__(self, index: int | slice) -> T_co | list[T_co]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        return self._row(self._table.slice(index % len(self), 1).to_pylist()[0])

    def _row(self, values: dict[str, Any]) -> T_co:
        """A row of the table as a value."""
        raise NotImplementedError
