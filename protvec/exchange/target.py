"""The database that records go to, and the run of its ledger."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from protvec.ingest.recorded import check_counts, note_counts
from protvec.store import check_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.exchange.report import Moved
    from protvec.space import Space
    from protvec.store import InputFile, Known, LogEntry, Store

    Create = Callable[[Space, str], Store]


def making(create: Create | None, space: Space, codec: str) -> Callable[[], Store]:
    """How the database is made; never called where it is there."""

    def make() -> Store:
        if create is None:
            raise AssertionError("there is neither a database nor a way to make one")
        return create(space, codec)

    return make


class Target:
    """A database that is there, or one that is made with the first record; a context, which is a run of the ledger."""

    def __init__(
        self,
        store: Store | None,
        create: Callable[[], Store],
        codec: str,
        *,
        command: str,
        files: Sequence[InputFile],
        options: Mapping[str, Any],
    ) -> None:
        """Use it with ``with``.

        Args:
            store: The database; None where it is still to be made.
            create: Makes it.
            codec: How it is to keep residues.
            command: For the ledger, as are the rest.
            files: What is read.
            options: What was asked for.
        """
        self.store = store
        self.codec = codec
        self.entry: LogEntry | None = None
        self._create = create
        self._about = (command, files, dict(options))
        self._stack = ExitStack()

    def __enter__(self) -> Target:
        if self.store is not None:
            self._begin(self.store)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        swallowed = self._stack.__exit__(kind, error, trace)
        if kind is None and self.store is not None:  # as an ingest does at its end
            self.store.settle()
            self.store.keep_calibrated()
            self.store.keep_indexes()
        return swallowed

    def _begin(self, store: Store) -> None:
        command, files, options = self._about
        self.entry = self._stack.enter_context(store.ledger.running(command, files=files, options=options))

    def open(self) -> Store:
        """The database, made if need be."""
        if self.store is None:
            self.store = self._create()
            self._begin(self.store)
        return self.store

    def check_columns(self, fields: Sequence[pa.Field]) -> None:
        """Check that it may have these columns.

        Raises:
            ValueError: It may not.
        """
        check_fields(None if self.store is None else self.store.schema, fields)

    @property
    def keeps(self) -> bool:
        """Whether it keeps residue arrays."""
        return self.codec != "none"

    def known(self, ids: list[str]) -> dict[str, Known]:
        """Those of the ids that it has."""
        return self.store.known(ids) if self.store is not None and ids else {}

    def vectors(self, digests: list[str]) -> dict[str, NDArray[np.float32]]:
        """Vectors of those sequences that it has."""
        return self.store.vectors(digests) if self.store is not None and digests else {}

    def note(self, report: Moved) -> None:
        """Put what is done so far into the ledger."""
        if self.entry is not None and self.store is not None:
            note_counts(report, self.entry)
            self.store.ledger.progress(self.entry)

    def finish(self, report: Moved) -> None:
        """Check that every record is accounted for, and every row of the report is one that a commit has.

        Raises:
            DatabaseError: A record or a row is missing.
        """
        self.note(report)
        check_counts(report, report.database, self.entry)
        if self.store is None:
            report.created = False
            return
        report.database = self.store.path
        if self.entry is not None:
            report.run = self.entry.run
