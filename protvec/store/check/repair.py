"""Mend what a check found, and say what was lost."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from protvec.errors import DatabaseError, EngineError, ModelError
from protvec.store import layout
from protvec.store.arrays import read_arrays
from protvec.store.check.findings import CheckResult, Finding, Repair
from protvec.store.check.look import check
from protvec.store.check.rows import repeated
from protvec.store.digest import digest as digest_of
from protvec.store.filters import LANCE_ERRORS, in_lists
from protvec.store.ledger import Skipped
from protvec.store.schema import LEDGER, PROTEINS, RESIDUES, ledger_schema
from protvec.store.scoring.column import drop_columns
from protvec.store.tables import commit, create_table, delete_rows, read, read_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import NDArray

    from protvec.store.ledger import LogEntry
    from protvec.store.store import Store

Embedder: TypeAlias = "Callable[[Sequence[str]], Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]]]"
"""Sequences in, vectors (D,) and residues (L, D) out, in order."""

_ROUNDS = 4  # what one repair uncovers, such as proteins whose residues were in a damaged file, the next one mends
_AT_ONCE = 64  # sequences embedded between two commits


def repair(
    store: Store,
    *,
    full: bool = False,
    embedder: Embedder | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CheckResult:
    """Check a database, mend what can be mended, and check it again.

    Args:
        store: The database.
        full: As for ``check``.
        embedder: Embeds again what has lost its residues or has doubtful ones; without one these are left.
        progress: As for ``check``.

    Returns:
        The result of the last check, with all that was done in ``repairs``.

    Raises:
        DatabaseError: The disk, or other writers that keep getting in first.
    """
    store.check_writable()
    mender = _Mender(store, embedder)
    result = check(store, full=full, progress=progress)
    for _ in range(_ROUNDS):
        if not mender.mend(result.findings):
            break
        result = check(store, full=full, progress=progress)
    result.repairs = mender.repairs
    result.notes = mender.notes
    return result


class _Mender:
    """Does the repairs of a round in an order in which each may rely on those before it."""

    def __init__(self, store: Store, embedder: Embedder | None) -> None:
        self._store = store
        self._embedder = embedder
        self.repairs: list[Repair] = []
        self.notes: list[str] = []

    def mend(self, findings: Sequence[Finding]) -> int:
        """Repair what can be; how many things were done."""
        before = len(self.repairs)
        found = [finding for finding in findings if finding.repairable]
        for finding in found:
            if finding.table == LEDGER:
                self._ledger(finding)
        rest = [finding for finding in found if finding.table != LEDGER]
        if rest:
            with self._store.ledger.running("repair", options={"found": dict(Counter(f.code for f in rest))}) as entry:
                self._tables(rest, entry)
                done = self.repairs[before:]
                lost = [(repair.table, key, repair.message) for repair in done for key in repair.lost]
                entry.skipped = [Skipped(key, table, 0, message) for table, key, message in lost]
                entry.counts["repairs"] = len(done)
        return len(self.repairs) - before

    def _done(self, finding: Finding, message: str, lost: Iterable[str] = ()) -> None:
        self.repairs.append(Repair(finding.code, finding.table, message, tuple(lost)))

    # -- tables ----------------------------------------------------------------------------------------------

    def _tables(self, findings: Sequence[Finding], entry: LogEntry) -> None:
        steps: dict[str, Callable[[Finding, LogEntry], None]] = {
            "old-schema": lambda finding, _: self._done(finding, "migrated"),  # the ledger's entry has done it
            "index-damaged": self._rebuild_index,
            "file-damaged": self._drop_fragment,
            "duplicate-id": self._reduce,
            "duplicate-residues": self._reduce,
            "wrong-digest": self._correct_rows,
            "wrong-length": self._correct_rows,
            "wrong-residues-length": self._remove_arrays,
            "bad-residues": self._remove_arrays,
            "bad-vector": self._average,
            "wrong-vector": self._embed_proteins,
            "no-residues": self._embed_sequences,
            "orphan": self._remove_orphans,
            "search-column": self._drop_columns,
            "no-transform": self._calibrate,
            "no-search-vector": self._calibrate,
            "wrong-search-vector": self._project,
            "index-behind": self._extend_index,
        }
        codes = {finding.code for finding in findings}
        # Rows of damaged files, and rows that are there twice, would stand in the way of what comes after.
        first = codes & {"index-damaged", "file-damaged", "duplicate-id", "duplicate-residues"}
        for code, step in steps.items():
            for finding in findings:
                if finding.code == code and (not first or code in first):
                    step(finding, entry)

    def _table(self, name: str) -> LanceDataset:
        proteins, residues = self._store.handles()
        return proteins if name == PROTEINS else residues

    def _drop_fragment(self, finding: Finding, entry: LogEntry) -> None:
        rows, lost = 0, []
        for fragment, ids in _fragments_of(self._table(finding.table), finding):
            rows += drop_fragment(self._table(finding.table), fragment, self._store.location.storage)
            lost += ids
        if finding.table == PROTEINS:
            entry.gained -= rows
        again = "ingest their files again" if finding.table == PROTEINS else "their proteins are embedded again"
        self._done(finding, f"{rows} rows of {finding.ids[0]} given up; {again}", lost or [finding.ids[0]])

    def _reduce(self, finding: Finding, entry: LogEntry) -> None:
        """Keep the row of each key that was written last."""
        key = "id" if finding.table == PROTEINS else "digest"
        removed, differing = _remove_repeated(self._table(finding.table), key)
        if finding.table == PROTEINS:
            entry.gained -= removed
        self._done(finding, f"{removed} repeated rows removed, {len(differing)} of them with other content", differing)

    def _correct_rows(self, finding: Finding, entry: LogEntry) -> None:  # noqa: ARG002
        """Digest and length follow from the sequence, unless it is the sequence that somebody changed."""
        import pyarrow as pa
        import pyarrow.compute as pc

        table, residues = self._store.handles()
        rows = read_keys(table, "id", list(finding.ids), table.schema.names)
        trusted = rows.filter(self._trusted(rows, residues))
        if doubtful := rows.num_rows - trusted.num_rows:
            self._note(
                f"{doubtful} proteins ({finding.code}) may have had their sequence changed or removed, since nothing "
                "shows that it is the digest that is wrong: ingest or import them again with --update"
            )
        if not trusted.num_rows:
            return
        digests = pa.array([digest_of(text) for text in trusted["sequence"].to_pylist()], pa.string())
        for name, values in (("digest", digests), ("length", pc.utf8_length(trusted["sequence"]))):
            trusted = trusted.set_column(trusted.schema.get_field_index(name), table.schema.field(name), values)
        self._store.replace_rows(trusted)
        self._done(finding, f"{trusted.num_rows} rows corrected by their sequences")

    def _trusted(self, rows: pa.Table, residues: LanceDataset) -> list[bool]:
        """Of each row, whether its sequence is to be believed.

        It is where its digest is that of it, or where vector and residues do not go with the digest either.
        """
        columns = (rows["sequence"].to_pylist(), rows["digest"].to_pylist(), rows["vector"].to_pylist())
        doubtful = {digest for text, digest, _ in zip(*columns, strict=True) if digest_of(text) != digest}
        arrays = dict(self._readable(residues, sorted(doubtful))) if self._store.keeps_residues else None

        def trusted(text: str, digest: str, vector: list[float]) -> bool:
            if not text or digest not in doubtful:
                return bool(text)
            return arrays is not None and not (digest in arrays and _goes_with(vector, arrays[digest]))

        return [trusted(*row) for row in zip(*columns, strict=True)]

    def _readable(self, residues: LanceDataset, digests: list[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """The arrays that can be decoded, one by one."""
        for digest in digests:
            with suppress(*LANCE_ERRORS, DatabaseError, TypeError, IndexError):
                yield from read_arrays(residues, [digest], dimension=self._store.space.dimension).items()

    def _average(self, finding: Finding, entry: LogEntry) -> None:
        """The mean of the residues where there are good ones; else the sequence is embedded again."""
        table, residues = self._store.handles()
        rows = read_keys(table, "id", list(finding.ids), table.schema.names)
        means: dict[str, NDArray[np.float32]] = {}
        if self._store.keeps_residues:
            for key, array in self._readable(residues, sorted(set(rows["digest"].to_pylist()))):
                mean = array.mean(axis=0, dtype=np.float64).astype(np.float32)
                if np.isfinite(mean).all() and mean.any():
                    means[key] = mean
        good = [digest in means for digest in rows["digest"].to_pylist()]
        known = rows.filter(good)
        if known.num_rows:
            vectors = np.stack([means[digest] for digest in known["digest"].to_pylist()])
            self._store.replace_rows(_with_vectors(known, vectors))
            self._done(finding, f"{known.num_rows} vectors made from their residues")
        if left := rows.filter([not each for each in good])["digest"].to_pylist():
            self._embed(finding, left, entry)

    def _remove_arrays(self, finding: Finding, entry: LogEntry) -> None:
        """Doubtful arrays go, and their sequences are embedded again; without the model all stays as it is."""
        owned = read_keys(self._table(PROTEINS), "digest", list(finding.ids), ["digest"])["digest"].to_pylist()
        if owned:
            self._embed(finding, owned, entry)
        loose = sorted(set(finding.ids) - set(owned))
        for sql in in_lists("digest", loose):
            delete_rows(self._table(RESIDUES), sql)
        if loose:
            self._done(finding, f"{len(loose)} arrays of no protein removed")

    def _embed_proteins(self, finding: Finding, entry: LogEntry) -> None:
        rows = read_keys(self._table(PROTEINS), "id", list(finding.ids), ["digest"])
        self._embed(finding, rows["digest"].to_pylist(), entry)

    def _embed_sequences(self, finding: Finding, entry: LogEntry) -> None:
        self._embed(finding, list(finding.ids), entry)

    def _remove_orphans(self, finding: Finding, entry: LogEntry) -> None:
        """All of them, unless another run is under way, which may be about to use some."""
        others = [each for each in self._store.ledger.accounts().running if each.run != entry.run]
        removed = self._store.sweep() if others else self._store.drop_orphans(finding.ids)
        if removed:
            self._done(finding, f"{removed} arrays of no protein removed")

    # -- embedding again -------------------------------------------------------------------------------------

    def _embed(self, finding: Finding, digests: Sequence[str], entry: LogEntry) -> None:
        """Embed sequences, and put vectors and residues in the place of what is there."""
        rows = read_keys(self._table(PROTEINS), "digest", sorted(set(digests)), ["digest", "sequence"]).to_pylist()
        wanted = sorted({row["digest"] for row in rows if row["sequence"]})
        if lacking := sum(not row["sequence"] for row in rows):
            self._note(f"{lacking} proteins ({finding.code}) have no sequence to embed: import them again")
        if not wanted:
            return  # or what was done before has mended it
        if self._embedder is None:
            self._note(f"{len(wanted)} sequences have to be embedded again, which needs the model")
            return
        try:
            for start in range(0, len(wanted), _AT_ONCE):
                self._replace(wanted[start : start + _AT_ONCE], self._embedder, entry)
        except (ModelError, EngineError) as error:
            self._note(f"{len(wanted)} sequences have to be embedded again, which needs the model: {error}")
            return
        self._done(finding, f"{len(wanted)} sequences embedded again")

    def _replace(self, digests: Sequence[str], embedder: Embedder, entry: LogEntry) -> None:
        table = self._table(PROTEINS)
        rows = read_keys(table, "digest", digests, table.schema.names)
        texts = dict(zip(rows["digest"].to_pylist(), rows["sequence"].to_pylist(), strict=True))
        made = dict(zip(texts, embedder(list(texts.values())), strict=True))
        for sql in in_lists("digest", list(texts)) if self._store.keeps_residues else ():
            delete_rows(self._table(RESIDUES), sql)
        vectors = np.stack([made[digest][0] for digest in rows["digest"].to_pylist()])
        arrays = ((digest, residues) for digest, (_, residues) in made.items())
        self._store.write(_with_vectors(rows, vectors), arrays, run=entry)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    # -- search vectors --------------------------------------------------------------------------------------

    def _drop_columns(self, finding: Finding, entry: LogEntry) -> None:
        """Those of fits that were killed, unless another run is under way, which may be a fit."""
        if any(each.run != entry.run for each in self._store.ledger.accounts().running):
            return
        drop_columns(self._table(PROTEINS), but=self._store.scoring.column)
        self._done(finding, f"{finding.count} columns of search vectors removed")

    def _calibrate(self, finding: Finding, entry: LogEntry) -> None:  # noqa: ARG002
        """Fit the search space anew, as it was asked for, which gives every protein its search vector."""
        now = self._store.calibrate(self._store.scoring.wanted)
        self._done(finding, f"searches compare {now}")

    def _project(self, finding: Finding, entry: LogEntry) -> None:  # noqa: ARG002
        table = self._table(PROTEINS)
        self._store.replace_rows(read_keys(table, "id", list(finding.ids), table.schema.names))
        self._done(finding, f"{finding.count} search vectors made anew")

    # -- indexes and ledger ----------------------------------------------------------------------------------

    def _rebuild_index(self, finding: Finding, entry: LogEntry) -> None:  # noqa: ARG002
        (name,) = finding.ids
        table = self._table(finding.table)
        described = {index.name: index for index in table.describe_indices()}[name]
        kind = next((kind for kind in _SCALAR if kind.lower() in described.type_url.lower()), None)

        def change(target: LanceDataset) -> None:
            target.drop_index(name)
            if kind is not None:
                target.create_scalar_index(described.field_names[0], _SCALAR[kind], name=name)

        commit(table, change)
        self._done(finding, f"index {name} built again" if kind else f"index {name} removed: make it again")

    def _extend_index(self, finding: Finding, entry: LogEntry) -> None:  # noqa: ARG002
        names = list(finding.ids)
        commit(self._table(finding.table), lambda target: target.optimize.optimize_indices(index_names=names))
        self._done(finding, f"{finding.count} rows added to index {names[0]}")

    def _ledger(self, finding: Finding) -> None:
        ledger, rows = self._store.ledger, self._table(PROTEINS).count_rows()
        if finding.code == "ledger-missing":
            create_table(layout.table_uri(self._store.location, LEDGER), ledger_schema())
            ledger.opening("opened-by-repair", "repair", rows)
            self._done(finding, f"a new ledger, which begins with {rows} proteins; the old runs are lost")
        elif finding.code == "file-damaged" and (table := ledger.table()) is not None:
            storage = self._store.location.storage
            dropped = sum(drop_fragment(table, fragment, storage) for fragment, _ in _fragments_of(table, finding))
            self._done(finding, f"{dropped} runs lost", [finding.ids[0]])
        elif finding.code == "killed-run":
            accounts = ledger.accounts()
            ledger.settle_all(accounts.killed, rows - accounts.gained)
            self._done(finding, f"{finding.count} killed runs closed")
        elif finding.code == "ledger-count":
            more = rows - ledger.accounts().gained
            ledger.record("repair", gained=more, options={"found": {finding.code: finding.count}})
            self._done(finding, f"{more:+,} proteins of unknown runs recorded")


_SCALAR = {"btree": "BTREE", "bitmap": "BITMAP", "labellist": "LABEL_LIST", "inverted": "INVERTED"}


def drop_fragment(table: LanceDataset, fragment: int, storage: dict[str, str] | None) -> int:
    """Give up the rows of a fragment; how many they were."""
    import lance

    def change(target: LanceDataset) -> int:
        there = target.get_fragment(fragment)
        if there is None:
            return 0
        operation = lance.LanceOperation.Delete([], [fragment], f"_fragment = {fragment}")
        lance.LanceDataset.commit(target.uri, operation, read_version=target.version, storage_options=storage)
        return int(there.count_rows())

    return commit(table, change)[1]


def _fragments_of(table: LanceDataset, finding: Finding) -> Iterator[tuple[int, list[str]]]:
    """The fragment of a finding, with those of its ids that can still be read."""
    for fragment in table.get_fragments():
        if finding.ids[0] in [f"data/{file.path}" for file in fragment.data_files()]:
            key = {PROTEINS: "id", RESIDUES: "digest", LEDGER: "run"}[finding.table]
            try:
                ids = fragment.to_table(columns=[key])[key].to_pylist()
            except LANCE_ERRORS:
                ids = []
            yield fragment.fragment_id, ids


def _remove_repeated(table: LanceDataset, key: str) -> tuple[int, list[str]]:
    """Remove all rows of a key but the last one written; how many, and the keys whose rows were not alike."""

    def change(target: LanceDataset) -> tuple[int, list[str]]:
        # Addresses are those of this version; a writer that moves rows at the same time makes the commit fail.
        keys = read(target, columns=[key], with_row_id=True)
        places: list[int] = []
        differing: list[str] = []
        for name in repeated(keys[key]):
            (sql,) = in_lists(key, [name])
            rows = read(target, where=sql, with_row_id=True).sort_by("_rowid")
            addresses = rows["_rowid"].to_pylist()
            contents = {repr(row) for row in rows.drop_columns(["_rowid"]).to_pylist()}
            places += addresses[:-1]
            differing += [name] if len(contents) > 1 else []
        if places:
            target.delete(f"_rowid IN ({', '.join(map(str, places))})")
        return len(places), differing

    return commit(table, change)[1]


def _goes_with(vector: list[float], array: NDArray[np.float32]) -> bool:
    """Whether a vector is about the mean of an array; those of two sequences are much further apart."""
    mean = array.mean(axis=0, dtype=np.float64)
    return bool(
        np.linalg.norm(mean - np.asarray(vector)) <= 0.01 * np.sqrt((array.astype(np.float64) ** 2).sum(1).mean())
    )


def _with_vectors(rows: pa.Table, vectors: NDArray[np.float32]) -> pa.Table:
    import pyarrow as pa

    column = rows.schema.get_field_index("vector")
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    return rows.set_column(
        column, rows.schema.field("vector"), pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    )
