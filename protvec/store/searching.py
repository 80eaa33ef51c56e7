"""The nearest proteins of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.errors import QueryError
from protvec.store.answer import Found, IndexUse, exactly
from protvec.store.exact import query_matrix, search
from protvec.store.filters import check_columns, check_k
from protvec.store.index.record import usable
from protvec.store.memory import Cache, Columns, Passing, bytes_needed
from protvec.store.memory.scan import nearest
from protvec.store.protein_reader import ProteinReader
from protvec.store.schema import SUMMARY_COLUMNS
from protvec.store.tables import take_addresses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self

    from protvec.store.index.record import Record
    from protvec.store.location import Location
    from protvec.store.memory.rows import Rows
    from protvec.store.memory.scan import Nearest
    from protvec.store.schema import Description
    from protvec.store.view import Handles

# Memory that the vectors may take for searches, in bytes: 550,000 proteins of 768 dimensions.
SEARCH_MEMORY = 2 << 30
_QUERIES_AT_ONCE = 256


def check_memory(search_memory: int | None) -> None:
    """Refuse memory for searches that cannot be.

    Raises:
        QueryError: It is below 0.
    """
    if search_memory is not None and search_memory < 0:
        raise QueryError(f"the memory for searches is {search_memory:,} bytes: it must be at least 0")


class Searching(ProteinReader):
    """Search of ``proteins`` by vector.

    Attributes:
        search_memory: Bytes that vectors may take in memory; a database that needs more is read for every search.
    """

    def __init__(
        self, location: Location, description: Description, handles: Handles, *, seconds: float, at: str | None = None
    ) -> None:
        """As ``View``."""
        super().__init__(location, description, handles, seconds=seconds, at=at)
        self.search_memory = SEARCH_MEMORY
        self._cache = Cache()
        self._passing = Passing()
        self._columns = Columns()
        self._known: tuple[int, tuple[Record | None, int, frozenset[str]]] = (-1, (None, 0, frozenset()))  # a version

    def pinned(self) -> Self:
        """As ``View.pinned``: what others ask for meanwhile does not disturb it."""
        view = super().pinned()
        view._cache = self._cache.fork(view._current()[0].version)  # noqa: SLF001 - another of this class
        view._columns = self._columns.fork()  # noqa: SLF001
        return view

    def search(
        self,
        vector: ArrayLike,
        *,
        k: int = 10,
        where: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """The k proteins nearest to a vector by cosine: best first, equal scores by id.

        Args:
            vector: ndarray, shape=(D,).
            k: How many; fewer rows come back where there are fewer.
            where: An SQL filter over the metadata, applied before the ranking.
            columns: Of the result, between ``id`` and ``score`` (float64); ``SUMMARY_COLUMNS`` by default.

        Raises:
            QueryError: A zero, NaN or wrong-sized vector, or k below 1.
            FilterError: The filter or a column cannot be used; names the columns there are.
        """
        return self.find([vector], k=k, where=where, columns=columns).table

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
        handle, _ = self._current()
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            found = self._find(handle, queries[start : start + _QUERIES_AT_ONCE], k, where, columns)
            stop = 0
            for count in found.counts.tolist():
                yield found.table.slice(stop, count)
                stop += count

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
            vectors: ndarray, shape=(N, D); some hundreds at once.
            k: How many for each; fewer rows come back where there are fewer.
            where: An SQL filter over the metadata, applied before the ranking.
            columns: Of the table, between ``id`` and ``score`` (float64); ``SUMMARY_COLUMNS`` by default.

        Raises:
            QueryError, FilterError: As ``search``.
        """
        queries = query_matrix(vectors, self.space.dimension)
        return self._find(self._current()[0], queries, k, where, columns)

    def _find(
        self,
        handle: LanceDataset,
        queries: NDArray[np.float32],
        k: int,
        where: str | None,
        columns: Sequence[str] | None,
    ) -> Found:
        check_k(k)
        names = list(dict.fromkeys(["id", *(SUMMARY_COLUMNS if columns is None else columns)]))
        record, count, there = self._about(handle)
        if not there.issuperset(names):
            check_columns(handle, names)
        fits = bytes_needed(count, self.space.dimension) <= self.search_memory
        may = fits and (record is None or record.kind == "auto")  # an index that was asked for is used
        if not may or not self._cache.pays(len(queries), count):
            if record is not None:
                return self._indexed(handle, record, queries, k, where, names)
            return self._scanned(handle, queries, k, where, names)
        rows = self._cache.at(handle)
        near = self._cache.nearest(rows, queries, k=k, where=where)
        return self._found(rows, near, names, exactly(rows.count))

    def _found(self, rows: Rows, near: Nearest, names: list[str], how: IndexUse) -> Found:
        """The columns of rows in memory."""
        table = None
        if names != ["id"]:
            table = self._columns.take(rows, near.places, names, memory=self.search_memory)
        if table is None:
            table = _taken(rows, near.places, names)
        return Found(table.append_column("score", _array(near.scores)), near.counts, how)

    def _about(self, handle: LanceDataset) -> tuple[Record | None, int, frozenset[str]]:
        """How to search the index of vectors, if there is one; proteins; columns. Asked once for each version."""
        version, about = self._known
        if version != handle.version:
            about = usable(handle), int(handle.count_rows()), frozenset(handle.schema.names)
            self._known = int(handle.version), about
        return about

    def _indexed(
        self,
        handle: LanceDataset,
        record: Record,
        queries: NDArray[np.float32],
        k: int,
        where: str | None,
        names: list[str],
    ) -> Found:
        import numpy as np
        import pyarrow as pa

        from protvec.store.index import vectors

        passing = None
        if where is not None:
            condition = self._passing.at(handle, where, memory=self.search_memory)
            passing = condition.count
            how = exactly(int(handle.count_rows()), meeting=passing)
            if condition.rows is not None:
                near = nearest(condition.rows, None, queries, k=k)
                table = _taken(condition.rows, near.places, names)
                return Found(table.append_column("score", _array(near.scores)), near.counts, how)
            if condition.few:
                return self._scanned(handle, queries, k, where, names)._replace(how=how)
        tables = vectors.search(handle, queries, record, k=k, where=where, columns=names, passing=passing)
        counts = np.array([table.num_rows for table in tables], np.int64)
        pending = vectors.pending(handle)
        how = IndexUse(
            str(record.built),
            exact=False,
            recall=record.recall,
            target=record.target,
            indexed=int(handle.count_rows()) - pending,
            pending=pending,
            meeting=passing,
        )
        return Found(pa.concat_tables(tables), counts, how)

    def _scanned(
        self, handle: LanceDataset, queries: NDArray[np.float32], k: int, where: str | None, names: list[str]
    ) -> Found:
        """What reads the whole table."""
        import numpy as np
        import pyarrow as pa

        tables = list(search(handle, queries, k=k, where=where, columns=names))
        counts = np.array([table.num_rows for table in tables], np.int64)
        return Found(pa.concat_tables(tables), counts, exactly(int(handle.count_rows())))


def _taken(rows: Rows, places: NDArray[np.intp], names: list[str]) -> pa.Table:
    """Columns of rows in memory, each row read once."""
    import numpy as np
    import pyarrow as pa

    if names == ["id"]:
        return pa.table({"id": rows.ids.take(_array(places))})
    unique, back = np.unique(places, return_inverse=True)
    if len(unique) == len(places):
        return take_addresses(rows.handle, rows.addresses[places], names)
    return take_addresses(rows.handle, rows.addresses[unique], names).take(_array(back))


def _array(values: NDArray[np.generic]) -> pa.Array:
    import pyarrow as pa

    return pa.array(values)
