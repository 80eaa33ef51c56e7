#!/usr/bin/env python3
"""Measure protvec's engines against the plain loop: speed, fidelity, memory, share of the machine's peak.

In one run on one machine, on real proteins (Arabidopsis, chromosome 1) drawn to match their lengths, it times

- the plain loop: transformers' T5EncoderModel, fp32, one sequence at a time, default threads;
- every engine and precision of protvec on the same checkpoint (what cannot run here says why);
- NEAR, the small other model, in each of its engines;
- ``protvec search`` as a whole process, with Ankh in int8 and with NEAR;
- where ``--sections parts`` asks for it, where an encoder's time goes, part by part;
- where ``--sections long`` asks for it, one protein as long as titin: half an hour, or ``--layers 2``: a minute.

Each contender is a process of its own. They take turns, round after round, because machines are noisy: ratios
are taken within a round. The peak is the fastest matrix product of any round. Where "CPUs used" is below the
machine's, others were at work. All contenders are in memory at once: about 14 GB for ankh-base. Usage::

    python scripts/bench_engine.py --quick               # a few minutes on two cores, rough
    python scripts/bench_engine.py --json engine.json    # about 20 minutes

The weights of ankh-base are used where they are on this machine. Elsewhere a model of the same shape with
random weights is made, once, in the user's cache directory (1.8 GB): as fast, but its fidelity says little.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import Spread, Worker, draw, proteins, provenance, table, write_json
from _bench_encoders import ON, PLAIN, RANDOM_MARK, SHAPES, flop, write_random
from _bench_limit import ceilings, spread
from _bench_long import TITIN, time_long
from _bench_parts import show_parts
from _bench_race import Contender, entries, race
from _bench_search import SEARCHES, time_searches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from protvec.fasta import Record
    from protvec.models import Checkpoint

SECTIONS = ("engine", "near", "search", "parts", "long")
PRECISIONS = ("fp32", "bf16", "int8")
RESIDUES, QUICK_RESIDUES = 12_000, 2_000
NEAR_TIMES = 5  # NEAR is that much faster that it gets more proteins
# How long and with which shapes matrix products are measured in each round.
PRODUCTS, QUICK_PRODUCTS = (0.5, SHAPES), (0.2, SHAPES[:-1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, print it, and write it down."""
    options = parse(arguments)
    if options.fresh:
        scratch = tempfile.TemporaryDirectory()
        os.environ["XDG_CACHE_HOME"] = scratch.name  # of this process and its children
    checkpoint, near = the_model(options.model), the_near()
    random = (checkpoint.directory / RANDOM_MARK).is_file()
    name = checkpoint.spec.name + (" (RANDOM WEIGHTS)" if random else "")
    records = proteins(options.fasta)
    result = provenance() | {"model": {"name": checkpoint.spec.name, "random_weights": random}}
    print_provenance(result)
    if "engine" in options.sections:
        sample = draw(records, residues=options.residues)
        engines = [PLAIN, "openvino"] if options.quick else [PLAIN, "torch", "openvino"]
        engines += [f"torch{ON}{options.device}"] if options.device else []
        result["engine"] = compare(name, checkpoint, engines, sample, options)
    if "near" in options.sections and near:
        sample = draw(records, residues=NEAR_TIMES * options.residues)
        title = "near (ANOTHER MODEL, not Ankh; the yardstick is near in torch)"
        result["near"] = compare(title, near, ("torch", "openvino"), sample, options)
    if "search" in options.sections:
        print(f"\nprotvec search, cold process to printed hits, {SEARCHES} runs; SYNTHETIC vectors in the database")
        result["search"] = [time_searches(name, checkpoint, records, (("openvino", "int8"), ("torch", "fp32")))]
        if near:
            result["search"].append(time_searches("near", near, records, (("auto", "auto"),)))
    if "parts" in options.sections:
        print(f"\n{name}")
        result["parts"] = show_parts(checkpoint, options.precisions)
    if "long" in options.sections:
        result["long"] = [time_long(options.long, options.layers, precision) for precision in options.precisions]
    if options.json:
        write_json(options.json, result)
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="few residues, without the torch engine: minutes, and rough figures"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--model", metavar="DIR|NAME", help="a T5 checkpoint; default ankh-base or its shape")
    parser.add_argument("--precisions", type=names(PRECISIONS), default=PRECISIONS, help="default: all")
    parser.add_argument("--sections", type=names(SECTIONS), default=SECTIONS[:3], help=f"of {','.join(SECTIONS)}")
    parser.add_argument("--rounds", type=positive, default=3, help="default: 3")
    parser.add_argument("--residues", type=positive, help=f"in a round; default {RESIDUES}, quick {QUICK_RESIDUES}")
    parser.add_argument("--long", type=positive, default=TITIN, help="residues in the section long; default: titin's")
    parser.add_argument("--layers", type=positive, default=48, help="of Ankh-base's 48, in the section long")
    parser.add_argument("--device", metavar="NAME", help="also torch on this device, such as cuda")
    parser.add_argument("--fasta", type=Path, metavar="FILE", help="draw from these proteins; fetch nothing")
    parser.add_argument("--fresh", action="store_true", help="convert anew in a cache of its own, to time it (Linux)")
    options = parser.parse_args(arguments)
    options.residues = options.residues or (QUICK_RESIDUES if options.quick else RESIDUES)
    return options


def names(known: Sequence[str]) -> Any:  # noqa: ANN401  # argparse's own
    """A parser of comma-separated names."""

    def read(text: str) -> tuple[str, ...]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return tuple(name for name in known if name in chosen)

    return read


def positive(text: str) -> int:
    """A number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number


def the_model(model: str | None) -> Checkpoint:
    """The checkpoint that was asked for, else ankh-base, else one of its shape."""
    import platformdirs

    from protvec.errors import ModelUnavailableError
    from protvec.models import find

    if model is not None:
        return find(model, offline=True)
    try:
        return find("ankh-base", offline=True)
    except ModelUnavailableError:
        directory = Path(platformdirs.user_cache_dir("protvec-bench", appauthor=False)) / "ankh-base-random"
    if not directory.is_dir():
        print("the weights of ankh-base are not here: making random ones of its shape, 1.8 GB", file=sys.stderr)
        worker = Worker()
        worker.call(write_random, directory)
        worker.close()
    print(f"random weights of the shape of ankh-base, kept for the next run: {directory}", file=sys.stderr)
    return find(directory)


def the_near() -> Checkpoint | None:
    """NEAR, where its weights are installed."""
    from protvec.errors import ModelUnavailableError
    from protvec.models import find

    try:
        return find("near")
    except ModelUnavailableError as error:
        print(f"near: not available: {error}", file=sys.stderr)
        return None


# --- Engines against each other ----------------------------------------------------------------------------


def compare(
    title: str,
    checkpoint: Checkpoint,
    engines: Sequence[str],
    sample: Sequence[Record],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Race the engines on one checkpoint, print the table, and return every figure. The first is the yardstick."""
    lengths = [len(record.sequence) for record in sample]
    print(f"\n{title}\n{len(sample)} proteins, {sum(lengths)} residues a round, {options.rounds} rounds", end=", ")
    print(f"lengths {min(lengths)}-{max(lengths)}, median {np.median(lengths):.0f}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        contenders = entries(checkpoint, engines, options.precisions, Path(scratch))
        measured = QUICK_PRODUCTS if options.quick else PRODUCTS
        products = race(contenders, [record.sequence for record in sample], options.rounds, measured)
        peaks = {kind: max((p[kind] or 0 for p in products), default=0) or None for kind in PRECISIONS}
        work = flop(checkpoint, lengths) / 1e9
        rows = [figures(entry, contenders[0], lengths, work, peaks) for entry in contenders]
    print_table(rows)
    for kind in PRECISIONS:
        print(f"fastest {kind} matrix product, by round: {' '.join(spelled(p[kind]) for p in products)} GFLOP/s")
    limits = limit(checkpoint, lengths, measured[0], peaks)
    return {
        "model": title,
        "proteins": [record.id for record in sample],
        "lengths": lengths,
        "gflop_a_round": work,
        "gflops_peaks": peaks,
        "gflops_peaks_by_round": products,
        "gflops_ceilings": limits,
        "contenders": rows,
    }


def limit(
    checkpoint: Checkpoint, lengths: Sequence[int], seconds: float, peaks: dict[str, float | None]
) -> dict[str, float | None] | None:
    """What the model's own products reach with nothing around them: measured, printed and returned; T5 only."""
    if checkpoint.spec.architecture == "near":
        return None
    config = json.loads((checkpoint.directory / "config.json").read_text(encoding="utf-8"))
    worker = Worker()
    found: dict[str, float | None] = worker.call(ceilings, config, spread(lengths), seconds)
    worker.close()
    print(f"this model's products alone, at {len(spread(lengths))} of the lengths:", end="")
    for kind, best in found.items():
        share = f" ({best / peak:.0%} of the fastest)" if best and (peak := peaks[kind]) else ""
        print(f" {kind} {spelled(best)} GFLOP/s{share}", end="")
    print()
    return found


def figures(
    entry: Contender,
    yardstick: Contender,
    lengths: Sequence[int],
    work: float,
    peaks: dict[str, float | None],
) -> dict[str, Any]:
    """Everything that is known of one contender; ratios within each round, shares of the machine's best."""
    known = {"engine": entry.engine, "precision": entry.precision, "problem": entry.problem}
    if entry.problem is not None:
        return known
    rounds: list[dict[str, Any]] = []
    best = None if ON in entry.engine else peaks[entry.precision]  # of the CPUs
    for turn, other in zip(entry.turns, yardstick.turns, strict=True):
        speed = work / turn["seconds"]
        rounds.append(
            {
                **turn,
                "residues_a_second": sum(lengths) / turn["seconds"],
                "cpus_used": turn["cpu_seconds"] / turn["seconds"],
                "ratio": other["seconds"] / turn["seconds"],
                "gflops": speed,
                "share_of_peak": speed / best if best else None,
            }
        )
    keys = ("residues_a_second", "cpus_used", "ratio", "gflops", "share_of_peak")
    medians = {key: asdict(Spread.of(r[key] for r in rounds)) for key in keys if rounds[0][key] is not None}
    memory = {"peak_bytes": max(turn["peak_bytes"] for turn in entry.turns)}
    loading = {"first_load": entry.first_load, "load": entry.loaded}
    return known | medians | cosines(entry, yardstick, lengths) | memory | loading | {"rounds": rounds}


def cosines(entry: Contender, yardstick: Contender, lengths: Sequence[int]) -> dict[str, dict[str, float]]:
    """How alike the vectors and the residues of both are, in the last round."""
    dimension = entry.checkpoint.spec.dimension
    ours, theirs = (np.fromfile(path, np.float32).reshape(-1, dimension) for path in (entry.outputs, yardstick.outputs))
    if not len(ours) == len(theirs) == sum(lengths):
        raise SystemExit(f"{entry.engine} gave {len(ours)} residues and the yardstick {len(theirs)} of {sum(lengths)}")
    starts = list(itertools.accumulate(lengths, initial=0))[:-1]
    pooled = [np.add.reduceat(rows, starts, axis=0, dtype=np.float64) for rows in (ours, theirs)]
    return {"pooled_cosine": extremes(pooled[0], pooled[1]), "residue_cosine": extremes(ours, theirs)}


def extremes(ours: NDArray[np.floating], theirs: NDArray[np.floating]) -> dict[str, float]:
    """The least and the mean cosine of rows."""
    a, b = (rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True) for rows in (ours, theirs))
    values = np.einsum("ij,ij->i", a, b)
    return {"min": float(values.min()), "mean": float(values.mean())}


# --- For people --------------------------------------------------------------------------------------------


def print_provenance(result: dict[str, Any]) -> None:
    """Machine and versions, and a warning where others use the machine."""
    machine = result["machine"]
    memory = machine["memory_bytes"] / 2**30
    print(f"{machine['cpu']}, {machine['cpus']} CPUs, {memory:.0f} GiB; {' '.join(machine['flags'])}")
    print(", ".join(f"{name} {version or 'not installed'}" for name, version in result["versions"].items()))
    if (machine["load_average"] or 0) > machine["cpus"] / 2:
        print(f"WARNING: others use this machine (load average {machine['load_average']:.1f}): figures are rough")


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """The comparison; what is out of the race is named below it."""
    header = "engine,precision,residues/s,min-max,ratio,min-max,pooled cosine min,mean,residue cosine min,mean"
    header += ",CPUs used,peak GB,first load s,load s,GFLOP/s,of peak"
    print(table(header.split(","), [line(row) for row in rows if row["problem"] is None]))
    for row in rows:
        if row["problem"] is not None:
            print(f"{row['engine']} {row['precision']}: not available: {row['problem']}")


def line(row: dict[str, Any]) -> list[str]:
    """One line of the table."""
    speed, ratio = row["residues_a_second"], row["ratio"]
    first, share = row["first_load"], row.get("share_of_peak")
    return [
        row["engine"],
        row["precision"],
        f"{speed['median']:,.0f}",
        f"{speed['low']:,.0f}-{speed['high']:,.0f}",
        f"{ratio['median']:.2f}",
        f"{ratio['low']:.2f}-{ratio['high']:.2f}",
        *(f"{row[key][which]:.5f}" for key in ("pooled_cosine", "residue_cosine") for which in ("min", "mean")),
        f"{row['cpus_used']['median']:.1f}",
        f"{row['peak_bytes'] / 1e9:.2f}",
        f"{first['seconds']:.1f}" if first else "-",
        f"{row['load']['seconds']:.1f}",
        f"{row['gflops']['median']:.0f}",
        f"{share['median']:.0%}" if share else "-",
    ]


def spelled(value: float | None) -> str:
    """A figure, or that there is none."""
    return "none" if value is None else f"{value:.0f}"


if __name__ == "__main__":
    sys.exit(main())
