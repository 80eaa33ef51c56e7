"""protvec as its users have it: a database is made, and searched through the public API."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _bench_homology import Domain, Found
from _bench_homology_peers import write_fasta

import protvec
from protvec.search import CANDIDATES, Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from protvec.align import Chain, Scoring
# As deep as hits are looked at: far beyond the first false one, and beyond E = 10.
DEPTH = 2_000
RAW, MEAN = "raw", "mean"  # one vector for each protein
SLOW = "align-2000"  # so many candidates: measured where it is asked for


@dataclass(frozen=True)
class Mode:
    """A way to search with protvec.

    Attributes:
        name: What to call it.
        keywords: Of ``Database.search_many``.
        depth: How many hits to ask for; where hits are aligned, so many candidates are.
    """

    name: str
    keywords: dict[str, Any] = field(default_factory=dict)
    depth: int = DEPTH


MODES = {
    mode.name: mode
    for mode in (
        Mode(RAW, {"scoring": "raw"}),
        Mode(MEAN, {"segments": False}),
        Mode("segments"),
        Mode("align", {"align": True}, CANDIDATES),
        Mode(SLOW, {"align": True}),
    )
}


def make(domains: Iterable[Domain], folder: Path, model: str, threads: int | None) -> tuple[protvec.Database, float]:
    """A database of these sequences, and how many seconds it took; one that is in the folder already is used again."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "targets.fa"
    write_fasta(file, domains)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    path = folder / f"{Path(model).name}-{digest}.lancedb"
    open_or_make = protvec.open if path.exists() else protvec.create
    database = open_or_make(str(path), model=model, threads=threads)
    start = time.perf_counter()
    database.ingest(file)  # does what is missing
    return database, time.perf_counter() - start


def search(
    database: protvec.Database, mode: Mode, queries: Sequence[Domain], depth: int | None = None
) -> tuple[dict[str, list[Found]], float]:
    """The hits of each query, best first, and the seconds that all took, the queries' embedding included."""
    depth = min(depth or mode.depth, len(database))
    asked = [Query(query.id, query.sequence) for query in queries]
    next(database.search_many(asked[:1], k=1))  # the model is loaded, and what searches keep is in memory
    start = time.perf_counter()
    found = {
        hits.query: [_found(row) for row in hits.to_dicts()]
        for hits in database.search_many(asked, k=depth, columns=(), **mode.keywords)
    }
    return found, time.perf_counter() - start


def nearest(database: protvec.Database, mode: Mode) -> dict[str, str]:
    """The best hit of every protein among the others."""
    return {hits.query: hits.ids[0] for hits in database.search_all(k=1, columns=(), **mode.keywords) if hits.ids}


def _found(row: dict[str, Any]) -> Found:
    return Found(row["target"], row["score"], row.get("evalue"))


def as_domains(pairs: Sequence[tuple[str, str]]) -> list[Domain]:
    """The sequences of pairs, once each, under ids of their own."""
    unique = dict.fromkeys(sequence for pair in pairs for sequence in pair)
    return [Domain(f"s{number}", ("pair",), sequence) for number, sequence in enumerate(unique)]


def aligned(query: Chain, target: Chain, scoring: Scoring) -> set[tuple[int, int]]:
    """The residues that protvec puts together: places in both, from 0."""
    from protvec.align import local_alignment

    return {(int(row), int(column)) for row, column in local_alignment(query, target, scoring).pairs()}


def align(database: protvec.Database, pairs: Sequence[tuple[str, str]]) -> tuple[list[set[tuple[int, int]]], float]:
    """The residues that protvec puts together, of stored arrays, and the seconds that the alignments took.

    Args:
        database: Of ``as_domains(pairs)``.
        pairs: The sequences to align.
    """
    from protvec.align import Chain, scoring_for

    ids = {domain.sequence: domain.id for domain in as_domains(pairs)}
    arrays = database.residues_many(list(ids.values()))
    chains = {sequence: Chain(sequence, arrays[id]) for sequence, id in ids.items()}
    scoring = scoring_for(database.store.space.model)
    start = time.perf_counter()
    found = [aligned(chains[query], chains[target], scoring) for query, target in pairs]
    return found, time.perf_counter() - start


def align_profiles(
    database: protvec.Database, pairs: Sequence[tuple[str, str]]
) -> tuple[list[set[tuple[int, int]]], float]:
    """As ``align``, by profiles of the relatives in a database, with the seconds that finding these took."""
    from protvec.align import scoring_for

    scoring = scoring_for(database.store.space.model)
    start = time.perf_counter()
    parties = database.profiled(database.parties(Query(each.id, each.sequence) for each in as_domains(pairs)))
    chains = {party.chain.sequence: party.chain for party in parties}
    found = [aligned(chains[query], chains[target], scoring) for query, target in pairs]
    return found, time.perf_counter() - start
