"""The programs that protvec is compared with: each searches one FASTA file with another."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from _bench_homology import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from _bench_homology import Domain

# Everything is asked for: what counts is the order of the hits, and how many there are at an E-value.
_WORST = "10000"
_MOST = "5000"
_TABLE = "qseqid sseqid evalue bitscore"


@dataclass(frozen=True)
class Peer:
    """A program.

    Attributes:
        program: What it is called, and which file it is.
        package: Where Debian has it.
        version: The arguments that make it say its version.
        build: The command that makes a database of ``targets``; None where it needs none.
        search: The command that searches; it writes ``out``.
        columns: Where in a line of ``out`` the query, the target, the E-value and the score are.
    """

    program: str
    package: str
    version: Sequence[str]
    build: Callable[[Path, int], Sequence[str]] | None
    search: Callable[[Path, int], Sequence[str]]
    columns: tuple[int, int, int, int] = (0, 1, 2, 3)


def _blastp(folder: Path, threads: int) -> list[str]:
    options = ["-evalue", _WORST, "-max_target_seqs", _MOST, "-outfmt", f"6 {_TABLE}", "-num_threads", str(threads)]
    return ["blastp", "-query", f"{folder}/queries", "-db", f"{folder}/blast", "-out", f"{folder}/out", *options]


def _mmseqs(folder: Path, threads: int) -> list[str]:
    files = [f"{folder}/queries", f"{folder}/targets", f"{folder}/out", f"{folder}/mmseqs"]
    options = ["-s", "7.5", "-e", _WORST, "--max-seqs", _MOST, "--threads", str(threads), "-v", "1"]
    return ["mmseqs", "easy-search", *files, *options, "--format-output", "query,target,evalue,bits"]


def _diamond(folder: Path, threads: int) -> list[str]:
    options = ["--ultra-sensitive", "-e", _WORST, "-k", "0", "--outfmt", "6", *_TABLE.split(), "--quiet"]
    files = ["-q", f"{folder}/queries", "-d", f"{folder}/diamond", "-o", f"{folder}/out"]
    return ["diamond", "blastp", *files, *options, "--threads", str(threads)]


def _phmmer(folder: Path, threads: int) -> list[str]:
    options = ["-E", _WORST, "--noali", "--cpu", str(threads), "-o", "/dev/null", "--tblout", f"{folder}/out"]
    return ["phmmer", *options, f"{folder}/queries", f"{folder}/targets"]


def _makeblastdb(folder: Path, _: int) -> list[str]:
    return ["makeblastdb", "-in", f"{folder}/targets", "-dbtype", "prot", "-out", f"{folder}/blast"]


def _makedb(folder: Path, threads: int) -> list[str]:
    return ["diamond", "makedb", "--in", f"{folder}/targets", "-d", f"{folder}/diamond", "--threads", str(threads)]


PEERS = {
    "blastp": Peer("blastp", "ncbi-blast+", ["-version"], _makeblastdb, _blastp),
    "mmseqs": Peer("mmseqs", "mmseqs2", ["version"], None, _mmseqs),
    "diamond": Peer("diamond", "diamond-aligner", ["version"], _makedb, _diamond),
    "phmmer": Peer("phmmer", "hmmer", ["-h"], None, _phmmer, (2, 0, 4, 5)),
}


class PeerError(Exception):
    """A peer is not there, or failed; one line says how."""


def check(peer: Peer) -> None:
    """Whether it is installed.

    Raises:
        PeerError: It is not; says what to install.
    """
    if not shutil.which(peer.program):
        raise PeerError(f"{peer.program}: not installed (Debian: apt-get install {peer.package})")


def search(
    peer: Peer, queries: Iterable[Domain], targets: Iterable[Domain], folder: Path, threads: int
) -> tuple[dict[str, list[Found]], float]:
    """Its hits of each query, best first, and how many seconds it took.

    Raises:
        PeerError: It is not installed, or failed.
    """
    check(peer)
    write_fasta(folder / "queries", queries)
    write_fasta(folder / "targets", targets)
    start = time.perf_counter()
    if peer.build:
        _run(peer.build(folder, threads))
    _run(peer.search(folder, threads))
    return read_hits(folder / "out", peer.columns), time.perf_counter() - start


def read_hits(path: Path, columns: tuple[int, int, int, int]) -> dict[str, list[Found]]:
    """The table that a peer wrote, sorted by E-value and, among equals, by score."""
    found = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            cells = line.split()
            query, target, evalue, score = (cells[place] for place in columns)
            found[query].append(Found(target, float(score), float(evalue)))
    return {query: sorted(hits, key=_order) for query, hits in found.items()}


def _order(hit: Found) -> tuple[float, float]:
    return hit.evalue or 0.0, -hit.score


def write_fasta(path: Path, domains: Iterable[Domain]) -> None:
    """The ids and the sequences."""
    path.write_text("".join(f">{domain.id}\n{domain.sequence}\n" for domain in domains), encoding="ascii")


def versions() -> Mapping[str, str | None]:
    """The version of each peer; None for one that is not installed."""
    return {name: _version(peer) for name, peer in PEERS.items()}


def _version(peer: Peer) -> str | None:
    if not shutil.which(peer.program):
        return None
    done = subprocess.run([peer.program, *peer.version], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if any(letter.isdigit() for letter in line)]
    return lines[0].strip("# ") if lines else None


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no word why").splitlines()[-1]
        raise PeerError(f"{command[0]} failed with {done.returncode}: {last}")
