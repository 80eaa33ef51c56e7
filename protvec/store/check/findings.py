"""What a check may find, and what a repair did about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Level: TypeAlias = Literal["damage", "leftover", "note"]

SHOWN = 20  # ids of a finding that are given to programs


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        code: Short name of the kind; ``docs/maintenance.md`` lists them.
        table: ``proteins``, ``residues``, ``ledger``, ``transforms`` or ``map``.
        message: What was found, in words.
        count: How many rows it concerns.
        ids: Of these rows: ids of proteins, digests of residues, names of runs, files or indexes.
        level: ``damage``; ``leftover``: of an interruption, harmless, and used or removed by the next run;
            ``note``: nothing is wrong, but something could be better.
        repairable: Whether ``repair`` can do something about it.
    """

    code: str
    table: str
    message: str
    count: int
    ids: tuple[str, ...] = ()
    level: Level = "damage"
    repairable: bool = True

    def __str__(self) -> str:
        named = ", ".join(self.ids[:3]) + (" …" if len(self.ids) > 3 else "")
        return f"{self.table}: {self.message}" + (f": {named}" if named else "")

    def to_dict(self) -> dict[str, Any]:
        """Plain values; of the ids the first twenty."""
        return {
            "code": self.code,
            "table": self.table,
            "level": self.level,
            "message": self.message,
            "count": self.count,
            "ids": list(self.ids[:SHOWN]),
            "repairable": self.repairable,
        }


@dataclass(frozen=True)
class Repair:
    """What was done about a finding.

    Attributes:
        code: Of the finding.
        table: Of the finding.
        message: What was done, in words.
        lost: What is gone for good, or has to be ingested again: ids of proteins, or digests.
    """

    code: str
    table: str
    message: str
    lost: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with everything that is lost."""
        return {"code": self.code, "table": self.table, "message": self.message, "lost": list(self.lost)}


@dataclass
class CheckResult:
    """What a check looked at and found.

    Attributes:
        database: Path of the database.
        full: Whether every residue array was read.
        proteins: Rows of ``proteins`` looked at.
        residues: Rows of ``residues`` looked at.
        compared: Residue arrays decoded and compared with the vectors of their proteins.
        findings: What is not as it should be, after the repairs if there were any.
        repairs: What was done about what was found first.
        notes: What could not be repaired, and what that needs.
    """

    database: str
    full: bool
    proteins: int = 0
    residues: int = 0
    compared: int = 0
    findings: list[Finding] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged."""
        return not any(finding.level == "damage" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "database": self.database,
            "ok": self.ok,
            "full": self.full,
            "proteins": self.proteins,
            "residues": self.residues,
            "compared": self.compared,
            "findings": [finding.to_dict() for finding in self.findings],
            "repairs": [repair.to_dict() for repair in self.repairs],
            "notes": self.notes,
        }
