"""Reads of ``proteins``, each of one version: rows by key, streams, counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from protvec.errors import ProteinNotFoundError
from protvec.store.columns import check_name, user_columns
from protvec.store.filters import LANCE_ERRORS, check_columns, check_filter, enclosed, explain
from protvec.store.made import Made
from protvec.store.near import near_ids
from protvec.store.sampling import sample
from protvec.store.schema import matrix_of
from protvec.store.scoring.record import SEGMENTS, plain_names, scoring_of
from protvec.store.segments.rule import Pieces
from protvec.store.segments.vectors import means_of
from protvec.store.tables import read, read_keys, stream, take_addresses
from protvec.store.view import View
from protvec.words import some

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Hashable, Iterator, Sequence

    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import NDArray

    from protvec.store.location import Location
    from protvec.store.sampling import Sample
    from protvec.store.schema import Description
    from protvec.store.view import Handles

_T = TypeVar("_T")

# All keys of a column are kept, of one version or two, where a table has no more rows and more keys are asked for.
_FEW_ROWS, _FEW_KEYS = 50_000, 20


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

    def __init__(
        self, location: Location, description: Description, handles: Handles, *, seconds: float, at: str | None = None
    ) -> None:
        """As ``View``."""
        super().__init__(location, description, handles, seconds=seconds, at=at)
        self._made = Made()

    def of_version(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """What is made of ``proteins`` as they are now: once, for every view of this version.

        Args:
            key: What it is.
            make: Makes it; it is never changed.
        """
        return self._made.get(int(self._current()[0].version), key, make)

    def sample(self, number: int) -> Sample:
        """So many of the distinct sequences, or all: the same ones as long as the proteins are the same."""
        handle, _ = self._current()
        segments = scoring_of(self._schema_of(handle)).codes
        return self.of_version(("sample", number), lambda: sample(handle, number, segments=segments))

    @property
    def columns(self) -> list[str]:
        """Names of the columns of ``proteins``."""
        return plain_names(self._schema_of(self._current()[0]))

    @property
    def schema(self) -> pa.Schema:
        """The schema of ``proteins``, the user's own columns included."""
        import pyarrow as pa

        schema = self._current()[0].schema
        return pa.schema([schema.field(name) for name in plain_names(schema)], metadata=schema.metadata)

    @property
    def user_columns(self) -> dict[str, pa.DataType]:
        """The columns that users added, with their types."""
        return user_columns(self._current()[0].schema)

    def check_column_name(self, name: str) -> None:
        """Check that a user may have a column of this name.

        Raises:
            QueryError: It is protvec's own, or no name that a filter can use.
        """
        check_name(self._current()[0].schema.names, name)

    def check_filter(self, where: str) -> None:
        """Check a filter without running it: once for each version, as that takes half as long as a search.

        Raises:
            FilterError: It cannot be used; names the columns there are.
        """
        handle = self._current()[0]
        self.of_version(("filter", where), lambda: check_filter(handle, where))

    def known(self, ids: Sequence[str]) -> dict[str, Known]:
        """Those of the ids that the database has, each with its digest and its row."""
        handle, _ = self._current()
        columns = [name for name in plain_names(handle.schema) if name != "vector"]
        rows = read_keys(handle, "id", self._there(handle, "id", ids), columns).to_pylist()
        return {row["id"]: Known(row["digest"], row) for row in rows}

    def vectors(self, digests: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Vectors by digest, for those that some protein has.

        Returns:
            ndarray, shape=(D,), dtype=float32, each bit as it was written.
        """
        handle, _ = self._current()
        table = read_keys(handle, "digest", self._there(handle, "digest", digests), ["digest", "vector"])
        matrix = matrix_of(table["vector"])
        return dict(zip(table["digest"].to_pylist(), matrix, strict=True))

    def _there(self, handle: LanceDataset, column: str, keys: Sequence[str]) -> list[str]:
        """The keys that some row has, each once; of few keys, and in a large table, all that are asked for.

        An ingest asks again and again whether something is there, and mostly it is not: then nothing is to be read.
        """
        unique = list(dict.fromkeys(keys))
        if len(unique) < _FEW_KEYS or handle.count_rows() > _FEW_ROWS:
            return unique
        every = self._made.get(
            int(handle.version),
            ("keys", column),
            lambda: frozenset(read(handle, columns=[column])[column].to_pylist()),
        )
        return [key for key in unique if key in every]

    def segment_means(self, digests: Sequence[str]) -> dict[str, NDArray[np.float16]]:
        """The means of the segments of sequences, of those that have some here.

        Returns:
            ndarray, shape=(segments, D), dtype=float16, each, for ``Store.write``.
        """
        handle, _ = self._current()
        if self.segment_rule is None:
            return {}
        rows = read_keys(handle, "digest", list(dict.fromkeys(digests)), ["digest", SEGMENTS]).to_pylist()
        known = {row["digest"]: row[SEGMENTS] for row in rows if row[SEGMENTS]}
        return {key: means_of(value, self.space.dimension).astype(np.float16) for key, value in known.items()}

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
        names = check_columns(handle, plain_names(handle.schema) if columns is None else columns)
        return stream(handle, where=enclosed(where), user=where, columns=names, batch_size=batch_size)

    def iter_vectors(
        self, *, where: str | None = None, after: str | None = None, batch_size: int = 1024
    ) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """The vectors of all proteins, or of those of a filter, in the order of their ids, in bounded memory.

        All are of one version, and the order is the same whatever was compacted meanwhile.

        Args:
            where: The filter.
            after: Only proteins whose id sorts after this one, by its bytes.
            batch_size: Vectors in memory at once.

        Yields:
            Ids, and ndarray, shape=(N, D), dtype=float32, each bit as it was written.
        """
        for ids, rows in self._in_order(["vector"], where, after, batch_size):
            yield ids, matrix_of(rows["vector"])

    def iter_queries(
        self, *, where: str | None = None, after: str | None = None, batch_size: int = 1024
    ) -> Iterator[tuple[list[str], NDArray[np.float32], list[Pieces | None]]]:
        """As ``iter_vectors``, with the segments of each protein: None where there are none."""
        columns = self._with_segments()
        for ids, rows in self._in_order(columns, where, after, batch_size):
            yield ids, matrix_of(rows["vector"]), self._pieces(rows)

    def queries(self, ids: Sequence[str]) -> tuple[NDArray[np.float32], list[Pieces | None]]:
        """The vectors of some proteins, and their segments.

        Returns:
            ndarray, shape=(N, D), dtype=float32, and for each protein its segments, or None where it has none.

        Raises:
            ProteinNotFoundError: Some are not there.
        """
        handle, names = self._current()[0], self._with_segments()
        known = self._addresses(handle, ids)
        rows = self._rows_of(handle, ids, names) if known is None else take_addresses(handle, known, names)
        return matrix_of(rows["vector"]), self._pieces(rows)

    def _addresses(self, handle: LanceDataset, ids: Sequence[str]) -> NDArray[np.uint64] | None:
        """Where those proteins are in the table of a version, if that is known of all of them without reading it."""
        del handle, ids
        return None

    def _with_segments(self) -> list[str]:
        return ["vector", *(["length", SEGMENTS] if self.segment_rule is not None else [])]

    def _pieces(self, rows: pa.Table) -> list[Pieces | None]:
        rule = self.segment_rule
        if rule is None or SEGMENTS not in rows.column_names:
            return [None] * rows.num_rows
        dimension = self.space.dimension
        both = zip(rows[SEGMENTS].to_pylist(), rows["length"].to_pylist(), strict=True)
        return [Pieces.of(means_of(value, dimension), length, rule) if value else None for value, length in both]

    def _in_order(
        self, columns: list[str], where: str | None, after: str | None, batch_size: int
    ) -> Iterator[tuple[list[str], pa.Table]]:
        """The rows of proteins in the order of their ids, all of one version."""
        import pyarrow.compute as pc

        handle, _ = self._current()
        rows = read(handle, where=enclosed(where), user=where, columns=["id"], with_row_address=True).sort_by("id")
        if after is not None:
            rows = rows.filter(pc.greater(rows["id"], after))
        addresses = rows["_rowaddr"].to_numpy()
        for start in range(0, rows.num_rows, batch_size):
            part = addresses[start : start + batch_size]
            yield rows["id"].slice(start, batch_size).to_pylist(), take_addresses(handle, part, columns)

    def count(self, where: str | None = None) -> int:
        """The number of proteins, or of those that pass a filter."""
        handle, _ = self._current()
        try:
            return int(handle.count_rows(enclosed(where)))
        except LANCE_ERRORS as error:
            raise explain(error, handle, where) from error

    def _get(self, handle: LanceDataset, ids: Sequence[str], columns: Sequence[str] | None) -> pa.Table:
        return self._rows_of(
            handle, ids, check_columns(handle, plain_names(handle.schema) if columns is None else columns)
        )

    def _rows_of(self, handle: LanceDataset, ids: Sequence[str], names: list[str]) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        table = read_keys(handle, "id", list(dict.fromkeys(ids)), list(dict.fromkeys([*names, "id"])))
        self._check_found(handle, ids, set(table["id"].to_pylist()))
        places = pc.index_in(pa.array(ids, pa.string()), table["id"].combine_chunks())
        return table.take(places).select(names)

    def _check_found(self, handle: LanceDataset, ids: Sequence[str], found: Container[str]) -> None:
        missing = [identifier for identifier in dict.fromkeys(ids) if identifier not in found]
        if not missing:
            return
        near = near_ids(missing[0], read(handle, columns=["id"])["id"])
        hint = f"; near: {', '.join(near)}" if near else ""
        raise ProteinNotFoundError(
            f"{self.path}: no protein {some([*map(repr, missing)])}{hint}", ids=missing, near=near
        )
