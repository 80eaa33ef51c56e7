"""What an ingest did, record by record where something was not plain."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

from protvec.store import Changed, Skipped

__all__ = ["Changed", "Fate", "Report", "Skipped", "Tally"]

Fate: TypeAlias = Literal["added", "reused", "updated"]
"""What becomes of a record that is a row; the count of ``Tally`` that it goes to."""


@dataclass
class Tally:
    """How many records met which fate. Every record meets exactly one.

    Attributes:
        requested: Records read.
        added: New proteins whose sequence was embedded.
        reused: New proteins whose sequence was known already, under another id; nothing was embedded.
        updated: Known proteins that were replaced (``update=True``): another sequence or other metadata.
        unchanged: Known proteins, left as they are; among them ``repeated``.
        repeated: Records that occur again, id and sequence alike, within this input.
        stale: Among ``unchanged``: proteins whose stored metadata differs from the input's.
        skipped: Records that were not stored, with the reason.
        changed: Records whose sequence was cleaned, with what was done; they are counted above as well.
    """

    requested: int = 0
    added: int = 0
    reused: int = 0
    updated: int = 0
    unchanged: int = 0
    repeated: int = 0
    stale: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        """Whether every requested record is accounted for."""
        return self.unaccounted == 0

    @property
    def unaccounted(self) -> int:
        """How many requested records have met no fate yet."""
        return self.requested - self.settled

    @property
    def settled(self) -> int:
        """How many records have met their fate."""
        return self.added + self.reused + self.updated + self.unchanged + len(self.skipped)

    @property
    def counts(self) -> dict[str, int]:
        """All counts by name."""
        names = ("requested", "added", "reused", "updated", "unchanged", "repeated", "stale")
        plain = {name: getattr(self, name) for name in names}
        return plain | {"skipped": len(self.skipped), "changed": len(self.changed)}

    def count(self, fate: Fate) -> None:
        """One more record that became, or will become, a row."""
        setattr(self, fate, getattr(self, fate) + 1)

    def in_input_order(self, files: Sequence[str]) -> None:
        """Sort what was skipped by its place in the files; it is found in another order."""
        self.skipped.sort(key=lambda skipped: (files.index(skipped.file), skipped.line))

    @property
    def reasons(self) -> Counter[str]:
        """How often each kind of reason for skipping occurred (positions and symbols left out)."""
        return Counter(skipped.reason.split(" at position")[0] for skipped in self.skipped)

    @property
    def changes(self) -> Counter[str]:
        """How many records each kind of cleaning touched."""
        return Counter(change for record in self.changed for change in record.changes)


@dataclass
class Report(Tally):
    """What an ingest did.

    Attributes:
        run: Its name in the ledger: ``protvec log RUN`` shows it again.
        database: Path of the database.
        files: The inputs, as the user named them.
        model: Name of the model.
        engine: Engine that ran it; None where nothing had to be embedded.
        precision: Arithmetic that it ran in; None where nothing had to be embedded.
        embedded: Distinct sequences embedded.
        embedded_residues: Residues embedded.
        seconds: Time from start to end.
        interrupted: Whether it stopped on request; running it again continues.
    """

    run: str = ""
    database: str = ""
    files: list[str] = field(default_factory=list)
    model: str = ""
    engine: str | None = None
    precision: str | None = None
    embedded: int = 0
    embedded_residues: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """All counts by name."""
        return super().counts | {"embedded": self.embedded, "embedded_residues": self.embedded_residues}

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, ready for JSON."""
        plain = asdict(self)
        plain["skipped"] = [asdict(skipped) for skipped in self.skipped]
        plain["changed"] = [asdict(changed) | {"changes": list(changed.changes)} for changed in self.changed]
        plain["skipped_by_reason"] = dict(self.reasons)
        plain["changed_by_kind"] = dict(self.changes)
        return plain
