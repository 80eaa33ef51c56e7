#!/usr/bin/env python3
"""Measure protvec's store: what codecs lose, write and read rates, growth, overhead of an ingest, memory.

In one run on one machine, on real proteins (Arabidopsis, chromosome 1) with ``near`` and on made-up arrays of 400
residues of 768 dimensions:

- fidelity: cosines of decoded residues with float32, by codec;
- write: MB/s of stored residues through ``Store.write``, in commits as large as an ingest's, both tables, all checks
  and ``fsync`` included, against Arrow files of the same bytes, one a commit and synced: of arrays that are encoded
  already, as an ingest writes them, and of float32, which is encoded on the way;
- read: milliseconds to read 1, 50 and 500 proteins by id; bytes a residue;
- growth: bytes after many ingests of one protein each, before and after ``protvec compact``;
- overhead: an ingest against embedding the same sequences alone, in turn, also by what the encoder's own threads take;
- memory: peaks of ingests of files of growing size, and of opening and searching a large database.

Usage::

    python scripts/bench_store.py --quick              # some minutes, rough
    python scripts/bench_store.py --json store.json    # 10 to 20 minutes; 12 GB of disk for a while
    python scripts/bench_store.py --sections overhead --overhead-residues 10000000 --rounds 1    # 8 minutes
"""

from __future__ import annotations

import argparse
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _bench import Spread, Worker, draw, proteins, provenance, table, total, write_json
from _bench_store import (
    CODECS,
    fidelity,
    growth,
    ingest_memory,
    overhead,
    reading,
    search_memory,
    write_vectors,
    writing,
)
from bench_engine import names, positive, print_provenance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protvec.fasta import Record

SECTIONS = ("fidelity", "write", "read", "growth", "overhead", "memory")
# What is measured on how much: (full, quick).
SIZES = {
    "fidelity_residues": (300_000, 30_000),
    "write_proteins": (872, 110),
    "read_proteins": (10_000, 200),
    "ingests": (1_000, 25),
    "overhead_residues": (200_000, 15_000),
    "memory_residues": (200_000, 5_000),
    "vectors": (100_000, 2_000),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, print it, and write it down."""
    options = parse(arguments)
    sizes = {name: quick if options.quick else full for name, (full, quick) in SIZES.items()}
    if options.overhead_residues:
        sizes["overhead_residues"] = options.overhead_residues
    result = provenance()
    print_provenance(result)
    records = proteins(options.fasta)
    failed = []
    for section in options.sections:
        print(f"\n{section}", flush=True)
        start = time.monotonic()
        try:
            result[section] = RUN[section](records, sizes, options)
        except Exception:  # the other sections are worth having all the same
            traceback.print_exc()
            failed.append(section)
        print(f"({time.monotonic() - start:.0f} s)", flush=True)
        if options.json:  # each time: a run that is cut short leaves what it had found
            write_json(options.json, result)
    if failed:
        print(f"failed: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="on little data: minutes, and rough figures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--sections", type=names(SECTIONS), default=SECTIONS, help=f"of {','.join(SECTIONS)}")
    parser.add_argument("--codecs", type=names(CODECS), default=CODECS, help="of write and read; default: all")
    parser.add_argument("--rounds", type=positive, default=3, help="default: 3")
    parser.add_argument(
        "--overhead-residues", type=positive, metavar="N", help="of overhead; 10 million are all of chromosome 1"
    )
    parser.add_argument("--fasta", type=Path, metavar="FILE", help="draw from these proteins; fetch nothing")
    return parser.parse_args(arguments)


def run_fidelity(records: Sequence[Record], sizes: dict[str, int], options: argparse.Namespace) -> Any:  # noqa: ANN401, ARG001
    """Of ``near``."""
    found = fidelity(draw(records, residues=sizes["fidelity_residues"]))
    header = ["codec", "", "residue worst", "mean", "error most", "pooled worst", "error most"]
    rows = [
        [
            each["codec"],
            f"{each['proteins']} proteins",
            f"{each['residue_worst']:.6f}",
            f"{each['residue_mean']:.6f}",
            f"{each['residue_error_most']:.2%}",
            f"{each['pooled_worst']:.9f}",
            f"{each['pooled_error_most']:.1e}",
        ]
        for each in found
    ]
    print(table(header, rows), flush=True)
    return found


def run_write(records: Sequence[Record], sizes: dict[str, int], options: argparse.Namespace) -> Any:  # noqa: ANN401, ARG001
    """The codecs in turn, round after round."""
    turns = {name: [] for name in options.codecs}
    for _ in range(options.rounds):
        for name in options.codecs:
            turns[name].append(writing(name, proteins=sizes["write_proteins"]))
    spreads = {
        name: {figure: Spread.of(turn[figure] for turn in each) for figure in each[0]} for name, each in turns.items()
    }
    rows = [
        [name, "", *(f"{each[figure].median / 1e6:,.0f}" for figure in ("plain", "ours", "raw", "encode"))]
        + [_ratio(each[figure]) for figure in ("ratio", "raw_ratio")]
        for name, each in spreads.items()
    ]
    header = ["codec", "", "pyarrow MB/s", "protvec MB/s", "encoding too", "encode, float32 MB/s", "ratio"]
    print(table([*header, "ratio, encoding too"], rows), flush=True)
    return {name: {figure: vars(spread) for figure, spread in each.items()} for name, each in spreads.items()}


def _ratio(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.low:.2f}-{spread.high:.2f})"


def run_read(records: Sequence[Record], sizes: dict[str, int], options: argparse.Namespace) -> Any:  # noqa: ANN401, ARG001
    """By id, warm."""
    found = [reading(name, proteins=sizes["read_proteins"], rounds=5 * options.rounds) for name in options.codecs]
    rows = []
    for each in found:
        times = [each.get(f"ms_{count}") for count in (1, 50, 500)]
        shown = [f"{t['median']:.1f} ({t['low']:.1f}-{t['high']:.1f})" if t else "" for t in times]
        size = [f"{each['bytes_per_residue']:.1f}", f"{each['of_its_own_size']:.4f}"]
        rows.append([each["codec"], f"{each['proteins']} proteins", *shown, *size])
    print(table(["codec", "", "ms for 1", "for 50", "for 500", "bytes a residue", "of its own"], rows), flush=True)
    return found


def run_growth(records: Sequence[Record], sizes: dict[str, int], options: argparse.Namespace) -> Any:  # noqa: ANN401, ARG001
    """One protein an ingest."""
    found = growth(records[: sizes["ingests"]])
    print(f"{found['ingests']} ingests of one protein each; the codec's own size {found['codec_own'] / 1e6:.1f} MB")
    for when in ("before", "compacted", "after"):
        sizes_ = [
            f"{name} {each['total'] / 1e6:.1f} MB (old {each['old'] / 1e6:.1f})" for name, each in found[when].items()
        ]
        print(f"  {when}: {', '.join(sizes_)}")
    print(f"  residues of the present version: {found['present_before']:.4f} of their own size before,")
    print(f"  {found['of_its_own_size']:.4f} after; an ingest takes {found['first_ms']:.0f} ms at first, ", end="")
    print(f"{found['last_ms']:.0f} ms at last", flush=True)
    return found


def run_overhead(records: Sequence[Record], sizes: dict[str, int], options: argparse.Namespace) -> Any:  # noqa: ANN401
    """Embedding alone and with everything else, in turn."""
    found = overhead(draw(records, residues=sizes["overhead_residues"]), rounds=options.rounds)
    print(f"{found['residues']:,} residues, an ingest beside embedding them alone", flush=True)
    words = {"wall": "time", "cpu": "CPU", "relative": "CPU for each second of the encoder's threads"}
    for clock, spread in found["overhead"].items():
        print(f"{words[clock]}: {spread['median']:+.1%} ({spread['low']:+.1%} to {spread['high']:+.1%})", flush=True)
    return found


def run_memory(records: Sequence[Record], sizes: dict[str, int], options: argparse.Namespace) -> Any:  # noqa: ANN401, ARG001
    """Each in a process of its own."""
    found: dict[str, Any] = {"ingest": []}
    for times in (1, 4):
        drawn = draw(records, residues=times * sizes["memory_residues"])
        peak = _alone(ingest_memory, drawn)
        found["ingest"].append({"residues": total(drawn), "peak": peak})
        print(f"ingest of {total(drawn):,} residues: peak {peak / 1e6:,.0f} MB", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        write_vectors(Path(scratch) / "db", proteins=sizes["vectors"])
        found["search"] = {"proteins": sizes["vectors"]} | _alone(search_memory, Path(scratch) / "db")
    each = found["search"]
    print(f"{each['proteins']:,} proteins: open {each['opened'] / 1e6:,.0f} MB, ", end="")
    print(f"search {each['searched'] / 1e6:,.0f} MB, {each['ms']:.0f} ms", flush=True)
    return found


def _alone(function: Any, *arguments: object) -> Any:  # noqa: ANN401
    worker = Worker()
    try:
        return worker.call(function, *arguments)
    finally:
        worker.close()


RUN = {
    "fidelity": run_fidelity,
    "write": run_write,
    "read": run_read,
    "growth": run_growth,
    "overhead": run_overhead,
    "memory": run_memory,
}


if __name__ == "__main__":
    raise SystemExit(main())
