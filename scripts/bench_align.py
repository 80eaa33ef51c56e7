#!/usr/bin/env python3
"""Measure how long it takes to re-rank candidates by alignment.

- pairs: a query against so many candidates of one length, arrays in memory: all are scored, and as many as there are
  hits are aligned; for random residues of 256, 768 and 1,536 dimensions (near, Ankh base and large).
- search: ``search_many(…, align=True)`` in a database that a model made of random sequences of that length: finding
  candidates, reading and decoding their arrays, scores, E-values and alignments. The queries are new sequences; the
  time of the same search without alignment is beside it.

Each figure is the median of the rounds, with the lowest and the highest. Usage::

    python scripts/bench_align.py                    # 200 candidates of 400 residues
    python scripts/bench_align.py --quick --json align.json
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import provenance, table, write_json
from bench_engine import names, positive, print_provenance

import protvec
from protvec.align import Chain, align_many, score_many, scoring_for
from protvec.search import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protvec.align import Scoring

SECTIONS = ("pairs", "search")
DIMENSIONS = (256, 768, 1536)
RESIDUES = list("ACDEFGHIKLMNPQRSTVWY")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, print it, and write it down."""
    options = parse(arguments)
    result = provenance()
    print_provenance(result)
    chance = np.random.default_rng(options.seed)
    for section in options.sections:
        rows = {"pairs": run_pairs, "search": run_search}[section](options, chance)
        result[section] = rows
        what = f"{options.candidates} candidates of {options.length} residues, {options.hits} hits"
        print(f"\n{section}: {what}: seconds")
        cells = [[row["what"], f"{row['median']:.3f}", f"{row['low']:.3f}-{row['high']:.3f}"] for row in rows]
        print(table(["", "median", "range"], cells), flush=True)
    if options.json:
        write_json(options.json, result)
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--sections", type=names(SECTIONS), default=SECTIONS, help=f"of {','.join(SECTIONS)}")
    parser.add_argument("--candidates", type=positive, default=200, help="default: 200")
    parser.add_argument("--length", type=positive, default=400, help="residues of each protein; default: 400")
    parser.add_argument("--hits", type=positive, default=10, help="default: 10")
    parser.add_argument("--rounds", type=positive, help="default: 10, or 3 with --quick")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and 256 dimensions alone")
    parser.add_argument("--model", default="near", help="for search; default: near")
    parser.add_argument("--threads", type=positive, help="default: all that this process may use")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (3 if options.quick else 10)
    return options


def run_pairs(options: argparse.Namespace, chance: np.random.Generator) -> list[dict[str, Any]]:
    """Arrays in memory."""
    rows = []
    for dimension in DIMENSIONS[: 1 if options.quick else None]:
        query, *others = (
            Chain(sequence(options.length, chance), random_residues(options.length, dimension, chance))
            for _ in range(options.candidates + 1)
        )
        for model in ("near", "ankh-base"):
            scoring = scoring_for(model)
            if scoring.pairing is not None and scoring.pairing.dimension != dimension:
                scoring = replace(scoring, pairing=None)

            def work(scoring: Scoring = scoring, query: Chain = query, others: list[Chain] = others) -> None:
                scores = score_many(query, others, scoring, threads=options.threads)
                best = [others[place] for place in np.argsort(-scores)[: options.hits]]
                align_many(query, best, scoring, threads=options.threads)

            rows.append({"what": f"{dimension} dimensions, scoring of {model}", **timed(work, options.rounds)})
    return rows


def run_search(options: argparse.Namespace, chance: np.random.Generator) -> list[dict[str, Any]]:
    """A database of twice as many proteins as there are candidates."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "targets.fa"
        proteins = (f">p{n}\n{sequence(options.length, chance)}\n" for n in range(2 * options.candidates))
        file.write_text("".join(proteins), encoding="utf-8")
        database = protvec.create(str(Path(folder) / "db.lancedb"), model=options.model, threads=options.threads)
        database.ingest(file)
        rows = []
        for what, keywords in (
            ("without alignment", {}),
            ("aligned", {"align": True, "candidates": options.candidates}),
        ):

            def work(keywords: dict[str, Any] = keywords) -> None:
                query = Query("new", sequence(options.length, chance))
                list(database.search_many([query], k=options.hits, **keywords))

            rows.append({"what": what, **timed(work, options.rounds)})
        return rows


def sequence(length: int, chance: np.random.Generator) -> str:
    """Residues at random."""
    return "".join(chance.choice(RESIDUES, length))


def random_residues(length: int, dimension: int, chance: np.random.Generator) -> Any:  # noqa: ANN401  # an array
    """As many embeddings at random, shape=(length, dimension)."""
    return chance.standard_normal((length, dimension)).astype(np.float32)


def timed(work: Callable[[], None], rounds: int) -> dict[str, float]:
    """Seconds, after one run that is not counted."""
    work()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return {"median": statistics.median(seconds), "low": min(seconds), "high": max(seconds)}


if __name__ == "__main__":
    raise SystemExit(main())
