"""Putting proteins in, taking them out, and giving them columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from protvec.database.core import Core
from protvec.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from protvec.annotate import Annotated
    from protvec.ingest import Estimate, Observer, Plan, Report


class Changing(Core):
    """The methods of ``Database`` that change its proteins."""

    def ingest(
        self,
        files: str | Path | Sequence[str | Path],
        *,
        dataset: str | None = None,
        organism: str | None = None,
        taxid: int | None = None,
        update: bool = False,
        fix: Collection[str] = (),
        nucleotides_ok: bool = False,
        observer: Observer | None = None,
    ) -> Report:
        """Read FASTA files, embed what is new, and store it.

        Args:
            files: FASTA files, plain or gzip.
            dataset: Name stored with every record.
            organism: Organism of records whose header names none.
            taxid: NCBI taxonomy identifier of records whose header names none.
            update: Replace known proteins whose sequence or metadata differs.
            fix: Repairs (``protvec.fasta.FIXES``) for sequences that would be skipped.
            nucleotides_ok: Do not refuse a file that looks like nucleotides.
            observer: Sees progress and may stop the run.

        Returns:
            The report: added, reused, updated, unchanged, and skipped with reasons.

        Raises:
            FastaError: a file cannot be read, or two records with one id differ; nothing was stored.
            DatabaseError: it will not fit on the disk (nothing was begun), or the disk or other writers fail it.
            IngestInterrupted: the observer asked to stop; it carries the report of what is stored.
        """
        from protvec import ingest

        options = ingest.Options(
            dataset=dataset,
            organism=organism,
            taxid=taxid,
            update=update,
            fix=frozenset(fix),
            nucleotides_ok=nucleotides_ok,
        )
        paths = [files] if isinstance(files, str | Path) else list(files)
        with ingest.open_sources(paths) as sources:
            return self.run(ingest.make_plan(sources, self.store, options), observer)

    def run(self, plan: Plan, observer: Observer | None = None) -> Report:
        """Do what a plan says: see ``protvec.ingest.run``."""
        from protvec import ingest

        self.store.check_writable()  # before anything is embedded
        ingest.check_fits(plan, self.store)
        encoder = self.encoder() if plan.distinct else None
        if encoder:
            self.store.note_precision(encoder.precision)
        report = ingest.run(plan, self.store, encoder, observer)
        self.store.keep_calibrated(self.settings.notify)
        self.store.keep_indexes(self.settings.notify)
        return report

    def estimate(self, plan: Plan) -> Estimate:
        """What a plan will cost on this machine: see ``protvec.ingest.estimate``."""
        from protvec import ingest

        return ingest.estimate(
            plan,
            self.encoder(),
            residue_bytes=self.store.bytes_per_residue,
            sequence_bytes=self.store.bytes_per_sequence,
            segments=self.store.segment_rule,
        )

    def delete(self, ids: Sequence[str] | None = None, *, where: str | None = None) -> int:
        """Remove proteins by id or by condition, and the residue arrays that no other protein shares.

        Returns:
            How many proteins were removed.

        Raises:
            QueryError: neither ids nor a condition, or both.
            ProteinNotFoundError: an id is not there; nothing was removed.
            FilterError: the condition is no SQL, or names a column that is not there.
        """
        if (ids is None) == (where is None):
            raise QueryError("say what to delete: ids, or a condition, not both")
        return self.store.delete(ids=ids, where=where)

    def annotate(
        self,
        table: object,
        *,
        key: str = "id",
        key_column: str | None = None,
        columns: Sequence[str] | None = None,
        rename: Mapping[str, str] | None = None,
        types: Mapping[str, str] | None = None,
        separator: str | None = None,
        nulls: Collection[str] = (),
        replace: bool = False,
    ) -> Annotated:
        """Add the columns of a table to the proteins that its rows match.

        Args:
            table: A TSV, CSV or Parquet file (also gzip), an Arrow table, a pandas or polars frame, or a dict of
                columns.
            key: The column of the database that rows are matched by: a row annotates every protein with its key.
            key_column: The column of the table that has the keys; by default the one of the same name.
            columns: The columns to take; by default all but the key.
            rename: New names of columns, by their names in the table.
            types: ``int``, ``float``, ``text``, ``bool`` or ``list`` by column; others are inferred.
            separator: Splits cells into lists, in columns of text where it occurs; it has to occur somewhere.
            nulls: Texts that stand for nothing, beside the empty one; in columns of a type also numbers that they are,
                the words of booleans, and lists of one of them alone.
            replace: Overwrite what matched proteins have in columns that are there; else empty places are filled,
                and another value is an error.

        Returns:
            The report: columns, proteins that changed, and the keys that no protein has.

        Raises:
            TableError: the table, with file and line; nothing was changed.
            QueryError: an option, or the name of a column.
        """
        from protvec import annotate

        options = annotate.Options(
            key=key,
            key_column=key_column,
            columns=columns,
            rename=rename or {},
            types=types or {},
            separator=separator,
            nulls=nulls,
            replace=replace,
        )
        return annotate.annotate(self.store, annotate.open_sheet(table), options)

    def drop_columns(self, names: str | Sequence[str]) -> None:
        """Remove columns that ``annotate`` added.

        Raises:
            QueryError: one is not there, or is protvec's own; nothing was removed.
        """
        self.store.drop_columns([names] if isinstance(names, str) else names)
