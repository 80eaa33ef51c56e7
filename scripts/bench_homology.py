#!/usr/bin/env python3
"""Measure how well searches find homologues, beside BLASTp, MMseqs2, DIAMOND and phmmer, on labelled domains.

The FASTA file has SCOP's labels: ``>d1dlwa_ a.1.1.1 …``, class, fold, superfamily and family. Sections:

- search: each domain that has another of its family, superfamily and fold is a query against all the others. A hit in
  another fold is false. For each query the true hits above the first false one are counted, as a fraction of all true
  ones: of its family; of its superfamily but another family; of its fold but another superfamily (the protocol of
  Foldseek, van Kempen et al. 2024). top-1: the best hit is of the query's superfamily. Errors: false hits a query with
  a reported E-value of at most 0.01, 0.1, 1 and 10; a sound E-value has that many.
- null: errors of queries that have no homologue: targets read backwards, and domains (orphans) whose folds are kept
  out of the database.

protvec is used as its users do, through its API; the peers are Debian's ncbi-blast+, mmseqs2, diamond-aligner and
hmmer, each left out with a word where it is not installed. Usage::

    python scripts/bench_homology.py scop40.fa --quick                   # a few minutes: some folds, some queries
    python scripts/bench_homology.py scop40.fa --json homology.json      # all of them
    python scripts/bench_homology.py scop40.fa --model ankh-base
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _bench_homology_modes as modes
import _bench_homology_peers as peers
from _bench import provenance, table, write_json
from _bench_homology import CLASSES, EVALUES, assess, assess_null, choose, read_labelled
from bench_engine import names, positive, print_provenance

from protvec.errors import ProtvecError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from _bench_homology import Domain, Found, Task

    import protvec

SECTIONS = ("search", "null")
METHODS = (*modes.MODES, *peers.PEERS)
QUICK = {"targets": 2_000, "queries": 100, "null_queries": 50}
NULL_QUERIES = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, print it, and write it down."""
    options = parse(arguments)
    try:
        return run(options)
    except ProtvecError as error:
        print(f"bench_homology.py: error: {error}", file=sys.stderr)
        return 1


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("fasta", type=Path, help="domains with labels: >ID class.fold.superfamily.family")
    parser.add_argument("--model", default="near", help="a name or a checkpoint directory; default: near")
    parser.add_argument("--sections", type=names(SECTIONS), default=SECTIONS, help=f"of {','.join(SECTIONS)}")
    parser.add_argument("--methods", type=names(METHODS), default=METHODS, help=", ".join(METHODS))
    parser.add_argument("--quick", action="store_true", help="{targets} targets, {queries} queries".format(**QUICK))
    parser.add_argument("--targets", type=positive, metavar="N", help="about so many, whole folds; default: all")
    parser.add_argument("--queries", type=positive, metavar="N", help="default: all that have others of each class")
    parser.add_argument("--null-queries", type=positive, metavar="N", help=f"of each kind; default: {NULL_QUERIES}")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn; default: 1")
    parser.add_argument("--threads", type=positive, help="default: all that this process may use")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the databases there for the next run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    options = parser.parse_args(arguments)
    for name, value in {**QUICK, **({} if options.quick else dict.fromkeys(QUICK))}.items():
        setattr(options, name, getattr(options, name) or value)
    options.null_queries = options.null_queries or NULL_QUERIES
    return options


def run(options: argparse.Namespace) -> int:
    """The sections, one after the other."""
    domains = read_labelled(options.fasta)
    task = choose(
        domains,
        targets=options.targets,
        queries=options.queries,
        orphans=options.null_queries,
        seed=options.seed,
    )
    result = provenance() | {"peers": peers.versions()}
    print_provenance(result)
    print(", ".join(f"{name}: {version or 'not installed'}" for name, version in result["peers"].items()))
    result["task"] = describe(task)
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(options, task, Path(scratch))
        for section in options.sections:
            result[section] = RUN[section](bench)
            if options.json:  # also what a run has that is stopped
                write_json(options.json, result)
    return 0


def describe(task: Task) -> dict[str, int]:
    """Say how much there is."""
    sizes = {name: len(getattr(task, name)) for name in ("targets", "queries", "orphans", "reversed")}
    print(", ".join(f"{count:,} {name}" for name, count in sizes.items()), flush=True)
    return sizes


class Bench:
    """What the sections share: the task, a folder, and a database that is made when it is first wanted."""

    def __init__(self, options: argparse.Namespace, task: Task, scratch: Path) -> None:
        from protvec.engine.threads import available_cpus

        self.options, self.task, self.scratch = options, task, scratch
        self.threads = options.threads or available_cpus()
        self._database: protvec.Database | None = None

    @property
    def database(self) -> protvec.Database:
        """The targets, embedded."""
        if self._database is None:
            folder = self.options.keep or self.scratch
            folder.mkdir(parents=True, exist_ok=True)
            made = modes.make(self.task.targets.values(), folder, self.options.model, self.options.threads)
            self._database = made[0]
            print(f"database of {self.options.model}: {made[1]:.1f} s", flush=True)
        return self._database

    def search(self, method: str, queries: Sequence[Domain]) -> tuple[Mapping[str, Sequence[Found]], float]:
        """The hits of a method, and the seconds that it took.

        Raises:
            PeerError: It is a peer that is not installed, or that failed.
        """
        if method in modes.MODES:
            return modes.search(self.database, modes.MODES[method], queries)
        folder = self.scratch / f"{method}-{time.monotonic_ns()}"
        folder.mkdir()
        return peers.search(peers.PEERS[method], queries, self.task.targets.values(), folder, self.threads)

    def label(self, method: str) -> str:
        """What the method is called in tables."""
        return f"protvec {method} ({Path(self.options.model).name})" if method in modes.MODES else method

    def each(self, work: Callable[[str], dict[str, Any]]) -> list[dict[str, Any]]:
        """The figures of every method; of one that cannot be had, why."""
        return [{"method": self.label(method), **self._guarded(work, method)} for method in self.options.methods]

    def _guarded(self, work: Callable[[str], dict[str, Any]], method: str) -> dict[str, Any]:
        try:
            return work(method)
        except peers.PeerError as error:
            print(error, flush=True)
            return {"problem": str(error)}


def run_search(bench: Bench) -> list[dict[str, Any]]:
    """The protocol."""
    queries = bench.task.queries
    if not queries:
        print("\nsearch: no domain has another of its family, superfamily and fold")
        return []

    def work(method: str) -> dict[str, Any]:
        found, seconds = bench.search(method, queries)
        return {**assess(bench.task, found), "seconds": seconds}

    figures = bench.each(work)
    header = ["method", "", *CLASSES, "top-1", *(f"E<={limit:g}" for limit in EVALUES), "s/query"]
    print("\nsensitivity to the first false hit, and false hits a query by E-value")
    print(table(header, [_search_row(row) for row in figures if "problem" not in row]), flush=True)
    return figures


def _search_row(row: dict[str, Any]) -> list[str]:
    shares = [f"{row[name]:.3f}" for name in (*CLASSES, "top1")]
    return [row["method"], "", *shares, *_errors(row["errors"]), f"{row['seconds'] / row['queries']:.3f}"]


def run_null(bench: Bench) -> list[dict[str, Any]]:
    """Errors of queries without homologues."""
    sets = {"reversed": bench.task.reversed, "orphans": bench.task.orphans}
    sets = {name: queries for name, queries in sets.items() if queries}

    def work(method: str) -> dict[str, Any]:
        found, _ = bench.search(method, [query for queries in sets.values() for query in queries])
        return {name: assess_null(queries, found) for name, queries in sets.items()}

    figures = bench.each(work)
    header = ["method", "queries", *(f"E<={limit:g}" for limit in EVALUES)]
    rows = [[row["method"], name, *_errors(row[name])] for row in figures for name in sets if "problem" not in row]
    print("\nhits a query without homologues, by E-value")
    print(table(header, rows), flush=True)
    return figures


def _errors(errors: Mapping[str, float] | None) -> list[str]:
    return ["-"] * len(EVALUES) if errors is None else [f"{mean:.3g}" for mean in errors.values()]


RUN: dict[str, Callable[[Bench], Any]] = {"search": run_search, "null": run_null}


if __name__ == "__main__":
    raise SystemExit(main())
