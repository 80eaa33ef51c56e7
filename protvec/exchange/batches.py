"""What every source of vectors gives: batches of records, in the order of the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.store import Stored

    Arrays = Callable[[Sequence[int]], "list[NDArray[np.float32] | Stored]"]


@dataclass(frozen=True)
class Rejected:
    """A record that cannot be used, with its place in the file, from 1."""

    place: int
    id: str
    reason: str


@dataclass
class Batch:
    """Records with a vector of the right size each.

    Attributes:
        table: ``id``, and those columns of ``proteins`` that the file has, but for digest, length and vector.
        places: Where in the file each is, from 1.
        vectors: ndarray, shape=(N, D), dtype=float32.
        lengths: Rows of the residue array of each, or its length as the file has it; None where it says nothing.
        arrays: Gives the residue arrays of some of the records; None where there are none.
        rejected: Records that cannot be used.
    """

    table: pa.Table
    places: list[int]
    vectors: NDArray[np.float32]
    lengths: list[int | None]
    arrays: Arrays | None = None
    rejected: list[Rejected] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """Ids of the records."""
        ids: list[str] = self.table["id"].to_pylist()
        return ids


class Source(Protocol):
    """A file, or a database, with vectors.

    Attributes:
        name: What the user called it.
        level: ``protein``, or ``residue`` where it has residue arrays.
        dimension: D.
        about: What the database that it came from said about itself; None where it is not of protvec.
        model_name: The model's name, as the file gives it.
        total: How many records it has, about.
        fields: Its columns beside the id.
    """

    name: str
    level: str
    dimension: int
    about: dict[str, Any] | None
    model_name: str | None
    total: int
    fields: list[pa.Field]

    def batches(self) -> Iterator[Batch]:
        """All of it, once, in bounded memory."""
        ...
