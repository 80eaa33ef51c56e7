"""The identity of an embedding space: which vectors may be compared with which."""

from __future__ import annotations

from dataclasses import asdict, dataclass

_UNVERIFIED = "name:"


@dataclass(frozen=True)
class Space:
    """What two vectors must have in common to be compared; recorded in every database.

    Attributes:
        model: The model's name, as upstream calls it (``ankh-base``), or the name of a checkpoint directory.
        repository: The upstream repository (``ElnaggarLab/ankh-base``); None for a local directory.
        revision: The upstream revision, a commit hash; None for a local directory.
        weights: SHA-256 of the weights, in hexadecimal. It alone decides whether two spaces are one. Of vectors
            that somebody else made, only the model's name is known: then it is ``name:`` and that name.
        dimension: D, the length of a vector.
        pooling: How residues become a vector.
    """

    model: str
    repository: str | None
    revision: str | None
    weights: str
    dimension: int
    pooling: str = "mean"

    @classmethod
    def unverified(cls, model: str, dimension: int) -> Space:
        """The space of imported vectors, of whose model no more than a name is known."""
        return cls(model, None, None, f"{_UNVERIFIED}{model}", dimension)

    @property
    def verified(self) -> bool:
        """Whether the weights are known, and not the model's name alone."""
        return not self.weights.startswith(_UNVERIFIED)

    def matches(self, other: Space) -> bool:
        """Whether vectors of both may be compared: same weights, dimension and pooling."""
        return (self.weights, self.dimension, self.pooling) == (other.weights, other.dimension, other.pooling)

    def to_dict(self) -> dict[str, str | int | None]:
        """The fields by name."""
        return asdict(self)

    def __str__(self) -> str:
        revision = f"@{self.revision[:8]}" if self.revision else ""
        weights = f"weights {self.weights[:8]}" if self.verified else "weights not known"
        return f"{self.model}{revision} ({weights}, {self.dimension} dimensions)"
