"""FASTA into shards: every record read, checked and cleaned as an ingest does it, and nothing embedded."""

from __future__ import annotations

import hashlib
import tempfile
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from protvec.cluster.balance import cost, distribute
from protvec.cluster.manifest import Manifest, Part
from protvec.cluster.shards import RECORDS, Shards, line_of, record_schema
from protvec.errors import ShardError
from protvec.ingest.records import batched, classified, unique
from protvec.ingest.report import Tally
from protvec.models import MODELS
from protvec.store import create_work, locate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.ingest import Options, Source
    from protvec.ingest.records import Keyed
    from protvec.space import Space
    from protvec.store import Location, Store

_BATCH = 4_096  # records that are looked up, and spilt, together
_GATHER = 32_768  # rows in memory while they are brought into the order of the shards
_OUT = 1_024
MOST = 100_000  # shards


def cut(
    files: Sequence[Source],
    path: str | Path,
    *,
    shards: int,
    space: Space,
    codec: str,
    options: Options,
    precision: str | None = None,
    store: Store | None = None,
    storage_options: Mapping[str, str] | None = None,
) -> Shards:
    """Read FASTA files and leave a directory of shards. Done again with the same input, it changes nothing.

    Memory: about 1 kB a record, most of it as an ingest of the same files takes it, and nothing that grows with the
    lengths of the sequences, which wait in a temporary file.

    Args:
        files: The inputs.
        path: The directory, or its URL in an object store; it is made.
        shards: How many; some are empty where there are fewer distinct sequences.
        space: The embedding space.
        codec: How residue arrays are kept.
        options: How records are treated.
        precision: Arithmetic to embed in; None means that the first worker decides.
        store: The database that they are for, where it is there: what it has is not embedded again.
        storage_options: Of the object store that the shards go to.

    Raises:
        FastaError: A file cannot be read, or two records with one id differ; nothing was written.
        ShardError: There are other shards already, or a number that cannot be.
        DatabaseError: The place takes no commits (no hard links, read-only, full).
    """
    if not 1 <= shards <= MOST:
        raise ShardError(f"{shards} shards: there can be 1 to {MOST:,}")
    location = locate(path, storage_options)
    with tempfile.TemporaryDirectory(prefix="protvec-shards-") as scratch:
        spilt = _Spilt(Path(scratch) / "records.arrow")
        tally = spilt.fill(files, store, options)
        order, parts = _arranged(spilt, shards, space)
        manifest = Manifest(
            files=tuple(file.describe() for file in files),
            options=options,
            space=space,
            codec=codec,
            precision=precision,
            shards=tuple(parts[:-1]),
            rest=parts[-1],
            requested=tally.requested,
            repeated=tally.repeated,
            rejected=tuple(tally.skipped),
            protvec=_version(),
        ).named()
        return _written(location, manifest, spilt.in_order(order))


def _version() -> str:
    from protvec import __version__

    return __version__


def _written(location: Location, manifest: Manifest, batches: Iterator[pa.RecordBatch]) -> Shards:
    made = create_work(location.join(RECORDS), record_schema(), batches, manifest.to_json())
    shards = Shards.open(location.path, storage_options=location.storage)
    if not made and shards.manifest.id != manifest.id:
        raise ShardError(
            f"{location}: there are shards of another input, or cut otherwise, already: take another directory"
        )
    return shards


@dataclass
class _Spilt:
    """Records in a file, in the order of the input, and what is kept of each in memory.

    Attributes:
        path: The file.
        numbers: For each record, the number of the distinct sequence that it has; -1 where it need not be embedded.
        lengths: Of the distinct sequences to embed.
    """

    path: Path
    numbers: array[int] = field(default_factory=lambda: array("q"))
    lengths: array[int] = field(default_factory=lambda: array("q"))

    def fill(self, files: Sequence[Source], store: Store | None, options: Options) -> Tally:
        """Read everything once; the counts of what is read."""
        import pyarrow as pa

        tally = Tally()
        numbers: dict[bytes, int] = {}  # digests are kept as short as they can be: there may be many millions
        claimed: set[str] = set()  # by the batch at hand
        schema = record_schema()
        with pa.OSFile(str(self.path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for batch in batched(unique(files, options, tally), _BATCH):
                claimed.clear()
                for key in _to_embed(batch, store, options, claimed):
                    if key.encode() not in numbers:
                        numbers[key.encode()] = len(self.lengths)
                        self.lengths.append(0)
                for record, key in batch:
                    number = numbers.get(key.encode(), -1)
                    self.numbers.append(number)
                    if number >= 0:
                        self.lengths[number] = len(record.sequence)
                writer.write_batch(_record_batch(batch, schema))
        tally.in_input_order([file.name for file in files])
        return tally

    def in_order(self, order: NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
        """The records in another order, in bounded memory."""
        import pyarrow as pa

        if not len(order):
            return
        with pa.memory_map(str(self.path)) as mapped, pa.ipc.open_file(mapped) as reader:
            for start in range(0, len(order), _GATHER):
                yield from _gathered(reader, order[start : start + _GATHER]).to_batches(max_chunksize=_OUT)


def _to_embed(batch: list[Keyed], store: Store | None, options: Options, claimed: set[str]) -> Iterator[str]:
    """Digests of the sequences of a batch that are to be embedded, as an ingest would now."""
    for _, job in classified(list(enumerate(batch)), store, options, Tally(), claimed):
        if job.embed:
            claimed.add(job.digest)
            yield job.digest


def _record_batch(batch: list[Keyed], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    names = ("id", "description", "sequence", "file", "line", "changes")
    columns = {name: [getattr(record, name) for record, _ in batch] for name in names}
    columns["digest"] = [key for _, key in batch]
    return pa.record_batch([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def _gathered(reader: pa.RecordBatchFileReader, places: NDArray[np.int64]) -> pa.Table:
    """Rows from all over a file of record batches, in the order given."""
    import pyarrow as pa

    by_place = np.argsort(places, kind="stable")
    sorted_places = places[by_place]
    batches, starts = np.unique(sorted_places // _BATCH, return_index=True)
    parts = [
        reader.get_batch(int(number)).take(pa.array(rows % _BATCH))
        for number, rows in zip(batches, np.split(sorted_places, starts[1:]), strict=True)
    ]
    back = np.empty(len(places), np.int64)
    back[by_place] = np.arange(len(places))
    return pa.Table.from_batches(parts).combine_chunks().take(pa.array(back)).combine_chunks()


def _arranged(spilt: _Spilt, shards: int, space: Space) -> tuple[NDArray[np.int64], list[Part]]:
    """The order of the records, shard by shard and long sequences first, and the shards, the rest at the end."""
    numbers = np.frombuffer(spilt.numbers, np.int64) if spilt.numbers else np.empty(0, np.int64)
    lengths = np.frombuffer(spilt.lengths, np.int64) if spilt.lengths else np.empty(0, np.int64)
    spec = MODELS.get(space.model)
    costs = cost(lengths, quadratic=spec is None or spec.architecture != "near")
    shard_of = distribute(costs, shards)
    padded = np.append(shard_of, shards)  # number -1 is the last: the rest
    record_shards = padded[numbers]
    record_lengths = np.append(lengths, 0)[numbers]
    order = np.lexsort((numbers, -record_lengths, record_shards))  # stable: the input's order decides among equals
    firsts = np.searchsorted(record_shards[order], np.arange(shards + 2))
    digests = _digests(spilt, order, firsts)
    sequences = np.bincount(shard_of, minlength=shards + 1)
    residues = np.bincount(shard_of, weights=lengths, minlength=shards + 1)
    return order, [
        Part(int(firsts[n]), int(firsts[n + 1] - firsts[n]), int(sequences[n]), int(residues[n]), digests[n])
        for n in range(shards + 1)
    ]


def _digests(spilt: _Spilt, order: NDArray[np.int64], firsts: NDArray[np.int64]) -> list[str]:
    """Of each shard, in the order of its rows."""
    seen = [hashlib.sha256() for _ in range(len(firsts) - 1)]
    place = 0
    for batch in spilt.in_order(order):
        for id, digest in zip(batch["id"].to_pylist(), batch["digest"].to_pylist(), strict=True):
            shard = int(np.searchsorted(firsts, place, "right")) - 1
            seen[shard].update(line_of(id, digest))
            place += 1
    return [each.hexdigest() for each in seen]
