"""Mend what a check found, and say what was lost."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from protvec.store.check.again import Embedder
from protvec.store.check.look import check
from protvec.store.check.mend_rows import RowRepairs
from protvec.store.check.mend_tables import TableRepairs
from protvec.store.entries import Skipped
from protvec.store.schema import LEDGER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protvec.store.check.findings import CheckResult, Finding
    from protvec.store.entries import LogEntry
    from protvec.store.store import Store

__all__ = ["Embedder", "repair"]

_ROUNDS = 4  # what one repair uncovers, such as proteins whose residues were in a damaged file, the next one mends


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


class _Mender(RowRepairs, TableRepairs):
    """Does the repairs of a round in an order in which each may rely on those before it."""

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
            "no-segments": self._cut,
            "wrong-segments": self._cut,
            "orphan": self._remove_orphans,
            "search-column": self._drop_columns,
            "search-damaged": self._calibrate_anew,
            "no-transform": self._calibrate,
            "no-search-vector": self._calibrate,
            "wrong-search-vector": self._project,
            "no-search-segments": self._calibrate,
            "wrong-search-segments": self._project,
            "index-behind": self._extend_index,
            "map-damaged": self._drop_map,
        }
        codes = {finding.code for finding in findings}
        # Rows of damaged files, and rows that are there twice, would stand in the way of what comes after.
        first = codes & {"index-damaged", "file-damaged", "duplicate-id", "duplicate-residues"}
        for code, step in steps.items():
            for finding in findings:
                if finding.code == code and (not first or code in first):
                    step(finding, entry)
