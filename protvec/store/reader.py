"""Reads of an open database: residue arrays beside the rows, and what it all takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from protvec.errors import QueryError
from protvec.store.arrays import Residues, array_lookup, arrow_schema, iter_arrays, read_arrays, record_batch
from protvec.store.columns import kind_of, user_columns
from protvec.store.filters import KEYS_PER_FILTER, enclosed, quote
from protvec.store.lookup import Lookup
from protvec.store.places.table import MapTable
from protvec.store.rows import Stored
from protvec.store.schema import PROTEINS, RESIDUES
from protvec.store.scoring import scoring_of
from protvec.store.tables import count, read, read_keys
from protvec.store.text import Texts
from protvec.store.upkeep import sizes
from protvec.words import some

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.store.location import Location
    from protvec.store.schema import Description
    from protvec.store.segments import Rule
    from protvec.store.view import Handles

# Between looks for residues that another process is just putting back (``Changes._restore``), in seconds.
_PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)


class Reader(Texts):
    """What can be read of a database; ``Store`` opens and writes it, and describes the attributes."""

    def __init__(
        self, location: Location, description: Description, handles: Handles, *, seconds: float, at: str | None = None
    ) -> None:
        """As ``View``."""
        super().__init__(location, description, handles, seconds=seconds, at=at)
        self._digests = Lookup("id", ["digest"])
        self._array_lookup = array_lookup()

    def residues(self, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Per-residue arrays by id, many in one read.

        Returns:
            ndarray, shape=(L, D), dtype=float32, decoded, each; identical sequences share one array.

        Raises:
            ProteinNotFoundError: Some are not there.
            QueryError: This database keeps none.
        """
        self.check_residues()
        unique = list(dict.fromkeys(ids))
        handles = self._current()
        for pause in (*_PAUSES, None):
            digests, decoded = self._arrays(handles, unique)
            absent = [identifier for identifier, key in zip(unique, digests, strict=True) if key not in decoded]
            if not absent:
                return {identifier: decoded[key] for identifier, key in zip(unique, digests, strict=True)}
            if pause is not None:
                time.sleep(pause)
                handles = self.handles()
        raise QueryError(f"{self.path}: no residues stored for {some([*map(repr, absent)])}")

    def arrays(self, digests: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Per-residue arrays by digest, many in one read.

        Returns:
            ndarray, shape=(L, D), dtype=float32, decoded, each.

        Raises:
            QueryError: This database keeps none, or has none of some.
        """
        self.check_residues()
        unique = sorted(set(digests))
        found: dict[str, NDArray[np.float32]] = {}
        handle = self._current()[1]
        for pause in (*_PAUSES, None):
            left = [each for each in unique if each not in found]
            found |= read_arrays(handle, left, dimension=self.space.dimension, lookup=self._array_lookup)
            if len(found) == len(unique):
                return found
            if pause is not None:
                time.sleep(pause)
                handle = self._newest()[1]
        absent = [each for each in unique if each not in found]
        raise QueryError(f"{self.path}: no residues stored for {some(absent)}")

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
        found = self._digests.find(handle, ids)
        by_id = dict(zip(found["id"].to_pylist(), found["digest"].to_pylist(), strict=True))
        self._check_found(handle, ids, by_id)
        digests = [by_id[identifier] for identifier in ids]
        return digests, read_arrays(
            residue_handle, sorted(set(digests)), dimension=self.space.dimension, lookup=self._array_lookup
        )

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
        self.check_residues()
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

    def check_residues(self) -> None:
        """Check that there are residue arrays.

        Raises:
            QueryError: This database keeps none.
        """
        if not self._codec.keeps:
            raise QueryError(f"{self.path} keeps no residue arrays (codec none): ingest with another codec")

    def info(self) -> dict[str, Any]:
        """What the database holds and what it takes, as plain values that JSON can carry."""
        import pyarrow.compute as pc

        handle, residue_handle = self._current()
        table = read(handle, columns=["digest", "length", "dataset"])
        scoring, drawn = scoring_of(handle.schema), MapTable(self.location).record()
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
            "other_codecs": count(residue_handle, f"codec != {quote(self.codec)}"),
            "datasets": {row["dataset"] or "": row["count_all"] for row in sorted(groups, key=_dataset_name)},
            "bytes": {PROTEINS: sizes(handle), RESIDUES: sizes(residue_handle)},
            "versions": {PROTEINS: handle.version, RESIDUES: residue_handle.version},
            "columns": {name: kind_of(kind) or str(kind) for name, kind in user_columns(handle.schema).items()},
            "snapshots": self.snapshot_names,
            "segments": _segments(self.segment_rule, table["length"].to_numpy()),
            "scoring": scoring.to_dict() | {"text": str(scoring)},
            "map": None if drawn is None else drawn.to_dict() | {"text": str(drawn)},
            "indexes": [index.name for index in handle.describe_indices()],
        }


def _segments(rule: Rule | None, lengths: NDArray[np.int32]) -> dict[str, int] | None:
    """How long proteins are cut, and how many segments they have; None where none are kept."""
    if rule is None:
        return None
    counts = rule.counts(lengths.astype("i8"))
    return {
        "window": rule.window,
        "step": rule.step,
        "longest": rule.longest,
        "proteins": int((counts > 0).sum()),
        "count": int(counts.sum()),
    }


def _dataset_name(row: dict[str, Any]) -> str:
    return row["dataset"] or ""
