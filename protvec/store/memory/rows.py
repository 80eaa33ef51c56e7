"""The vectors of one version of ``proteins`` in memory, or their codes; made from those of the version before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from protvec.store.filters import LANCE_ERRORS, enclosed, explain
from protvec.store.memory import codes as coding
from protvec.store.memory.buffers import grown

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pyarrow as pa
    from lance import LanceDataset, LanceFragment, LanceScanner
    from numpy.typing import NDArray

    from protvec.store.memory.codes import Codes
    from protvec.store.scoring.compared import Compared

_BATCH_ROWS = 4096
# What lance reads ahead: by itself gigabytes, where vectors come faster than they are rounded.
_AHEAD = {"io_buffer_size": 64 << 20, "batch_readahead": 2, "fragment_readahead": 1}
# Removed rows stay in memory until they are this share of it.
_MOST_REMOVED = 0.25

Key = tuple[int, str]  # a fragment, and the file that has its vectors: a restore uses numbers of fragments again


class Allowed(NamedTuple):
    """Rows that may be found.

    Attributes:
        places: ndarray of int, ascending.
        closed: ndarray, shape=(N,), dtype=bool: all the others.
    """

    places: NDArray[np.intp]
    closed: NDArray[np.bool_]


class Part(NamedTuple):
    """Where the rows of one fragment are.

    Attributes:
        start: The first.
        stop: After the last.
        deletions: The file that names its deleted rows, if any.
    """

    start: int
    stop: int
    deletions: str | None


@dataclass(frozen=True)
class Rows:
    """The vectors of one version. Never changed: the next version is another object, which shares the buffers.

    Attributes:
        handle: On that version.
        compared: Which of its vectors.
        vectors: ndarray, shape=(N, D), dtype=float32, each bit as it was written; None where codes are all that is in
            memory, and vectors are read from the table as they are needed.
        codes: The vectors in bytes, where these are not there, and there are any.
        inverse: ndarray, shape=(N,), dtype=float32: one by the norm of each.
        addresses: ndarray, shape=(N,), dtype=uint64: where the row is in the table.
        ids: N ids.
        alive: ndarray, shape=(N,), dtype=bool: which rows this version has; None where it has all.
        parts: Where the rows of each fragment are.
        moved: How often rows have changed their places: as often for two objects means that one begins as the other.
    """

    handle: LanceDataset
    compared: Compared
    vectors: NDArray[np.float32] | None
    codes: Codes | None
    inverse: NDArray[np.float32]
    addresses: NDArray[np.uint64]
    ids: pa.Array
    alive: NDArray[np.bool_] | None
    parts: dict[Key, Part]
    moved: int

    def __len__(self) -> int:
        return len(self.addresses)

    def taken(self, places: NDArray[np.intp]) -> NDArray[np.float32]:
        """The vectors of some rows, from memory or from the table: ndarray, shape=(len(places), D)."""
        if self.vectors is not None:
            return self.vectors[places]
        unique, back = np.unique(places, return_inverse=True)
        return self.compared.of(self.handle, self.addresses[unique])[back]

    @cached_property
    def everything(self) -> Allowed | None:
        """The rows that this version has; None where it has all."""
        return None if self.alive is None else Allowed(np.flatnonzero(self.alive), ~self.alive)

    @cached_property
    def _by_address(self) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
        """Addresses of the rows that this version has, ascending, and their places."""
        alive = np.arange(len(self)) if self.alive is None else np.flatnonzero(self.alive)
        order = alive[np.argsort(self.addresses[alive], kind="stable")]
        return self.addresses[order], order

    def places(self, addresses: NDArray[np.uint64]) -> NDArray[np.intp]:
        """The places of rows of this version by their addresses, ascending."""
        return np.sort(self.places_of(addresses))

    def places_of(self, addresses: NDArray[np.uint64]) -> NDArray[np.intp]:
        """The place of each of some rows of this version by its address."""
        known, order = self._by_address
        return order[np.searchsorted(known, addresses)]

    def addresses_of(self, ids: Sequence[str]) -> NDArray[np.uint64] | None:
        """Where rows are in the table by their ids; None if one of them is not plain to see."""
        import pyarrow.compute as pc

        places = [pc.index(self.ids, each).as_py() for each in ids]
        # The first of an id may be a row that was removed since.
        if any(place < 0 or (self.alive is not None and not self.alive[place]) for place in places):
            return None
        return self.addresses[places]

    @property
    def version(self) -> int:
        """Of ``proteins``."""
        return int(self.handle.version)

    @property
    def count(self) -> int:
        """Proteins of this version."""
        return len(self) if self.alive is None else int(self.alive.sum())


def load(handle: LanceDataset, compared: Compared, *, coded: bool = False) -> Rows:
    """Read the vectors of a version, and keep them, or their codes alone."""
    return _with_fragments(_nothing(handle, compared, coded=coded), handle, list(handle.get_fragments()))


def meeting(
    handle: LanceDataset, where: str | None, compared: Compared, fragments: Sequence[LanceFragment] | None = None
) -> Rows:
    """Read the vectors of the rows of a version that meet the user's filter, of some fragments alone, and no others."""
    import pyarrow as pa

    tables, matrices = [], []
    every = list(handle.get_fragments()) if fragments is None else fragments
    try:
        for some, column, transform in compared.groups(handle, every):
            table = handle.scanner(
                filter=enclosed(where), fragments=some, columns=["id", column], with_row_address=True
            ).to_table()
            matrices.append(compared.matrix(handle, table, column, transform))
            tables.append(table.select(["id", "_rowaddr"]))
    except LANCE_ERRORS as error:
        raise explain(error, handle, where) from error
    none = _nothing(handle, compared)
    if not tables:
        return none
    vectors, table = np.concatenate(matrices), pa.concat_tables(tables)
    inverse: NDArray[np.float32] = 1 / np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    ids = pa.concat_arrays([none.ids, *table["id"].chunks])
    return replace(none, vectors=vectors, inverse=inverse, addresses=table["_rowaddr"].to_numpy(), ids=ids)


def _nothing(handle: LanceDataset, compared: Compared, *, coded: bool = False) -> Rows:
    """No rows of a version."""
    import pyarrow as pa

    vectors = np.empty((0, handle.schema.field("vector").type.list_size), np.float32)
    return Rows(
        handle,
        compared,
        None if coded else vectors,
        None,
        np.empty(0, np.float32),
        np.empty(0, np.uint64),
        pa.array([], pa.string()),
        None,
        {},
        0,
    )


def refreshed(rows: Rows, handle: LanceDataset, compared: Compared) -> Rows:
    """The rows of another version, reading what the old one has not."""
    fragments = {fragment_key(fragment, handle, _columns(compared)): fragment for fragment in handle.get_fragments()}
    alive = np.ones(len(rows), bool) if rows.alive is None else rows.alive.copy()
    parts = {}
    for key, part in rows.parts.items():
        fragment = fragments.get(key)
        if fragment is not None and _follow(rows, handle, fragment, part, alive):
            parts[key] = part._replace(deletions=fragment.deletion_file())
        else:
            alive[part.start : part.stop] = False
    new = [fragment for key, fragment in fragments.items() if key not in parts]
    kept = replace(rows, handle=handle, compared=compared, alive=None if alive.all() else alive, parts=parts)
    if kept.count < (1 - _MOST_REMOVED) * len(kept):
        kept = _packed(kept)
    return _with_fragments(kept, handle, new)


def _follow(rows: Rows, handle: LanceDataset, fragment: LanceFragment, part: Part, alive: NDArray[np.bool_]) -> bool:
    """Note which rows of a fragment are left; False if it has some that were not read, as after a restore."""
    if fragment.deletion_file() == part.deletions:
        return True
    left = _read(handle, [fragment], []).to_table()["_rowaddr"].to_numpy()
    alive[part.start : part.stop] = np.isin(rows.addresses[part.start : part.stop], left)
    return int(alive[part.start : part.stop].sum()) == len(left)


def _with_fragments(rows: Rows, handle: LanceDataset, fragments: list[LanceFragment]) -> Rows:
    """The rows, and those of more fragments after them."""
    import pyarrow as pa

    if not fragments:
        return rows
    compared = rows.compared
    groups = list(compared.groups(handle, fragments))
    fragments = [fragment for some, _, _ in groups for fragment in some]
    counts = [fragment.count_rows() for fragment in fragments]
    start, stop = len(rows), len(rows) + sum(counts)
    vectors = None if rows.vectors is None else grown(rows.vectors, stop)
    codes = None if rows.codes is None else rows.codes.longer(stop)
    inverse, addresses = grown(rows.inverse, stop), grown(rows.addresses, stop)
    ids, at = [rows.ids], start
    try:
        for some, column, transform in groups:
            for batch in _read(handle, some, ["id", column]).to_batches():
                here = slice(at, at + batch.num_rows)
                matrix = compared.matrix(handle, batch, column, transform)
                addresses[here] = batch["_rowaddr"].to_numpy()
                inverse[here] = 1 / np.sqrt(np.square(matrix).sum(axis=1))
                if vectors is not None:
                    vectors[here] = matrix
                else:
                    codes = coding.empty(matrix, inverse[here]).longer(stop) if codes is None else codes
                    codes.fill(here, matrix, inverse[here])
                ids.append(pa.concat_arrays([rows.ids[:0], batch["id"]]))  # a copy: lance's share memory with vectors
                at = here.stop
    except LANCE_ERRORS as error:
        raise explain(error, handle, None) from error
    parts = dict(rows.parts)
    for fragment, count in zip(fragments, counts, strict=True):
        parts[fragment_key(fragment, handle, _columns(compared))] = Part(start, start + count, fragment.deletion_file())
        start += count
    alive = None if rows.alive is None else np.concatenate([rows.alive, np.ones(stop - len(rows), bool)])
    return replace(
        rows,
        handle=handle,
        vectors=vectors,
        codes=codes,
        inverse=inverse,
        addresses=addresses,
        ids=pa.concat_arrays(ids),
        alive=alive,
        parts=parts,
    )


def _columns(compared: Compared) -> set[str]:
    return {"vector", compared.column}


def fragment_key(fragment: LanceFragment, handle: LanceDataset, columns: Collection[str]) -> Key:
    """What tells the values of some columns of a fragment from all others."""
    fields = {handle.lance_schema.field(name).id() for name in columns}
    files = [file.path for file in fragment.data_files() if fields.intersection(file.fields)]
    return fragment.fragment_id, " ".join([*files, *map(str, fragment.metadata.overlays)])


def _read(handle: LanceDataset, fragments: list[LanceFragment], columns: list[str]) -> LanceScanner:
    return handle.scanner(
        fragments=fragments,
        columns=columns,
        with_row_address=True,
        batch_size=_BATCH_ROWS,
        scan_in_order=True,
        **_AHEAD,
    )


def _packed(rows: Rows) -> Rows:
    """The rows without those that are removed, at new places."""
    import pyarrow as pa

    alive = np.ones(len(rows), bool) if rows.alive is None else rows.alive
    before = np.concatenate([[0], np.cumsum(alive)])
    parts = {
        key: Part(int(before[part.start]), int(before[part.stop]), part.deletions) for key, part in rows.parts.items()
    }
    return replace(
        rows,
        vectors=None if rows.vectors is None else rows.vectors[alive],
        codes=None if rows.codes is None else rows.codes.only(alive),
        inverse=rows.inverse[alive],
        addresses=rows.addresses[alive],
        ids=rows.ids.filter(pa.array(alive)),
        alive=None,
        parts=parts,
        moved=rows.moved + 1,
    )
