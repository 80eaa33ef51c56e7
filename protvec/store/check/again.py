"""What every repair needs: the tables, a list of what was done, and sequences embedded again."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from protvec.errors import EngineError, ModelError
from protvec.store.check.findings import Finding, Repair
from protvec.store.filters import in_lists
from protvec.store.schema import PROTEINS, RESIDUES
from protvec.store.tables import delete_rows, read_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import NDArray

    from protvec.store.entries import LogEntry
    from protvec.store.store import Store

Embedder: TypeAlias = "Callable[[Sequence[str]], Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]]]"
"""Sequences in, vectors (D,) and residues (L, D) out, in order."""

_AT_ONCE = 64  # sequences embedded between two commits


class Embedding:
    """Embeds sequences again, and puts vectors and residues in the place of what is there.

    Attributes:
        repairs: What was done.
        notes: What could not be, and what that needs.
    """

    def __init__(self, store: Store, embedder: Embedder | None) -> None:
        """Repair a database; without an embedder, what needs one is left and noted."""
        self._store = store
        self._embedder = embedder
        self.repairs: list[Repair] = []
        self.notes: list[str] = []

    def _done(self, finding: Finding, message: str, lost: Iterable[str] = ()) -> None:
        self.repairs.append(Repair(finding.code, finding.table, message, tuple(lost)))

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _table(self, name: str) -> LanceDataset:
        proteins, residues = self._store.handles()
        return proteins if name == PROTEINS else residues

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
        self._store.write(with_vectors(rows, vectors), arrays, run=entry)


def with_vectors(rows: pa.Table, vectors: NDArray[np.float32]) -> pa.Table:
    """The rows, with those vectors in place of theirs."""
    import pyarrow as pa

    column = rows.schema.get_field_index("vector")
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    return rows.set_column(
        column, rows.schema.field("vector"), pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    )
