"""An ingest and an index on Ray's own cluster of several nodes: whatever dies, they are those of one machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import store_data as data
from proteins import random_sequence, write_fasta
from test_store_index import matrix, put

import protvec
from protvec import cluster
from protvec.cli.app import run
from protvec.cluster import indexing, on_ray, pool
from protvec.errors import DatabaseError, EngineError, IngestInterrupted
from protvec.ingest import Observer, Options, make_plan, open_sources
from protvec.store import IndexPart, Store
from protvec.store.index import vectors

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from _crash import examine, open_database
from ray_child import STRAGGLER, slow

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
ray = pytest.importorskip("ray", reason="the package ray is not installed: pip install 'protvec[ray]'")

pytestmark = [  # Ray forks to start a node, and executes at once
    pytest.mark.filterwarnings("ignore:lance is not fork-safe"),
    pytest.mark.filterwarnings("ignore:Exception ignored in.*__warn_on_fork"),
]
OPTIONS = Options(dataset="test", nucleotides_ok=True)
COUNT = 60


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two nodes of one processor; the head has none."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        patch.setattr(on_ray, "LEAST_RESIDUES", 60)
        patch.setattr(on_ray, "GOOD_RESIDUES", 60)
        patch.setattr(on_ray, "SHARDS_PER_WORKER", 3)
        patch.setattr(pool, "_LOOK_SECONDS", 0.3)
        started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        started.add_node(num_cpus=1)
        started.add_node(num_cpus=1)
        paths = os.pathsep.join([str(Path(__file__).parent), str(SCRIPTS)])
        ray.init(address=started.address, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": paths}})
        try:
            yield started
        finally:
            ray.shutdown()
            started.shutdown()


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    sequences = ["M" + random_sequence(5 + i % 50 % 37, seed=i % 50) for i in range(COUNT)]
    return write_fasta(tmp_path / "in.fa", [(f"p{i} of the test", text) for i, text in enumerate(sequences)])


@pytest.fixture
def local(tmp_path: Path, fasta: Path) -> Path:
    open_database(str(tmp_path / "local")).ingest(fasta, dataset="test", nucleotides_ok=True)
    return tmp_path / "local"


def ingest(db: Path, fasta: Path, *, pause: float = 0.0, observer: Observer | None = None) -> protvec.Report:
    store = open_database(str(db)).store
    with open_sources([fasta]) as sources:
        plan = make_plan(sources, store, OPTIONS)
        return cluster.ingest_on_ray(sources, plan, store, protvec.Settings(), observer=observer, encoder=slow(pause))


def same(db: Path, local: Path) -> bool:
    found = examine(str(db))
    return found.faults == [] and found.orphans == set() and found.content == examine(str(local)).content


def embedded(db: Path) -> int:
    """Sequences in the shards of a run that is under way."""
    return sum(counted(path) for path in (db / on_ray.WORK).glob("*/shard-*.lancedb"))


def counted(db: Path) -> int:
    """Proteins of a database that may be in the making."""
    with contextlib.suppress(protvec.ProtvecError):
        return Store.open(db).count()
    return 0


def wait_for(check: Any) -> None:
    end = time.monotonic() + 60
    while not check():
        assert time.monotonic() < end
        time.sleep(0.05)


class Watching(Observer):
    """Does something once, when so many residues are embedded."""

    def __init__(self, residues: int, what: Any) -> None:
        self._left, self._what, self.seen, self.commits, self.added = residues, what, 0, 0, False

    def advanced(self, proteins: int, residues: int) -> None:
        self.seen += residues
        if self._what is not None and self.seen >= self._left:
            what, self._what = self._what, None
            what()

    def committed(self, report: protvec.Report) -> None:
        self.commits += 1


def workers() -> list[int]:
    """Processes of workers that have an engine."""
    import psutil

    return [p.pid for p in psutil.process_iter(["cmdline"]) if "_Running" in " ".join(p.info["cmdline"] or ())]


def test_an_ingest_on_two_nodes_is_that_of_one_machine(nodes: Any, tmp_path: Path, fasta: Path, local: Path) -> None:
    observer = Watching(10**9, None)
    report = ingest(tmp_path / "db", fasta, observer=observer)
    expected = Store.open(local).ledger.entries()[0].counts
    assert {name: report.counts[name] for name in expected if name != "written"} == {
        name: count for name, count in expected.items() if name != "written"
    }
    assert same(tmp_path / "db", local)
    assert observer.commits >= 2
    assert not (tmp_path / "db" / on_ray.WORK).exists()
    (entry,) = Store.open(tmp_path / "db").ledger.entries()
    assert (entry.command, entry.state, entry.precision) == ("ingest", "done", "fp32")
    again = ingest(tmp_path / "db", fasta)
    assert (again.requested, again.unchanged, again.embedded) == (COUNT, COUNT, 0)


def test_a_worker_that_is_killed(nodes: Any, tmp_path: Path, fasta: Path, local: Path) -> None:
    killed: list[int] = []

    def kill() -> None:
        killed.append(workers()[0])
        os.kill(killed[0], signal.SIGKILL)

    report = ingest(tmp_path / "db", fasta, pause=0.03, observer=Watching(200, kill))
    assert killed
    assert (report.requested, report.added) == (COUNT, 50)
    assert same(tmp_path / "db", local)


def test_a_node_that_is_removed_and_one_that_comes(nodes: Any, tmp_path: Path, fasta: Path, local: Path) -> None:
    removed = threading.Event()

    def remove() -> None:
        ours = ray._private.worker.global_worker.node._raylet_socket_name
        nodes.remove_node(
            next(node for node in nodes.worker_nodes if node._raylet_socket_name != ours), allow_graceful=False
        )
        removed.set()

    class Adding(Watching):
        def committed(self, report: protvec.Report) -> None:  # in the main thread, where Ray can start a node
            if removed.is_set():
                removed.clear()
                nodes.add_node(num_cpus=1)
                self.added = True

    observer = Adding(100, remove)
    report = ingest(tmp_path / "db", fasta, pause=0.05, observer=observer)
    assert observer.added
    assert (report.requested, report.added) == (COUNT, 50)
    assert same(tmp_path / "db", local)


def test_a_straggler_is_helped(nodes: Any, tmp_path: Path, fasta: Path, local: Path) -> None:
    """One worker does not end its first sequence until all others are done, those of its own shard as well."""
    store = open_database(str(tmp_path / "db")).store
    notes = tmp_path / "notes"
    notes.mkdir()
    with open_sources([fasta]) as sources:
        plan = make_plan(sources, store, OPTIONS)
        engines = slow(0.0, notes=str(notes), others=plan.distinct - 1)
        report = cluster.ingest_on_ray(sources, plan, store, protvec.Settings(), encoder=engines)
    by_worker = {file.name: file.read_text().splitlines() for file in notes.iterdir()}
    assert len(by_worker.pop(STRAGGLER)) == 1
    assert len({sequence for done in by_worker.values() for sequence in done}) == plan.distinct - 1
    assert (report.requested, report.added) == (COUNT, 50)
    assert same(tmp_path / "db", local)


def test_a_driver_that_is_killed_and_started_again(nodes: Any, tmp_path: Path, fasta: Path, local: Path) -> None:
    """And, between two commits, the committer, which it is as well."""
    db = tmp_path / "db"
    task = json.dumps({"address": nodes.address, "db": str(db), "fasta": str(fasta), "pause": 0.05})
    child = subprocess.Popen([sys.executable, str(Path(__file__).with_name("ray_child.py")), task])
    wait_for(lambda: counted(db) > 0)
    child.kill()
    child.wait()
    before, stored = embedded(db), Store.open(db).count()
    assert 0 < stored < COUNT
    observer = Watching(10**9, None)
    report = ingest(db, fasta, observer=observer)
    assert report.unchanged >= stored
    assert (report.requested, report.added + report.reused + report.unchanged) == (COUNT, COUNT)
    assert observer.seen <= sum(len(row[0]) for row in rows(fasta)) * (1 - before / COUNT) + 200
    assert same(db, local)


def rows(fasta: Path) -> list[tuple[str]]:
    return [(line,) for line in fasta.read_text().splitlines() if not line.startswith(">")]


def test_two_drivers_at_one_database(nodes: Any, tmp_path: Path, fasta: Path, local: Path) -> None:
    db = tmp_path / "db"
    open_database(str(db))
    task = json.dumps({"address": nodes.address, "db": str(db), "fasta": str(fasta), "pause": 0.01})
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("ray_child.py")), task], stdout=subprocess.PIPE
    )
    report = ingest(db, fasta, pause=0.01)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    other = json.loads(out)
    assert (report.requested, other["requested"]) == (COUNT, COUNT)
    assert report.added + report.reused + other["added"] + other["reused"] == COUNT
    assert same(db, local)


def test_stopping(nodes: Any, tmp_path: Path, fasta: Path) -> None:
    class Stop(Observer):
        stop = False

        def committed(self, report: protvec.Report) -> None:
            self.stop = True

        def should_stop(self) -> bool:
            return self.stop

    with pytest.raises(IngestInterrupted) as caught:
        ingest(tmp_path / "db", fasta, observer=Stop())
    report: Any = caught.value.report
    assert 0 < report.requested == Store.open(tmp_path / "db").count() < COUNT
    assert examine(str(tmp_path / "db")).faults == []


def test_what_fails_everywhere_is_said(
    nodes: Any, tmp_path: Path, fasta: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "TRIES", 2)
    store = open_database(str(tmp_path / "db")).store
    with open_sources([fasta]) as sources:
        plan = make_plan(sources, store, OPTIONS)
        with pytest.raises(EngineError, match=r"shard \d failed on 2 workers: .*no engine here"):
            cluster.ingest_on_ray(sources, plan, store, protvec.Settings(), encoder=slow(0.0, fails=True))


def builders() -> list[int]:
    """Processes that build a part of an index just now."""
    import psutil

    return [p.pid for p in psutil.process_iter(["cmdline"]) if "_build_part" in " ".join(p.info["cmdline"] or ())]


def test_an_index_while_a_worker_is_killed(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What parts find is in test_cluster_index.py."""
    monkeypatch.setattr(vectors, "_PARTITION_ROWS", 64)
    monkeypatch.setattr(vectors, "_SAMPLE", 40)
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    for start in range(0, 1500, 250):
        put(store, start, start + 250)
    killed: list[int] = []
    done = threading.Event()

    def kill() -> None:
        while not done.is_set() and not killed:
            for pid in builders()[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            time.sleep(0.005)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        assert run(["index", "--db", store.path, "--kind", "ivf_sq", "--target-recall", "0.9", "--ray", "auto"]) == 0
    finally:
        done.set()
        killer.join()
    assert killed
    said = capsys.readouterr()
    assert "4 of 4 parts indexed" in said.err
    assert "vector\tivf_sq\t1,500 proteins indexed" in said.out
    (index,) = [each for each in Store.open(store.path).indexes() if each.column == "vector"]
    assert (index.indexed, index.pending, index.target) == (1500, 0, 0.9)
    assert index.recall is not None
    assert index.recall >= 0.9
    exact, found = protvec.Database(store.pinned()), protvec.open(store.path, search_memory=0)
    shares = []
    for query in matrix(20, 99):
        hits = found.search_vector(query, k=10)
        assert not hits.index.exact
        shares.append(len({*hits.ids} & {*exact.search_vector(query, k=10).ids}) / 10)
    assert sum(shares) / len(shares) >= 0.85
    assert run(["index", "--db", store.path, "--drop", "--ray", "auto"]) == 2


def test_what_a_worker_that_indexes_raises_is_said(nodes: Any) -> None:
    lost = IndexPart(uri="/not/here", storage=None, version=1, column="vector", kind="ivf_sq", fragments=(0,), rows=1)
    workers = indexing._Workers(lambda: ray, None, lambda _: None)
    assert workers.count == 2
    with pytest.raises(DatabaseError, match="does not see /not/here"):
        workers.build([lost], np.ones((1, data.D), np.float32))


def test_no_cluster_at_an_address() -> None:
    """In a process of its own: this one may be connected."""
    code = "from protvec.cluster.on_ray import connect; connect('ray://127.0.0.1:1')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert "EngineError: no Ray cluster answers at ray://127.0.0.1:1" in done.stderr
