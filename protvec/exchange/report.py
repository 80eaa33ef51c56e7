"""What an import or a merge did."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from protvec.ingest.report import Tally


@dataclass
class Moved(Tally):
    """What an import or a merge did; the counts are those of an ingest.

    Attributes:
        added: New proteins.
        reused: New proteins whose sequence was known already, under another id: they share its vector and residues.
        updated: Known proteins that were replaced.
        unchanged: Known proteins, left as they are.
        repeated: Among ``unchanged``: records that occur again in the input, id, sequence and vector alike.
        stale: Among ``unchanged``: proteins whose stored metadata, or missing sequence, differs from the input's.
        kept: Among ``unchanged``: proteins with another sequence in the input, where the database's was preferred.
        skipped: Records that were not stored, with the reason; ``line`` is the record's place in the file.
        database: Path of the database.
        run: Its name in the ledger: ``protvec log RUN`` shows it again.
        files: The inputs.
        model: Name of the model.
        created: Whether the database is new.
        codec: How it keeps residues.
        recoded: Residue arrays that were stored in another codec than they came in.
        columns_added: Columns that the database did not have.
        stale_columns: Columns in which the ``stale`` ones differ, or that the database lacks: left as they are.
        without_sequence: Ids of records of which only a vector was stored although sequences were given.
        sequences_unused: Ids of given sequences that no record has.
        seconds: Time from start to end.
    """

    kept: int = 0
    database: str = ""
    run: str = ""
    files: list[str] = field(default_factory=list)
    model: str = ""
    created: bool = False
    codec: str = ""
    recoded: int = 0
    columns_added: list[str] = field(default_factory=list)
    stale_columns: list[str] = field(default_factory=list)
    without_sequence: list[str] = field(default_factory=list)
    sequences_unused: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, ready for JSON."""
        return asdict(self) | {"skipped_by_reason": dict(self.reasons)}
