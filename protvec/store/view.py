"""One version of each table of an open database, from handles that follow other writers."""

from __future__ import annotations

import copy
import math
import threading
import time
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError, SpaceMismatchError
from protvec.store import snapshots
from protvec.store.codec import bytes_per_residue, bytes_per_sequence, codec_named
from protvec.store.filters import LANCE_ERRORS, brief
from protvec.store.segments.rule import rule_of
from protvec.store.tables import latest

if TYPE_CHECKING:
    import pyarrow as pa
    from lance import LanceDataset
    from typing_extensions import Self

    from protvec.space import Space
    from protvec.store.location import Location
    from protvec.store.schema import Description
    from protvec.store.segments.rule import Rule
    from protvec.store.snapshots import Snapshot

    Handles = tuple[LanceDataset, LanceDataset]  # proteins, residues

_LOOKS = 5  # at both tables, before a version of which the residues may be newer is taken


class View:
    """What a database says about itself, and handles on its tables. ``Store`` describes the attributes."""

    def __init__(
        self, location: Location, description: Description, handles: Handles, *, seconds: float, at: str | None = None
    ) -> None:
        """Read through the handles, never older than so many seconds; those of a snapshot stay as they are."""
        self.location = location
        self.path = location.path
        self.at = at
        self.space = description.space
        self._take(description)
        self._seconds = seconds
        self._proteins, self._residues = handles
        self._checked = time.monotonic()
        self._lock = threading.Lock()  # guards the handles
        self._known_schema: tuple[int, pa.Schema] | None = None  # of a version

    def _take(self, description: Description) -> None:
        """What the database says about itself, but for its space, which never changes."""
        self.codec = description.codec
        self.precision = description.precision
        self.schema_version = description.schema_version
        self.created_with = description.created_with
        self._codec = codec_named(description.codec)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r}, {self.space})"

    def check_space(self, space: Space) -> None:
        """Check that vectors of a space may be stored here or compared with these.

        Raises:
            SpaceMismatchError: They may not; names both spaces.
        """
        if not self.space.matches(space):
            raise SpaceMismatchError(
                f"{self.path} holds vectors of {self.space}, not of {space}: take its model or another path",
                expected=self.space,
                actual=space,
            )

    @property
    def keeps_residues(self) -> bool:
        """Whether residue arrays are stored at all."""
        return self._codec.keeps

    @property
    def bytes_per_residue(self) -> float:
        """What a stored residue takes, for estimates."""
        return bytes_per_residue(self.codec, self.space.dimension)

    @property
    def bytes_per_sequence(self) -> float:
        """What a stored array takes beside its residues, for estimates."""
        return bytes_per_sequence(self.codec, self.space.dimension)

    @property
    def segment_rule(self) -> Rule | None:
        """How this database cuts long proteins; None where it keeps no segments."""
        return rule_of(self._schema_of(self._current()[0]))

    @property
    def snapshot_names(self) -> list[str]:
        """Names of the snapshots, oldest first."""
        return snapshots.names((self._proteins, self._residues))

    def snapshots(self) -> list[Snapshot]:
        """The snapshots, oldest first, with what each alone keeps on disk.

        Raises:
            DatabaseError: This is opened at a snapshot itself.
        """
        return snapshots.snapshots(self._newest())

    def pinned(self) -> Self:
        """The database as it is now: several reads of what this returns are of one version of it."""
        view = copy.copy(self)
        moves = self.at is None and self._seconds < math.inf
        handles = self._newest() if moves else self._current()
        view._proteins, view._residues = handles  # noqa: SLF001 - another of this class
        view._seconds = math.inf  # noqa: SLF001
        return view

    def still(self) -> Self:
        """As ``pinned``, but of the version that was last seen: it costs nothing, and is for reads of one call."""
        handles = self._current()
        self._schema_of(handles[0])  # known to the view, too
        view = copy.copy(self)
        view._proteins, view._residues = handles  # noqa: SLF001 - another of this class
        view._seconds = math.inf  # noqa: SLF001
        return view

    @property
    def version(self) -> int:
        """The number of the version of ``proteins`` that is read."""
        return int(self._current()[0].version)

    def mark(self) -> str:
        """What tells this version of ``proteins`` from any other, of this and of other databases."""
        handle, _ = self._current()
        try:
            own = copy.copy(handle)  # lance lets nobody else use the handle meanwhile
            return f"{own.version} {own.read_transaction(own.version).uuid}"
        except LANCE_ERRORS as error:
            raise DatabaseError(f"{self.path}: cannot be read any more: {brief(error)}") from error

    def refresh(self) -> None:
        """See what other processes have committed by now, without waiting for ``read_consistency_seconds``."""
        self._newest()

    def newest_version(self) -> int:
        """The number of the newest version of ``proteins``; quick, and reads go on from what they had."""
        with self._lock:
            handle = self._proteins
        try:
            return int(handle.latest_version)
        except LANCE_ERRORS as error:
            raise DatabaseError(f"{self.path}: cannot be read any more: {brief(error)}") from error

    def handles(self) -> Handles:
        """Handles on the newest versions of ``proteins`` and ``residues``; on the snapshot where it is one."""
        return self._newest() if self.at is None else self._current()

    def _current(self) -> Handles:
        """Handles that are at most ``read_consistency_seconds`` old."""
        with self._lock:
            if self.at is not None:
                return self._proteins, self._residues
            if time.monotonic() - self._checked < self._seconds:
                return self._proteins, self._residues
        return self._newest()

    def _newest(self) -> Handles:
        """Handles on the newest versions, of one moment: ``proteins`` is the same before and after the other is taken.

        So each protein has its residues in the other, also while a restore takes both tables back. Everything
        that writes begins with it: that is what makes a database opened at a snapshot read-only.
        """
        self._refuse_at_snapshot()
        with self._lock:
            for _ in range(_LOOKS):
                self._proteins = latest(self._proteins)
                self._residues = latest(self._residues)
                if latest(self._proteins).version == self._proteins.version:
                    break
            self._checked = time.monotonic()
            return self._proteins, self._residues

    def _schema_of(self, handle: LanceDataset) -> pa.Schema:
        """The schema of ``proteins``: lance makes it anew each time, which takes a tenth of a search."""
        version, known = int(handle.version), self._known_schema
        if known is None or known[0] != version:
            self._known_schema = known = version, handle.schema
        return known[1]

    def _refuse_at_snapshot(self) -> None:
        if self.at is not None:
            raise DatabaseError(
                f"{self.path}: opened at snapshot {self.at!r}, which only reads: open the database itself to change it"
            )
