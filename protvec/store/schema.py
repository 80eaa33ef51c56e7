"""What the tables look like, and the metadata that makes a directory a protvec database."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from protvec.errors import DatabaseFormatError
from protvec.space import Space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

SCHEMA_VERSION = 4  # 2: the table ledger; 3: columns of search vectors; 4: segments
METADATA_KEY = b"protvec"
PROTEINS = "proteins"
RESIDUES = "residues"
LEDGER = "ledger"
TRANSFORMS = "transforms"
MAP = "map"

# LanceDB detects two writers of one key only where the key is declared so, and is not nullable.
_PRIMARY_KEY = {"lance-schema:unenforced-primary-key": "true"}
# Embeddings do not compress; reading them back uncompressed is several times faster.
_UNCOMPRESSED = {"lance-encoding:compression": "none"}

METADATA_COLUMNS = (
    "description",
    "header",
    "gene",
    "symbols",
    "locus",
    "transcript",
    "organism",
    "taxid",
    "accession",
    "source",
    "dataset",
    "location",
)
PROTEIN_COLUMNS = ("id", "digest", "sequence", "length", *METADATA_COLUMNS, "vector")
SUMMARY_COLUMNS = ("id", "length", "gene", "organism", "description", "dataset")


class _Identity(TypedDict):
    id: str
    digest: str
    sequence: str


class ProteinRow(_Identity, total=False):
    """One protein as a dict: ``id``, ``digest`` and ``sequence`` are required, the rest may be left out."""

    description: str | None
    header: str | None
    gene: str | None
    symbols: list[str] | None
    locus: str | None
    transcript: str | None
    organism: str | None
    taxid: int | None
    accession: str | None
    source: str | None
    dataset: str | None
    location: str | None


@dataclass(frozen=True)
class Description:
    """What a database says about itself, stored as JSON under ``protvec`` in the schema metadata."""

    space: Space
    codec: str
    precision: str | None
    schema_version: int
    created_with: str

    def to_json(self) -> str:
        """The JSON text."""
        return json.dumps(
            {
                "schema_version": self.schema_version,
                "created_with": self.created_with,
                "space": self.space.to_dict(),
                "codec": self.codec,
                "precision": self.precision,
            },
            sort_keys=True,
        )

    @classmethod
    def from_schema(cls, schema: pa.Schema, *, path: str) -> Description:
        """Read it from a table's schema.

        Raises:
            DatabaseFormatError: It is not there, cannot be read, or is of a newer version.
        """
        text = (schema.metadata or {}).get(METADATA_KEY)
        if text is None:
            raise DatabaseFormatError(f"{path}: the table proteins was not made by protvec (no metadata)")
        try:
            values = json.loads(text)
            version = int(values["schema_version"])
            if version > SCHEMA_VERSION:
                raise DatabaseFormatError(
                    f"{path}: written with schema version {version} by protvec {values.get('created_with')}; "
                    f"this protvec reads up to {SCHEMA_VERSION}: upgrade protvec"
                )
            space = Space(**values["space"])
            return cls(space, values["codec"], values["precision"], version, values["created_with"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DatabaseFormatError(f"{path}: the metadata of proteins is damaged ({error!r})") from error


def proteins_schema(description: Description) -> pa.Schema:
    """The schema of ``proteins``, with the database's description."""
    import pyarrow as pa

    vector = pa.field("vector", pa.list_(pa.float32(), description.space.dimension), nullable=False)
    return pa.schema([*own_schema(), vector], metadata={METADATA_KEY: description.to_json()})


def own_schema() -> pa.Schema:
    """The columns of ``proteins`` that are the same in every database: all of its own but ``vector``."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False, metadata=_PRIMARY_KEY),
            pa.field("digest", pa.string(), nullable=False),
            pa.field("sequence", pa.string(), nullable=False),
            pa.field("length", pa.int32(), nullable=False),
            *(pa.field(name, _metadata_type(name)) for name in METADATA_COLUMNS),
        ]
    )


def _metadata_type(name: str) -> pa.DataType:
    import pyarrow as pa

    return {"symbols": pa.list_(pa.string()), "taxid": pa.int32()}.get(name, pa.string())


def residues_schema() -> pa.Schema:
    """The schema of ``residues``.

    It says nothing of the space: ``proteins`` alone does, so that a table ``residues`` left by an
    interrupted creation fits whatever database is created there next.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("digest", pa.string(), nullable=False, metadata=_PRIMARY_KEY),
            pa.field("length", pa.int32(), nullable=False),
            pa.field("codec", pa.string(), nullable=False),
            pa.field("scales", pa.large_binary(), metadata=_UNCOMPRESSED),
            pa.field("data", pa.large_binary(), nullable=False, metadata=_UNCOMPRESSED),
        ],
        metadata={METADATA_KEY: json.dumps({"schema_version": SCHEMA_VERSION})},
    )


def ledger_schema() -> pa.Schema:
    """The schema of ``ledger``: a row for each run that changed, or might have changed, the database."""
    import pyarrow as pa

    moment = pa.timestamp("us", tz="UTC")
    file = [("name", pa.string()), ("sha256", pa.string()), ("bytes", pa.int64())]
    place = [("id", pa.string()), ("file", pa.string()), ("line", pa.int64())]
    return pa.schema(
        [
            pa.field("run", pa.string(), nullable=False, metadata=_PRIMARY_KEY),
            pa.field("command", pa.string(), nullable=False),
            pa.field("state", pa.string(), nullable=False),
            pa.field("started", moment, nullable=False),
            pa.field("updated", moment, nullable=False),
            pa.field("ended", moment),
            pa.field("version", pa.string(), nullable=False),
            pa.field("host", pa.string()),
            pa.field("pid", pa.int64()),
            pa.field("model", pa.string()),
            pa.field("weights", pa.string()),
            pa.field("engine", pa.string()),
            pa.field("precision", pa.string()),
            pa.field("files", pa.list_(pa.struct(file))),
            pa.field("options", pa.string(), nullable=False),
            pa.field("gained", pa.int64(), nullable=False),
            pa.field("counts", pa.string(), nullable=False),
            pa.field("error", pa.string()),
            pa.field("skipped", pa.list_(pa.struct([*place, ("reason", pa.string())]))),
            pa.field("changed", pa.list_(pa.struct([*place, ("changes", pa.list_(pa.string()))]))),
        ],
        metadata={METADATA_KEY: json.dumps({"schema_version": SCHEMA_VERSION})},
    )


def transforms_schema() -> pa.Schema:
    """The schema of ``transforms``: a row for each search space that was fitted."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("key", pa.string(), nullable=False, metadata=_PRIMARY_KEY),
            pa.field("kind", pa.string(), nullable=False),
            pa.field("proteins", pa.int64(), nullable=False),
            pa.field("dimension", pa.int32(), nullable=False),
            pa.field("data", pa.large_binary(), nullable=False, metadata=_UNCOMPRESSED),
        ],
        metadata={METADATA_KEY: json.dumps({"schema_version": SCHEMA_VERSION})},
    )


def protein_table(
    rows: Sequence[ProteinRow] | Sequence[Mapping[str, object]], vectors: NDArray[np.float32]
) -> pa.Table:
    """Rows and their vectors as the table that ``Store.write`` takes; ``length`` is that of ``sequence``.

    Args:
        rows: One dict a protein; columns left out are null.
        vectors: ndarray, shape=(N, D), dtype=float32, in the order of ``rows``.

    Raises:
        ValueError: The numbers of rows and vectors differ.
    """
    import pyarrow as pa

    if vectors.ndim != 2 or len(rows) != len(vectors):
        raise ValueError(f"{len(rows)} rows, but vectors of shape {vectors.shape}")
    names = ("id", "digest", "sequence", *METADATA_COLUMNS)
    columns = {name: pa.array([row.get(name) for row in rows], _metadata_type(name)) for name in names}
    columns["length"] = pa.array([len(str(row["sequence"])) for row in rows], pa.int32())
    columns["vector"] = vector_column(vectors)
    return pa.table(columns)


def vector_column(vectors: NDArray[np.float32]) -> pa.FixedSizeListArray:
    """Vectors as a column.

    Args:
        vectors: ndarray, shape=(N, D).
    """
    import numpy as np
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def matrix_of(vectors: pa.Array | pa.ChunkedArray) -> NDArray[np.float32]:
    """A column of vectors as a matrix; a copy only where the column is in several chunks.

    Returns:
        ndarray, shape=(N, D), dtype=float32.
    """
    import pyarrow as pa

    whole = vectors.combine_chunks() if isinstance(vectors, pa.ChunkedArray) else vectors
    flat: NDArray[np.float32] = whole.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(whole), whole.type.list_size)
