"""Checks, snapshots, the log, and how arrays are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.database.core import Core
from protvec.engine.base import embed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from protvec.store import IndexInfo, LogEntry, Scoring, Snapshot
    from protvec.store.check import CheckResult


class Upkeep(Core):
    """The methods of ``Database`` that look after it."""

    def check(
        self, *, full: bool = False, repair: bool = False, progress: Callable[[int, int], None] | None = None
    ) -> CheckResult:
        """Look at everything in this database: schemas, every row, residue arrays, indexes, and the log.

        Args:
            full: Compare every residue array with the vectors of its proteins, not a sample of 256.
            repair: Mend what can be mended, and check again. What has lost its residues is embedded again, for
                which the model is loaded then.
            progress: Called with the rows looked at so far, and how many there are.

        Returns:
            ``findings``, what was done (``repairs``) and what is lost by it; ``ok`` where nothing is damaged.
        """
        from protvec.store import check

        if not repair:
            return check.check(self.store, full=full, progress=progress)

        def embedder(sequences: Sequence[str]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
            return ((each.vector, each.residues) for each in embed(self.encoder(), sequences))

        return check.repair(self.store, full=full, embedder=embedder, progress=progress)

    def log(self, n: int | None = None) -> list[LogEntry]:
        """What was done to this database, newest first: at most ``n`` runs.

        Their skipped and changed records are in ``log_entry``.
        """
        return self.store.ledger.entries(n)

    def log_entry(self, run: str) -> LogEntry:
        """One run of the log, with every record that it skipped or changed.

        Args:
            run: Its name, or the beginning of it; ``Report.run`` is one.

        Raises:
            QueryError: there is none, or several begin so.
        """
        return self.store.ledger.entry(run)

    def recode(self, codec: str, *, progress: Callable[[int, int], None] | None = None) -> int:
        """Change how residue arrays are kept, those that are there and those to come.

        A kill does no harm: called again, it goes on. Arrays of a finer codec become no better than they
        were, and ``none`` removes them: nobody is asked here.

        Args:
            codec: ``int8``, ``int4``, ``float16`` or ``none``.
            progress: Called with the arrays done so far, and all that there are to do.

        Returns:
            How many arrays were changed or removed.

        Raises:
            QueryError: an unknown codec, or the database keeps no arrays.
            DatabaseError: the disk, or too little room on it.
        """
        return self.store.recode(codec, progress=progress)

    def compact(self) -> None:
        """Join what many small ingests left, drop deleted rows and remove versions older than an hour.

        Ingest does as much of it as pays by itself. Snapshots stay.
        """
        self.store.compact()

    def index(self, kind: str = "auto", *, target_recall: float | None = None) -> list[IndexInfo]:
        """Build the indexes that a database of this size is to have, and tune them: see ``Store.index``.

        While the vectors fit the memory, a byte a value, searches are exact and take milliseconds without one.

        Args:
            kind: ``auto``, ``exact`` (none), ``ivf_flat`` or ``ivf_sq``.
            target_recall: The share of the true ten nearest that it should find; 0.98 unless it was said before.

        Raises:
            QueryError: an unknown kind or a recall that cannot be.
            DatabaseError: the disk, or other writers that keep getting in first.
        """
        return self.store.index(kind, target_recall=target_recall, notify=self.settings.notify)

    def indexes(self) -> list[IndexInfo]:
        """The indexes that there are, each with the proteins that it covers and the recall that was measured."""
        return self.store.indexes()

    def drop_indexes(self) -> int:
        """Remove all indexes, and build none by itself any more; how many there were."""
        return self.store.drop_indexes()

    def calibrate(self, scoring: str = "auto", *, segments: bool | None = None) -> Scoring:
        """Fit the search space to the proteins that are there now; ingest does it by itself.

        The vectors stay as they are. Scores of before and after are on different scales;
        ``Hits.index.scoring`` names the scale.

        Args:
            scoring: ``auto``, ``raw``, ``centred`` or ``whitened``: see ``protvec.transform``.
            segments: Whether to keep segments of long proteins, made from their residues, or none; by default as
                before.

        Returns:
            What searches compare from now on: ``kind``, ``name``, ``proteins``, ``shrinkage``, ``fitted``.

        Raises:
            QueryError: an unknown scoring, or too few proteins for it; or no residues to make segments of.
            DatabaseError: the disk, or other writers that keep getting in first.
        """
        return self.store.calibrate(scoring, segments=segments, notify=self.settings.notify)

    @property
    def scoring(self) -> Scoring:
        """What searches compare now."""
        return self.store.scoring

    def snapshot(self, name: str) -> Snapshot:
        """Keep the present version readable as ``protvec.open(path, at=name)`` until the snapshot is deleted.

        Raises:
            QueryError: the name cannot be used, or is taken.
        """
        return self.store.snapshot(name)

    def snapshots(self) -> list[Snapshot]:
        """The snapshots, oldest first."""
        return self.store.snapshots()

    def delete_snapshot(self, name: str) -> None:
        """Forget a snapshot.

        Raises:
            SnapshotNotFoundError: there is none of that name; the message names similar ones.
        """
        self.store.delete_snapshot(name)

    def restore(self, name: str) -> str:
        """Make the content of a snapshot that of the database again, as a new version.

        Returns:
            The name of the snapshot that has what was there before: restoring that one goes back.

        Raises:
            SnapshotNotFoundError: there is none of that name; the message names similar ones.
        """
        return self.store.restore(name)
