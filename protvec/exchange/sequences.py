"""Sequences for vectors that came without: matched by id, else by accession."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from protvec.fasta import Record
from protvec.headers import parse
from protvec.ingest import Options, open_sources
from protvec.ingest.records import make_row
from protvec.store import METADATA_COLUMNS, digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protvec.exchange.batches import Batch


class Sequences:
    """The records of FASTA files, in memory.

    Attributes:
        files: The files, as the ledger names them.
        without: Ids that no record was found for.
    """

    def __init__(self, files: str | Path | Sequence[str | Path]) -> None:
        """Read the files, or the one.

        Raises:
            FastaError: A file cannot be read.
        """
        self._records: dict[str, Record] = {}
        self._by_accession: dict[str, str] = {}
        self._unused: dict[str, None] = {}
        self.without: list[str] = []
        with open_sources([files] if isinstance(files, str | Path) else files) as sources:
            for source in sources:
                for record in source.read():
                    if isinstance(record, Record):
                        self._put(record)
            self.files = [source.describe() for source in sources]

    def _put(self, record: Record) -> None:
        self._records.setdefault(record.id, record)
        self._unused[record.id] = None
        accession = parse(record.id, record.description).accession
        if accession:  # one that two records have finds neither
            self._by_accession[accession] = "" if accession in self._by_accession else record.id

    @property
    def unused(self) -> list[str]:
        """Ids of records that nothing was found for."""
        return list(self._unused)

    def find(self, id: str) -> Record | None:
        """The record of an id, or of an accession such as ``P12345`` that a header ``sp|P12345|…`` has."""
        record = self._records.get(id) or self._records.get(self._by_accession.get(id, ""))
        if record is None:
            self.without.append(id)
        else:
            self._unused.pop(record.id, None)
        return record


def complete(batch: Batch, sequences: Sequences | None, dataset: str | None) -> Batch:
    """Fill in sequences, what their headers say, and the dataset, where the file itself says nothing."""
    import pyarrow as pa

    if sequences is None and dataset is None:
        return batch
    names = ("sequence", *METADATA_COLUMNS)
    rows = batch.table.to_pylist()
    found = [_described(row["id"], row.get("sequence"), sequences, dataset) for row in rows]
    for name in names:
        values = [
            new.get(name) if row.get(name) in (None, "") else row[name] for row, new in zip(rows, found, strict=True)
        ]
        if any(value not in (None, []) for value in values):
            kind = {"symbols": pa.list_(pa.string()), "taxid": pa.int32()}.get(name, pa.string())
            column = pa.array(values, kind)
            place = batch.table.schema.get_field_index(name)
            batch.table = (
                batch.table.append_column(name, column) if place < 0 else batch.table.set_column(place, name, column)
            )
    return batch


def _described(id: str, sequence: str | None, sequences: Sequences | None, dataset: str | None) -> dict[str, Any]:
    record = sequences.find(id) if sequences is not None else None
    if record is None or (sequence and sequence != record.sequence):
        return {"dataset": dataset}
    return make_row(record, digest(record.sequence), Options(dataset=dataset))
