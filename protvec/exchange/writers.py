"""How each format is written: a class that takes parts, in order, and keeps nothing of them in memory."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from protvec.errors import ExchangeError
from protvec.exchange.files import add_array
from protvec.store import matrix_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import IO

    import pyarrow as pa
    from numpy.typing import NDArray

FASTA_WIDTH = 60
_LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass
class Part:
    """Some proteins on their way out.

    Attributes:
        table: Their columns.
        residues: ndarray, shape=(L, D), dtype=float32, of each; None where vectors are written.
    """

    table: pa.Table
    residues: list[NDArray[np.float32]] | None = None

    @property
    def ids(self) -> list[str]:
        """Their ids."""
        ids: list[str] = self.table["id"].to_pylist()
        return ids

    @property
    def vectors(self) -> NDArray[np.float32]:
        """ndarray, shape=(N, D), dtype=float32."""
        return matrix_of(self.table["vector"])


@dataclass
class Target:
    """What is to be written, and where.

    Attributes:
        path: The file to write: a temporary one.
        name: What the user called it, for errors and for its suffix.
        ids_path: The second file of ``npy``.
        total: How many proteins there will be.
        dimension: D.
        schema: Columns of the parts.
        dtype: ``float32`` or ``float16``.
        residues: Whether residue arrays are written.
        about: What the database says about itself, with the level of the file.
    """

    path: Path
    name: str
    ids_path: Path
    total: int
    dimension: int
    schema: pa.Schema
    dtype: str
    residues: bool
    about: dict[str, Any] = field(default_factory=dict)

    def typed(self, values: NDArray[np.float32], *, id: str) -> NDArray[Any]:
        """The values in the type of the file.

        Raises:
            ExchangeError: A value does not fit it.
        """
        if self.dtype == "float16" and float(np.abs(values).max(initial=0.0)) > _LARGEST_HALF:
            raise ExchangeError(f"values of {id!r} do not fit float16: write float32", file=self.name)
        return values.astype(self.dtype)


class Writer(Protocol):
    """One format. ``write`` is called for each part, then ``close``; ``abandon`` instead where it failed."""

    def write(self, part: Part) -> None:
        """Add some proteins."""
        ...

    def close(self) -> int:
        """Finish the file; how many proteins it has, read from the file where it says so."""
        ...

    def abandon(self) -> None:
        """Let go of the file, which is thrown away."""
        ...


class Parquet:
    """Every column; ``vector`` is a list of float, ``residues`` a list of lists, row after row of (L, D)."""

    def __init__(self, target: Target) -> None:
        """Open the file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._target = target
        number = pa.float16() if target.dtype == "float16" else pa.float32()
        self._number = number
        fields = [self._field(field) for field in target.schema]
        if target.residues:
            fields.append(pa.field("residues", pa.list_(pa.list_(number))))
        about = {b"protvec": json.dumps(target.about, sort_keys=True).encode()}
        self._schema = pa.schema(fields, metadata=about)
        # Embeddings do not compress, and a dictionary of them is only tried and given up.
        names = [field.name for field in fields if field.name not in ("vector", "residues")]
        compression = {name: "zstd" if name in names else "none" for name in self._schema.names}
        self._writer = pq.ParquetWriter(
            target.path, self._schema, compression=_leaves(compression, self._schema), use_dictionary=names
        )

    def _field(self, field: pa.Field) -> pa.Field:
        import pyarrow as pa

        if field.name != "vector":
            return pa.field(field.name, field.type, field.nullable)
        number = pa.float32() if self._target.residues else self._number
        return pa.field("vector", pa.list_(number), nullable=False)

    def write(self, part: Part) -> None:
        """A row group."""
        import pyarrow as pa

        columns = [part.table[name] for name in part.table.column_names]
        if "vector" in part.table.column_names:
            place = part.table.column_names.index("vector")
            columns[place] = self._vectors(part, self._schema.field("vector").type)
        if part.residues is not None:
            columns.append(self._residues(part, part.residues))
        arrays = [c if isinstance(c, pa.Array) else c.combine_chunks() for c in columns]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def _vectors(self, part: Part, kind: pa.ListType) -> pa.Array:
        import pyarrow as pa

        vectors = part.vectors
        if kind.value_type == pa.float16():
            vectors = np.stack([self._target.typed(v, id=id) for id, v in zip(part.ids, vectors, strict=True)])
        offsets = np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1]
        return pa.ListArray.from_arrays(offsets, pa.array(vectors.reshape(-1)), type=kind)

    def _residues(self, part: Part, arrays: list[NDArray[np.float32]]) -> pa.Array:
        import pyarrow as pa

        typed = [self._target.typed(array, id=id) for id, array in zip(part.ids, arrays, strict=True)]
        dimension = self._target.dimension
        lengths = np.cumsum([0, *(len(array) for array in typed)])
        inner_offsets = np.arange(lengths[-1] + 1, dtype=np.int32) * dimension
        inner = pa.ListArray.from_arrays(inner_offsets, pa.array(np.concatenate(typed).reshape(-1)))
        return pa.ListArray.from_arrays(pa.array(lengths, pa.int32()), inner)

    def close(self) -> int:
        """See ``Writer``."""
        import pyarrow.parquet as pq

        self._writer.close()
        return int(pq.read_metadata(self._target.path).num_rows)

    def abandon(self) -> None:
        """See ``Writer``."""
        self._writer.close()


def _leaves(compression: dict[str, str], schema: pa.Schema) -> dict[str, str]:
    """Parquet names a list's values by their path."""
    import pyarrow as pa

    paths = {}
    for name, codec in compression.items():
        path, kind = name, schema.field(name).type
        while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            path, kind = f"{path}.list.element", kind.value_type
        paths[path] = codec
    return paths


class Fasta:
    """Ids and headers as they are stored, sequences in lines of 60; gzip where the name ends in ``.gz``."""

    def __init__(self, target: Target) -> None:
        """Open the file."""
        self._target = target
        self._file = target.path.open("wb")
        compressed = target.name.lower().endswith(".gz")
        # No time and no name inside, so that the same proteins make the same file.
        self._zip = gzip.GzipFile("", "wb", 6, self._file, mtime=0) if compressed else None
        self._count = 0

    def write(self, part: Part) -> None:
        """See ``Writer``."""
        text = io.StringIO()
        rows = zip(*(part.table[name].to_pylist() for name in ("id", "header", "sequence")), strict=True)
        for id, header, sequence in rows:
            self._check(id, header, sequence)
            text.write(f">{id} {header}\n" if header else f">{id}\n")
            text.writelines(f"{sequence[i : i + FASTA_WIDTH]}\n" for i in range(0, len(sequence), FASTA_WIDTH))
            self._count += 1
        (self._zip or self._file).write(text.getvalue().encode())

    def _check(self, id: str, header: str | None, sequence: str) -> None:
        if not sequence:
            message = f"{id!r} has no sequence, only a vector: leave such out with --where \"sequence != ''\""
            raise ExchangeError(message, file=self._target.name)
        if any(character <= " " for character in id) or "\n" in (header or ""):
            raise ExchangeError(f"FASTA cannot hold the id {id!r} (white space, or a line end)", file=self._target.name)

    def close(self) -> int:
        """See ``Writer``."""
        self.abandon()
        return self._count

    def abandon(self) -> None:
        """See ``Writer``."""
        if self._zip is not None:
            self._zip.close()
        self._file.close()


class Npy:
    """An (N, D) array, and the ids in a text file, a line each."""

    def __init__(self, target: Target) -> None:
        """Open both files."""
        self._target = target
        self._vectors: IO[bytes] = target.path.open("wb")
        self._ids = target.ids_path.open("w", encoding="utf-8", newline="\n")
        _start(self._vectors, target)

    def write(self, part: Part) -> None:
        """See ``Writer``."""
        if broken := next((id for id in part.ids if len(id.splitlines()) != 1), None):
            raise ExchangeError(f"a line cannot hold the id {broken!r}: write .npz", file=self._target.name)
        _add(self._vectors, part, self._target)
        self._ids.writelines(f"{id}\n" for id in part.ids)

    def close(self) -> int:
        """See ``Writer``."""
        self.abandon()
        return len(np.load(self._target.path, mmap_mode="r"))

    def abandon(self) -> None:
        """See ``Writer``."""
        self._vectors.close()
        self._ids.close()


class Npz:
    """``ids``, ``vectors`` and ``protvec``, what the database says about itself, in one file."""

    def __init__(self, target: Target) -> None:
        """Open the file."""
        self._target = target
        self._zip = zipfile.ZipFile(target.path, "w", zipfile.ZIP_STORED)
        self._vectors = self._zip.open("vectors.npy", "w", force_zip64=True)
        self._ids: list[str] = []
        _start(self._vectors, target)

    def write(self, part: Part) -> None:
        """See ``Writer``."""
        _add(self._vectors, part, self._target)
        self._ids += part.ids

    def close(self) -> int:
        """See ``Writer``."""
        self._vectors.close()
        about = json.dumps(self._target.about, sort_keys=True)
        add_array(self._zip, "ids", np.array(self._ids, dtype=np.str_))
        add_array(self._zip, "protvec", np.array(about))
        self._zip.close()
        with np.load(self._target.path) as file:
            return len(file["ids"])

    def abandon(self) -> None:
        """See ``Writer``."""
        self._vectors.close()
        self._zip.close()


def _start(stream: IO[bytes], target: Target) -> None:
    shape = (target.total, target.dimension)
    header = {"descr": np.dtype(target.dtype).newbyteorder("<").str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)


def _add(stream: IO[bytes], part: Part, target: Target) -> None:
    vectors = part.vectors
    worst: Sequence[int] = np.abs(vectors).max(axis=1).argsort()[-1:].tolist()
    typed = target.typed(vectors, id=part.ids[worst[0]]) if len(vectors) else vectors
    stream.write(typed.astype(np.dtype(target.dtype).newbyteorder("<")).tobytes())
