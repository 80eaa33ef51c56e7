"""How good a transfer is: every labelled protein as if it had no labels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from protvec.transfer.vote import vote

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from protvec.search.hits import Hits
    from protvec.store import Store
    from protvec.transfer.labels import Labels
    from protvec.transfer.run import Transfer

THRESHOLDS = tuple(step / 10 for step in range(10))
# Beyond the protein itself and its k neighbours: room for identical sequences, which are left out.
MORE = 20


@dataclass(frozen=True)
class Quality:
    """What a transfer is worth at one threshold, as CAFA counts it (Radivojac et al., Nature Methods 10:221, 2013).

    Attributes:
        min_ri: The threshold of the reliability index.
        coverage: The share of the proteins that get a label.
        precision: The share of a protein's predicted labels that it has, averaged over those that get one; None where
            none does.
        recall: The share of a protein's labels, and of those that they imply, that are predicted, averaged over all.
    """

    min_ri: float
    coverage: float
    precision: float | None
    recall: float

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Known:
    """A labelled protein."""

    digest: str
    labels: frozenset[str]


def known_labels(transfer: Transfer, store: Store, where: str, sample: int | None) -> dict[str, Known]:
    """The labelled proteins by id, or so many of them: those of the lowest digests, which are as good as random."""
    found = {}
    for batch in store.iter_proteins(columns=["id", "digest", transfer.options.column], where=where):
        for id, digest, cell in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if labels := transfer.labels.of(cell):
                found[id] = Known(digest, labels)
    return dict(sorted(found.items(), key=lambda each: (each[1].digest, each[0]))[:sample])


def check(transfer: Transfer, answers: Iterable[Hits], known: Mapping[str, Known]) -> list[Quality]:
    """Predict labels that are known, from other sequences.

    Args:
        transfer: What to check; its ``min_ri`` is not looked at.
        answers: Labelled hits of proteins, with their digests.
        known: These proteins by id.
    """
    votes = []
    for hits in answers:
        protein = known.get(hits.query)
        if protein is None:  # its labels are roots of an ontology
            continue
        neighbours = transfer.neighbours(hits, without=protein.digest)
        reliable = {label: its.ri for label, its in vote(neighbours, transfer.labels).items()} if neighbours else {}
        votes.append((reliable, _closure(transfer.labels, protein.labels)))
    return [_quality(transfer.labels, votes, threshold) for threshold in THRESHOLDS]


def _closure(labels: Labels, some: Collection[str]) -> frozenset[str]:
    return frozenset().union(*map(labels.implied, some))


def _quality(
    labels: Labels, votes: Collection[tuple[Mapping[str, float], frozenset[str]]], threshold: float
) -> Quality:
    precisions, recalls = [], []
    for reliable, true in votes:
        told = labels.told([label for label, ri in reliable.items() if ri >= threshold])
        if told:
            precisions.append(len(true.intersection(told)) / len(told))
        recalls.append(len(true & _closure(labels, told)) / len(true))
    return Quality(
        threshold,
        len(precisions) / len(votes) if votes else 0.0,
        fmean(precisions) if precisions else None,
        fmean(recalls) if recalls else 0.0,
    )
