"""The identity of an embedding space: which vectors may be compared with which."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Space:
    """What two vectors must have in common to be compared; recorded in every database.

    Attributes:
        model: The model's name, as upstream calls it (``ankh-base``), or the name of a checkpoint directory.
        repository: The upstream repository (``ElnaggarLab/ankh-base``); None for a local directory.
        revision: The upstream revision, a commit hash; None for a local directory.
        weights: SHA-256 of the weights, in hexadecimal. It alone decides whether two spaces are one.
        dimension: D, the length of a vector.
        pooling: How residues become a vector.
    """

    model: str
    repository: str | None
    revision: str | None
    weights: str
    dimension: int
    pooling: str = "mean"

    def matches(self, other: Space) -> bool:
        """Whether vectors of both may be compared: same weights, dimension and pooling."""
        return (self.weights, self.dimension, self.pooling) == (other.weights, other.dimension, other.pooling)

    def to_dict(self) -> dict[str, str | int | None]:
        """The fields by name."""
        return asdict(self)

    def __str__(self) -> str:
        revision = f"@{self.revision[:8]}" if self.revision else ""
        return f"{self.model}{revision} (weights {self.weights[:8]}, {self.dimension} dimensions)"
