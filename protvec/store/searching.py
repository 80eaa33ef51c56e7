"""The nearest proteins of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.store.answer import Found, exactly
from protvec.store.exact import query_matrix, search
from protvec.store.protein_reader import ProteinReader
from protvec.store.schema import SUMMARY_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray


class Searching(ProteinReader):
    """Search of ``proteins`` by vector."""

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

    def find(
        self,
        vectors: ArrayLike | Sequence[ArrayLike],
        *,
        k: int = 10,
        where: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Found:
        """The k proteins nearest to each of several vectors, in one table, and how they were found.

        Args:
            vectors: ndarray, shape=(N, D).
            k: How many for each; fewer rows come back where there are fewer.
            where: An SQL filter over the metadata, applied before the ranking.
            columns: Of the table, between ``id`` and ``score`` (float64); ``SUMMARY_COLUMNS`` by default.

        Raises:
            QueryError, FilterError: As ``search``.
        """
        import numpy as np
        import pyarrow as pa

        queries = query_matrix(vectors, self.space.dimension)
        handle, _ = self._current()
        wanted = list(SUMMARY_COLUMNS if columns is None else columns)
        tables = list(search(handle, queries, k=k, where=where, columns=wanted))
        counts = np.array([table.num_rows for table in tables], np.int64)
        return Found(pa.concat_tables(tables), counts, exactly(handle.count_rows()))
