"""The nearest proteins of vectors."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from protvec.errors import QueryError
from protvec.store.answer import Found, FoundSegments, IndexUse, exactly
from protvec.store.answering import Asked, by_id, found_in, pa_array, scanned, taken, unnoted, with_lacking
from protvec.store.exact import query_matrix
from protvec.store.filters import check_columns, check_k
from protvec.store.index.record import usable
from protvec.store.memory import Cache, Columns, Passing, bytes_coded, bytes_needed
from protvec.store.memory.scan import nearest
from protvec.store.memory.segment_scan import nearest_segments
from protvec.store.memory.segments import SegmentCache, segment_bytes
from protvec.store.protein_reader import ProteinReader
from protvec.store.schema import SUMMARY_COLUMNS
from protvec.store.scoring.compared import Compared
from protvec.store.scoring.record import RAW, plain_names, scoring_of
from protvec.store.scoring.transforms import Transforms
from protvec.store.tables import read, take_addresses
from protvec.words import size as in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self

    from protvec.store.answer import Cut
    from protvec.store.index.record import Record
    from protvec.store.location import Location
    from protvec.store.memory.segments import Segments
    from protvec.store.schema import Description
    from protvec.store.scoring.record import Scoring
    from protvec.store.segments import Rule
    from protvec.store.view import Handles
    from protvec.transform import Transform

    _About = tuple[Record | None, int, frozenset[str]]

# Memory that the vectors may take for searches, in bytes: 550,000 proteins of 768 dimensions, or 2.4 million rounded.
SEARCH_MEMORY = 2 << 30
_QUERIES_AT_ONCE = 256
_LOOKED_UP = 4  # ids that are found sooner one after another among those in memory than by the table


def check_memory(search_memory: int | None) -> None:
    """Refuse memory for searches that cannot be.

    Raises:
        QueryError: It is below 0.
    """
    if search_memory is not None and search_memory < 0:
        raise QueryError(f"the memory for searches is {search_memory:,} bytes: it must be at least 0")


def _memory_of(handle: LanceDataset, rule: Rule, dimension: int) -> tuple[int, int, int]:
    """Bytes that the vectors of a version take in memory, and their codes alone, and its segments."""
    counts = np.maximum(rule.counts(read(handle, columns=["length"])["length"].to_numpy().astype(np.int64)), 1)
    proteins = len(counts)
    segments = segment_bytes(int(counts.sum()), proteins, dimension)
    return bytes_needed(proteins, dimension), bytes_coded(proteins, dimension), segments


class Searching(ProteinReader):
    """Search of ``proteins`` by vector.

    Attributes:
        search_memory: Bytes that vectors, or the same rounded to a byte a value, may take in memory; a database that
            needs more is read for every search, or has an index.
    """

    def __init__(
        self, location: Location, description: Description, handles: Handles, *, seconds: float, at: str | None = None
    ) -> None:
        """As ``View``."""
        super().__init__(location, description, handles, seconds=seconds, at=at)
        self.search_memory = SEARCH_MEMORY
        self._memory: dict[str, tuple[Cache, Columns]] = {}  # by the column that is compared
        self._passing = Passing()
        self._transforms = Transforms(location)
        self._segments = SegmentCache()

    def pinned(self) -> Self:
        """As ``View.pinned``: what others ask for meanwhile does not disturb it."""
        view = super().pinned()
        version = view._current()[0].version  # noqa: SLF001 - another of this class
        kept = {name: (cache.fork(version), hits.fork()) for name, (cache, hits) in self._memory.items()}
        view._memory = kept  # noqa: SLF001
        view._segments = self._segments.fork(version)  # noqa: SLF001
        return view

    @property
    def scoring(self) -> Scoring:
        """The search space of this database as it is now."""
        return scoring_of(self._schema_of(self._current()[0]))

    def transform(self, key: str) -> Transform:
        """What makes search vectors, by the ``key`` of a ``Scoring``.

        Raises:
            DatabaseError: It is not there, or damaged.
        """
        return self._transforms.get(key)

    def project(self, vectors: ArrayLike, *, scoring: str | None = None) -> NDArray[np.float32]:
        """Mean vectors in the search space of this database: the cosines of what is returned are the scores.

        Args:
            vectors: ndarray, shape=(N, D).
            scoring: As for ``find``.

        Returns:
            ndarray, shape=(N, D), dtype=float32, each of length 1; where scores are raw, the vectors as they are.

        Raises:
            QueryError: A zero, NaN or wrong-sized vector.
        """
        return self._compared(self._current()[0], scoring).query(query_matrix(vectors, self.space.dimension))

    def search(
        self,
        vector: ArrayLike,
        *,
        k: int = 10,
        where: str | None = None,
        columns: Sequence[str] | None = None,
        scoring: str | None = None,
    ) -> pa.Table:
        """The k proteins nearest to a vector by cosine: best first, equal scores by id.

        Args:
            vector: ndarray, shape=(D,).
            k: How many; fewer rows come back where there are fewer.
            where: An SQL filter over the metadata, applied before the ranking.
            columns: Of the result, between ``id`` and ``score`` (float64); ``SUMMARY_COLUMNS`` by default.
            scoring: ``raw`` for cosines of the vectors themselves; by default those of the database's search space.

        Raises:
            QueryError: A zero, NaN or wrong-sized vector, or k below 1.
            FilterError: The filter or a column cannot be used; names the columns there are.
        """
        return self.find([vector], k=k, where=where, columns=columns, scoring=scoring).table

    def search_many(
        self,
        vectors: ArrayLike,
        *,
        k: int = 10,
        where: str | None = None,
        columns: Sequence[str] | None = None,
        scoring: str | None = None,
    ) -> Iterator[pa.Table]:
        """``search`` for many vectors: one table each, in order, and several times faster than one by one.

        All answers are of one version of the database.
        """
        queries = query_matrix(vectors, self.space.dimension)
        handle, _ = self._current()
        compared = self._compared(handle, scoring)
        queries = compared.query(queries)
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            part = queries[start : start + _QUERIES_AT_ONCE]
            found = self._find(handle, compared, part, k, where, columns)
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
        scoring: str | None = None,
        projected: bool = False,
    ) -> Found:
        """The k proteins nearest to each of several vectors, in one table, and how they were found.

        Args:
            vectors: ndarray, shape=(N, D); some hundreds at once.
            k: How many for each; fewer rows come back where there are fewer.
            where: An SQL filter over the metadata, applied before the ranking.
            columns: Of the table, between ``id`` and ``score`` (float64); ``SUMMARY_COLUMNS`` by default.
            scoring: ``raw`` for cosines of the vectors themselves; by default those of the database's search space.
            projected: Whether the vectors are of that space already, as ``project`` returns them.

        Raises:
            QueryError, FilterError: As ``search``.
        """
        queries = query_matrix(vectors, self.space.dimension)
        handle, _ = self._current()
        compared = self._compared(handle, scoring)
        return self._find(handle, compared, queries if projected else compared.query(queries), k, where, columns)

    def project_segments(self, means: ArrayLike) -> NDArray[np.float32]:
        """Means of segments, or of short proteins, in the space in which segments are compared.

        Args:
            means: ndarray, shape=(N, D).

        Returns:
            ndarray, shape=(N, D), dtype=float32, each of length 1.

        Raises:
            QueryError: A zero, NaN or wrong-sized vector; or no segments are compared: see ``no_segments``.
        """
        key = self.scoring.segments_key
        if key is None:
            raise QueryError(f"{self.path}: {self.no_segments}")
        return self._transforms.get(key).apply(query_matrix(means, self.space.dimension))

    @property
    def no_segments(self) -> str | None:
        """Why searches compare no segments; None where they do."""
        handle, _ = self._current()
        rule, scoring = self.segment_rule, self.scoring
        if rule is None:
            return "no segments are kept: protvec calibrate --segments makes them"
        if scoring.segments_key is None:
            return "segments are compared in a fitted search space alone"
        sizes = self.of_version("bytes", lambda: _memory_of(handle, rule, self.space.dimension))
        needed = sizes[2] + (sizes[0] if sizes[0] <= self.search_memory else sizes[1])
        if needed > self.search_memory:
            return f"segments left out: with them searches need {in_words(needed)} of memory (--search-memory)"
        return None

    def find_segments(
        self, cut: Cut, *, k: int, where: str | None = None, columns: Sequence[str] | None = None
    ) -> FoundSegments:
        """The k proteins with the segments nearest to a segment of each of several queries.

        Args:
            cut: The segments of the queries, as ``project_segments`` returns them.
            k: How many for each; fewer rows come back where there are fewer.
            where: An SQL filter over the metadata, applied before the ranking.
            columns: As for ``find``.

        Raises:
            QueryError: No segments are compared: see ``no_segments``.
            FilterError: The filter or a column cannot be used.
        """
        check_k(k)
        handle, _ = self._current()
        rule, column = self.segment_rule, self.scoring.codes
        if rule is None or column is None:
            raise QueryError(f"{self.path}: {self.no_segments}")
        names = check_columns(handle, list(dict.fromkeys(["id", *(SUMMARY_COLUMNS if columns is None else columns)])))
        now = self._segments.at(handle, rule, column)
        allowed = None if where is None else self._segments.meeting(now, where)
        near = nearest_segments(now, cut.vectors, cut.counts, k=k, allowed=allowed)
        table = self._taken(now, near.owners, names).append_column("score", pa_array(near.scores))
        table = table.append_column("segment", pa_array(near.targets.astype(np.int32)))
        table = table.append_column("piece", pa_array(near.pieces.astype(np.int32)))
        return FoundSegments(by_id(table, near.counts), near.counts, len(now.codes), now.version)

    def _taken(self, now: Segments, owners: NDArray[np.intp], names: list[str]) -> pa.Table:
        """Columns of proteins: of those in memory, where they are there."""
        addresses = now.addresses[owners]
        cache, hits = self._in_memory(self._compared(now.handle, None))
        rows = cache.known(now.version)
        if rows is not None:
            places = rows.places_of(addresses)
            table = hits.take(rows, places, names, memory=self.search_memory)
            return taken(rows, places, names) if table is None else table
        unique, back = np.unique(addresses, return_inverse=True)
        return take_addresses(now.handle, unique, names).take(pa_array(back))

    def _addresses(self, handle: LanceDataset, ids: Sequence[str]) -> NDArray[np.uint64] | None:
        """As in memory: to ask the table for a row takes longer than to compare it with all others."""
        known = (cache.known(int(handle.version)) for cache, _ in list(self._memory.values()))
        rows = next((each for each in known if each is not None), None)
        return None if rows is None or len(ids) > _LOOKED_UP else rows.addresses_of(ids)

    def _compared(self, handle: LanceDataset, scoring: str | None) -> Compared:
        """Which vectors of a version are compared."""
        if scoring not in (None, "raw"):
            raise QueryError(f"scoring {scoring!r}: leave it out for the search space of the database, or take raw")
        now = RAW if scoring == "raw" else scoring_of(self._schema_of(handle))
        return Compared(now) if now.key is None else Compared(now, self._transforms.get(now.key))

    def _find(
        self,
        handle: LanceDataset,
        compared: Compared,
        queries: NDArray[np.float32],
        k: int,
        where: str | None,
        columns: Sequence[str] | None,
    ) -> Found:
        check_k(k)
        names = list(dict.fromkeys(["id", *(SUMMARY_COLUMNS if columns is None else columns)]))
        record, _, there = self._about(handle, compared.column)
        if not there.issuperset(names):
            check_columns(handle, names)
        asked = Asked(handle, compared, queries, k, where, names)
        found = self._answer(asked, record)
        how = dataclasses.replace(found.how, scoring=compared.scoring.name)
        return found._replace(table=unnoted(found.table), how=how)

    def _answer(self, asked: Asked, record: Record | None) -> Found:
        handle, compared = asked.handle, asked.compared
        _, count, _ = self._about(handle, compared.column)
        coded = bytes_needed(count, self.space.dimension) > self.search_memory
        fits = not coded or bytes_coded(count, self.space.dimension) <= self.search_memory
        may = fits and (record is None or record.kind == "auto")  # an index that was asked for is used
        cache, hits = self._in_memory(compared)
        if not may or not cache.pays(len(asked.queries), count, coded=coded):
            return scanned(asked) if record is None else self._indexed(asked, record)
        rows = cache.at(handle, compared, coded=coded)
        near = cache.nearest(rows, asked.queries, k=asked.k, where=asked.where)
        table = None
        if asked.names != ["id"]:
            table = hits.take(rows, near.places, asked.names, memory=self.search_memory)
        return found_in(rows, near, asked.names, exactly(rows.count), table)

    def _in_memory(self, compared: Compared) -> tuple[Cache, Columns]:
        """What is in memory; that of search spaces that were before is let go."""
        kept = self._memory  # shared with views of one call, see ``still``
        if compared.column not in kept:
            for name in list(kept):
                if name not in ("vector", compared.column):
                    kept.pop(name, None)
        return kept.setdefault(compared.column, (Cache(), Columns()))

    def _about(self, handle: LanceDataset, column: str) -> _About:
        """How to search the index of a column, if there is one; proteins; columns. Asked once for each version."""
        names = frozenset(plain_names(self._schema_of(handle)))
        made: _About = self._made.get(
            int(handle.version), ("about", column), lambda: (usable(handle, column), int(handle.count_rows()), names)
        )
        return made

    def _indexed(self, asked: Asked, record: Record) -> Found:
        import pyarrow as pa

        from protvec.store.index import vectors

        handle, where, queries, k = asked.handle, asked.where, asked.queries, asked.k
        passing = None
        if where is not None:
            condition = self._passing.at(handle, where, asked.compared, memory=self.search_memory)
            passing = condition.count
            how = exactly(int(handle.count_rows()), meeting=passing)
            if condition.rows is not None:
                near = nearest(condition.rows, condition.codes, queries, k=k)
                return found_in(condition.rows, near, asked.names, how)
            if condition.few:
                return scanned(asked)._replace(how=how)
        column = asked.compared.column
        tables = vectors.search(
            handle, queries, record, k=k, where=where, columns=asked.names, vectors=column, passing=passing
        )
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
        return with_lacking(Found(pa.concat_tables(tables), counts, how), asked)
