#!/usr/bin/env python3
"""What it costs to go past one machine: scaling, overhead of shards and of Ray, commits, forecasts, a large database.

Sections:

- scaling: one worker against two, each pinned to a core of its own;
- overhead: `protvec shard`, `embed` and `commit` against `protvec ingest`, all on one core;
- ray: `protvec ingest --ray` with one worker against `protvec ingest`, all on one core, and with the others free;
- commit: the rate of one committer on arrays of Ankh base's shape, and its memory;
- cut: records that `protvec shard` cuts in a second, and memory for each;
- plan: the forecasts of `protvec plan` against ingests of different size;
- swissprot: sequences of Swiss-Prot through Ray into one database (--proteins), indexed and searched;
- memory: what a process that searches takes, on made-up vectors in several sizes, against the forecast.

Workers are processes of their own with one thread. Every part is run with the commands that a user would type, most
on the proteins of chromosome 1 of Arabidopsis and with ``near``. In overhead and ray each way is timed at two sizes:
seconds that every run takes, such as the start of Python, of the model and of a worker, are told from the rate. Usage::

    python scripts/bench_cluster.py --quick              # minutes, rough
    python scripts/bench_cluster.py --sections scaling,plan --residues 2000000 --json cluster.json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _bench import Worker, draw, proteins, provenance, table, write_json
from _bench_cluster import build_index, commit_shards, cut_records, make_shards, make_vectors, search_there, size_of
from _bench_commands import ON_RAY, Command, Run, cores, protvec
from _bench_vectors import swissprot
from bench_engine import names, positive, print_provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECTIONS = ("scaling", "overhead", "ray", "commit", "cut", "plan", "swissprot", "memory")
# (by default, with --quick)
RESIDUES = (1_600_000, 200_000)  # to embed, of the given proteins
SMALLER = 8  # times, of the two sizes in overhead and ray
COMMITTED = (8_000, 2_000)  # proteins of 400 x 768 in the section commit
RECORDS = (1_000_000, 100_000)  # in the section cut
FORECASTS = ((100_000, 400_000, 1_600_000), (50_000, 200_000))  # residues
PROTEINS = (20_000, 500)  # of Swiss-Prot
VECTORS = ((1_000_000, 2_000_000), (20_000, 40_000))  # in the section memory
DIMENSION = 256  # of these: near's
SEARCHES = (500, 50)
_FAR = 1 << 40  # bytes: more memory than any of the databases needs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections, print what they found, and write it down."""
    options = parse(arguments)
    result = provenance()
    print_provenance(result)
    with tempfile.TemporaryDirectory(dir=options.scratch, prefix="bench-cluster-") as scratch:
        bench = _Bench(Path(scratch), options)
        for section in options.sections:
            print(f"\n{section}:", flush=True)
            result[section] = getattr(bench, section)()
            if options.json:  # also what a run has that is stopped
                write_json(options.json, result)
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="on little: minutes, and rough figures")
    parser.add_argument("--sections", type=names(SECTIONS), default=SECTIONS, help=f"of {','.join(SECTIONS)}")
    parser.add_argument("--fasta", type=Path, help="proteins to embed; by default chromosome 1 of Arabidopsis")
    parser.add_argument("--residues", type=positive, help=f"how much of them to embed; default: {RESIDUES[0]}")
    parser.add_argument("--proteins", type=positive, help=f"of Swiss-Prot; default: {PROTEINS[0]}")
    parser.add_argument("--swissprot", type=Path, metavar="FILE", help="the .psq file; else Debian's is fetched")
    parser.add_argument("--vectors", type=_sizes, metavar="N,N", help="sizes in memory; default: 1000000,2000000")
    parser.add_argument("--dimension", type=positive, default=DIMENSION, help=f"of these; default: {DIMENSION}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="for databases; by default a temporary folder")
    return parser.parse_args(arguments)


def _sizes(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


class _Bench:
    def __init__(self, scratch: Path, options: argparse.Namespace) -> None:
        self._scratch, self._options = scratch, options
        self._quick: bool = options.quick
        self._residues: int = options.residues or RESIDUES[self._quick]
        self._local: dict[int | None, list[Run]] = {}

    # -- scaling and overhead ------------------------------------------------------------------------------------

    def scaling(self) -> dict[str, Any]:
        """One worker against two, on two shards; each with a core and one thread."""
        fasta = self._fasta(self._residues)
        ours = cores()
        if len(ours) < 2:
            return _left_out("one core alone")
        seconds: dict[int, float] = {}
        peaks: dict[int, int] = {}
        took: dict[int, list[float]] = {}
        for workers in (1, 2):
            shards = self._scratch / f"scaling-{workers}"
            protvec("shard", fasta, "-n", 2, "-o", shards, *_NEAR)
            if workers == 1:
                runs = [_embed(shards, number, ours[0]).ended() for number in (0, 1)]
            else:
                runs = [each.ended() for each in [_embed(shards, number, ours[number]) for number in (0, 1)]]
            took[workers] = each = [json.loads(run.lines[-1])["seconds"] for run in runs]
            seconds[workers] = sum(each) if workers == 1 else max(each)
            peaks[workers] = max(run.peak() for run in runs)
        residues = _count(fasta)[1]
        rows = [[str(n), f"{seconds[n]:.1f}", f"{residues / seconds[n]:,.0f}", _mb(peaks[n])] for n in seconds]
        _show(["workers", "seconds", "residues/s", "MB a worker"], rows)
        speedup = seconds[1] / seconds[2]
        print(f"{residues:,} residues in two shards: {speedup:.2f} x with two workers", flush=True)
        return {"residues": residues, "seconds": seconds, "each": took, "peaks": peaks, "speedup": speedup}

    def overhead(self) -> dict[str, Any]:
        """Shards against a local ingest, everything on one core."""
        return self._against_local("shard, embed, commit", self._by_shards, cores()[0])

    def ray(self) -> dict[str, Any]:
        """Ray against a local ingest: everything on one core, and one thread beside cores that are free."""
        found = {"one core": self._against_local("ingest --ray", self._on_ray, cores()[0])}
        if len(cores()) > 1:
            found["free"] = self._against_local("ingest --ray", self._on_ray, None)
        return found

    def _against_local(
        self, name: str, way: Callable[[int, int | None], dict[str, Run]], core: int | None
    ) -> dict[str, Any]:
        """Another way to ingest against the usual one, at two sizes, each with one thread."""
        sizes = [self._residues // SMALLER, self._residues]
        residues = [_count(self._fasta(size))[1] for size in sizes]
        if core not in self._local:
            self._local[core] = [self._locally(size, core) for size in sizes]
        runs = self._local[core]
        steps = [way(size, core) for size in sizes]
        local = _line(residues, [run.seconds for run in runs])
        other = _line(residues, [sum(run.seconds for run in each.values()) for each in steps])
        rows = []
        for label, line in (("ingest", local), (name, other)):
            small, large = (f"{each:.1f}" for each in line["seconds"])
            rows.append([label, small, large, f"{line['every_run']:.1f}", f"{line['residues_per_second']:,.0f}"])
        print("all on one core" if core is not None else f"one thread, {len(cores())} cores", flush=True)
        _show(["", f"s, {residues[0]:,}", f"s, {residues[1]:,} residues", "s of every run", "residues/s beyond"], rows)
        found = {
            "residues": residues,
            "local": local | _costs({"ingest": runs[1]}),
            "other": other | _costs(steps[1]),
            "overhead": other["seconds"][1] / local["seconds"][1] - 1,
            "overhead_of_rate": local["residues_per_second"] / other["residues_per_second"] - 1,
            "every_run": other["every_run"] - local["every_run"],
        }
        _show_costs(found["local"]["steps"] | found["other"]["steps"])
        print(
            f"{found['overhead']:+.1%} at {residues[1]:,} residues: {found['every_run']:+.1f} s of every run, "
            f"{found['overhead_of_rate']:+.1%} of what grows with them",
            flush=True,
        )
        return found

    def _locally(self, size: int, core: int | None) -> Run:
        db = self._scratch / f"local-{size}-{core}.lancedb"
        return protvec("ingest", self._fasta(size), "--db", db, "--threads", 1, *_NEAR, core=core)

    def _by_shards(self, size: int, core: int | None) -> dict[str, Run]:
        shards = self._scratch / f"overhead-{size}"
        every = [word for number in range(4) for word in ("--shard", number)]
        return {
            "shard": protvec("shard", self._fasta(size), "-n", 4, "-o", shards, *_NEAR, core=core),
            "embed": protvec("embed", shards, *every, "--threads", 1, core=core),
            "commit": protvec("commit", shards, "--db", f"{shards}.lancedb", "--skip-invalid", core=core),
        }

    def _on_ray(self, size: int, core: int | None) -> dict[str, Run]:
        words = ["ingest", self._fasta(size), "--db", self._scratch / f"ray-{size}-{core}.lancedb", "--threads", 1]
        run = protvec(1, *words, "--ray", "auto", *_NEAR, core=core, code=ON_RAY)
        return {"ingest --ray": Run(float(run.lines[-1]), run.lines, run.processes)}

    # -- parts ---------------------------------------------------------------------------------------------------

    def commit(self) -> dict[str, Any]:
        """The rate of one committer on arrays of Ankh base's shape, random numbers in int8, and its memory."""
        folder = self._scratch / "commit"
        with _Working() as call:
            call(make_shards, str(folder), COMMITTED[self._quick])
            found: dict[str, Any] = call(commit_shards, str(folder), f"{folder}.lancedb")
        print(
            f"{found['proteins']:,} proteins of 400 x 768 in int8, {_mb(found['bytes'])} MB: "
            f"{found['bytes_per_second'] / 1e6:.0f} MB/s, {found['cpu_seconds']:.1f} s of processor time, "
            f"{_mb(found['peak'])} MB of memory at the peak",
            flush=True,
        )
        return found

    def cut(self) -> dict[str, Any]:
        """Records cut in a second, and memory for each."""
        found = []
        for count in (RECORDS[self._quick] // 10, RECORDS[self._quick]):
            with _Working() as call:
                found.append(call(cut_records, str(self._scratch / f"cut-{count}"), count))
        small, large = found
        more = large["records"] - small["records"]
        result = {
            "records_per_second": large["records"] / large["seconds"],
            "cpu_seconds_per_million": large["cpu"] / large["records"] * 1e6,
            "bytes_a_record": (large["peak"] - small["peak"]) / more,
            "peak": large["peak"],
        }
        print(
            f"{large['records']:,} records of 40 residues: {result['records_per_second']:,.0f}/s, "
            f"{result['cpu_seconds_per_million']:.0f} s of processor time a million, "
            f"{result['bytes_a_record']:.0f} bytes of memory for each",
            flush=True,
        )
        return result

    def plan(self) -> list[dict[str, Any]]:
        """Forecasts against ingests of different size, on all cores."""
        found = []
        for residues in FORECASTS[self._quick]:
            fasta = self._fasta(residues)
            count, total = _count(fasta)
            words = ["--proteins", count, "--mean-length", total / count, "--model", "near", "--cores", len(cores())]
            said = json.loads(protvec("plan", *words, "--json").lines[-1])
            db = self._scratch / f"plan-{residues}.lancedb"
            report = json.loads(protvec("ingest", fasta, "--db", db, *_NEAR, "--json").lines[-1])
            taken = size_of(db)
            found.append(
                {
                    "proteins": count,
                    "residues": total,
                    "seconds": {"forecast": said["embed_seconds"], "taken": report["seconds"]},
                    "bytes": {"forecast": said["disk"]["int8"], "taken": taken},
                    "seconds_off": said["embed_seconds"] / report["seconds"] - 1,
                    "bytes_off": said["disk"]["int8"] / taken - 1,
                }
            )
        rows = []
        for each in found:
            seconds, size = each["seconds"], each["bytes"]
            rows.append(
                [
                    f"{each['proteins']:,}",
                    f"{each['residues']:,}",
                    *(f"{seconds[which]:.1f}" for which in ("forecast", "taken")),
                    f"{each['seconds_off']:+.0%}",
                    *(_mb(size[which]) for which in ("forecast", "taken")),
                    f"{each['bytes_off']:+.1%}",
                ]
            )
        _show(["proteins", "residues", "s forecast", "s taken", "off", "MB forecast", "MB taken", "off"], rows)
        return found

    # -- large databases -----------------------------------------------------------------------------------------

    def swissprot(self) -> dict[str, Any]:
        """Through Ray into one database with a worker a core; then an index, and searches without and with it."""
        count = self._options.proteins or PROTEINS[self._quick]
        try:
            sequences = swissprot(self._options.swissprot, self._scratch, count)
        except (OSError, ValueError, RuntimeError) as error:
            return _left_out(str(error))
        fasta, db = self._scratch / "swissprot.fa", self._scratch / "swissprot.lancedb"
        fasta.write_text("".join(f">sp{n:06d}\n{each}\n" for n, each in enumerate(sequences)), encoding="utf-8")
        workers = len(cores())
        words = ["ingest", fasta, "--db", db, "--ray", "auto", "--threads", 1, "--json", *_NEAR]
        run = protvec(workers, *words, code=ON_RAY)
        report = json.loads(run.lines[-2])
        found: dict[str, Any] = {
            "proteins": report["added"],
            "residues": report["embedded_residues"],
            "workers": workers,
            "seconds": report["seconds"],
            "residues_per_second": report["embedded_residues"] / report["seconds"],
            "bytes": size_of(db),
            "memory": {role: run.peak(role) for role in ("driver", "worker")},
            "cpu_seconds": run.cpu(),
        }
        print(
            f"{found['proteins']:,} proteins, {found['residues']:,} residues with {workers} workers in "
            f"{found['seconds']:.0f} s: {found['residues_per_second']:,.0f} residues/s, "
            f"{found['proteins'] / found['seconds']:.1f} proteins/s; {_mb(found['bytes'])} MB\n"
            f"memory: {_mb(found['memory']['driver'])} MB of the driver, which commits, "
            f"{_mb(found['memory']['worker'])} MB of a worker",
            flush=True,
        )
        found["search"] = self._searched(str(db), {"exact": None, "ivf_sq": None})
        return found

    def memory(self) -> list[dict[str, Any]]:
        """Processes that search by vectors, by their codes and by an index, in several sizes."""
        found = []
        for count in self._options.vectors or VECTORS[self._quick]:
            db = str(self._scratch / f"memory-{count}.lancedb")
            with _Working() as call:
                made = call(make_vectors, db, count, self._options.dimension)
            print(f"{count:,} x {self._options.dimension}: made in {made['seconds']:.0f} s", flush=True)
            kinds = {"exact": _FAR, "codes": _codes(count, self._options.dimension), "ivf_sq": 0}
            found.append({"vectors": count, "dimension": self._options.dimension} | self._searched(db, kinds))
        self._show_growth(found)
        return found

    def _searched(self, db: str, kinds: dict[str, int | None]) -> dict[str, Any]:
        """Searches of each kind, with so much memory, each in a process of its own."""
        found: dict[str, Any] = {}
        rows = []
        for kind, memory in kinds.items():
            if kind == "ivf_sq":
                with _Working() as call:
                    found["index"] = call(build_index, db)
            with _Working() as call:
                found[kind] = call(search_there, db, memory, SEARCHES[self._quick])
            one = found[kind]
            milliseconds = [f"{one[which] * 1e3:.1f}" for which in ("p50", "p99")]
            rows.append([kind, *milliseconds, _mb(one["opened"]), _mb(one["peak"])])
        _show(["search", "p50 ms", "p99 ms", "MB when open", "MB at the peak"], rows)
        index = found["index"]
        print(
            f"index: built in {index['seconds']:.0f} s ({index['cpu_seconds']:.0f} s of processor time) with "
            f"{_mb(index['peak'])} MB, takes {_mb(index['bytes'])} MB, recall@10 {index['recall']:.3f}",
            flush=True,
        )
        return found

    def _show_growth(self, found: list[dict[str, Any]]) -> None:
        """Bytes for each vector more, of the first and the last size."""
        first, last = found[0], found[-1]
        if (more := last["vectors"] - first["vectors"]) <= 0:
            return
        for kind in ("exact", "codes", "ivf_sq"):
            growth = last[kind]["peak"] - first[kind]["peak"]
            print(f"{kind}: {growth / more:,.0f} bytes for each vector more", flush=True)

    # -- what they share -----------------------------------------------------------------------------------------

    def _fasta(self, residues: int) -> Path:
        """A file of proteins of about so many residues, lengths distributed as they are."""
        path = self._scratch / f"{residues}.fa"
        if not path.exists():
            drawn = {each.sequence: each for each in draw(proteins(self._options.fasta), residues=residues)}.values()
            path.write_text("".join(f">{each.id}\n{each.sequence}\n" for each in drawn), encoding="utf-8")
        return path


_NEAR = ("--model", "near", "--skip-invalid")


class _Working:
    """A process of its own for as long as a block lasts."""

    def __enter__(self) -> Callable[..., Any]:
        self._worker = Worker()
        return self._worker.call

    def __exit__(self, *_: object) -> None:
        self._worker.close()


def _embed(shards: Path, number: int, core: int) -> Command:
    return Command("embed", shards, "--shard", number, "--threads", 1, "--json", core=core)


def _count(fasta: Path) -> tuple[int, int]:
    """Proteins in a file of ours, and their residues."""
    lengths = [len(line) for line in fasta.read_text(encoding="utf-8").splitlines() if not line.startswith(">")]
    return len(lengths), sum(lengths)


def _codes(count: int, dimension: int) -> int:
    """Memory for searches in which the codes of so many vectors fit, and the vectors do not."""
    from protvec.store.memory import bytes_coded, bytes_needed

    return (bytes_coded(count, dimension) + bytes_needed(count, dimension)) // 2


def _line(residues: list[int], seconds: list[float]) -> dict[str, Any]:
    """Seconds of every run, and the rate beyond these, from runs of two sizes."""
    rate = (residues[1] - residues[0]) / (seconds[1] - seconds[0])
    return {"seconds": seconds, "every_run": seconds[0] - residues[0] / rate, "residues_per_second": rate}


def _costs(steps: dict[str, Run]) -> dict[str, Any]:
    """What each step of the larger of two runs took."""
    return {
        "steps": {
            name: {
                "seconds": run.seconds,
                "cpu_seconds": run.cpu(),
                "peak": {role: run.peak(role) for role in sorted({each.role for each in run.processes.values()})},
            }
            for name, run in steps.items()
        }
    }


def _show_costs(steps: dict[str, Any]) -> None:
    rows = [
        [name, role, f"{step['seconds']:.1f}", f"{step['cpu_seconds'][role]:.1f}", _mb(peak)]
        for name, step in steps.items()
        for role, peak in step["peak"].items()
    ]
    _show(["command", "process", "s", "processor s", "MB at the peak"], rows)


def _show(header: list[str], rows: list[list[str]]) -> None:
    print(table(header, rows), flush=True)


def _mb(size: float) -> str:
    return f"{size / 1e6:,.0f}"


def _left_out(why: str) -> dict[str, Any]:
    print(f"left out: {why}", flush=True)
    return {"problem": why}


if __name__ == "__main__":
    sys.exit(main())
