"""What an ingest would do: every record read, checked and classified, nothing embedded, nothing written."""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protvec.ingest.records import Options, jobs
from protvec.ingest.report import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protvec.ingest.sources import Readable
    from protvec.store import Store

__all__ = ["Options", "Plan", "make_plan"]

SAMPLE = 256  # sequences kept to measure the speed on


@dataclass
class Plan(Tally):
    """What an ingest would do. The counts of ``Tally`` are those that the report would have.

    Attributes:
        sources: The inputs.
        options: How records are treated.
        residues: Residues in all records that become rows.
        lengths: Lengths of the distinct sequences to embed, in input order.
        row_lengths: Lengths of all that become rows.
        text_bytes: Bytes of sequences and headers to store.
        sample: Some of the sequences to embed, drawn evenly at random.
    """

    sources: Sequence[Readable] = ()
    options: Options = field(default_factory=Options)
    residues: int = 0
    lengths: array[int] = field(default_factory=lambda: array("L"))
    row_lengths: array[int] = field(default_factory=lambda: array("L"))
    text_bytes: int = 0
    sample: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows that would be written."""
        return self.added + self.reused + self.updated

    @property
    def distinct(self) -> int:
        """Distinct sequences that would be embedded."""
        return len(self.lengths)

    @property
    def residues_to_embed(self) -> int:
        """Residues that would be embedded."""
        return sum(self.lengths)


def make_plan(sources: Sequence[Readable], store: Store | None, options: Options) -> Plan:
    """Read every record once and say what is to be done.

    Args:
        sources: The inputs.
        store: The database, or None where it is still to be made.
        options: How records are treated.

    Raises:
        FastaError: a file cannot be read, or two records with one id differ; nothing was written.
    """
    plan = Plan(sources=sources, options=options)
    draw = random.Random(0)  # noqa: S311  # the same plan for the same input
    for job in jobs(sources, store, options, plan):
        plan.count(job.fate)
        plan.residues += job.row["length"]
        plan.row_lengths.append(job.row["length"])
        plan.text_bytes += job.row["length"] + len(job.row["header"])
        if job.embed:
            plan.lengths.append(job.row["length"])
            _keep_sample(plan, job.sequence, draw)
    plan.in_input_order([source.name for source in sources])
    return plan


def _keep_sample(plan: Plan, sequence: str, draw: random.Random) -> None:
    """Reservoir sampling (Vitter's algorithm R): every sequence is kept with the same probability."""
    if len(plan.sample) < SAMPLE:
        plan.sample.append(sequence)
    elif (place := draw.randrange(plan.distinct)) < SAMPLE:
        plan.sample[place] = sequence
