"""Vectors and residue arrays from HDF5 files of one dataset a protein."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.errors import ExchangeError
from protvec.exchange.batches import Batch, Rejected
from protvec.exchange.hdf5 import ABOUT, MODEL_NAME, ORIGINAL_ID, h5py
from protvec.exchange.sources import about_of, mean, plain_batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_ROWS = 1_024
_BYTES = 64 << 20  # of float32 residue arrays in memory
_LOOKED_AT = 100


class Hdf5Source:
    """A file as UniProt, bio_embeddings, biotrainer, EAT's and ProtT5's scripts, and protvec itself write it.

    The id is the attribute ``original_id`` where there is one, else the dataset's name; a dataset inside groups is
    named by its path, which is what HDF5 makes of an id with a slash.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file and look at its first datasets."""
        self.name = str(path)
        package = h5py(self.name)
        try:
            self._file = package.File(path, "r")
        except OSError as error:
            raise ExchangeError(
                f"not an HDF5 file, or damaged ({' '.join(str(error).split())[:160]})", file=self.name
            ) from error
        self.fields: list[Any] = []
        self.about = about_of(self._attribute(ABOUT), file=self.name)
        self.model_name = self._attribute(MODEL_NAME)
        shapes = self._first_shapes()
        wide = [shape for shape in shapes if len(shape) == 2 and shape[0] > 1]
        self.level = "residue" if wide else "protein"
        # One odd dataset is no reason to refuse all the others.
        self.dimension = Counter(shape[-1] for shape in wide or shapes).most_common(1)[0][0]
        if self.about is not None:
            self.level, self.dimension = self.about.get("level", self.level), int(self.about["space"]["dimension"])
        self.total = len(self._file)

    def _attribute(self, name: str) -> str | None:
        value = self._file.attrs.get(name)
        return value.decode() if isinstance(value, bytes) else None if value is None else str(value)

    def _first_shapes(self) -> list[tuple[int, ...]]:
        shapes: list[tuple[int, ...]] = []
        for name, dataset in self._datasets(self._file, ""):
            if dataset is None:
                continue
            if dataset.dtype.kind not in "fiu" or dataset.ndim == 0:
                message = (
                    f"the dataset {name!r} holds {dataset.dtype}: need one array of numbers a protein, named by its id"
                )
                raise ExchangeError(message, file=self.name)
            if 0 < dataset.ndim <= 2:
                shapes.append(dataset.shape)
            if len(shapes) == _LOOKED_AT:
                break
        if not shapes:
            raise ExchangeError("no dataset of shape (D,) or (L, D) in it", file=self.name)
        return shapes

    def _datasets(self, group: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - h5py's, an extra
        """Each dataset with its path; None for a link that leads nowhere."""
        for name, item in group.items():
            if hasattr(item, "items"):
                yield from self._datasets(item, f"{path}{name}/")
            else:
                yield f"{path}{name}", item

    def batches(self) -> Iterator[Batch]:
        """See ``Source``."""
        place, size = 1, 0
        ids: list[str] = []
        arrays: list[NDArray[Any]] = []
        try:
            for name, dataset in self._datasets(self._file, ""):
                given = name if dataset is None else dataset.attrs.get(ORIGINAL_ID, name)
                ids.append(given.decode() if isinstance(given, bytes) else str(given))
                arrays.append(np.asarray(None if dataset is None else dataset[()]))
                size += 4 * arrays[-1].size
                if len(ids) == _ROWS or size >= _BYTES:
                    yield self._batch(ids, arrays, place)
                    place, size, ids, arrays = place + len(ids), 0, [], []
        except (OSError, RuntimeError, UnicodeDecodeError) as error:
            message = f"damaged near record {place + len(ids)} ({' '.join(str(error).split())[:160]})"
            raise ExchangeError(message, file=self.name) from error
        if ids:
            yield self._batch(ids, arrays, place)

    def _batch(self, ids: list[str], arrays: list[NDArray[Any]], place: int) -> Batch:
        faults = [self._fault(array) for array in arrays]
        fitting = [row for row, fault in enumerate(faults) if fault is None]
        rejected = [Rejected(place + row, ids[row], fault) for row, fault in enumerate(faults) if fault]
        if self.level == "protein":
            values = {row: arrays[row].reshape(-1) for row in fitting}
        else:
            values = {row: mean(arrays[row]) for row in fitting}
        batch = plain_batch([ids[row] for row in fitting], [values[row] for row in fitting], 0, self.dimension)
        # Places within the fitting records become places in the file.
        rejected += [Rejected(place + fitting[bad.place], bad.id, bad.reason) for bad in batch.rejected]
        rows = [fitting[row] for row in batch.places]
        batch.places, batch.rejected = [place + row for row in rows], sorted(rejected, key=lambda bad: bad.place)
        if self.level == "residue":
            batch.lengths = [len(arrays[row]) for row in rows]
            batch.arrays = lambda wanted: [arrays[rows[i]].astype(np.float32) for i in wanted]
        return batch

    def _fault(self, array: NDArray[Any]) -> str | None:
        if array.dtype.kind not in "fiu":
            return f"it holds {'nothing' if array.dtype.kind == 'O' else array.dtype}, not numbers"
        if self.level == "residue":
            if array.ndim != 2 or not len(array) or array.shape[1] != self.dimension:
                return f"its shape {array.shape} is not (L, {self.dimension})"
            return None if np.isfinite(array).all() else "its residues are not finite (NaN or infinite)"
        if array.ndim == 1 or (array.ndim == 2 and len(array) == 1):
            return None
        return f"its shape {array.shape} is not ({self.dimension},)"
