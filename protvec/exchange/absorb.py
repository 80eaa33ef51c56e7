"""Records with vectors into a database: what becomes of each, and the commits. Import and merge share it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from protvec.errors import ExchangeError, InputError
from protvec.fasta import clean
from protvec.store import Changed, Skipped, digest, vector_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.exchange.batches import Batch, Source
    from protvec.exchange.report import Moved
    from protvec.exchange.target import Target
    from protvec.ingest.report import Fate
    from protvec.store import Known, Store, Stored

# Relative distances of vectors. Under one id and without sequences to compare, what half precision or the mean of
# decoded residues differ by is the same vector. Of one sequence, so is what another arithmetic of the engine gives.
SAME_ID = 5e-3
SAME_SEQUENCE = 5e-2


@dataclass(slots=True)
class _Record:
    """One record of a batch on its way."""

    row: int
    id: str
    sequence: str
    digest: str
    vector: NDArray[np.float32]
    values: dict[str, Any]


class Absorber:
    """Takes batches; after each, all of it is committed and counted."""

    def __init__(self, target: Target, report: Moved, *, update: bool, keep: bool = False) -> None:
        """Prepare.

        Args:
            target: The database.
            report: Where everything is counted.
            update: Replace known proteins that differ.
            keep: Count those that differ in sequence as ``kept`` in place of skipping them.
        """
        self._target, self._report, self._update, self._keep = target, report, update, keep
        self._seen: dict[str, str] = {}

    def absorb(self, source: Source, batches: Iterator[Batch], progress: Callable[[int, int], None] | None) -> None:
        """Take all of a source."""
        start = self._report.requested
        for batch in batches:
            self._take(source, batch)
            if progress is not None:
                progress(self._report.requested - start, max(source.total, self._report.requested - start))

    def _take(self, source: Source, batch: Batch) -> None:
        self._report.requested += len(batch.places) + len(batch.rejected)
        for bad in batch.rejected:
            self._skip(source, bad.place, bad.id, bad.reason)
        records = list(self._usable(source, batch))
        known = self._target.known([record.id for record in records])
        wanted = {record.digest for record in records} | {before.digest for before in known.values()}
        vectors = self._target.vectors(list(wanted))
        chosen: list[tuple[_Record, Fate]] = []
        # Where another process has just deleted a protein, it is new.
        known = {id: before for id, before in known.items() if before.digest in vectors}
        for record in records:
            fate = self._fate(record, known.get(record.id), vectors, has_arrays=batch.arrays is not None)
            if fate in ("added", "reused", "updated"):
                vectors.setdefault(record.digest, record.vector)
                chosen.append((record, cast("Fate", fate)))
            elif fate != "unchanged":
                self._skip(source, batch.places[record.row], record.id, fate)
        if chosen:
            self._commit(source, batch, chosen)

    def _usable(self, source: Source, batch: Batch) -> Iterator[_Record]:
        """The records that can be stored; what is wrong with the others is said."""
        for row, values in enumerate(batch.table.to_pylist()):
            id, text = values.pop("id"), values.pop("sequence", None) or ""
            try:
                sequence, changes = clean(text) if text else ("", ())
            except InputError as error:
                self._skip(source, batch.places[row], id, str(error))
                continue
            vector = batch.vectors[row]
            key = digest(sequence) if sequence else vector_digest(id, vector)
            length = batch.lengths[row]
            if sequence and length is not None and length != len(sequence):
                reason = f"its array has {length} residues, its sequence {len(sequence)}"
                self._skip(source, batch.places[row], id, reason)
            elif id not in self._seen:
                self._seen[id] = f"{key} {hash(vector.tobytes())}"
                if changes:
                    self._report.changed.append(Changed(id, source.name, batch.places[row], changes))
                yield _Record(row, id, sequence, key, vector, values)
            elif self._seen[id] == f"{key} {hash(vector.tobytes())}":
                self._report.repeated += 1
                self._report.unchanged += 1
            else:
                self._skip(source, batch.places[row], id, "its id occurs again with another vector; the first is kept")

    def _skip(self, source: Source, place: int, id: str, reason: str) -> None:
        self._report.skipped.append(Skipped(id, source.name, place, reason))

    # -- what becomes of a record ------------------------------------------------------------------------------

    def _fate(
        self, record: _Record, before: Known | None, vectors: dict[str, NDArray[np.float32]], *, has_arrays: bool
    ) -> str:
        """``added``, ``reused``, ``updated``, ``unchanged`` (which is counted here), or why it is skipped."""
        if before is None:
            return self._as_new(record, vectors, has_arrays) or ("reused" if record.digest in vectors else "added")
        fate = self._against(record, before, vectors[before.digest])
        if fate == "updated" and record.digest != before.digest:
            return self._as_new(record, vectors, has_arrays) or "updated"
        return fate

    def _as_new(self, record: _Record, vectors: dict[str, NDArray[np.float32]], has_arrays: bool) -> str | None:
        """Why its sequence cannot be stored; a sequence has one vector, whichever came first."""
        shared = vectors.get(record.digest)
        if shared is not None:
            if not _alike(shared, record.vector, SAME_SEQUENCE):
                return "the same sequence has another vector already: of another model?"
            record.vector = shared
        elif self._target.keeps and not has_arrays:
            return "only its vector is there, and the database keeps residues: import it into a database of its own"
        return None

    def _against(self, record: _Record, before: Known, stored: NDArray[np.float32]) -> str:
        """What becomes of a record whose id is known."""
        has, gives = before.row["sequence"], record.sequence
        if has and gives and has != gives:
            if self._update:
                return "updated"
            if self._keep:
                self._report.kept += 1
                return self._unchanged()
            return "the database has another sequence under this id; --update replaces it"
        alike = _alike(stored, record.vector, SAME_SEQUENCE if has and gives else SAME_ID)
        if not alike:
            return self._other_vector(has=bool(has), gives=bool(gives))
        if gives and not has:
            return "updated" if self._update else self._stale(["sequence"])
        record.sequence, record.digest, record.vector = has, before.digest, stored
        given = {name: value for name, value in record.values.items() if value is not None}
        differing = [name for name, value in given.items() if not _same(value, before.row.get(name))]
        if not differing:
            return self._unchanged()
        return "updated" if self._update else self._stale(differing)

    def _other_vector(self, *, has: bool, gives: bool) -> str:
        if has and gives:
            return "the database has another vector for the same sequence under this id: delete it first"
        if has:
            return "the database has another vector under this id, and its sequence: give sequences with --fasta"
        return "updated" if self._update else "the database has another vector under this id; --update replaces it"

    def _stale(self, columns: Sequence[str]) -> str:
        self._report.stale += 1
        self._report.stale_columns += [name for name in columns if name not in self._report.stale_columns]
        return self._unchanged()

    def _unchanged(self) -> str:
        self._report.unchanged += 1
        return "unchanged"

    # -- writing -----------------------------------------------------------------------------------------------

    def _commit(self, source: Source, batch: Batch, chosen: list[tuple[_Record, Fate]]) -> None:

        try:
            self._target.check_columns(source.fields)  # before a database is made that they cannot be in
            store = self._target.open()
            self._report.columns_added += store.add_columns(source.fields)
        except ValueError as error:
            raise ExchangeError(f"{error}: rename it", file=source.name) from error
        records = [record for record, _ in chosen]
        table = _rows(batch, records, store.schema)
        updated = [record.id for record, fate in chosen if fate == "updated"]
        if updated:
            table = _over(store.get(updated), table)
        arrays = self._arrays(store, batch, records) if self._target.keeps else iter(())
        store.write(table, arrays, run=self._target.entry)
        for _, fate in chosen:
            self._report.count(fate)
        self._target.note(self._report)

    def _arrays(
        self, store: Store, batch: Batch, records: Sequence[_Record]
    ) -> Iterator[tuple[str, NDArray[np.float32] | Stored]]:
        """The arrays of the sequences that the database does not have."""
        known = store.vectors([record.digest for record in records])
        wanted = {record.digest: record.row for record in records if record.digest not in known}
        if batch.arrays is None or not wanted:
            return
        for key, array in zip(wanted, batch.arrays(list(wanted.values())), strict=True):
            self._report.recoded += getattr(array, "codec", store.codec) != store.codec
            yield key, array


def _alike(one: NDArray[np.float32], other: NDArray[np.float32], limit: float) -> bool:
    if np.array_equal(one, other):
        return True
    scale = max(float(np.linalg.norm(one)), float(np.linalg.norm(other)))
    return float(np.linalg.norm(one - other)) <= limit * scale


def _same(value: object, other: object) -> bool:
    """Equality in which NaN equals NaN."""
    return value == other or (value != value and other != other)


def _rows(batch: Batch, records: Sequence[_Record], schema: pa.Schema) -> pa.Table:
    """The columns of the file for these records, with those that are computed."""
    import pyarrow as pa

    table = batch.table.take(pa.array([record.row for record in records], pa.int64()))
    columns = {name: table[name].cast(schema.field(name).type) for name in table.column_names}
    columns["digest"] = pa.array([record.digest for record in records], pa.string())
    columns["sequence"] = pa.array([record.sequence for record in records], pa.string())
    # Of a vector without a sequence, the length is what the file says, and 0 where it says nothing.
    lengths = [len(record.sequence) or batch.lengths[record.row] or 0 for record in records]
    columns["length"] = pa.array(lengths, pa.int32())
    flat = pa.array(np.concatenate([record.vector for record in records]))
    columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, batch.vectors.shape[1])
    return pa.table(columns)


def _over(before: pa.Table, rows: pa.Table) -> pa.Table:
    """The rows, with what they say nothing about as it was before."""
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pc.index_in(rows["id"], before["id"].combine_chunks()).to_pylist()
    columns = {}
    for name in before.column_names:
        old = before[name].combine_chunks()
        new = rows[name].combine_chunks() if name in rows.column_names else pa.nulls(rows.num_rows, old.type)
        both = pa.concat_arrays([old, new.cast(old.type)])
        given = pc.is_valid(new).to_pylist()
        take = [len(old) + row if given[row] or place is None else place for row, place in enumerate(places)]
        columns[name] = both.take(pa.array(take, pa.int64()))
    return pa.table(columns)
