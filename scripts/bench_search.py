#!/usr/bin/env python3
"""Compare protvec's search with NumPy, FAISS, hnswlib and LanceDB over the same vectors, in one run.

Sections:

- near: real vectors of ``near``: the proteins of chromosome 1 of Arabidopsis (fetched with pip);
- swissprot: real vectors of ``near``: sequences of Swiss-Prot in Debian's metastudent-data (fetched with apt-get);
- synthetic: made-up vectors of 768 dimensions that imitate Ankh's spread, in several sizes;
- all: every protein against all, against a product of matrices and a top-k in NumPy, on real vectors;
- segments: what segments cost protvec, on the same proteins with all that an ingest makes of them.

Each engine runs in a process of its own. FAISS and hnswlib are looked for, and left out with a word where they are
missing (``pip install faiss-cpu hnswlib``). Usage::

    python scripts/bench_search.py --quick               # minutes, rough
    python scripts/bench_search.py --sections synthetic --sizes 30000,300000 --json search.json
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import Worker, WorkerError, draw, forget_peak_memory, peak_memory, proteins, provenance, table, write_json
from _bench_engines import ENGINES, GROUP, GROUPS, PEERS, SHARES, SHARES_OF
from _bench_segments import AT_ONCE, made, segments, shown
from _bench_vectors import embedded, swissprot, synthetic
from bench_engine import names, positive, print_provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from protvec.fasta import Record

SECTIONS = ("near", "swissprot", "synthetic", "all", "segments")
QUERIES = 200
_TIE = 1e-9
_MOST_HNSW = 300_000  # building one of a million takes an hour


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, print it, and write it down."""
    options = parse(arguments)
    result = provenance()
    print_provenance(result)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        for section in options.sections:
            result[section] = RUN[section](options, Path(scratch))
            if options.json:  # also what a run has that is stopped
                write_json(options.json, result)
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="on few vectors: minutes, and rough figures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--sections", type=names(SECTIONS), default=SECTIONS, help=f"of {','.join(SECTIONS)}")
    parser.add_argument("--engines", type=names(tuple(ENGINES)), default=tuple(ENGINES), help=", ".join(ENGINES))
    parser.add_argument("--sizes", type=_sizes, help="of the synthetic vectors; default: 30000,300000,1000000")
    parser.add_argument("--proteins", type=positive, help="of Swiss-Prot; default: 100000")
    parser.add_argument("--longest", type=positive, default=2_000, help="residues of these; default: 2000")
    parser.add_argument("--swissprot", type=Path, metavar="FILE", help="the .psq file; else Debian's is fetched")
    parser.add_argument("--fasta", type=Path, metavar="FILE", help="of near, all, segments; fetch nothing")
    parser.add_argument("--database", type=Path, metavar="DIR", help="for segments: that one, which is only read")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep embedded vectors there for the next run")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="for databases; a million takes 5 GB")
    return parser.parse_args(arguments)


def _sizes(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def run_near(options: argparse.Namespace, scratch: Path) -> Any:  # noqa: ANN401
    """Chromosome 1."""
    vectors = _chromosome(options)
    return compare(f"near, {len(vectors):,} real proteins", vectors, None, options, scratch)


def run_swissprot(options: argparse.Namespace, scratch: Path) -> Any:  # noqa: ANN401
    """The large real case."""
    count = options.proteins or (2_000 if options.quick else 100_000)
    try:
        sequences = swissprot(options.swissprot, scratch, count, options.longest)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"\nswissprot: left out: {error}", flush=True)
        return {"problem": str(error)}
    vectors = embedded(sequences, options.cache, f"swissprot-to-{options.longest}")
    title = f"near, {len(vectors):,} real proteins of Swiss-Prot of up to {options.longest:,} residues"
    return compare(title, vectors, None, options, scratch)


def run_synthetic(options: argparse.Namespace, scratch: Path) -> Any:  # noqa: ANN401
    """Made-up vectors, in each size."""
    sizes = options.sizes or ([30_000] if options.quick else [30_000, 300_000, 1_000_000])
    queries = QUERIES // 4 if options.quick else QUERIES
    found = []
    for size in sizes:
        drawn = synthetic(size + queries)
        title = f"SYNTHETIC mixture, {size:,} x 768"
        found.append(compare(title, drawn[:size], drawn[size:], options, scratch))
    return found


def run_all(options: argparse.Namespace, scratch: Path) -> Any:  # noqa: ANN401
    """Every protein against all, in turn with NumPy."""
    vectors = _chromosome(options)
    worker = Worker()
    file = scratch / "vectors.npy"
    np.save(file, vectors)
    found: dict[str, Any] = worker.call(all_against_all, str(file), str(scratch / "all"), 10, 3)
    worker.close()
    print(f"\nall against all, {len(vectors):,} real proteins, top 10: NumPy {found['numpy']:.2f} s,", end=" ")
    print(f"protvec {found['protvec']:.2f} s, {found['ratio']:.2f} x", flush=True)
    return found


def run_segments(options: argparse.Namespace, scratch: Path) -> Any:  # noqa: ANN401
    """With segments and without."""
    worker = Worker()
    path = options.database
    if path is None:
        records = _records(options)
        file = scratch / "proteins.fa"
        file.write_text("".join(f">{record.id}\n{record.sequence}\n" for record in records))
        path = worker.call(made, file, scratch)
    found: dict[str, Any] = worker.call(segments, str(path), QUERIES)
    worker.close()
    print(f"\nsegments, {found['proteins']:,} real proteins: milliseconds, and seconds of all against all", flush=True)
    header = ["one query", "p50", "p99", "CPU", f"{AT_ONCE} at once, each", "CPU", "all, s", "CPU"]
    print(table(header, shown(found)), flush=True)
    return found


RUN: dict[str, Callable[[argparse.Namespace, Path], Any]] = {
    "near": run_near,
    "swissprot": run_swissprot,
    "synthetic": run_synthetic,
    "all": run_all,
    "segments": run_segments,
}


def _chromosome(options: argparse.Namespace) -> NDArray[np.float32]:
    return embedded([record.sequence for record in _records(options)], options.cache, "near")


def _records(options: argparse.Namespace) -> list[Record]:
    records = proteins(options.fasta)
    return draw(records, residues=400_000) if options.quick else records


def compare(
    title: str,
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32] | None,
    options: argparse.Namespace,
    scratch: Path,
) -> dict[str, Any]:
    """Every engine over the same vectors and queries; without queries, some of the vectors are."""
    if queries is None:
        queries = vectors[:: max(1, len(vectors) // QUERIES)][:QUERIES]
    np.save(scratch / "vectors.npy", vectors)
    np.save(scratch / "queries.npy", queries)
    np.savez(scratch / "truth.npz", **_truths(vectors, queries))
    size = len(vectors)
    del vectors
    print(f"\n{title}, {len(queries)} queries", flush=True)
    rows, found = [], []
    for name in options.engines:
        if (package := PEERS.get(name)) and not importlib.util.find_spec(package):
            print(f"{name}: not installed (pip install faiss-cpu hnswlib)", flush=True)
        elif "hnsw" in name and size > _MOST_HNSW:
            print(f"{name}: left out, building it takes an hour", flush=True)
        else:
            each = _measured(name, scratch)
            found.append(each)
            rows.append(_row(each))
    header = [
        "engine",
        "",
        "k=10: p50",
        "p99",
        "k=50: p50",
        "p99",
        "recall@10",
        "@50",
        "1%: p50",
        "recall@10",
        "q/s 1",
        "q/s 2",
        "build s",
    ]
    print(table([*header, "memory MB", "disk MB"], rows), flush=True)
    if shares := [_share_row(each, share) for each in found for share in each.get("shares", [])]:
        print("\nfilters, k = 10", flush=True)
        print(table(["engine", "pass it", "first ms", "p50 ms", "p99", "recall@10"], shares), flush=True)
    return {"title": title, "vectors": size, "engines": found}


def _measured(name: str, scratch: Path) -> dict[str, Any]:
    worker = Worker()
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        try:
            found: dict[str, Any] = worker.call(measure, name, str(scratch), directory)
        except WorkerError as error:
            found = {"engine": name, "problem": str(error)}
        finally:
            worker.close()
    return found


def _row(each: dict[str, Any]) -> list[str]:
    if "problem" in each:
        return [each["engine"], each["problem"][:60], *[""] * 13]
    figures = (
        each["p50_10"],
        each["p99_10"],
        each["p50"],
        each["p99"],
        each["recall_10"],
        each["recall_50"],
        each["p50_filtered"],
    )
    rest = (each["recall_10_filtered"], each["qps_1"], each["qps_2"], each["build"])
    shown = [f"{value:.3f}" if value <= 1 else f"{value:.1f}" for value in (*figures, *rest)]
    return [each["engine"], "", *shown, f"{each['memory'] / 1e6:,.0f}", f"{each['disk'] / 1e6:,.0f}"]


def _share_row(each: dict[str, Any], share: dict[str, Any]) -> list[str]:
    times = [f"{share[name]:.1f}" for name in ("first", "p50", "p99")]
    return [each["engine"], share["share"], *times, f"{share['recall_10']:.3f}"]


def _truths(vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> dict[str, NDArray[np.intp]]:
    """The true 50 nearest rows of each query, of all rows and of those of each filter."""
    number = np.arange(len(vectors))
    allowed = {"plain": np.ones(len(vectors), bool), "filtered": number % GROUPS == GROUP}
    allowed |= {name: number % SHARES_OF < count for name, count in SHARES.items()}
    norms = np.linalg.norm(vectors, axis=1)
    found: dict[str, list[NDArray[np.intp]]] = {name: [] for name in allowed}
    for query in queries:
        scores = vectors @ (query / np.linalg.norm(query)) / norms
        for name, these in allowed.items():
            found[name].append(_nearest(vectors, query, np.where(these, scores, -np.inf)))
    return {name: np.stack(rows) for name, rows in found.items()}


def _nearest(vectors: NDArray[np.float32], query: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.intp]:
    """The 50 nearest rows: float64 decides among the best 80 of float32."""
    top = np.argpartition(-scores, min(80, len(scores) - 1))[:80]
    wide = vectors[top].astype(np.float64)
    exact = wide @ query.astype(np.float64) / np.linalg.norm(wide, axis=1)
    exact[~np.isfinite(scores[top])] = -np.inf
    nearest: NDArray[np.intp] = top[np.argsort(-exact)][:50]
    return nearest


def measure(name: str, scratch: str, directory: str) -> dict[str, Any]:
    """One engine, in a process of its own."""
    vectors = np.load(Path(scratch, "vectors.npy"), mmap_mode="r")
    queries = np.load(Path(scratch, "queries.npy"))
    truth = np.load(Path(scratch, "truth.npz"))
    forget_peak_memory()
    before = peak_memory()
    start = time.perf_counter()
    engine = ENGINES[name](vectors, Path(directory))
    build = time.perf_counter() - start
    for query in queries[:5]:
        engine.search(query, 50)
        engine.search(query, 10, filtered=True)
    forget_peak_memory()
    found_10, at_10 = _timed(engine, queries, 10, filtered=False)
    at_50, milliseconds = _timed(engine, queries, 50, filtered=False)
    filtered, with_filter = _timed(engine, queries, 10, filtered=True)
    recall = _Recall(vectors, queries)
    shares = [_of_share(engine, name, queries, truth, recall, len(vectors)) for name in SHARES if engine.any_share]
    return {
        "shares": shares,
        "engine": name,
        "build": build,
        "p50_10": float(np.median(at_10)),
        "p99_10": float(np.quantile(at_10, 0.99)),
        "p50": float(np.median(milliseconds)),
        "p99": float(np.quantile(milliseconds, 0.99)),
        "recall_10": recall(found_10, truth["plain"], 10),
        "recall_50": recall(at_50, truth["plain"], 50),
        "p50_filtered": float(np.median(with_filter)),
        "p99_filtered": float(np.quantile(with_filter, 0.99)),
        "recall_10_filtered": recall(filtered, truth["filtered"], min(10, len(vectors) // GROUPS)),
        "qps_1": _rate(engine, queries, 1),
        "qps_2": _rate(engine, queries, 2),
        "memory": peak_memory() - before,
        "disk": sum(file.stat().st_size for file in Path(directory).rglob("*") if file.is_file()),
    }


def _of_share(
    engine: Any,  # noqa: ANN401
    name: str,
    queries: NDArray[np.float32],
    truth: Mapping[str, NDArray[np.intp]],
    recall: _Recall,
    size: int,
) -> dict[str, Any]:
    """With a filter that a share of the rows pass, asked for the first time and again."""
    start = time.perf_counter()
    engine.search(queries[0], 10, name)
    first = 1e3 * (time.perf_counter() - start)
    engine.search(queries[0], 10, name)
    rows, milliseconds = _timed(engine, queries, 10, filtered=name)
    passing = int((np.arange(size) % SHARES_OF < SHARES[name]).sum())
    return {
        "share": name,
        "first": first,
        "p50": float(np.median(milliseconds)),
        "p99": float(np.quantile(milliseconds, 0.99)),
        "recall_10": recall(rows, truth[name], min(10, passing)),
    }


def _timed(
    engine: Any,  # noqa: ANN401
    queries: NDArray[np.float32],
    k: int,
    *,
    filtered: bool | str,
) -> tuple[list[list[int]], list[float]]:
    found, milliseconds = [], []
    for query in queries:
        start = time.perf_counter()
        found.append(engine.search(query, k, filtered))
        milliseconds.append(1e3 * (time.perf_counter() - start))
    return found, milliseconds


class _Recall:
    """The share of the true k nearest that was found; of rows that are exactly as near, any is as good."""

    def __init__(self, vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> None:
        self._vectors, self._queries = vectors, queries

    def __call__(self, found: Sequence[Sequence[int]], truth: NDArray[np.intp], k: int) -> float:
        if not k:
            return 1.0
        shares = []
        for query, rows, true in zip(self._queries, found, truth, strict=True):
            least = self._cosines(query, true[k - 1 : k])[0] - _TIE
            distinct = np.array(sorted(set(rows[:k])), np.intp)
            shares.append((self._cosines(query, distinct) >= least).sum() / k)
        return float(np.mean(shares))

    def _cosines(self, query: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float64]:
        near = self._vectors[rows].astype(np.float64)
        cosines: NDArray[np.float64] = near @ query.astype(np.float64) / np.linalg.norm(near, axis=1)
        return cosines / np.linalg.norm(query.astype(np.float64))


def _rate(engine: Any, queries: NDArray[np.float32], threads: int) -> float:  # noqa: ANN401
    """Queries a second, from so many threads of one program."""
    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        list(pool.map(lambda query: engine.search(query, 10), queries))
        return len(queries) / (time.perf_counter() - start)


def all_against_all(file: str, directory: str, k: int, rounds: int) -> dict[str, Any]:
    """Seconds of NumPy and of protvec in turn; the median of the rounds."""
    from _bench_engines import Protvec

    vectors = np.load(file)
    Path(directory).mkdir()
    database = Protvec(vectors, Path(directory)).database
    plain, ours = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        _plain_all(vectors, k)
        plain.append(time.perf_counter() - start)
        start = time.perf_counter()
        count = sum(1 for _ in database.search_all(k=k))
        ours.append(time.perf_counter() - start)
    assert count == len(vectors)
    ratios = [mine / theirs for mine, theirs in zip(ours, plain, strict=True)]
    return {
        "numpy": float(np.median(plain)),
        "protvec": float(np.median(ours)),
        "ratio": float(np.median(ratios)),
        "rounds": [plain, ours],
    }


def _plain_all(vectors: NDArray[np.float32], k: int) -> list[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Products and a top-k, in float32, by blocks of 1,024 queries, without what they themselves are."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = []
    for start in range(0, len(unit), 1_024):
        scores = unit[start : start + 1_024] @ unit.T
        own = np.arange(len(scores))
        scores[own, start + own] = -np.inf
        top = np.argpartition(scores, -k, axis=1)[:, -k:]
        best = np.take_along_axis(scores, top, 1)
        order = np.argsort(-best, axis=1)
        found.append((np.take_along_axis(top, order, 1), np.take_along_axis(best, order, 1)))
    return found


if __name__ == "__main__":
    raise SystemExit(main())
