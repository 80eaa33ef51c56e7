"""One of two proteomes that are compared: vectors by locus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.errors import QueryError
from protvec.store import matrix_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from protvec.store.reader import Reader


@dataclass(frozen=True, eq=False)
class Side:
    """The proteins of one side, those of a locus beside one another, loci and proteins in the order of their names.

    Attributes:
        ids: N ids.
        vectors: ndarray, shape=(N, D), dtype=float32.
        loci: L names.
        starts: ndarray, shape=(L + 1,): where each locus begins, and N.
    """

    ids: list[str]
    vectors: NDArray[np.float32]
    loci: list[str]
    starts: NDArray[np.int64]

    def unit(self, start: int, stop: int) -> NDArray[np.float32]:
        """Some of the vectors, scaled to length 1."""
        wide = self.vectors[start:stop].astype(np.float64)
        scaled: NDArray[np.float32] = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
        return scaled


def load(store: Reader, where: str | None, *, collapse: bool, locus: str | None) -> Side:
    """Read the proteins of a condition.

    Args:
        store: The database, pinned to a version.
        where: The condition.
        collapse: Whether proteins of one locus are one; else each is a locus of its own.
        locus: The column that names loci; by default ``locus``, else ``gene`` with the organism.

    Raises:
        FilterError: the condition or the column cannot be used.
        QueryError: no protein meets the condition.
    """
    of = {} if not collapse else _chosen(store, where, locus) if locus else _loci(store, where)
    ids = [id for batch in store.iter_proteins(columns=["id"], where=where) for id in batch["id"].to_pylist()]
    if not ids:
        what = "holds no proteins" if where is None else f"has no protein that meets {where!r}"
        raise QueryError(f"{store.path} {what}: there is nothing to compare")
    # A locus and a protein may have one name: the second part tells them apart.
    keys = {id: of.get(id, (id, "", id)) for id in ids}
    ids.sort(key=lambda id: (keys[id], id))
    place = {id: row for row, id in enumerate(ids)}
    vectors = np.empty((len(ids), store.space.dimension), np.float32)
    for batch in store.iter_proteins(columns=["id", "vector"], where=where):
        rows = [place[id] for id in batch["id"].to_pylist()]
        vectors[rows] = matrix_of(batch["vector"])
    first = [row for row, id in enumerate(ids) if not row or keys[id] != keys[ids[row - 1]]]
    return Side(ids, vectors, [keys[ids[row]][0] for row in first], np.array([*first, len(ids)], np.int64))


_Key = tuple[str, str, str]  # the name of a locus, what else tells it apart, and the id where it is one protein


def _loci(store: Reader, where: str | None) -> dict[str, _Key]:
    """The locus of each protein that has one, as its header says; a gene is one only within its organism."""
    found: dict[str, _Key] = {}
    for batch in store.iter_proteins(columns=["id", "locus", "gene", "organism"], where=where):
        for row in batch.to_pylist():
            if row["locus"]:
                found[row["id"]] = (row["locus"], "locus", "")
            elif row["gene"]:
                found[row["id"]] = (row["gene"], f"gene of {row['organism'] or ''}", "")
    return found


def _chosen(store: Reader, where: str | None, column: str) -> dict[str, _Key]:
    """The same by any column."""
    rows: list[dict[str, Any]] = [
        row for batch in store.iter_proteins(columns=["id", column], where=where) for row in batch.to_pylist()
    ]
    return {row["id"]: (str(row[column]), column, "") for row in rows if row[column] not in (None, "")}
