#!/usr/bin/env python3
"""Fit the learned scores of residue pairs that come with protvec: what ``protvec/align/weights`` has.

Every alignment of the reference is one of two labelled domains. A small network is fitted on the residue arrays of a
model, so that the alignments become likely, and written to --out; ``Pairing.read`` reads it. With --held-out N, one of
five parts of the folds is left out, and the F1 of aligned pairs is measured in superfamilies of these folds, beside
Smith-Waterman with BLOSUM62 and the alignments of the model's scoring without learned scores; and by profiles of what
each domain has of relatives in the FASTA file, which ``protvec align`` makes too, with the other one of the pair among
these as it may be there, and without it (a second a domain; --no-profiles leaves them out). Usage::

    python scripts/fit_pairing.py scop40.fa tmalign.tsv --out near.npz              # all folds: what is shipped
    python scripts/fit_pairing.py scop40.fa tmalign.tsv --out part.npz --held-out 0
    python scripts/fit_pairing.py scop40.fa tmalign.tsv --out x.npz --held-out 0 --quick   # that it works: a few steps

The same seed gives the same draws; sums differ in their last digits from machine to machine. With --checkpoint, a
run that was stopped (--seconds) goes on where it was.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _bench_homology_modes as modes
import numpy as np
import torch
from _bench import provenance, table, write_json
from _bench_homology import read_labelled
from _bench_homology_alignments import accuracy, read_references, smith_waterman
from _fit_pairing import Example, Fit, shares, usable
from _fit_pairing_profiles import Related
from bench_engine import positive, print_provenance

from protvec.align import Chain, Pairing, scoring_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _bench_homology import Domain

    from protvec import Database

PARTS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, measure, and write it down."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    result: dict[str, Any] = provenance()
    print_provenance(result)
    domains = read_labelled(options.fasta)
    with tempfile.TemporaryDirectory() as scratch:
        folder: Path = options.keep or Path(scratch)
        database, _ = modes.make(domains.values(), folder, options.model, options.threads)
        examples = read_examples(options.reference, domains)
        names = sorted({name for each in examples for name in (each.query, each.target)})
        arrays = database.residues_many(names)
        chains = {name: Chain(domains[name].sequence, arrays[name]) for name in names}
        result["steps"] = fit(options, domains, examples, chains)
        if options.held_out is not None:
            result["accuracy"] = measure(options, domains, examples, chains, database)
    if options.json:
        write_json(options.json, result)
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("fasta", type=Path, help="domains with labels: >ID class.fold.superfamily.family")
    parser.add_argument("reference", type=Path, help="their alignments: TM-align's paths")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the weights go: a .npz file")
    parser.add_argument("--model", default="near", help="a name or a checkpoint directory; default: near")
    parser.add_argument(
        "--held-out", type=int, choices=range(PARTS), metavar="N", help="leave out a fifth of the folds"
    )
    parser.add_argument("--steps", type=positive, help="default: 2000, or 20 with --quick")
    parser.add_argument("--batch", type=positive, default=8, help="alignments a step; default: 8")
    parser.add_argument("--measured", type=positive, help="alignments to measure; default: 300, or 20 with --quick")
    parser.add_argument("--no-profiles", action="store_true", help="measure no alignments by profiles")
    parser.add_argument("--quick", action="store_true", help="a few steps: to see that it works")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=positive, default=1, help="default: 1")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="go on from there, and write it at the end")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so many, with --checkpoint")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the database there for the next run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    options = parser.parse_args(arguments)
    options.steps = options.steps or (20 if options.quick else 2_000)
    options.measured = options.measured or (20 if options.quick else 300)
    return options


def read_examples(path: Path, domains: dict[str, Domain]) -> list[Example]:
    """The alignments of domains that have the lengths they had when they were aligned."""
    return [
        Example(each.query, each.target, np.array(sorted(each.pairs), np.int64))
        for each in read_references(path)
        if all(
            name in domains and len(domains[name].sequence) == length
            for name, length in zip((each.query, each.target), each.lengths, strict=True)
        )
    ]


def part(domain: Domain) -> int:
    """Which part of the folds a domain is in."""
    return zlib.crc32(".".join(domain.fold).encode()) % PARTS


def fit(
    options: argparse.Namespace, domains: dict[str, Domain], examples: list[Example], chains: dict[str, Chain]
) -> int:
    """Fit, and write the weights; how many steps were taken."""
    kept = [
        each for each in examples if options.held_out not in {part(domains[each.query]), part(domains[each.target])}
    ]
    kept = usable(kept, {name: len(chain) for name, chain in chains.items()})
    drawn = shares([domains[each.query].superfamily for each in kept])
    state = Fit.begin(next(iter(chains.values())).residues.shape[1], options.seed)
    if options.checkpoint and options.checkpoint.exists():
        state.load(options.checkpoint)
    print(f"{len(kept):,} alignments, step {state.step:,} of {options.steps:,}", flush=True)
    start, likely = time.perf_counter(), []
    while state.step < options.steps and time.perf_counter() - start < options.seconds:
        chance = np.random.default_rng([options.seed, state.step])
        chosen = [kept[place] for place in chance.choice(len(kept), options.batch, p=drawn)]
        likely.append(state.take(chosen, chains, options.steps))
        if state.step % 100 == 0:
            print(
                f"step {state.step:,}: the pairs of the reference are {np.mean(likely[-100:]):.3f} likely", flush=True
            )
    if options.checkpoint:
        state.save(options.checkpoint)
    np.savez_compressed(options.out, **state.weights())
    return state.step


def measure(
    options: argparse.Namespace,
    domains: dict[str, Domain],
    examples: list[Example],
    chains: dict[str, Chain],
    database: Database,
) -> list[dict[str, Any]]:
    """The accuracy in what was left out."""
    wanted = [
        each
        for each in examples
        if domains[each.query].superfamily == domains[each.target].superfamily
        and part(domains[each.query]) == options.held_out
    ]
    wanted = random.Random(options.seed).sample(wanted, min(options.measured, len(wanted)))
    print(f"pairs of residues in {len(wanted):,} alignments of folds that were left out", flush=True)
    pairs = [(chains[each.query], chains[each.target]) for each in wanted]
    plain = replace(scoring_for(database.store.space.model), pairing=None)
    learned = replace(plain, temperature=plain.temperature or 1.0, pairing=Pairing.read(options.out))
    ways = {
        "Smith-Waterman, BLOSUM62": lambda a, b: smith_waterman(a.sequence, b.sequence),
        "without learned scores": lambda a, b: modes.aligned(a, b, plain),
        "with": lambda a, b: modes.aligned(a, b, learned),
    }
    if not options.no_profiles:
        related = Related(database, learned, [chain for pair in pairs for chain in pair])
        every, others = related.counts(pairs)
        print(f"relatives of one of a pair, mean: {every:.1f}, without the other of the pair {others:.1f}", flush=True)
        ways["with profiles"] = related.aligned
        ways["the other of a pair left out of them"] = related.aligned_without_each_other
    true = [frozenset(map(tuple, each.pairs.tolist())) for each in wanted]
    figures = [{"method": name, **accuracy([way(*pair) for pair in pairs], true)} for name, way in ways.items()]
    rows = [
        [
            row["method"],
            "",
            *(f"{row[name]:.3f}" for name in ("precision", "recall", "f1")),
            f"{row['f1'] / figures[0]['f1']:.2f}",
        ]
        for row in figures
    ]
    print(table(["method", "", "precision", "recall", "F1", "times the first"], rows), flush=True)
    return figures


if __name__ == "__main__":
    raise SystemExit(main())
