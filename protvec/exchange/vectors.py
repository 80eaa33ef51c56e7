"""Vectors of a file to search with: NumPy, HDF5 or Parquet."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from protvec import models
from protvec.errors import ExchangeError, SpaceMismatchError
from protvec.exchange.files import format_of, ids_beside
from protvec.exchange.hdf5_source import Hdf5Source
from protvec.exchange.sources import NumpySource, ParquetSource, read_ids
from protvec.space import Space

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from protvec.exchange.batches import Source


class Named(NamedTuple):
    """A vector and what it is called.

    Attributes:
        name: Its id in the file, or ``vector 1``, ``vector 2``…
        vector: ndarray, shape=(D,), dtype=float32.
    """

    name: str
    vector: NDArray[np.float32]


class VectorFile:
    """The vectors of a file, checked as they are read.

    ``.npy`` holds (D,) or (N, D), with names in ``FILE.npy.ids.txt`` where that is there; ``.npz``, HDF5 and Parquet
    are as ``protvec export`` writes them and ``protvec import`` reads them. Where a file has the residues of proteins,
    each is taken by its mean.

    Attributes:
        name: The file.
        total: How many vectors it has.
        pooled: Whether they are means that were made here.
    """

    def __init__(self, path: str | Path, space: Space) -> None:
        """Open the file.

        Raises:
            ExchangeError: it cannot be read, or has vectors of another dimension.
            SpaceMismatchError: it says that they are of another model.
        """
        self.name = str(path)
        self._array, self._names, self._source = None, None, None
        dimension: int
        if not Path(path).is_file():
            raise ExchangeError("a directory" if Path(path).is_dir() else "there is no such file", file=self.name)
        kind = format_of(path)
        if kind == "npy":
            self._array = _array(path)
            self.total, dimension = self._array.shape
            self._names = _names(path, self.total) if ids_beside(path).is_file() else None
        else:
            self._source = _source(path, kind)
            self.total, dimension = self._source.total, self._source.dimension
            _check_space(self._source, space)
        self.pooled = self._source is not None and self._source.level == "residue"
        if dimension != space.dimension:
            raise ExchangeError(
                f"its vectors have {dimension} dimensions, those of the database {space.dimension}", file=self.name
            )

    def __iter__(self) -> Iterator[Named]:
        """The vectors in their order, a few in memory at once.

        Raises:
            ExchangeError: one cannot be used; a query that is left out would look like one without hits.
        """
        return self._numbered() if self._source is None else self._named(self._source)

    def _numbered(self) -> Iterator[Named]:
        assert self._array is not None
        for row, name in enumerate(self._names or [f"vector {row + 1}" for row in range(self.total)]):
            with np.errstate(over="ignore"):  # infinite then, which is said
                vector = np.asarray(self._array[row], np.float32)
            fault = None if np.isfinite(vector).all() else "is not finite (NaN or infinite)"
            fault = fault or (None if vector.any() else "is zero")
            if fault:
                called = f" ({name})" if self._names else ""
                raise ExchangeError(f"vector {row + 1}{called} {fault}", file=self.name)
            yield Named(name, vector)

    def _named(self, source: Source) -> Iterator[Named]:
        seen: set[str] = set()
        for batch in source.batches():
            if batch.rejected:
                bad = batch.rejected[0]
                raise ExchangeError(f"record {bad.place} ({bad.id}): {bad.reason}", file=self.name)
            for id, vector in zip(batch.table["id"].to_pylist(), batch.vectors, strict=True):
                if id in seen:
                    raise _alike(id, self.name)
                seen.add(id)
                yield Named(id, vector)


def _names(path: str | Path, total: int) -> list[str]:
    """The names beside an ``.npy`` file: one for each vector, no two alike."""
    names = read_ids(ids_beside(path), file=str(path))
    if len(names) != total:
        raise ExchangeError(f"{total:,} vectors, but {len(names):,} ids in {ids_beside(path)}", file=str(path))
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise _alike(twice[0], str(path))
    if "" in names:
        raise ExchangeError(f"line {names.index('') + 1} of {ids_beside(path)} has no id", file=str(path))
    return names


def _alike(id: str, file: str) -> ExchangeError:
    return ExchangeError(f"two vectors are called {id!r}: nobody could tell their hits apart", file=file)


def _array(path: str | Path) -> NDArray[np.floating]:
    """ndarray, shape=(N, D): read from the file as it is needed."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        # Of a file that is something else NumPy says no more than how to load it in spite of that.
        reason = "" if "pickle" in str(error) else f" ({' '.join(str(error).split())[:160]})"
        raise ExchangeError(f"not a NumPy array, or damaged{reason}", file=str(path)) from error
    if array.dtype.kind not in "fiu":
        raise ExchangeError(f"values of {array.dtype}: need numbers", file=str(path))
    if array.ndim not in (1, 2) or not array.size:
        raise ExchangeError(f"an array of shape {array.shape}: need (D,) or (N, D)", file=str(path))
    matrix: NDArray[np.floating] = array.reshape(-1, array.shape[-1])
    return matrix


def _source(path: str | Path, kind: str) -> Source:
    if kind == "fasta":
        raise ExchangeError("sequences, not vectors: search with it as it is", file=str(path))
    if kind == "parquet":
        return ParquetSource(path)
    return Hdf5Source(path) if kind == "h5" else NumpySource(path)


def _check_space(source: Source, space: Space) -> None:
    """Refuse vectors of which the file itself says that they are of another model."""
    if source.about is not None:
        found = Space(**source.about["space"])
    elif source.model_name is not None and source.model_name in models.MODELS:  # a name that means one model
        found = space if source.model_name == space.model else Space.unverified(source.model_name, source.dimension)
    else:
        return
    if not space.matches(found):
        raise SpaceMismatchError(
            f"{source.name} holds vectors of {found}, the database those of {space}", expected=space, actual=found
        )
