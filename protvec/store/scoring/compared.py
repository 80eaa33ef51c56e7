"""The vectors that a search compares: a column of ``proteins``, and what a query goes through to be like them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protvec.store.schema import matrix_of
from protvec.store.scoring.column import lacking
from protvec.store.tables import take_addresses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pyarrow as pa
    from lance import LanceDataset, LanceFragment
    from numpy.typing import NDArray

    from protvec.store.scoring.record import Scoring
    from protvec.transform import Transform


@dataclass(frozen=True)
class Compared:
    """What is compared.

    Attributes:
        scoring: What the schema says of it.
        transform: What made the column from ``vector``; None where it is ``vector`` itself.
    """

    scoring: Scoring
    transform: Transform | None = None

    @property
    def column(self) -> str:
        """The column."""
        return self.scoring.column

    def query(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean vectors as the column would have them: ndarray, shape=(N, D), dtype=float32."""
        return vectors if self.transform is None else self.transform.apply(vectors)

    def lacking(self, handle: LanceDataset) -> list[LanceFragment]:
        """Fragments whose rows have nothing in the column yet: what is compared is made from ``vector``."""
        return [] if self.transform is None else lacking(handle, self.column)

    def groups(
        self, handle: LanceDataset, fragments: Sequence[LanceFragment]
    ) -> Iterator[tuple[list[LanceFragment], str, Transform | None]]:
        """Fragments that are read alike: they, the column to read, and what to apply to it."""
        without = {each.fragment_id for each in self.lacking(handle)}
        for lacks in (False, True):
            some = [each for each in fragments if (each.fragment_id in without) is lacks]
            if some:
                yield some, "vector" if lacks else self.column, self.transform if lacks else None

    def of(self, handle: LanceDataset, addresses: NDArray[np.uint64]) -> NDArray[np.float32]:
        """The vectors of rows of a version by their addresses, as they are compared: ndarray, shape=(rows, D)."""
        import pyarrow as pa

        rows = take_addresses(handle, addresses, [self.column]).append_column("_rowaddr", pa.array(addresses))
        return self.matrix(handle, rows, self.column, None)

    def matrix(
        self, handle: LanceDataset, batch: pa.RecordBatch | pa.Table, column: str, transform: Transform | None
    ) -> NDArray[np.float32]:
        """The vectors of a batch as they are compared; those that are null are made from their ``vector``.

        Args:
            handle: On the version.
            batch: With the column, and ``_rowaddr``.
            column: What was read, as ``groups`` says.
            transform: What to apply to it.
        """
        if not batch[column].null_count:
            vectors = matrix_of(batch[column])
            return vectors if transform is None else transform.apply(vectors)
        raw = take_addresses(handle, batch["_rowaddr"].to_numpy(), ["vector"])
        return self.query(matrix_of(raw["vector"]))
