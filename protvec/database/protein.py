"""One protein of a database, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from protvec.errors import QueryError
from protvec.store import matrix_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Protein:
    """One protein of a database.

    Attributes:
        id: Its id, byte for byte as in the FASTA file.
        sequence: Its residues; empty where only a vector was imported.
        vector: ndarray, shape=(D,), dtype=float32: the mean over residues, as the model gives it.
        metadata: Every other column by name.
    """

    id: str
    sequence: str
    vector: NDArray[np.float32]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def description(self) -> str | None:
        """What the header says it is."""
        value: str | None = self.metadata.get("description")
        return value

    @property
    def header(self) -> str:
        """The header line after the id, as given."""
        return str(self.metadata.get("header") or "")

    def to_fasta(self, *, width: int = 60) -> str:
        """The record as FASTA text, ending in a line end.

        Raises:
            QueryError: only its vector was imported.
        """
        if not self.sequence:
            raise QueryError(f"{self.id}: its vector was imported without a sequence")
        lines = [f">{self.id} {self.header}".rstrip()]
        lines += [self.sequence[i : i + width] for i in range(0, len(self.sequence), width)]
        return "\n".join(lines) + "\n"

    def to_dict(self, *, vector: bool = True) -> dict[str, Any]:
        """All of it as plain values."""
        plain = {"id": self.id, "sequence": self.sequence, **self.metadata}
        return plain | {"vector": self.vector.tolist()} if vector else plain


def proteins_of(table: pa.Table) -> list[Protein]:
    """Rows of the store with all their columns, as proteins."""
    vectors = matrix_of(table["vector"])
    rows = table.drop_columns(["vector"]).to_pylist()
    return [Protein(row.pop("id"), row.pop("sequence"), vector, row) for row, vector in zip(rows, vectors, strict=True)]
