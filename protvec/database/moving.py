"""Proteins to files, and from files and other databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.database.core import Core

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from protvec.exchange import Exported, Moved


class Moving(Core):
    """The methods of ``Database`` that carry proteins elsewhere and back."""

    def export(
        self,
        path: str | Path,
        *,
        format: str | None = None,
        level: str = "protein",
        ids: Sequence[str] | None = None,
        where: str | None = None,
        columns: Sequence[str] | None = None,
        dtype: str | None = None,
        force: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Exported:
        """Write proteins to a Parquet, FASTA, NumPy or HDF5 file, whole or not at all.

        Args:
            path: The file; its suffix says the format: ``.parquet``, ``.fasta``, ``.fa`` (also ``.gz``), ``.npy``,
                ``.npz`` or ``.h5``.
            format: ``parquet``, ``fasta``, ``npy``, ``npz`` or ``h5``, whatever the suffix.
            level: ``protein`` for vectors (D,), ``residue`` for arrays (L, D) too (Parquet) or instead (HDF5).
            ids: These proteins, in this order; by default all.
            where: A condition instead.
            columns: Columns of a Parquet file; by default all.
            dtype: ``float32`` or ``float16``; by default float32, but float16 for residues in HDF5 and for those
                of a database in that codec, which are exact so.
            force: Replace a file that is there.
            progress: Called with proteins done and proteins in all.

        Raises:
            ExchangeError: the file cannot be written, is there already, or cannot hold what was asked for.
            QueryError: nothing to write, or a setting that cannot be used.
            ProteinNotFoundError: an id is not there.
            FilterError: the condition or a column cannot be used.
        """
        from protvec import exchange

        return exchange.export(
            self.store,
            path,
            format=format,
            level=level,
            ids=ids,
            where=where,
            columns=columns,
            dtype=dtype,
            force=force,
            progress=progress,
        )

    def import_file(
        self,
        file: str | Path,
        *,
        format: str | None = None,
        model: str | None = None,
        fasta: str | Path | Sequence[str | Path] = (),
        ids: str | Path | None = None,
        dataset: str | None = None,
        update: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Moved:
        """Store the vectors of a file here, and its residue arrays if it has any: see ``protvec.import_file``."""
        from protvec import exchange

        options = exchange.ImportOptions(
            format=format,
            model=model,
            fasta=fasta,
            ids=ids,
            dataset=dataset,
            update=update,
        )
        return exchange.import_into(self.store, file, None, options, progress=progress)

    def merge(
        self,
        databases: Sequence[Core],
        *,
        prefer: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Moved:
        """Copy the proteins of other databases of this model here, with their residues: see ``protvec.merge``."""
        from protvec import exchange

        stores = [database.store for database in databases]
        return exchange.merge_into(self.store, stores, None, prefer=prefer, progress=progress)
