"""Proteins and their residue arrays by id, and what the database holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protvec.database.core import Core
from protvec.database.protein import Protein, proteins_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.store import Residues


class Looking(Core):
    """The methods of ``Database`` that look proteins up."""

    def get(self, id: str) -> Protein:
        """One protein by id.

        Raises:
            ProteinNotFoundError: it is not there; the message names similar ids.
        """
        return self.get_many([id])[0]

    def get_many(self, ids: Sequence[str]) -> list[Protein]:
        """Several proteins by id, in the order of the ids.

        Raises:
            ProteinNotFoundError: one is not there.
        """
        return proteins_of(self.store.get(ids))

    def residues(self, id: str) -> NDArray[np.float32]:
        """The per-residue array of one protein.

        Returns:
            ndarray, shape=(L, D), dtype=float32, as exact as the database's codec.

        Raises:
            ProteinNotFoundError: it is not there.
            QueryError: the database keeps no residue arrays.
        """
        return self.store.residues([id])[id]

    def residues_many(self, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The per-residue arrays of several proteins by id, in one read: far quicker than one by one.

        Raises:
            ProteinNotFoundError: one is not there.
            QueryError: the database keeps no residue arrays.
        """
        return self.store.residues(ids)

    def iter_residues(self, *, where: str | None = None, batch_size: int = 32) -> Iterator[Residues]:
        """The per-residue arrays of all proteins, or of those of a condition, in bounded memory and in no order.

        Args:
            where: SQL condition on the metadata.
            batch_size: Arrays in memory at once.

        Yields:
            ``id``, ``digest`` and ``array``: ndarray, shape=(L, D), dtype=float32.

        Raises:
            FilterError: the condition is no SQL, or names a column that is not there.
            QueryError: the database keeps no residue arrays.
        """
        return self.store.iter_residues(where=where, batch_size=batch_size)

    def residue_batches(self, *, where: str | None = None, batch_size: int = 32) -> pa.RecordBatchReader:
        """As ``iter_residues``, as a stream of Arrow record batches: see ``Store.residue_batches``."""
        return self.store.residue_batches(where=where, batch_size=batch_size)

    def info(self) -> dict[str, Any]:
        """Counts, sizes, model, datasets and versions, as plain values."""
        return self.store.info()

    def __len__(self) -> int:
        return self.store.count()

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and id in self.store.known([id])
