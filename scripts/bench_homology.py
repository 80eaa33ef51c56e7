#!/usr/bin/env python3
"""Measure how well searches find homologues, beside BLASTp, MMseqs2, DIAMOND and phmmer, on labelled domains.

The FASTA file has SCOP's labels: ``>d1dlwa_ a.1.1.1 …``, class, fold, superfamily and family. Sections:

- search: each domain that has another of its family, superfamily and fold is a query against all the others. A hit in
  another fold is false. For each query the true hits above the first false one are counted, as a fraction of all true
  ones: of its family; of its superfamily but another family; of its fold but another superfamily (the protocol of
  Foldseek, van Kempen et al. 2024). top-1: the best hit is of the query's superfamily. Errors: false hits a query with
  a reported E-value of at most 0.01, 0.1, 1 and 10; a sound E-value has that many.
- top: of every domain that has another of its family (superfamily): whether the best hit is of it, by raw means and by
  those of the search space.
- null: errors of queries that have no homologue: targets read backwards, and domains (orphans) whose folds are kept
  out of the database. What is read backwards is still like itself, whose composition it has: what it hits but itself,
  and in other folds, has lines of its own.
- alignments (with --reference): precision, recall and F1 of aligned residue pairs against reference alignments, each
  the mean over alignments, beside Smith-Waterman with BLOSUM62. The references are TM-align's paths (query, target,
  scores, lengths, path; those of one superfamily are taken), or .ali files of MALISAM and MALIDUP, or a folder of them.
  As ``protvec align`` does, with all targets as the database (a second a pair), and with its --no-profiles.
- planted: domains of about 120 residues take the place of as many in proteins of 400 to 2,000 (--hosts, by default of
  chromosome 1 of Arabidopsis, fetched with pip): how often a search with the domain itself, and with another of its
  family, has that protein among the first ten. mean compares whole proteins alone, segments their segments too.

protvec is used as its users do, through its API; the peers are Debian's ncbi-blast+, mmseqs2, diamond-aligner and
hmmer, each left out with a word where it is not installed. Usage::

    python scripts/bench_homology.py scop40.fa --quick                   # a few minutes: some folds, some queries
    python scripts/bench_homology.py scop40.fa --json homology.json      # all of them
    python scripts/bench_homology.py scop40.fa --model ankh-base
    python scripts/bench_homology.py scop40.fa --sections alignments --reference tmalign.tsv
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import _bench_homology_peers as peers
from _bench import provenance, write_json
from _bench_homology import choose, read_labelled
from _bench_homology_sections import METHODS, RUN, USUAL, Bench
from bench_engine import names, positive, print_provenance

from protvec.errors import ProtvecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _bench_homology import Task

SECTIONS = tuple(RUN)
# How many there are of what, and with --quick; None: all.
SIZES = {
    "targets": (None, 2_000, "about so many targets, whole folds"),
    "queries": (None, 100, "of the domains that have others of each class"),
    "null-queries": (100, 50, "of each kind without homologues"),
    "alignments": (1_000, 100, "reference alignments"),
    "planted": (100, 50, "planted domains"),
    "proteins": (1_000, 300, "proteins that domains are planted among"),
}


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
    parser.add_argument(
        "--methods", type=names(METHODS), default=USUAL, help=f"of {','.join(METHODS)}; default: {','.join(USUAL)}"
    )
    parser.add_argument("--reference", type=Path, metavar="FILE|DIR", help="reference alignments")
    parser.add_argument(
        "--no-profiles", action="store_true", help="only alignments without profiles: those take a second each"
    )
    parser.add_argument("--hosts", type=Path, metavar="FASTA", help="proteins to plant domains in")
    parser.add_argument("--quick", action="store_true", help="a few minutes: the second number of these")
    for name, (usual, quick, what) in SIZES.items():
        default = f"{'all' if usual is None else usual} or {quick}"
        parser.add_argument(f"--{name}", type=positive, metavar="N", help=f"{what}; default: {default}")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn; default: 1")
    parser.add_argument("--threads", type=positive, help="default: all that this process may use")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the databases there for the next run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    options = parser.parse_args(arguments)
    for name, (usual, quick, _) in SIZES.items():
        place = name.replace("-", "_")
        setattr(options, place, getattr(options, place) or (quick if options.quick else usual))
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
        bench = Bench(options, domains, task, Path(scratch))
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


if __name__ == "__main__":
    raise SystemExit(main())
