"""Repairs of tables: damaged files, rows that are there twice, indexes, and the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.store import layout
from protvec.store.check.again import Embedding
from protvec.store.check.fragments import Fragments
from protvec.store.check.rows import repeated
from protvec.store.filters import LANCE_ERRORS, in_lists
from protvec.store.index.record import VECTOR_INDEX
from protvec.store.schema import LEDGER, PROTEINS, RESIDUES, TRANSFORMS, ledger_schema, transforms_schema
from protvec.store.scoring.column import drop_columns
from protvec.store.tables import commit, create_table, open_table, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lance import LanceDataset

    from protvec.store.check.findings import Finding
    from protvec.store.entries import LogEntry

_SCALAR = {"btree": "BTREE", "bitmap": "BITMAP", "labellist": "LABEL_LIST", "inverted": "INVERTED"}


class TableRepairs(Embedding):
    """What can be done about whole tables and their files."""

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
        if name == VECTOR_INDEX:
            self._store.keep_indexes()  # which builds what the database is to have
        built = kind is not None or any(index.name == name for index in self._store.indexes())
        self._done(finding, f"index {name} built again" if built else f"index {name} removed: make it again")

    def _extend_index(self, finding: Finding, entry: LogEntry) -> None:  # noqa: ARG002
        names = list(finding.ids)
        commit(self._table(finding.table), lambda target: target.optimize.optimize_indices(index_names=names))
        self._done(finding, f"{finding.count} rows added to index {names[0]}")

    def _drop_columns(self, finding: Finding, entry: LogEntry) -> None:
        """Those of fits that were killed, unless another run is under way, which may be a fit."""
        if any(each.run != entry.run for each in self._store.ledger.accounts().running):
            return
        drop_columns(self._table(PROTEINS), but=self._store.scoring.columns)
        self._done(finding, f"{finding.count} columns of search vectors removed")

    def _drop_map(self, finding: Finding, entry: LogEntry) -> None:  # noqa: ARG002
        self._store.drop_places()
        self._done(finding, "the map is removed: `protvec map` makes another")

    def _calibrate_anew(self, finding: Finding, entry: LogEntry) -> None:
        """Give the column up whose file cannot be read, which costs no more than its time."""
        drop_columns(self._table(PROTEINS), but="")
        self._calibrate(finding, entry)

    def _calibrate(self, finding: Finding, entry: LogEntry) -> None:  # noqa: ARG002
        """Fit the search space anew, as it was asked for, which gives every protein its search vector."""
        if finding.code == "no-transform":
            self._drop_transforms()
        now = self._store.calibrate(self._store.scoring.wanted)
        self._done(finding, f"searches compare {now}")

    def _drop_transforms(self) -> None:
        """Give up what cannot be read of the numbers, which would be in the way of new ones."""
        table = open_table(layout.table_uri(self._store.location, TRANSFORMS))
        if table is None:
            return
        fragments = Fragments(table, TRANSFORMS)
        fragments.scan(transforms_schema().names, lambda *_: None)
        for fragment in fragments.damaged:
            drop_fragment(table, fragment, self._store.location.storage)

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
