"""Look at everything in a database; change nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError
from protvec.store.check.arrays import SAMPLE, Comparison, Owners, compare
from protvec.store.check.findings import CheckResult, Finding
from protvec.store.check.fragments import Fragments
from protvec.store.check.places import check_places
from protvec.store.check.rows import lengths_that_differ, scan_proteins, scan_residues
from protvec.store.check.search import check_search
from protvec.store.check.segments import check_segments
from protvec.store.check.tables import check_indexes, check_ledger, check_schemas
from protvec.store.schema import PROTEINS, RESIDUES
from protvec.store.tables import present

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from protvec.store.check.rows import Rows
    from protvec.store.store import Store

_PAUSES = (0.0, 0.1, 0.5)  # seconds before residues that seem to be missing are looked for again


def check(store: Store, *, full: bool = False, progress: Callable[[int, int], None] | None = None) -> CheckResult:
    """Look at the schemas, every row, a sample of the residue arrays, the indexes and the ledger.

    What is kept in memory are ids, digests and lengths, and 32 residue arrays.

    Args:
        store: The database.
        full: Compare every residue array with the vectors of its proteins, not a sample of 256.
        progress: Called with the rows looked at so far, and how many there are.

    Returns:
        The result; ``findings`` is empty where everything is as it should be.

    Raises:
        DatabaseError: The database cannot be reached.
    """
    result = CheckResult(store.path, full)
    proteins, residues = store.handles()
    result.findings += check_schemas(store, proteins, residues)
    if not result.ok:
        return result  # columns that are not there cannot be read
    count = residues.count_rows() if store.keeps_residues else 0
    total = proteins.count_rows() + count + (count if full else min(count, SAMPLE))
    seen = _counter(total, progress)
    tables = {PROTEINS: Fragments(proteins, PROTEINS)}
    rows, found = scan_proteins(tables[PROTEINS], seen)
    result.proteins = len(rows.key())
    result.findings += found
    if store.keeps_residues:
        tables[RESIDUES] = Fragments(residues, RESIDUES)
        arrays, found = scan_residues(tables[RESIDUES], seen)
        result.residues = len(arrays.key())
        comparison = Comparison(Owners(rows, proteins), store.space.dimension, recoded=_recoded(store))
        compare(tables[RESIDUES], comparison, full=full, seen=seen)
        result.compared = comparison.compared
        result.findings += _merged([*found, *comparison.findings()])
        result.findings += _pairs(store, tables, rows, arrays)
    for name, fragments in tables.items():
        result.findings += fragments.findings()
        if name == PROTEINS and not fragments.damaged:
            result.findings += check_search(store, proteins, full=full)
            result.findings += check_segments(store, proteins, residues, full=full)
        result.findings += check_indexes(name, fragments.dataset)
    if store.at is None:
        result.findings += check_places(store, rows)
        result.findings += check_ledger(store)
    return result


def _recoded(store: Store) -> bool:
    """Whether the arrays may have been in another codec before."""
    try:
        return any(entry.command in ("recode", "import", "merge") for entry in store.ledger.entries())
    except DatabaseError:  # a damaged ledger is a finding of its own
        return True


def _counter(total: int, progress: Callable[[int, int], None] | None) -> Callable[[int], None]:
    done = 0

    def seen(rows: int) -> None:
        nonlocal done
        done += rows
        if progress:
            progress(min(done, total), total)

    return seen


def _merged(findings: list[Finding]) -> Iterator[Finding]:
    """One finding for each code: arrays in no codec that there is cannot be decoded either."""
    by_code: dict[str, Finding] = {}
    for finding in findings:
        same = by_code.get(finding.code)
        if same is None or set(same.ids) <= set(finding.ids):
            by_code[finding.code] = finding
        elif not set(finding.ids) <= set(same.ids):
            ids = tuple(dict.fromkeys([*same.ids, *finding.ids]))
            message = f"{len(ids):,} arrays cannot be decoded, or are not finite"
            by_code[finding.code] = Finding(finding.code, finding.table, message, len(ids), ids)
    yield from by_code.values()


def _pairs(store: Store, tables: dict[str, Fragments], proteins: Rows, residues: Rows) -> Iterator[Finding]:
    """Proteins without residues and the reverse; not where a damaged file may have the other one."""
    import pyarrow.compute as pc

    if finding := lengths_that_differ(proteins, residues):
        yield finding
    owned, kept = pc.unique(proteins.digest()), pc.unique(residues.digest())
    if not tables[RESIDUES].damaged:
        lacking = owned.filter(pc.invert(pc.is_in(owned, value_set=kept))).to_pylist()
        if missing := _still_missing(store, lacking):
            message = f"{len(missing):,} sequences have no residues"
            yield Finding("no-residues", PROTEINS, message, len(missing), tuple(missing))
    if not tables[PROTEINS].damaged:
        loose = tuple(kept.filter(pc.invert(pc.is_in(kept, value_set=owned))).to_pylist())
        if loose:
            message = f"{len(loose):,} arrays of no protein, which an interrupted run may have left"
            yield Finding("orphan", RESIDUES, message, len(loose), loose, level="leftover")


def _still_missing(store: Store, digests: list[str]) -> list[str]:
    """Those that are missing whenever one looks; a writer or a deletion may be between its two tables."""
    for pause in _PAUSES if store.at is None else ():
        if not digests:
            break
        time.sleep(pause)
        proteins, residues = store.handles()
        owned = present(proteins, "digest", digests)
        digests = sorted(owned - present(residues, "digest", sorted(owned)))
    return digests
