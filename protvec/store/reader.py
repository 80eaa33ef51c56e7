"""Reads of an open database, each of one version, from handles that follow other writers."""

from __future__ import annotations

import copy
import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protvec.errors import DatabaseError, ProteinNotFoundError, QueryError, SpaceMismatchError
from protvec.store import snapshots
from protvec.store.arrays import Residues, arrow_schema, iter_arrays, read_arrays, record_batch
from protvec.store.codec import bytes_per_residue, bytes_per_sequence, codec_named
from protvec.store.columns import check_name, kind_of, user_columns
from protvec.store.exact import query_matrix, search
from protvec.store.filters import (
    KEYS_PER_FILTER,
    LANCE_ERRORS,
    brief,
    check_columns,
    check_filter,
    enclosed,
    explain,
    quote,
)
from protvec.store.near import near_ids
from protvec.store.rows import Stored
from protvec.store.schema import PROTEINS, RESIDUES, SUMMARY_COLUMNS
from protvec.store.tables import latest, read, read_keys, stream
from protvec.store.upkeep import sizes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import ArrayLike, NDArray

    from protvec.space import Space
    from protvec.store.location import Location
    from protvec.store.schema import Description
    from protvec.store.snapshots import Snapshot

    Handles = tuple[LanceDataset, LanceDataset]  # proteins, residues

# Between looks for residues that another process is just putting back (``Store._restore``), in seconds.
_PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)

_LOOKS = 5  # at both tables, before a version of which the residues may be newer is taken


@dataclass(frozen=True)
class Known:
    """A protein that the database has.

    Attributes:
        digest: Of its sequence.
        row: Its columns but ``vector``.
    """

    digest: str
    row: dict[str, Any]


class Reader:
    """What can be read of a database; ``Store`` opens and writes it, and describes the attributes."""

    def __init__(
        self, location: Location, description: Description, handles: Handles, *, seconds: float, at: str | None = None
    ) -> None:
        """Read through the handles, never older than so many seconds; those of a snapshot stay as they are."""
        self.location = location
        self.path = location.path
        self.at = at
        self.space = description.space
        self._take(description)
        self._seconds = seconds
        self._proteins, self._residues = handles
        self._checked = time.monotonic()
        self._lock = threading.Lock()  # guards the handles

    def _take(self, description: Description) -> None:
        """What the database says about itself, but for its space, which never changes."""
        self.codec = description.codec
        self.precision = description.precision
        self.schema_version = description.schema_version
        self.created_with = description.created_with
        self._codec = codec_named(description.codec)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r}, {self.space})"

    def check_space(self, space: Space) -> None:
        """Check that vectors of a space may be stored here or compared with these.

        Raises:
            SpaceMismatchError: They may not; names both spaces.
        """
        if not self.space.matches(space):
            raise SpaceMismatchError(
                f"{self.path} holds vectors of {self.space}, not of {space}: take its model or another path",
                expected=self.space,
                actual=space,
            )

    @property
    def snapshot_names(self) -> list[str]:
        """Names of the snapshots, oldest first."""
        return snapshots.names((self._proteins, self._residues))

    def snapshots(self) -> list[Snapshot]:
        """The snapshots, oldest first, with what each alone keeps on disk.

        Raises:
            DatabaseError: This is opened at a snapshot itself.
        """
        return snapshots.snapshots(self._newest())

    @property
    def columns(self) -> list[str]:
        """Names of the columns of ``proteins``."""
        return list(self._current()[0].schema.names)

    @property
    def schema(self) -> pa.Schema:
        """The schema of ``proteins``, the user's own columns included."""
        return self._current()[0].schema

    def pinned(self) -> Reader:
        """The database as it is now: several reads of what this returns are of one version of it."""
        view = copy.copy(self)
        handles = self._newest() if self.at is None else self._current()
        view._proteins, view._residues = handles  # noqa: SLF001 - another of this class
        view._seconds = math.inf  # noqa: SLF001
        return view

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

    @property
    def keeps_residues(self) -> bool:
        """Whether residue arrays are stored at all."""
        return self._codec.keeps

    @property
    def bytes_per_residue(self) -> float:
        """What a stored residue takes, for estimates."""
        return bytes_per_residue(self.codec, self.space.dimension)

    @property
    def bytes_per_sequence(self) -> float:
        """What a stored array takes beside its residues, for estimates."""
        return bytes_per_sequence(self.codec, self.space.dimension)

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

    def residues(self, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Per-residue arrays by id, many in one read.

        Returns:
            ndarray, shape=(L, D), dtype=float32, decoded, each; identical sequences share one array.

        Raises:
            ProteinNotFoundError: Some are not there.
            QueryError: This database keeps none.
        """
        self._check_keeps()
        unique = list(dict.fromkeys(ids))
        handles = self._current()
        for pause in (*_PAUSES, None):
            digests, decoded = self._arrays(handles, unique)
            absent = [identifier for identifier, key in zip(unique, digests, strict=True) if key not in decoded]
            if not absent:
                return {identifier: decoded[key] for identifier, key in zip(unique, digests, strict=True)}
            if pause is not None:
                time.sleep(pause)
                handles = self._newest()
        raise QueryError(f"{self.path}: no residues stored for {absent[0]!r} and {len(absent) - 1} more")

    def stored(self, digests: Sequence[str]) -> dict[str, Stored]:
        """Residue arrays by digest, as they are kept, for those that are there."""
        _, handle = self._current()
        rows = read_keys(handle, "digest", list(dict.fromkeys(digests)), handle.schema.names).to_pylist()
        return {row["digest"]: Stored(row["length"], row["codec"], row["scales"], row["data"]) for row in rows}

    def _arrays(self, handles: Handles, ids: Sequence[str]) -> tuple[list[str], dict[str, NDArray[np.float32]]]:
        """The digest of each id, and the arrays that there are of them.

        The handles are of two tables: where a protein was deleted between one being taken and the other, its
        residues are gone. The caller looks again then.
        """
        handle, residue_handle = handles
        digests = self._get(handle, ids, ["digest"])["digest"].to_pylist()
        return digests, read_arrays(residue_handle, sorted(set(digests)), dimension=self.space.dimension)

    def iter_residues(self, *, where: str | None = None, batch_size: int = 32) -> Iterator[Residues]:
        """Residues of all proteins, or of those of a filter, in bounded memory and in no order.

        Which proteins is settled when this is called; those deleted before their turn are left out. A
        compaction meanwhile does no harm, however long it takes to go through.

        Args:
            where: The filter.
            batch_size: Arrays in memory at once.

        Raises:
            QueryError: This database keeps none.
            FilterError: The filter cannot be used.
        """
        return (each for batch in self._residues_in_batches(where, batch_size) for each in batch)

    def residue_batches(self, *, where: str | None = None, batch_size: int = 32) -> pa.RecordBatchReader:
        """As ``iter_residues``, as Arrow.

        Returns:
            A stream of record batches: ``id``, ``digest``, ``length``, and ``residues``, a list of L lists of
            D float32.
        """
        import pyarrow as pa

        dimension = self.space.dimension
        batches = self._residues_in_batches(where, batch_size)
        return pa.RecordBatchReader.from_batches(
            arrow_schema(dimension), (record_batch(batch, dimension) for batch in batches)
        )

    def _residues_in_batches(self, where: str | None, batch_size: int) -> Iterator[list[Residues]]:
        self._check_keeps()
        if batch_size < 1:
            raise QueryError(f"batch_size is {batch_size}: take at least 1 array at once")
        proteins = read(self._current()[0], where=enclosed(where), user=where, columns=["id", "digest"])
        return self._batches_of(proteins, batch_size)

    def _batches_of(self, proteins: pa.Table, batch_size: int) -> Iterator[list[Residues]]:
        for start in range(0, proteins.num_rows, KEYS_PER_FILTER):
            ids: dict[str, list[str]] = {}
            for row in proteins.slice(start, KEYS_PER_FILTER).to_pylist():
                ids.setdefault(row["digest"], []).append(row["id"])
            # From the version that is the newest by now: that of the beginning may have been cleaned up.
            yield from iter_arrays(self._current()[1], ids, batch_size=batch_size)
            if ids:  # deleted since, or committed just now
                known = self.known([identifier for same in ids.values() for identifier in same])
                kept = [identifier for identifier, protein in known.items() if protein.digest in ids]
                arrays = self.residues(kept)
                yield [Residues(identifier, known[identifier].digest, arrays[identifier]) for identifier in kept]

    def _check_keeps(self) -> None:
        if not self._codec.keeps:
            raise QueryError(f"{self.path} keeps no residue arrays (codec none): ingest with another codec")

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

    def info(self) -> dict[str, Any]:
        """What the database holds and what it takes, as plain values that JSON can carry."""
        import pyarrow.compute as pc

        handle, residue_handle = self._current()
        table = read(handle, columns=["digest", "length", "dataset"])
        groups = table.group_by("dataset").aggregate([([], "count_all")]).to_pylist()
        return {
            "path": self.path,
            "space": self.space.to_dict(),
            "schema_version": self.schema_version,
            "created_with": self.created_with,
            "codec": self.codec,
            "precision": self.precision,
            "proteins": table.num_rows,
            "sequences": pc.count_distinct(table["digest"]).as_py(),
            "residues": pc.sum(table["length"]).as_py() or 0,
            "residue_arrays": residue_handle.count_rows(),
            "other_codecs": residue_handle.count_rows(f"codec != {quote(self.codec)}"),
            "datasets": {row["dataset"] or "": row["count_all"] for row in sorted(groups, key=_dataset_name)},
            "bytes": {PROTEINS: sizes(handle), RESIDUES: sizes(residue_handle)},
            "versions": {PROTEINS: handle.version, RESIDUES: residue_handle.version},
            "columns": {name: kind_of(kind) or str(kind) for name, kind in user_columns(handle.schema).items()},
            "snapshots": self.snapshot_names,
            "indexes": [index.name for index in handle.describe_indices()],
        }

    def refresh(self) -> None:
        """See what other processes have committed by now, without waiting for ``read_consistency_seconds``."""
        self._newest()

    def newest_version(self) -> int:
        """The number of the newest version of ``proteins``; quick, and reads go on from what they had."""
        with self._lock:
            handle = self._proteins
        try:
            return int(handle.latest_version)
        except LANCE_ERRORS as error:
            raise DatabaseError(f"{self.path}: cannot be read any more: {brief(error)}") from error

    def handles(self) -> Handles:
        """Handles on the newest versions of ``proteins`` and ``residues``; on the snapshot where it is one."""
        return self._newest() if self.at is None else self._current()

    # --- Handles ---------------------------------------------------------------------------------------

    def _current(self) -> Handles:
        """Handles that are at most ``read_consistency_seconds`` old."""
        with self._lock:
            if self.at is not None:
                return self._proteins, self._residues
            if time.monotonic() - self._checked < self._seconds:
                return self._proteins, self._residues
        return self._newest()

    def _newest(self) -> Handles:
        """Handles on the newest versions, of one moment: ``proteins`` is the same before and after the other is taken.

        So each protein has its residues in the other, also while a restore takes both tables back. Everything
        that writes begins with it: that is what makes a database opened at a snapshot read-only.
        """
        self._refuse_at_snapshot()
        with self._lock:
            for _ in range(_LOOKS):
                self._proteins = latest(self._proteins)
                self._residues = latest(self._residues)
                if latest(self._proteins).version == self._proteins.version:
                    break
            self._checked = time.monotonic()
            return self._proteins, self._residues

    def _refuse_at_snapshot(self) -> None:
        if self.at is not None:
            raise DatabaseError(
                f"{self.path}: opened at snapshot {self.at!r}, which only reads: open the database itself to change it"
            )

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


def _dataset_name(row: dict[str, Any]) -> str:
    return row["dataset"] or ""
