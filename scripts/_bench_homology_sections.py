"""The sections of bench_homology.py: each measures, prints a table, and gives its figures."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _bench_homology_modes as modes
import _bench_homology_peers as peers
from _bench import proteins, table
from _bench_homology import CLASSES, EVALUES, assess, assess_null, of_another_fold, of_others, share_alike
from _bench_homology_alignments import accuracy, cases, read_references, smith_waterman
from _bench_homology_planted import TOP, plant, share_found

from protvec.align import scoring_for

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from _bench_homology import Domain, Found, Task

    import protvec

METHODS = (*modes.MODES, *peers.PEERS)
USUAL = tuple(method for method in METHODS if method != modes.SLOW)


class Bench:
    """What the sections share: domains, a task of them, folders, and a database that is made when first wanted."""

    def __init__(self, options: argparse.Namespace, domains: Mapping[str, Domain], task: Task, scratch: Path) -> None:
        from protvec.engine.threads import available_cpus

        self.options, self.domains, self.task, self._scratch = options, domains, task, scratch
        self.threads = options.threads or available_cpus()
        self._database: protvec.Database | None = None

    def make(self, targets: Iterable[Domain]) -> protvec.Database:
        """A database of these."""
        folder = self.options.keep or self._scratch
        database, seconds = modes.make(targets, folder, self.options.model, self.options.threads)
        print(f"database of {len(database):,} by {self.options.model}: {seconds:.1f} s", flush=True)
        return database

    def own(self) -> protvec.Database:
        """The database of the task's targets."""
        if self._database is None:
            self._database = self.make(self.task.targets.values())
        return self._database

    def search(self, method: str, queries: Sequence[Domain]) -> tuple[Mapping[str, Sequence[Found]], float]:
        """The hits of a method among the task's targets, and the seconds that it took.

        Raises:
            PeerError: It is a peer that is not installed, or that failed.
        """
        if method in modes.MODES:
            return modes.search(self.own(), modes.MODES[method], queries)
        folder = self._scratch / f"{method}-{time.monotonic_ns()}"
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


def run_top(bench: Bench) -> list[dict[str, Any]]:
    """The best hit of every domain, by one vector each: raw means against those of the search space."""
    database = bench.own()
    figures = []
    for method in (name for name in (modes.RAW, modes.MEAN) if name in bench.options.methods):
        best = modes.nearest(database, modes.MODES[method])
        figures.append({"method": bench.label(method), **share_alike(bench.task.targets, best)})
    print("\nbest hit of every domain that has another of its family or superfamily: share that is of it")
    rows = [[row["method"], "", f"{row['family']:.3f}", f"{row['superfamily']:.3f}"] for row in figures]
    print(table(["method", "", "family", "superfamily"], rows), flush=True)
    return figures


def run_null(bench: Bench) -> list[dict[str, Any]]:
    """Errors of queries without homologues; of those read backwards also without hits in what they were before.

    That is the domain itself, and then its fold.
    """
    task = bench.task
    sets = {
        "reversed": (task.reversed, None),
        "but themselves": (task.reversed, of_others),
        "in other folds": (task.reversed, of_another_fold),
        "orphans": (task.orphans, None),
    }
    sets = {name: each for name, each in sets.items() if each[0]}

    def work(method: str) -> dict[str, Any]:
        found, _ = bench.search(method, [*task.reversed, *task.orphans])
        return {name: assess_null(queries, found, task.targets, wrong) for name, (queries, wrong) in sets.items()}

    figures = bench.each(work)
    header = ["method", "queries", *(f"E<={limit:g}" for limit in EVALUES)]
    rows = [[row["method"], name, *_errors(row[name])] for row in figures for name in sets if "problem" not in row]
    print("\nhits a query without homologues, by E-value")
    print(table(header, rows), flush=True)
    return figures


def _errors(errors: Mapping[str, float] | None) -> list[str]:
    return ["-"] * len(EVALUES) if errors is None else [f"{mean:.3g}" for mean in errors.values()]


def run_alignments(bench: Bench) -> list[dict[str, Any]]:
    """Residue pairs against those of reference alignments."""
    path = bench.options.reference
    if path is None:
        print("\nalignments: left out: --reference names a file or folder of reference alignments")
        return []
    wanted, differing = cases(read_references(path), bench.domains, path)
    if differing:
        print(
            f"\n{differing} reference alignments left out: their sequences have other lengths in {bench.options.fasta}"
        )
    wanted = random.Random(bench.options.seed).sample(wanted, min(bench.options.alignments, len(wanted)))
    true = [case.reference.pairs for case in wanted]
    pairs = [(case.query, case.target) for case in wanted]
    start = time.perf_counter()
    classical = [smith_waterman(*pair) for pair in pairs]
    seconds = time.perf_counter() - start
    database, model = bench.make(modes.as_domains(pairs)), Path(bench.options.model).name
    ours, our_seconds = modes.align(database, pairs)
    figures = [
        {"method": "Smith-Waterman, BLOSUM62", **accuracy(classical, true), "seconds": seconds},
        {"method": f"protvec align --no-profiles ({model})", **accuracy(ours, true), "seconds": our_seconds},
    ]
    if not bench.options.no_profiles and scoring_for(database.store.space.model).pairing is not None:
        ours, our_seconds = modes.align_profiles(bench.own(), pairs)
        figures.append({"method": f"protvec align ({model})", **accuracy(ours, true), "seconds": our_seconds})
    print(f"\npairs of residues in {len(wanted):,} alignments of {path.name}: means over alignments")
    rows = [
        [row["method"], "", *(f"{row[name]:.3f}" for name in ("precision", "recall", "f1")), f"{row['seconds']:.1f}"]
        for row in figures
    ]
    print(table(["method", "", "precision", "recall", "F1", "s"], rows))
    times = ", ".join(f"{row['f1'] / figures[0]['f1']:.2f}" for row in figures[1:])
    print(f"F1 {times} times that of Smith-Waterman", flush=True)
    return figures


def run_planted(bench: Bench) -> dict[str, Any]:
    """Domains in long proteins."""
    options = bench.options
    planting = plant(
        bench.domains, proteins(options.hosts), hosts=options.proteins, planted=options.planted, seed=options.seed
    )
    if not planting.itself:
        print("\nplanted: no domain of about 120 residues, or no protein of 400 to 2,000")
        return {"targets": len(planting.targets), "methods": []}
    database = bench.make(planting.targets)
    figures = []
    for method in (name for name in options.methods if name in modes.MODES):
        found, _ = modes.search(database, modes.MODES[method], planting.queries, depth=TOP)
        itself, relatives = (share_found(wanted, found) for wanted in (planting.itself, planting.relatives))
        figures.append({"method": bench.label(method), "itself": itself, "relative": relatives})
    counts = f"{len(planting.itself)} domains and {len(planting.relatives)} relatives"
    print(f"\n{counts} in {len(planting.targets):,} proteins: share found in the first {TOP}")
    rows = [[row["method"], "", f"{row['itself']:.2f}", f"{row['relative']:.2f}"] for row in figures]
    print(table(["method", "", "itself", "relative"], rows), flush=True)
    sizes = {"targets": len(planting.targets), "itself": len(planting.itself), "relatives": len(planting.relatives)}
    return {**sizes, "methods": figures}


RUN: dict[str, Callable[[Bench], Any]] = {
    "search": run_search,
    "top": run_top,
    "null": run_null,
    "alignments": run_alignments,
    "planted": run_planted,
}
