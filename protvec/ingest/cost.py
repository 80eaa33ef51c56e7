"""How long an ingest will take and how much it will store, from a short measurement on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protvec.errors import DatabaseError
from protvec.store import free_bytes
from protvec.words import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protvec.engine.base import Encoder
    from protvec.ingest.plan import Plan
    from protvec.store import Store
    from protvec.store.segments import Rule

ROW_OVERHEAD = 64  # bytes of a row beside its text and its vector: lengths, offsets, validity
WORTH_MEASURING = 30_000  # residues; a smaller ingest is done before an estimate would be read


@dataclass(frozen=True)
class Estimate:
    """What an ingest will cost.

    Attributes:
        seconds: Time to embed, in seconds; None where it was not worth measuring.
        residues_per_second: The rate at the input's own lengths; None likewise.
        bytes: What the database will grow by, in bytes.
    """

    seconds: float | None
    residues_per_second: float | None
    bytes: int


def estimate_bytes(
    plan: Plan, *, dimension: int, residue_bytes: float, sequence_bytes: float = 0.0, segments: Rule | None = None
) -> int:
    """Bytes that the database will grow by.

    Args:
        plan: What is to be stored.
        dimension: D.
        residue_bytes: Bytes that the residue codec takes for one residue.
        sequence_bytes: Bytes that it takes for a sequence beside them.
        segments: How the database cuts proteins; None where it does not.
    """
    rows = plan.rows * row_bytes(dimension) + plan.text_bytes
    if segments is not None:
        lengths = np.asarray(plan.row_lengths, np.int64)
        rows += int(segments.counts(lengths).sum()) * segments.bytes_each(dimension) + 16 * plan.rows
    return round(rows + plan.residues_to_embed * residue_bytes + plan.distinct * sequence_bytes)


def row_bytes(dimension: int) -> int:
    """Bytes of a row of ``proteins`` but for its text: the mean vector, the search vector made of it, and the rest."""
    return 8 * dimension + ROW_OVERHEAD


def check_room(path: str, needed: int) -> None:
    """Refuse what will not fit on the disk, before anything is embedded.

    Args:
        path: The database, which need not be there yet; nothing is checked of an object store.
        needed: Bytes.

    Raises:
        DatabaseError: Says how much is needed and how much there is.
    """
    free = free_bytes(path)
    if free is not None and needed > free:
        raise DatabaseError(
            f"{path}: this needs about {size(needed)}, and {size(free)} are free on that disk: make room, "
            "or take another disk or a smaller --residues codec"
        )


def check_fits(plan: Plan, store: Store) -> None:
    """``check_room`` for what a plan adds to a database."""
    needed = estimate_bytes(
        plan,
        dimension=store.space.dimension,
        residue_bytes=store.bytes_per_residue,
        sequence_bytes=store.bytes_per_sequence,
        segments=store.segment_rule,
    )
    check_room(store.path, needed)


def estimate(
    plan: Plan,
    encoder: Encoder,
    *,
    residue_bytes: float,
    sequence_bytes: float = 0.0,
    segments: Rule | None = None,
    budget: float = 4.0,
) -> Estimate:
    """Time a few of the sequences to embed and extend that to all of them.

    The time of a sequence of L residues is taken as ``a L + b L²``: the layers' products and the attention.
    Both are fitted on a shorter and a longer half of the sample.

    Args:
        plan: What is to be embedded.
        encoder: The engine that will do it.
        residue_bytes: Bytes that the residue codec takes for one residue.
        sequence_bytes: Bytes that it takes for a sequence beside them.
        segments: How the database cuts proteins; None where it does not.
        budget: About how many seconds the measurement may take.
    """
    needed = estimate_bytes(
        plan,
        dimension=encoder.dimension,
        residue_bytes=residue_bytes,
        sequence_bytes=sequence_bytes,
        segments=segments,
    )
    if plan.residues_to_embed < WORTH_MEASURING:
        return Estimate(None, None, needed)
    lengths = np.asarray(plan.lengths, dtype=np.float64)
    linear, quadratic = time_of(plan.sample, encoder, budget)
    seconds = float(linear * lengths.sum() + quadratic * (lengths**2).sum())
    return Estimate(seconds, float(lengths.sum()) / seconds, needed)


def time_of(sample: Sequence[str], encoder: Encoder, budget: float = 4.0) -> tuple[float, float]:
    """What a sequence of L residues takes: a and b of ``a L + b L²`` seconds, measured here and now.

    Args:
        sample: Sequences of the lengths that are meant, some dozens.
        encoder: The engine.
        budget: About how many seconds the measurement may take.
    """
    return _fit(_measure(sample, encoder, budget))


def _measure(sample: Sequence[str], encoder: Encoder, budget: float) -> list[tuple[float, float, float]]:
    """(sum of L, sum of L², seconds) of some runs over the shorter half and the longer half, in turn."""
    ordered = sorted(sample, key=len)
    middle = len(ordered) // 2
    # Not the very longest: one giant would use up the budget and say little about the others.
    halves = [ordered[:middle] or ordered, ordered[middle : max(middle + 1, len(ordered) * 95 // 100)]]
    _timed(encoder, halves[0][:1])  # the first run pays for warming up
    runs: list[tuple[float, float, float]] = []
    end = time.perf_counter() + budget
    size = 4  # sequences a run: more when a run is over too soon to be timed well
    while len(runs) < 2 or time.perf_counter() < end:
        half = halves[len(runs) % 2]
        runs.append(_timed(encoder, half[:: max(1, len(half) // size)]))
        if runs[-1][2] < budget / 20:
            size *= 2
    return runs


def _timed(encoder: Encoder, sequences: Sequence[str]) -> tuple[float, float, float]:
    start = time.perf_counter()
    for _ in encoder.encode(sequences):
        pass
    seconds = time.perf_counter() - start
    return float(sum(map(len, sequences))), float(sum(len(s) ** 2 for s in sequences)), seconds


def _fit(runs: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Least squares for seconds = a ΣL + b ΣL², neither below zero."""
    linear, quadratic, seconds = np.asarray(runs, dtype=np.float64).T
    weight = 1.0 / seconds  # relative errors count, so that a long run does not outweigh the others
    system = np.stack([linear, quadratic], axis=1) * weight[:, None]
    (a, b), *_ = np.linalg.lstsq(system, seconds * weight, rcond=None)
    if b < 0:
        return float(seconds.sum() / linear.sum()), 0.0
    if a < 0:
        return 0.0, float(seconds.sum() / quadratic.sum())
    return float(a), float(b)
