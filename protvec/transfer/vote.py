"""Labels of the neighbours, weighed: the reliability index of goPredSim."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from protvec.transfer.labels import Labels


@dataclass(frozen=True)
class Neighbour:
    """A labelled protein near to another.

    Attributes:
        id: The protein.
        labels: Its labels.
        similarity: See ``similarity``.
        evidence: What the search says of it: ``score`` and, where it has them, ``evalue``, ``identity``, ``coverage``.
    """

    id: str
    labels: frozenset[str]
    similarity: float
    evidence: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Vote:
    """What the neighbours say of one label.

    Attributes:
        ri: The reliability index, 0 to 1.
        best: The most similar neighbour that has the label.
        support: How many neighbours have it.
        direct: Whether one of them has the label itself, and not only one that implies it.
    """

    ri: float
    best: Neighbour
    support: int
    direct: bool


def similarity(score: float, evalue: float | None) -> float:
    """How much a hit is to be trusted, 0 to 1.

    Args:
        score: The cosine of the hit.
        evalue: How many hits this good chance gives in a search of this database; None where it is not known.

    Returns:
        exp(-E), the probability that chance gives no hit this good (of a Poisson law of mean E); without an E-value,
        the cosine, or 0 where that is negative.
    """
    return math.exp(-evalue) if evalue is not None else min(max(score, 0.0), 1.0)


def vote(neighbours: Sequence[Neighbour], labels: Labels) -> dict[str, Vote]:
    """The reliability index of every label that a neighbour has or implies.

    RI(label) = (1 / k) * sum of the similarities of those of the k neighbours that have the label (Littmann,
    Heinzinger, Dallago, Olenyi and Rost, Scientific Reports 11:1160, 2021), with ``similarity`` in place of
    0.5 / (0.5 + distance).
    """
    having: dict[str, list[Neighbour]] = {}
    for neighbour in neighbours:
        for label in frozenset().union(*map(labels.implied, neighbour.labels)):
            having.setdefault(label, []).append(neighbour)
    return {
        label: Vote(
            sum(each.similarity for each in those) / len(neighbours),
            max(those, key=lambda each: each.similarity),  # the first of equals, which the search ranks highest
            len(those),
            any(label in each.labels for each in those),
        )
        for label, those in having.items()
    }
