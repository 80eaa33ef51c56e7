"""Repairs of rows: what follows from a sequence or from residues is made again, the rest is embedded again."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from protvec.errors import DatabaseError
from protvec.store.arrays import read_arrays
from protvec.store.check.again import Embedding, with_vectors
from protvec.store.digest import digest as digest_of
from protvec.store.filters import LANCE_ERRORS, in_lists
from protvec.store.schema import PROTEINS, RESIDUES
from protvec.store.scoring.record import SEGMENTS
from protvec.store.segments.making import means
from protvec.store.segments.rule import rule_of
from protvec.store.tables import delete_rows, read_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import NDArray

    from protvec.store.check.findings import Finding
    from protvec.store.entries import LogEntry


class RowRepairs(Embedding):
    """What can be done about rows that are there once, in files that can be read."""

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
            self._store.replace_rows(with_vectors(known, vectors))
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

    def _cut(self, finding: Finding, entry: LogEntry) -> None:  # noqa: ARG002
        """Segments are made of the residues again; nothing is left where there are none."""
        table, residues = self._store.handles()
        rows = read_keys(table, "id", list(finding.ids), table.schema.names)
        rule = rule_of(table.schema)
        if rule is None or not rows.num_rows:
            return  # or what was done before has mended it
        made = means(rule, self._store.space.dimension, residues if self._store.keeps_residues else None).make(rows)
        self._store.replace_rows(rows.set_column(rows.schema.get_field_index(SEGMENTS), SEGMENTS, made))
        self._done(finding, f"segments of {rows.num_rows} proteins made anew")

    def _remove_orphans(self, finding: Finding, entry: LogEntry) -> None:
        """All of them, unless another run is under way, which may be about to use some."""
        others = [each for each in self._store.ledger.accounts().running if each.run != entry.run]
        removed = self._store.sweep() if others else self._store.drop_orphans(finding.ids)
        if removed:
            self._done(finding, f"{removed} arrays of no protein removed")

    def _project(self, finding: Finding, entry: LogEntry) -> None:  # noqa: ARG002
        table = self._table(PROTEINS)
        self._store.replace_rows(read_keys(table, "id", list(finding.ids), table.schema.names))
        self._done(finding, f"{finding.count} search vectors made anew")


def _goes_with(vector: list[float], array: NDArray[np.float32]) -> bool:
    """Whether a vector is about the mean of an array; those of two sequences are much further apart."""
    mean = array.mean(axis=0, dtype=np.float64)
    return bool(
        np.linalg.norm(mean - np.asarray(vector)) <= 0.01 * np.sqrt((array.astype(np.float64) ** 2).sum(1).mean())
    )
