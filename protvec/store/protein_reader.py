"""Reads of ``proteins``, each of one version: rows by key, the nearest to a vector, counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protvec.errors import ProteinNotFoundError
from protvec.store.columns import check_name, user_columns
from protvec.store.exact import query_matrix, search
from protvec.store.filters import LANCE_ERRORS, check_columns, check_filter, enclosed, explain
from protvec.store.near import near_ids
from protvec.store.schema import SUMMARY_COLUMNS
from protvec.store.tables import read, read_keys, stream
from protvec.store.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Known:
    """A protein that the database has.

    Attributes:
        digest: Of its sequence.
        row: Its columns but ``vector``.
    """

    digest: str
    row: dict[str, Any]


class ProteinReader(View):
    """What can be read of ``proteins``."""

    @property
    def columns(self) -> list[str]:
        """Names of the columns of ``proteins``."""
        return list(self._current()[0].schema.names)

    @property
    def schema(self) -> pa.Schema:
        """The schema of ``proteins``, the user's own columns included."""
        return self._current()[0].schema

    @property
    def user_columns(self) -> dict[str, pa.DataType]:
        """The columns that users added, with their types."""
        return user_columns(self._current()[0].schema)

    def check_column_name(self, name: str) -> None:
        """Check that a user may have a column of this name.

        Raises:
            QueryError: It is protvec's own, or no name that a filter can use.
        """
        check_name(self._current()[0], name)

    def check_filter(self, where: str) -> None:
        """Check a filter without running it.

        Raises:
            FilterError: It cannot be used; names the columns there are.
        """
        check_filter(self._current()[0], where)

    def known(self, ids: Sequence[str]) -> dict[str, Known]:
        """Those of the ids that the database has, each with its digest and its row."""
        handle, _ = self._current()
        columns = [name for name in handle.schema.names if name != "vector"]
        rows = read_keys(handle, "id", list(dict.fromkeys(ids)), columns).to_pylist()
        return {row["id"]: Known(row["digest"], row) for row in rows}

    def vectors(self, digests: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Vectors by digest, for those that some protein has.

        Returns:
            ndarray, shape=(D,), dtype=float32, each bit as it was written.
        """
        handle, _ = self._current()
        table = read_keys(handle, "digest", list(dict.fromkeys(digests)), ["digest", "vector"])
        matrix = table["vector"].combine_chunks().flatten().to_numpy().reshape(-1, self.space.dimension)
        return dict(zip(table["digest"].to_pylist(), matrix, strict=True))

    def get(self, ids: Sequence[str], *, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows by id, in the order of ``ids``; all columns unless some are named.

        Raises:
            ProteinNotFoundError: Some are not there; carries them and similar ids.
            FilterError: An unknown column.
        """
        return self._get(self._current()[0], ids, columns)

    def iter_proteins(
        self, *, columns: Sequence[str] | None = None, where: str | None = None, batch_size: int = 1024
    ) -> Iterator[pa.RecordBatch]:
        """All proteins, or those of a filter, in bounded memory, from one version; all columns by default."""
        handle, _ = self._current()
        names = check_columns(handle, handle.schema.names if columns is None else columns)
        return stream(handle, where=enclosed(where), user=where, columns=names, batch_size=batch_size)

    def count(self, where: str | None = None) -> int:
        """The number of proteins, or of those that pass a filter."""
        handle, _ = self._current()
        try:
            return int(handle.count_rows(enclosed(where)))
        except LANCE_ERRORS as error:
            raise explain(error, handle, where) from error

    def search(
        self,
        vector: ArrayLike,
        *,
        k: int = 10,
        where: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """The k proteins nearest to a vector by cosine: exact, best first, equal scores by id.

        Args:
            vector: ndarray, shape=(D,).
            k: How many; fewer rows come back where there are fewer.
            where: An SQL filter over the metadata, applied before the ranking.
            columns: Of the result, between ``id`` and ``score`` (float64); ``SUMMARY_COLUMNS`` by default.

        Raises:
            QueryError: A zero, NaN or wrong-sized vector, or k below 1.
            FilterError: The filter or a column cannot be used; names the columns there are.
        """
        queries = query_matrix([vector], self.space.dimension)
        return next(self._search(queries, k=k, where=where, columns=columns))

    def search_many(
        self,
        vectors: ArrayLike,
        *,
        k: int = 10,
        where: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[pa.Table]:
        """``search`` for many vectors: one table each, in order, and several times faster than one by one.

        All answers are of one version of the database.
        """
        queries = query_matrix(vectors, self.space.dimension)
        return self._search(queries, k=k, where=where, columns=columns)

    def _search(
        self, queries: NDArray[np.float32], *, k: int, where: str | None, columns: Sequence[str] | None
    ) -> Iterator[pa.Table]:
        columns = SUMMARY_COLUMNS if columns is None else columns
        return search(self._current()[0], queries, k=k, where=where, columns=columns)

    def _get(self, handle: LanceDataset, ids: Sequence[str], columns: Sequence[str] | None) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        names = check_columns(handle, handle.schema.names if columns is None else columns)
        table = read_keys(handle, "id", list(dict.fromkeys(ids)), list(dict.fromkeys([*names, "id"])))
        self._check_found(handle, ids, table["id"].to_pylist())
        places = pc.index_in(pa.array(ids, pa.string()), table["id"].combine_chunks())
        return table.take(places).select(names)

    def _check_found(self, handle: LanceDataset, ids: Sequence[str], found: list[str]) -> None:
        have = set(found)
        missing = [identifier for identifier in dict.fromkeys(ids) if identifier not in have]
        if not missing:
            return
        near = near_ids(missing[0], read(handle, columns=["id"])["id"])
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        hint = f"; near: {', '.join(near)}" if near else ""
        raise ProteinNotFoundError(f"{self.path}: no protein {missing[0]!r}{more}{hint}", ids=missing, near=near)
