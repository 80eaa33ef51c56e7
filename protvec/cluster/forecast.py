"""What a large ingest will take, before anything is there: from a measured rate and the model of each cost.

Each figure is a formula of its own, so that it can be checked by itself: ``scripts/bench_cluster.py`` compares time and
disk with ingests of different size.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.cluster.balance import EVEN_LENGTH
from protvec.errors import QueryError
from protvec.ingest.cost import row_bytes, time_of
from protvec.models import MODELS
from protvec.store import CODECS, bytes_per_residue, bytes_per_sequence
from protvec.store.memory import bytes_coded, bytes_needed
from protvec.store.memory.segments import segment_bytes
from protvec.store.searching import SEARCH_MEMORY
from protvec.store.segments import Rule
from protvec.store.tables import index_cache_bytes

if TYPE_CHECKING:
    from protvec.engine.base import Encoder

# Lengths of proteins spread so much: (standard deviation / mean)² of the proteins of Arabidopsis' chromosome 1 is 0.58.
SPREAD = 0.58
HEADER_BYTES = 80  # of a header line, about
COMMIT_BYTES_PER_SECOND = 85e6  # of one committer, on a busy machine: docs/cluster.md
RECORD_BYTES = 1_000  # of memory for each record while files are cut: docs/cluster.md
SHARD_SECONDS = 3_600.0  # that a shard should take: what a task may lose in a queue, and how even the end is
WEIGHT_BYTES = {"fp32": 4, "bf16": 2, "int8": 1}  # of a parameter
WORKING_BYTES = 1 << 30  # of a worker, beside the weights
COMMITTER_BYTES = 2 << 30
INDEX_ROW_BYTES = 16  # of an index entry, beside a byte for each dimension
INDEX_CENTRE_BYTES = 4 / 1024  # for each dimension of a vector: the centre of its partition
SEARCH_PROCESS_BYTES = 300 << 20  # of a process that searches, before it has read a vector
HIT_BYTES = 200  # of the columns of hits, for each protein


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be ingested, and on what.

    Attributes:
        proteins: Distinct sequences.
        mean_length: Of a protein, in residues.
        nodes: Machines.
        cores: Processors of each.
        model: A name of the model table.
        egress_price: For a GB that leaves the object store, in any currency.
    """

    proteins: int
    mean_length: float
    nodes: int = 1
    cores: int = 1
    model: str = "ankh-base"
    egress_price: float = 0.09

    def __post_init__(self) -> None:
        """Check.

        Raises:
            QueryError: A number that cannot be, or a model that is not in the table.
        """
        if self.model not in MODELS:
            raise QueryError(f"no model {self.model!r}: there are {', '.join(MODELS)}")
        numbers = (self.proteins, self.mean_length, self.nodes, self.cores)
        if min(numbers) <= 0 or self.egress_price < 0:
            raise QueryError("proteins, mean length, nodes and cores must be above 0, a price not below")

    @property
    def residues(self) -> float:
        """In all."""
        return self.proteins * self.mean_length


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How fast one core embeds: a sequence of L residues takes ``linear * L + quadratic * L²`` seconds.

    Attributes:
        linear: Seconds a residue.
        quadratic: Seconds a residue of a sequence and a residue of it.
        precision: Arithmetic that it was measured in; None where the rate was given.
    """

    linear: float
    quadratic: float
    precision: str | None = None

    def seconds(self, proteins: float, mean_length: float) -> float:
        """For so many proteins, on one core."""
        squares = mean_length**2 * (1 + SPREAD)
        return proteins * (self.linear * mean_length + self.quadratic * squares)

    @classmethod
    def given(cls, residues_per_second: float, *, mean_length: float, model: str) -> Rate:
        """A rate that somebody has measured at that mean length.

        Raises:
            QueryError: It is not above 0.
        """
        if residues_per_second <= 0:
            raise QueryError(f"a rate of {residues_per_second} residues/s: it must be above 0")
        even = float("inf") if MODELS[model].architecture == "near" else EVEN_LENGTH
        linear = 1 / residues_per_second / (1 + mean_length * (1 + SPREAD) / even)
        return cls(linear=linear, quadratic=linear / even)

    @classmethod
    def measured(cls, encoder: Encoder, *, cores: int, budget: float = 6.0) -> Rate:
        """The rate of this machine, on proteins that come with protvec.

        Args:
            encoder: The engine, with all its threads.
            cores: That it runs on: the rate of one is its share, so that what threads cost is in it.
            budget: About how many seconds it may take.
        """
        from protvec import data, fasta

        sample = [record.sequence for record in fasta.read(data.sample()) if isinstance(record, fasta.Record)]
        linear, quadratic = time_of(sample, encoder, budget)
        return cls(linear=linear * cores, quadratic=quadratic * cores, precision=encoder.precision)


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What it takes. Times are in seconds, sizes in bytes.

    Attributes:
        wanted: What was asked.
        residues: To embed.
        residues_per_second: Of all nodes together.
        embed_seconds: To embed it all.
        commit_seconds: For one committer to put it all into the database, which with ``--wait`` goes on meanwhile.
        core_hours: Of embedding.
        shards: To cut it into.
        rows_bytes: Of the table of proteins.
        disk: Of the whole database, by codec of the residue arrays. Shards take as much again until they are removed.
        shard_memory: Of `protvec shard`.
        worker_memory: Of each worker.
        committer_memory: Of `protvec commit`.
        search_memory: Of a process that searches in the default memory.
        index: How it searches: ``exact``, by vectors in memory; ``codes``, as exactly, by a byte of each value;
            ``ivf_sq``, by an index.
        index_bytes: Of an index of vectors: on a disk, and in memory if all of it is to be there. 0 without one.
        egress: Price of copying the whole database out of an object store once, by codec.
    """

    wanted: Wanted
    residues: int
    residues_per_second: float
    embed_seconds: float
    commit_seconds: dict[str, float]
    core_hours: float
    shards: int
    rows_bytes: int
    disk: dict[str, int]
    shard_memory: int
    worker_memory: int
    committer_memory: int
    search_memory: int
    index: str
    index_bytes: int
    egress: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def disk_bytes(wanted: Wanted, codec: str) -> int:
    """What the database takes on a disk: the formula of an ingest's own estimate.

    Args:
        wanted: What is to be ingested.
        codec: Of its residue arrays.
    """
    dimension = MODELS[wanted.model].dimension
    arrays = wanted.residues * bytes_per_residue(codec, dimension)
    return round(rows_bytes(wanted) + arrays + wanted.proteins * bytes_per_sequence(codec, dimension))


def rows_bytes(wanted: Wanted) -> int:
    """What the table of proteins takes, with the segments of a new database."""
    dimension = MODELS[wanted.model].dimension
    segments = _segments_each(wanted.mean_length) * Rule.bytes_each(dimension) + 16
    text = wanted.mean_length + HEADER_BYTES
    return round(wanted.proteins * (row_bytes(dimension) + text + segments))


@lru_cache(maxsize=16)
def _segments_each(mean_length: float) -> float:
    """How many segments a protein has, if lengths have a gamma distribution with the spread of real ones."""
    lengths = np.random.default_rng(0).gamma(1 / SPREAD, SPREAD * mean_length, 100_000)
    return float(Rule().counts(np.ceil(lengths).astype(np.int64)).mean())


def _searching(wanted: Wanted) -> tuple[str, int, int]:
    """How a process searches in the default memory, what it takes, and the bytes of its index."""
    count, dimension = wanted.proteins, MODELS[wanted.model].dimension
    vectors, codes = bytes_needed(count, dimension), bytes_coded(count, dimension)
    if codes > SEARCH_MEMORY:
        index = count * (dimension + INDEX_ROW_BYTES)
        centres = round(count * dimension * INDEX_CENTRE_BYTES)
        return "ivf_sq", SEARCH_PROCESS_BYTES + centres + min(index, index_cache_bytes(SEARCH_MEMORY)), index
    kind, kept = ("exact", vectors) if vectors <= SEARCH_MEMORY else ("codes", codes)
    segments = segment_bytes(round(count * max(1.0, _segments_each(wanted.mean_length))), count, dimension)
    beside = segments if kept + segments <= SEARCH_MEMORY else 0
    hits = min(count * HIT_BYTES, SEARCH_MEMORY // 8)
    return kind, SEARCH_PROCESS_BYTES + kept + beside + hits, 0


def forecast(wanted: Wanted, rate: Rate) -> Forecast:
    """What an ingest will take.

    Nodes are taken to be alike, and as fast on each core as the rate says; sequences to be distinct.

    Args:
        wanted: What is to be ingested, and on what.
        rate: Of one core.
    """
    spec = MODELS[wanted.model]
    core_seconds = rate.seconds(wanted.proteins, wanted.mean_length)
    seconds = core_seconds / (wanted.nodes * wanted.cores)
    disk = {codec: disk_bytes(wanted, codec) for codec in CODECS}
    index, search_memory, index_bytes = _searching(wanted)
    weights = spec.parameters * WEIGHT_BYTES[rate.precision or "bf16"]
    return Forecast(
        wanted=wanted,
        residues=round(wanted.residues),
        residues_per_second=wanted.residues / seconds,
        embed_seconds=seconds,
        commit_seconds={codec: size / COMMIT_BYTES_PER_SECOND for codec, size in disk.items()},
        core_hours=core_seconds / 3600,
        shards=max(wanted.nodes, min(wanted.proteins, round(seconds * wanted.nodes / SHARD_SECONDS))),
        rows_bytes=rows_bytes(wanted),
        disk=disk,
        shard_memory=wanted.proteins * RECORD_BYTES,
        worker_memory=weights + WORKING_BYTES,
        committer_memory=COMMITTER_BYTES,
        search_memory=search_memory,
        index=index,
        index_bytes=index_bytes,
        egress={codec: size / 1e9 * wanted.egress_price for codec, size in disk.items()},
    )
