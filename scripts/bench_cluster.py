#!/usr/bin/env python3
"""What it costs to go past one machine: scaling, overhead of shards and of Ray, rate of commits, and the forecast.

    python scripts/bench_cluster.py                 # chromosome 1 of Arabidopsis, with near: half an hour on two cores
    python scripts/bench_cluster.py --quick         # some of it: minutes
    python scripts/bench_cluster.py --sections scaling,plan --fasta FILE --json FILE

Workers are processes of their own, pinned to a core each, with one thread. Every part is run with the commands that a
user would type.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _bench import Worker, draw, forget_peak_memory, peak_memory, proteins, provenance

SECTIONS = ("scaling", "overhead", "ray", "commit", "cut", "plan")
# (by default, with --quick)
RESIDUES = (5_600_000, 400_000)  # to embed, of the given proteins
COMMITTED = (8_000, 2_000)  # proteins of 400 x 768 in the section commit
RECORDS = (1_000_000, 100_000)  # in the section cut
FORECASTS = ((100_000, 400_000, 1_600_000), (50_000, 200_000))  # residues
DIMENSION = 768


def main(arguments: list[str] | None = None) -> int:
    """Run the sections and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--sections", default=",".join(SECTIONS), help=f"some of {', '.join(SECTIONS)}")
    parser.add_argument("--fasta", type=Path, help="proteins to embed; by default chromosome 1 of Arabidopsis")
    parser.add_argument("--residues", type=int, help="how much of them to embed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--scratch", type=Path, help="a folder for databases; by default a temporary one")
    given = parser.parse_args(arguments)
    chosen = given.sections.split(",")
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"no section {', '.join(unknown)}: there are {', '.join(SECTIONS)}")
    result: dict[str, Any] = provenance()
    with tempfile.TemporaryDirectory(dir=given.scratch, prefix="bench-cluster-") as scratch:
        bench = _Bench(Path(scratch), given.quick, given.fasta, given.residues)
        for section in chosen:
            result[section] = getattr(bench, section)()
            print(f"{section}: {json.dumps(result[section])}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


class _Bench:
    def __init__(self, scratch: Path, quick: bool, fasta: Path | None, residues: int | None) -> None:
        self._scratch, self._quick, self._given = scratch, quick, fasta
        self._residues = residues or RESIDUES[quick]
        self._local: dict[str, float] | None = None

    def _fasta(self, residues: int) -> Path:
        """A file of proteins of about so many residues, lengths distributed as they are."""
        path = self._scratch / f"{residues}.fa"
        if not path.exists():
            drawn = {record.sequence: record for record in draw(proteins(self._given), residues=residues)}.values()
            path.write_text("".join(f">{record.id}\n{record.sequence}\n" for record in drawn), encoding="utf-8")
        return path

    def _sequences(self, fasta: Path) -> int:
        """Residues in it."""
        return sum(len(line) for line in fasta.read_text().splitlines() if not line.startswith(">"))

    # -- sections ------------------------------------------------------------------------------------------------

    def scaling(self) -> dict[str, Any]:
        """One worker against two, pinned to one core each, on two shards."""
        fasta = self._fasta(self._residues)
        seconds: dict[int, float] = {}
        for workers in (1, 2):
            shards = self._scratch / f"scaling-{workers}"
            protvec("shard", fasta, "-n", 2, "-o", shards, "--model", "near", "--skip-invalid")
            cores = sorted(os.sched_getaffinity(0))
            if workers == 1:
                reports = [self._ended(self._start(shards, n, cores[0])) for n in (0, 1)]
                seconds[1] = sum(report["seconds"] for report in reports)
            else:
                started = [self._start(shards, n, cores[n]) for n in (0, 1)]
                seconds[2] = max(self._ended(each)["seconds"] for each in started)
        residues = self._sequences(fasta)
        return {
            "residues": residues,
            "residues_per_second": {workers: residues / each for workers, each in seconds.items()},
            "speedup": seconds[1] / seconds[2],
        }

    @staticmethod
    def _start(shards: Path, number: int, core: int) -> subprocess.Popen[str]:
        return start("embed", shards, "--shard", number, "--threads", 1, "--json", core=core)

    @staticmethod
    def _ended(process: subprocess.Popen[str]) -> dict[str, Any]:
        return dict(json.loads(output(process)))

    def overhead(self) -> dict[str, Any]:
        """Shard, embed and commit against a local ingest, one worker on one core; starting Python is in it."""
        local = self._ingest_locally()
        shards, db = self._scratch / "overhead", self._scratch / "overhead.lancedb"
        fasta = self._fasta(self._residues)
        took = {
            "shard": timed("shard", fasta, "-n", 4, "-o", shards, "--model", "near", "--skip-invalid"),
            "embed": timed("embed", shards, *(w for n in range(4) for w in ("--shard", n)), "--threads", 1),
            "commit": timed("commit", shards, "--db", db, "--skip-invalid"),
        }
        together = sum(took.values())
        return {"local": local, **took, "together": together, "overhead": together / local["seconds"] - 1}

    def ray(self) -> dict[str, Any]:
        """``ingest --ray`` with one worker of one processor against a local ingest on one core."""
        local = self._ingest_locally()
        code = (
            "import ray, sys; ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False);"
            "import time; from protvec.cli.app import run; start = time.monotonic(); code = run(sys.argv[1:]);"
            "print(time.monotonic() - start); sys.exit(code)"
        )
        words = ["ingest", self._fasta(self._residues), "--db", self._scratch / "ray.lancedb", "--model", "near"]
        started = time.monotonic()
        inside = float(output(start(*words, "--ray", "auto", "--threads", 1, "--skip-invalid", core=None, code=code)))
        return {
            "local": local,
            "seconds": inside,
            "with_start": time.monotonic() - started,
            "overhead": inside / local["inside"] - 1,
        }

    def _ingest_locally(self) -> dict[str, float]:
        if self._local is None:
            code = (
                "import sys, time; from protvec.cli.app import run; start = time.monotonic();"
                "code = run(sys.argv[1:]); print(time.monotonic() - start); sys.exit(code)"
            )
            words = ["ingest", self._fasta(self._residues), "--db", self._scratch / "local.lancedb", "--model", "near"]
            began = time.monotonic()
            inside = float(output(start(*words, "--threads", 1, "--skip-invalid", core=_core(), code=code)))
            self._local = {"seconds": time.monotonic() - began, "inside": inside}
        return self._local

    def commit(self) -> dict[str, Any]:
        """The rate of one committer on arrays of Ankh base's shape, random numbers in int8, and its memory."""
        count = COMMITTED[self._quick]
        worker = Worker()
        try:
            worker.call(make_shards, str(self._scratch / "commit"), count)
            return dict(
                worker.call(commit_shards, str(self._scratch / "commit"), str(self._scratch / "commit.lancedb"))
            )
        finally:
            worker.close()

    def cut(self) -> dict[str, Any]:
        """Records cut in a second, and memory for each."""
        found = []
        for count in (RECORDS[self._quick] // 10, RECORDS[self._quick]):
            worker = Worker()
            try:
                found.append(worker.call(cut_records, str(self._scratch / f"cut-{count}"), count))
            finally:
                worker.close()
        small, large = found
        more = large["records"] - small["records"]
        return {
            "records_per_second": large["records"] / large["seconds"],
            "cpu_seconds_per_million": large["cpu"] / large["records"] * 1e6,
            "bytes_a_record": (large["peak"] - small["peak"]) / more,
            "peak": large["peak"],
        }

    def plan(self) -> list[dict[str, Any]]:
        """Forecasts against ingests of different size, on all cores."""
        found = []
        for residues in FORECASTS[self._quick]:
            fasta = self._fasta(residues)
            lengths = [len(line) for line in fasta.read_text().splitlines() if not line.startswith(">")]
            words = ["--proteins", len(lengths), "--mean-length", sum(lengths) / len(lengths), "--model", "near"]
            cores = len(os.sched_getaffinity(0))
            said = json.loads(output(start("plan", *words, "--cores", cores, "--json")))
            db = self._scratch / f"plan-{residues}.lancedb"
            report = json.loads(output(start("ingest", fasta, "--db", db, "--model", "near", "--json")))
            taken = sum(each.stat().st_size for each in db.rglob("*") if each.is_file())
            found.append(
                {
                    "proteins": len(lengths),
                    "residues": sum(lengths),
                    "seconds": {"forecast": said["embed_seconds"], "taken": report["seconds"]},
                    "bytes": {"forecast": said["disk"]["int8"], "taken": taken},
                    "seconds_off": said["embed_seconds"] / report["seconds"] - 1,
                    "bytes_off": said["disk"]["int8"] / taken - 1,
                }
            )
        return found


# -- commands ----------------------------------------------------------------------------------------------------


def _core() -> int:
    return min(os.sched_getaffinity(0))


def start(*words: object, core: int | None = None, code: str | None = None) -> subprocess.Popen[str]:
    """A command of protvec, on one core."""
    program = ["-c", code] if code else ["-m", "protvec"]
    pinned = ["taskset", "-c", str(core)] if core is not None else []
    return subprocess.Popen(
        [*pinned, sys.executable, *program, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"},
    )


def output(process: subprocess.Popen[str]) -> str:
    """What a command printed last.

    Raises:
        RuntimeError: It failed.
    """
    out, err = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{process.args}: {err[-2_000:]}")
    return out.strip().splitlines()[-1] if out.strip() else ""


def protvec(*words: object) -> None:
    """Run a command on one core."""
    output(start(*words, core=_core()))


def timed(*words: object) -> float:
    """Seconds that a command takes on one core."""
    began = time.monotonic()
    protvec(*words)
    return time.monotonic() - began


# -- in workers --------------------------------------------------------------------------------------------------


class _Noise:
    """An engine of Ankh base's shape that gives random numbers: what comes after it is measured."""

    dimension, precision, engine = DIMENSION, "fp32", "torch"

    def encode(self, sequences: Any) -> Any:  # noqa: ANN401
        """See ``protvec.engine.base.Encoder``."""
        draw_ = np.random.default_rng(0)
        for sequence in sequences:
            yield draw_.standard_normal((len(sequence), DIMENSION), dtype=np.float32)


def _random_fasta(path: Path, count: int, length: int) -> Path:
    chance = np.random.default_rng(1)
    letters = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8)
    with path.open("wb") as stream:
        for number in range(count):
            stream.write(b">random%09d of the benchmark\n" % number + letters[chance.integers(0, 20, length)].tobytes())
            stream.write(b"\n")
    return path


def _cut(folder: str, count: int, length: int, shards: int) -> Any:  # noqa: ANN401
    from protvec import cluster
    from protvec.ingest import Options, open_sources
    from protvec.space import Space

    fasta = _random_fasta(Path(f"{folder}.fa"), count, length)
    space = Space("noise", "none", None, "ab" * 32, DIMENSION)
    forget_peak_memory()
    began, cpu = time.monotonic(), time.process_time()
    with open_sources([fasta]) as sources:
        made = cluster.cut(sources, folder, shards=shards, space=space, codec="int8", options=Options())
    return made, time.monotonic() - began, time.process_time() - cpu


def cut_records(folder: str, count: int) -> dict[str, Any]:
    """Cut records of a tenth of a protein's length."""
    _, seconds, cpu = _cut(folder, count, 40, 64)
    return {"records": count, "seconds": seconds, "cpu": cpu, "peak": peak_memory()}


def make_shards(folder: str, count: int) -> None:
    """Four shards of noise."""
    from protvec import cluster

    made, _, _ = _cut(folder, count, 400, 4)
    for number in range(made.count):
        cluster.embed_shard(made, number, _Noise)


def commit_shards(folder: str, db: str) -> dict[str, Any]:
    """Commit them."""
    from protvec import cluster
    from protvec.store import Store

    shards = cluster.Shards.open(folder)
    store = Store.create(db, shards.manifest.space)
    forget_peak_memory()
    began, cpu = time.monotonic(), time.process_time()
    report = cluster.commit(shards, store)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    size = sum(each.stat().st_size for each in Path(db).rglob("*") if each.is_file())
    return {
        "proteins": report.added,
        "bytes": size,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "bytes_per_second": size / seconds,
        "proteins_per_second": report.added / seconds,
        "peak": peak_memory(),
    }


if __name__ == "__main__":
    sys.exit(main())
