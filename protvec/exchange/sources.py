"""Vectors from Parquet and NumPy files."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.errors import ExchangeError
from protvec.exchange.batches import Batch, Rejected
from protvec.exchange.columns import holds_numbers, matrices_of, plain, vectors_of
from protvec.exchange.files import ids_beside
from protvec.store import CODECS, mean_slack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO

    import pyarrow as pa
    from numpy.typing import NDArray

_ROWS = 2_048
_RESIDUE_ROWS = 128
_ROUNDED = 5e-2  # of a vector's norm
_MADE_HERE = ("digest", "length", "vector", "residues")  # computed, never taken as a column


def about_of(text: str | bytes | None, *, file: str) -> dict[str, Any] | None:
    """What a file of protvec says about itself.

    Raises:
        ExchangeError: It is damaged.
    """
    if text is None:
        return None
    try:
        about = json.loads(text)
        return {**about, "space": dict(about["space"])}
    except (ValueError, TypeError, KeyError) as error:
        raise ExchangeError(f"what it says about its model is damaged ({error!r})", file=file) from error


class ParquetSource:
    """A Parquet file with the columns ``id`` and ``vector`` (or ``residues``): an export, or anybody's."""

    def __init__(self, path: str | Path) -> None:
        """Read the schema."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.name = str(path)
        try:
            self._file = pq.ParquetFile(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise ExchangeError(f"not a Parquet file, or damaged ({_brief(error)})", file=self.name) from error
        schema = self._file.schema_arrow
        names = schema.names
        if "id" not in names or not {"vector", "residues"} & set(names):
            raise ExchangeError(f"needs columns id and vector, but has {', '.join(names)}", file=self.name)
        for name, depth in (("vector", 1), ("residues", 2)):
            if name in names and not holds_numbers(kind := schema.field(name).type, depth):
                needed = "a list of numbers" if depth == 1 else "a list of lists of numbers"
                raise ExchangeError(f"column {name} is {kind}: need {needed} a record", file=self.name)
        if views := [field for field in schema if pa.types.is_list_view(field.type)]:
            message = f"column {views[0].name} is {views[0].type}, of which pyarrow 26 reads no row: leave it out"
            raise ExchangeError(message, file=self.name)
        self.level = "residue" if "residues" in names else "protein"
        self.about = about_of((schema.metadata or {}).get(b"protvec"), file=self.name)
        self.model_name: str | None = None
        self.total = int(self._file.metadata.num_rows)
        self.fields = [plain(field) for field in schema if field.name not in (*_MADE_HERE, "id")]
        self.dimension = self._first_dimension()

    def _first_dimension(self) -> int:
        if self.about is not None:
            return int(self.about["space"]["dimension"])
        for batch in self.batches():
            if len(batch.vectors):
                return int(batch.vectors.shape[1])
        raise ExchangeError("no vector in it", file=self.name)

    def batches(self) -> Iterator[Batch]:
        """See ``Source``."""
        import pyarrow as pa

        dimension = getattr(self, "dimension", None)
        place = 1
        rows = _RESIDUE_ROWS if self.level == "residue" else _ROWS
        try:
            for read in self._file.iter_batches(batch_size=rows):
                yield self._batch(pa.Table.from_batches([read]), place, dimension)
                place += read.num_rows
        except (OSError, pa.ArrowInvalid) as error:
            raise ExchangeError(f"damaged near record {place} ({_brief(error)})", file=self.name) from error

    def _batch(self, table: pa.Table, place: int, dimension: int | None) -> Batch:
        import pyarrow as pa

        ids = table["id"].cast(pa.string()).to_pylist()  # numbers, too
        residues = matrices_of(table["residues"], dimension) if "residues" in table.column_names else None
        if "vector" in table.column_names:
            vectors = vectors_of(table["vector"])
        else:
            vectors = [None if r is None else mean(r) for r in residues or []]
        if dimension is None:  # that of most: one odd vector is no reason to refuse all the others
            widths = Counter(len(vector) for vector in vectors if vector is not None)
            dimension = widths.most_common(1)[0][0] if widths else 0
        good: list[int] = []
        chosen: list[NDArray[np.float32]] = []
        arrays: list[NDArray[np.float32]] = []
        rejected: list[Rejected] = []
        for row, (id, given) in enumerate(zip(ids, vectors, strict=True)):
            array, vector = residues[row] if residues else None, given
            fault = _fault(id, given, dimension)
            if fault is None and residues is not None and array is None:
                fault = f"its residues are not (L, {dimension})"
            if fault is None and given is not None and array is not None:
                vector, fault = _reconciled(given, array)
            if fault is not None or vector is None:
                rejected.append(Rejected(place + row, str(id or ""), str(fault)))
                continue
            good.append(row)
            chosen.append(vector)
            if array is not None:
                arrays.append(array)
        schema = pa.schema([pa.field("id", pa.string()), *self.fields])
        kept = table.select(schema.names).cast(schema).take(pa.array(good, pa.int64()))
        lengths = table["length"].to_pylist() if "length" in table.column_names else [None] * table.num_rows
        return Batch(
            kept,
            [place + row for row in good],
            np.stack(chosen) if chosen else np.empty((0, dimension), np.float32),
            [len(array) for array in arrays] if residues else [lengths[row] for row in good],
            (lambda wanted: [arrays[row] for row in wanted]) if residues else None,
            rejected,
        )


class NumpySource:
    """An (N, D) array with ids: ``.npy`` with a text file of ids, or ``.npz`` with ``vectors`` and ``ids``."""

    level: str = "protein"

    def __init__(self, path: str | Path, *, ids: str | Path | None = None) -> None:
        """Read the ids, and the shape of the array."""
        self.name = str(path)
        self.about: dict[str, Any] | None = None
        self.model_name: str | None = None
        self.fields: list[pa.Field] = []
        self._path = Path(path)
        self._zipped = self._path.suffix.lower() == ".npz"
        inside = self._zipped and ids is None
        self._ids = self._zip_ids() if inside else read_ids(Path(ids or ids_beside(path)), file=self.name)
        with self._stream() as stream:
            shape, self._dtype, self._fortran = self._header(stream)
        if len(shape) != 2 or shape[0] != len(self._ids):
            raise ExchangeError(f"vectors of shape {shape}, but {len(self._ids):,} ids: need (N, D)", file=self.name)
        self.total, self.dimension = shape

    def _zip_ids(self) -> list[str]:
        if not zipfile.is_zipfile(self._path):  # of which NumPy would say how to load it in spite of that
            raise ExchangeError("not an .npz file, or damaged", file=self.name)
        try:
            # np.load leaves a file open that it was given by name and cannot read.
            with self._path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                if not {"ids", "vectors"} <= set(file.files):
                    found = ", ".join(file.files[:5])
                    raise ExchangeError(f"needs the arrays ids and vectors, but has {found}", file=self.name)
                self.about = about_of(str(file["protvec"]) if "protvec" in file.files else None, file=self.name)
                return [str(id) for id in file["ids"].tolist()]
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            if isinstance(error, ExchangeError):
                raise
            raise ExchangeError(f"not an .npz file, or damaged ({_brief(error)})", file=self.name) from error

    @contextmanager
    def _stream(self) -> Iterator[IO[bytes]]:
        try:
            with ExitStack() as stack:
                stream: IO[bytes] = stack.enter_context(self._path.open("rb"))
                if self._zipped:
                    stream = stack.enter_context(stack.enter_context(zipfile.ZipFile(stream)).open("vectors.npy"))
                yield stream
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise ExchangeError(f"cannot be read ({_brief(error)})", file=self.name) from error

    def _header(self, stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
        try:
            version = np.lib.format.read_magic(stream)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, fortran, dtype = read[version](stream)
        except (ValueError, KeyError, EOFError) as error:
            raise ExchangeError(f"not a NumPy array, or damaged ({_brief(error)})", file=self.name) from error
        if dtype.kind != "f" or fortran:
            what = f"values of {dtype}" if dtype.kind != "f" else "an array in Fortran order"
            raise ExchangeError(f"{what}: need floating-point numbers, row after row", file=self.name)
        return shape, dtype, fortran

    def batches(self) -> Iterator[Batch]:
        """See ``Source``."""
        with self._stream() as stream:
            self._header(stream)
            for start in range(0, self.total, _ROWS):
                ids = self._ids[start : start + _ROWS]
                size = len(ids) * self.dimension * self._dtype.itemsize
                data = stream.read(size)
                if len(data) < size:
                    raise ExchangeError(f"ends before record {start + len(ids)}: a truncated file", file=self.name)
                matrix = np.frombuffer(data, self._dtype).reshape(len(ids), self.dimension)
                yield plain_batch(ids, list(matrix), start + 1, self.dimension)


def read_ids(path: Path, *, file: str) -> list[str]:
    """The ids of an ``.npy`` file, a line each.

    Raises:
        ExchangeError: They cannot be read; ``file`` is the one that they are of.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = f"its ids cannot be read from {path}: one id a line, or name another file with --ids"
        raise ExchangeError(message, file=file) from error


def plain_batch(ids: Sequence[str], vectors: Sequence[NDArray[Any]], place: int, dimension: int) -> Batch:
    """Records of a file that has no more than ids and vectors."""
    import pyarrow as pa

    with np.errstate(over="ignore"):  # infinite then, which is said
        vectors = [np.asarray(vector, np.float32) for vector in vectors]
    faults = [_fault(id, vector, dimension) for id, vector in zip(ids, vectors, strict=True)]
    good = [row for row, fault in enumerate(faults) if fault is None]
    matrix = np.array([vectors[row] for row in good], np.float32).reshape(len(good), dimension)
    rejected = [Rejected(place + row, ids[row], fault) for row, fault in enumerate(faults) if fault]
    table = pa.table({"id": pa.array([ids[row] for row in good], pa.string())})
    return Batch(table, [place + row for row in good], matrix, [None] * len(good), rejected=rejected)


def mean(residues: NDArray[Any]) -> NDArray[np.float32]:
    """The mean over residues: ndarray, shape=(D,), summed in float64."""
    with np.errstate(over="ignore"):
        vector: NDArray[np.float32] = residues.mean(axis=0, dtype=np.float64).astype(np.float32)
    return vector


def _reconciled(vector: NDArray[np.float32], residues: NDArray[np.float32]) -> tuple[NDArray[np.float32], str | None]:
    """The vector where it is the mean of the residues, the mean itself where that is no more than rounded."""
    if not np.isfinite(residues).all():
        return vector, "its residues are not finite (NaN or infinite)"
    ours = mean(residues)
    apart = float(np.linalg.norm(ours - vector))
    if apart <= mean_slack(CODECS["float16"], residues):  # the widest of all codecs
        return vector, None
    if apart <= _ROUNDED * float(np.linalg.norm(vector)):
        return ours, None
    return vector, "its vector is not the mean of its residues"


def _fault(id: object, vector: NDArray[Any] | None, dimension: int) -> str | None:
    """Why a record cannot be used."""
    if not isinstance(id, str) or not id:
        return "it has no id"
    if vector is None:
        return "it has no vector"
    if len(vector) != dimension:
        return f"its vector has {len(vector)} dimensions, not {dimension}"
    if not np.isfinite(vector).all():
        return "its vector is not finite (NaN or infinite)"
    if not vector.any():
        return "its vector is zero"
    return None


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
