"""How good a fast precision is: measured on real proteins against fp32, on the user's weights and machine.

A **fidelity card** is what the measurement leaves beside the converted model. ``auto`` reads it; people may too.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.engine.base import pool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from protvec.engine.base import Encoder

POOLED_LIMIT = 0.999
RESIDUE_LIMIT = 0.995
NEIGHBOURS = 10
# The probe: as many short proteins as the neighbours need, and a few of usual length. fp32 on two cores embeds
# these some 4,000 residues in half a minute.
SHORT = (40, 190)
SHORT_COUNT = 32
LONGER = (300, 500)


@dataclass(frozen=True)
class Fidelity:
    """One precision of one engine, held against the fp32 reference.

    Attributes:
        precision: ``fp32``, ``bf16`` or ``int8``.
        pooled_min: Lowest cosine of a protein's vector with the reference's.
        pooled_mean: Their mean.
        residue_min: Lowest cosine of a residue's row with the reference's.
        residue_mean: Their mean.
        overlap: Share of the reference's ten nearest neighbours of each protein that are found again.
        residues_per_second: Speed on this machine, on the probe.
    """

    precision: str
    pooled_min: float
    pooled_mean: float
    residue_min: float
    residue_mean: float
    overlap: float
    residues_per_second: float

    @property
    def passed(self) -> bool:
        """Whether ``auto`` may use it: pooled cosine >= 0.999 and residue cosine >= 0.995 everywhere."""
        return self.pooled_min >= POOLED_LIMIT and self.residue_min >= RESIDUE_LIMIT


@dataclass(frozen=True)
class Card:
    """What was measured of one model on one machine.

    Attributes:
        model: Name of the model.
        weights: SHA-256 of its weights.
        machine: The processor.
        threads: Threads in use.
        converter: Version of the conversion that was measured.
        proteins: Proteins of the probe.
        residues: Residues of the probe.
        reference_speed: Residues per second of the fp32 reference, the plain loop in torch.
        golden: Where the official checkpoint's figures are known: the lowest cosine of the reference's vectors with
            them, over three sequences and their first eight numbers.
        measured: What was found, by precision.
        fixed: int8 with the steps that were fixed at conversion, where it failed: ``measured`` is then of int8
            with every step found while it runs. None where it did not fail, or had none.
    """

    model: str
    weights: str
    machine: str
    threads: int
    converter: str
    proteins: int
    residues: int
    reference_speed: float
    golden: float | None = None
    measured: Mapping[str, Fidelity] = field(default_factory=dict)
    fixed: Fidelity | None = None

    @property
    def best(self) -> str | None:
        """The fastest precision that passed; None where none did."""
        passed = [entry for entry in self.measured.values() if entry.passed]
        return max(passed, key=lambda entry: entry.residues_per_second).precision if passed else None

    def to_json(self) -> str:
        """The card as JSON text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read a card back.

        Raises:
            ValueError: it is not one.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            measured = {name: Fidelity(**entry) for name, entry in values.pop("measured").items()}
            fixed = values.pop("fixed", None)
            return cls(**values, measured=measured, fixed=Fidelity(**fixed) if fixed else None)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a fidelity card: {error}") from error


def probe() -> list[str]:
    """The proteins that precisions are measured on: real ones, from the sample that ships with protvec."""
    sequences = distinct()
    short = [sequence for sequence in sequences if SHORT[0] <= len(sequence) <= SHORT[1]]
    longer = [min(sequences, key=lambda sequence: abs(len(sequence) - length)) for length in LONGER]
    return short[:: max(1, len(short) // SHORT_COUNT)][:SHORT_COUNT] + longer


def distinct() -> list[str]:
    """The distinct sequences of the sample that ships with protvec, shortest first."""
    from protvec import data, fasta

    records = [record for record in fasta.read(data.sample()) if isinstance(record, fasta.Record)]
    return sorted({record.sequence for record in records}, key=lambda sequence: (len(sequence), sequence))


def run(encoder: Encoder, sequences: Sequence[str]) -> tuple[list[NDArray[np.float32]], float]:
    """Embed the probe.

    Returns:
        The residue arrays, and residues per second (the first protein, which pays for warming up, left out).
    """
    list(encoder.encode(sequences[:1]))
    start = time.perf_counter()
    arrays = list(encoder.encode(sequences))
    return arrays, sum(map(len, sequences)) / (time.perf_counter() - start)


def golden_cosine(encoder: Encoder, rows: Sequence[Sequence[float]], sequences: Sequence[str]) -> float:
    """Lowest cosine of pooled vectors with golden figures, over as many numbers as these have.

    Args:
        encoder: Of the official checkpoint, without a prefix.
        rows: The first numbers of the pooled vector of each sequence.
        sequences: The golden sequences.
    """
    figures = np.asarray(rows, dtype=np.float32)
    vectors = np.stack([pool(array)[: figures.shape[1]] for array in encoder.encode(sequences)])
    return float(_cosine(figures, vectors).min())


def compare(
    precision: str,
    reference: Sequence[NDArray[np.float32]],
    candidate: Sequence[NDArray[np.float32]],
    *,
    residues_per_second: float,
) -> Fidelity:
    """Hold the residue arrays of a precision against those of the reference.

    Args:
        precision: Its name.
        reference: ndarrays, shape=(L, D), one a protein.
        candidate: The same of the precision.
        residues_per_second: Its speed.
    """
    residue = np.concatenate([_cosine(a, b) for a, b in zip(reference, candidate, strict=True)])
    true = np.stack([pool(array) for array in reference])
    got = np.stack([pool(array) for array in candidate])
    pooled = _cosine(true, got)
    return Fidelity(
        precision=precision,
        pooled_min=float(pooled.min()),
        pooled_mean=float(pooled.mean()),
        residue_min=float(residue.min()),
        residue_mean=float(residue.mean()),
        overlap=_overlap(true, got),
        residues_per_second=residues_per_second,
    )


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Row by row; a row that is not finite, or zero in one alone, counts as 0."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        cosine = (x * y).sum(axis=1) / (np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1))
    result: NDArray[np.float64] = np.nan_to_num(cosine, nan=0.0, posinf=0.0, neginf=0.0)
    return result


def _overlap(true: NDArray[np.float32], got: NDArray[np.float32]) -> float:
    """Mean share of the ten nearest neighbours (itself left out) that both agree on."""
    k = min(NEIGHBOURS, len(true) - 1)
    shared = [len(a & b) for a, b in zip(_neighbours(true, k), _neighbours(got, k), strict=True)]
    return float(np.mean(shared)) / k if k else 1.0


def _neighbours(vectors: NDArray[np.float32], k: int) -> list[set[int]]:
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        scores = np.nan_to_num(unit @ unit.T, nan=-1.0)
    np.fill_diagonal(scores, -np.inf)
    return [set(row[:k].tolist()) for row in np.argsort(-scores, axis=1, kind="stable")]
