"""The only code that knows LanceDB: schemas, commits, the residue codec, exact search, maintenance.

A database is a directory of the Lance tables ``proteins``, ``residues`` and ``ledger``, that any LanceDB client
reads; ``docs/storage.md`` describes them. Nothing here imports torch, and importing this package
loads neither lance nor pyarrow.
"""

from __future__ import annotations

from protvec.store.answer import Cut, Found, FoundSegments, IndexUse
from protvec.store.arrays import Residues
from protvec.store.claims import Claims
from protvec.store.codec import CODECS, DEFAULT_CODEC, Codec, bytes_per_residue, bytes_per_sequence, mean_slack
from protvec.store.columns import check_fields, kind_of
from protvec.store.digest import digest, vector_digest
from protvec.store.entries import Changed, InputFile, LogEntry, Skipped
from protvec.store.exact import cosines, query_matrix
from protvec.store.filters import both, check_k, quote
from protvec.store.index import BuiltPart, IndexInfo, IndexPart, IndexWorkers, build_part
from protvec.store.ledger import Ledger
from protvec.store.location import Location, free_bytes, locate
from protvec.store.packing import Packed
from protvec.store.parts import in_parts
from protvec.store.places import MapRecord, Places
from protvec.store.protein_reader import Known
from protvec.store.recode import is_finer
from protvec.store.rows import Stored
from protvec.store.sampling import Sample
from protvec.store.schema import (
    METADATA_COLUMNS,
    PROTEIN_COLUMNS,
    SCHEMA_VERSION,
    SUMMARY_COLUMNS,
    ProteinRow,
    matrix_of,
    protein_table,
)
from protvec.store.scoring import Scoring
from protvec.store.segments import Pieces, Rule
from protvec.store.snapshots import Snapshot
from protvec.store.store import Store
from protvec.store.upkeep import KEEP_SECONDS
from protvec.store.work import Work, create_work, note_once, noted, open_work, remove

__all__ = [
    "CODECS",
    "DEFAULT_CODEC",
    "KEEP_SECONDS",
    "METADATA_COLUMNS",
    "PROTEIN_COLUMNS",
    "SCHEMA_VERSION",
    "SUMMARY_COLUMNS",
    "BuiltPart",
    "Changed",
    "Claims",
    "Codec",
    "Cut",
    "Found",
    "FoundSegments",
    "IndexInfo",
    "IndexPart",
    "IndexUse",
    "IndexWorkers",
    "InputFile",
    "Known",
    "Ledger",
    "Location",
    "LogEntry",
    "MapRecord",
    "Packed",
    "Pieces",
    "Places",
    "ProteinRow",
    "Residues",
    "Rule",
    "Sample",
    "Scoring",
    "Skipped",
    "Snapshot",
    "Store",
    "Stored",
    "Work",
    "both",
    "build_part",
    "bytes_per_residue",
    "bytes_per_sequence",
    "check_fields",
    "check_k",
    "cosines",
    "create_work",
    "digest",
    "free_bytes",
    "in_parts",
    "is_finer",
    "kind_of",
    "locate",
    "matrix_of",
    "mean_slack",
    "note_once",
    "noted",
    "open_work",
    "protein_table",
    "query_matrix",
    "quote",
    "remove",
    "vector_digest",
]
