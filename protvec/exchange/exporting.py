"""A database, or some of it, as one file."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protvec.errors import ExchangeError, QueryError
from protvec.exchange.files import format_of, ids_beside, replacing
from protvec.exchange.hdf5 import Hdf5, h5py
from protvec.exchange.writers import Fasta, Npy, Npz, Parquet, Part, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from protvec.exchange.writers import Writer
    from protvec.store.reader import Reader

    Progress = Callable[[int, int], None]

LEVELS = ("protein", "residue")
_WRITERS: dict[str, Callable[[Target], Writer]] = {
    "parquet": Parquet,
    "fasta": Fasta,
    "npy": Npy,
    "npz": Npz,
    "h5": Hdf5,
}
# What a format has room for; Parquet takes every column.
_COLUMNS = {"fasta": ["id", "header", "sequence"], "npy": ["id", "vector"], "npz": ["id", "vector"]}
_BATCH_ROWS = 2_048
_RESIDUE_BATCH_ROWS = 256
_RESIDUE_BATCH_BYTES = 64 << 20  # of float32 arrays in memory


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        path: The file.
        format: ``parquet``, ``fasta``, ``npy``, ``npz`` or ``h5``.
        level: ``protein`` or ``residue``.
        dtype: Of the numbers in it; None where there are none, as in FASTA.
        proteins: How many proteins the file has.
        bytes: Its size.
        seconds: Time it took.
    """

    path: str
    format: str
    level: str
    dtype: str | None
    proteins: int
    bytes: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def export(
    store: Reader,
    path: str | Path,
    *,
    format: str | None = None,
    level: str = "protein",
    ids: Sequence[str] | None = None,
    where: str | None = None,
    columns: Sequence[str] | None = None,
    dtype: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write proteins to a file, all from one version of the database, in bounded memory.

    The file is written under another name beside ``path`` and renamed when its count has been checked.

    Args:
        store: The database.
        path: The file; its suffix says the format.
        format: One of ``FORMATS``, whatever the suffix.
        level: ``protein`` for vectors, ``residue`` for the (L, D) arrays as well (Parquet) or instead (HDF5).
        ids: These proteins, in this order; by default all.
        where: An SQL condition instead.
        columns: Columns of a Parquet file; by default all.
        dtype: ``float32`` or ``float16``; by default float32, but float16 for residues in HDF5 and for those of a
            database in that codec, which are exact so.
        force: Replace a file that is there.
        progress: Called with proteins done and proteins in all.

    Raises:
        ExchangeError: The file cannot be written, exists, or its format cannot hold what was asked for.
        QueryError: Both ids and a condition, or nothing to write.
        ProteinNotFoundError: An id is not there.
        FilterError: The condition or a column cannot be used.
    """
    start = time.monotonic()
    kind = format_of(path, format)
    dtype = _check(kind, store, level=level, columns=columns, dtype=dtype, path=path)
    view = store.pinned()
    chosen = _Choice(view, ids, where)
    if not chosen.total:
        raise QueryError(f"{store.path}: nothing to export: no protein {'passes the filter' if where else 'is there'}")
    names = _columns(view, kind, level, columns)
    with ExitStack() as stack:
        beside = stack.enter_context(replacing(ids_beside(path), force=force)) if kind == "npy" else Path()
        temporary = stack.enter_context(replacing(Path(path), force=force))
        target = Target(
            path=temporary,
            name=str(path),
            ids_path=beside,
            total=chosen.total,
            dimension=store.space.dimension,
            schema=_selected(view.schema, names),
            dtype=dtype,
            residues=level == "residue",
            about=_about(store, level),
        )
        _write(target, _WRITERS[kind], chosen.parts(names, residues=target.residues), progress)
        size = temporary.stat().st_size
    seconds = time.monotonic() - start
    numbers = level == "residue" or kind == "h5" or "vector" in names
    return Exported(str(path), kind, level, dtype if numbers else None, chosen.total, size, seconds)


def _check(
    kind: str, store: Reader, *, level: str, columns: Sequence[str] | None, dtype: str | None, path: str | Path
) -> str:
    """What a format cannot hold is said before anything is read; the type of the numbers."""
    if level not in LEVELS:
        raise QueryError(f"no level {level!r}: take {' or '.join(LEVELS)}")
    if level == "residue":
        if kind not in ("parquet", "h5"):
            raise ExchangeError(f"{kind} holds no residue arrays: write .parquet or .h5", file=str(path))
        if store.codec == "none":
            raise QueryError(f"{store.path} keeps no residue arrays (codec none)")
    if columns is not None and kind != "parquet":
        raise ExchangeError(f"{kind} has its own columns: choose columns for .parquet", file=str(path))
    if dtype not in (None, "float32", "float16") or (dtype and kind == "fasta"):
        raise ExchangeError(
            f"no type {dtype!r} for {kind}: float32 or float16, where there are numbers", file=str(path)
        )
    if kind == "h5":
        h5py(str(path))
    # Half precision is what others write, but would not bring back small integers as they were.
    exact = kind == "parquet" and store.codec != "float16"
    return dtype or ("float16" if level == "residue" and not exact else "float32")


def _columns(view: Reader, kind: str, level: str, columns: Sequence[str] | None) -> list[str]:
    if kind == "parquet":
        return list(dict.fromkeys(["id", *columns])) if columns is not None else view.columns
    return _COLUMNS.get(kind, ["id"] if level == "residue" else ["id", "vector"])


def _selected(schema: pa.Schema, names: list[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([schema.field(name) for name in names if name in schema.names])


def _about(store: Reader, level: str) -> dict[str, Any]:
    """What a file says of the vectors in it."""
    from protvec import __version__

    return {
        "space": store.space.to_dict(),
        "codec": store.codec,
        "precision": store.precision,
        "schema_version": store.schema_version,
        "level": level,
        "written_with": __version__,
    }


class _Choice:
    """The proteins that were asked for."""

    def __init__(self, view: Reader, ids: Sequence[str] | None, where: str | None) -> None:
        if ids is not None and where is not None:
            raise QueryError("say which proteins by ids or by a condition, not both")
        self._view, self._where = view, where
        self._ids = None if ids is None else list(dict.fromkeys(ids))
        if self._ids:
            view.get(self._ids, columns=["id"])  # one that is not there is said now
        self.total = view.count(where) if self._ids is None else len(self._ids)

    def parts(self, names: list[str], *, residues: bool) -> Iterator[Part]:
        """All of them, in parts of bounded size."""
        if not residues:
            yield from (Part(table) for table in self._tables(names, _BATCH_ROWS))
            return
        wanted = list(dict.fromkeys([*names, "length"]))
        for table in self._tables(wanted, _RESIDUE_BATCH_ROWS):
            for piece in _pieces(table, self._view.space.dimension):
                ids = piece["id"].to_pylist()
                arrays = self._view.residues(ids)
                yield Part(piece.select(names), [arrays[id] for id in ids])

    def _tables(self, names: list[str], rows: int) -> Iterator[pa.Table]:
        import pyarrow as pa

        if self._ids is None:
            for batch in self._view.iter_proteins(columns=names, where=self._where, batch_size=rows):
                yield pa.Table.from_batches([batch])
            return
        for start in range(0, len(self._ids), rows):
            yield self._view.get(self._ids[start : start + rows], columns=names)


def _pieces(table: pa.Table, dimension: int) -> Iterator[pa.Table]:
    """Rows whose residue arrays fit into memory together; a single long protein is a piece of its own."""
    start = size = 0
    for row, length in enumerate(table["length"].to_pylist()):
        if row > start and size + 4 * dimension * length > _RESIDUE_BATCH_BYTES:
            yield table.slice(start, row - start)
            start, size = row, 0
        size += 4 * dimension * length
    if start < table.num_rows:
        yield table.slice(start)


def _write(target: Target, make: Callable[[Target], Writer], parts: Iterator[Part], progress: Progress | None) -> None:
    writer = make(target)
    done = 0
    try:
        for part in parts:
            writer.write(part)
            done += part.table.num_rows
            if progress is not None:
                progress(done, target.total)
    except BaseException:
        with suppress(OSError, ValueError, RuntimeError):  # that a full disk refuses this as well is no news
            writer.abandon()
        raise
    written = writer.close()
    if not written == done == target.total:
        message = f"{written:,} proteins written of {target.total:,} ({done:,} read): nothing is left of it, try again"
        raise ExchangeError(message, file=target.name)
