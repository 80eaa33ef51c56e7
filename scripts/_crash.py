"""Children that are killed at a chosen moment, and what must be true of the database that they leave.

Run as a program, this module is the child: it takes its task as JSON, does it with the real ``Database``, and
ends as ``kill -9`` would, without a word, before the n-th time that lance changes a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.context import ForkServerContext

    from lance import LanceDataset
    from numpy.typing import NDArray

    from protvec import Database

KILLED = 137
_LOADED = ["lance", "pyarrow.compute", "protvec.database", "protvec.ingest.commits", "protvec.store.index.indexing"]
DIMENSION = 16


@dataclass
class Task:
    """What a child does.

    Attributes:
        db: The database; it is made where there is none.
        steps: In turn: ``["ingest", file, update]``, ``["delete", [id, …]]``, ``["delete where", sql]``,
            ``["compact"]``, ``["index", kind]``, ``["memory for searches", bytes]``.
        rows: Proteins in a commit.
        kill: Before which change of a file to die, from 1 on; 0 to live.
        model: ``hash``, which is instant, or a model of protvec.
        pause: Seconds that the instant model takes for a protein.
    """

    db: str
    steps: list[list[Any]] = field(default_factory=list)
    rows: int = 5
    kill: int = 0
    model: str = "hash"
    pause: float = 0.0

    def command(self) -> list[str]:
        """The command line of the child."""
        return [sys.executable, str(Path(__file__).resolve()), json.dumps(asdict(self))]

    def run(self, *, expect: int = 0, timeout: float = 120) -> str:
        """Run the child to its end, which must be with this code; what it printed.

        It is forked from a process that has loaded everything and done nothing: loading takes longer than the task.
        """
        with tempfile.TemporaryDirectory() as folder:
            printed, said = Path(folder, "out"), Path(folder, "err")
            code = _run_forked(_main_into, json.dumps(asdict(self)), str(printed), str(said), timeout=timeout)
            texts = [path.read_text() if path.exists() else "" for path in (printed, said)]
        if code != expect:
            raise AssertionError(f"{self}: ended with {code}, not {expect}:\n{''.join(texts)}")
        return texts[0]

    def start(self) -> subprocess.Popen[str]:
        """Start the child."""
        return subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def forking() -> ForkServerContext:
    """Processes forked from one that has loaded protvec and done nothing: what starts in none of its time.

    What they call must be a function of a module, and what it is given plain values.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LOADED)
    return context


def _run_forked(target: Callable[..., None], *arguments: object, timeout: float) -> int | None:
    """The exit code of such a process; one that takes too long is killed."""
    process = forking().Process(target=target, args=arguments)
    process.start()
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        process.join()
    return process.exitcode


def _main_into(text: str, printed: str, said: str) -> None:
    """``main``, with its standard output and error in files."""
    for path, stream in ((printed, sys.stdout), (said, sys.stderr)):
        stream.flush()
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream.fileno())
    main(text)


class Hashing:
    """An encoder that costs nothing: residues are random numbers drawn from the sequence itself."""

    dimension = DIMENSION
    precision = "fp32"
    engine = "torch"

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause

    def encode(self, sequences: Iterable[str]) -> Iterator[NDArray[np.float32]]:
        """See ``protvec.engine.base.Encoder``."""
        import time

        for sequence in sequences:
            if self.pause:
                time.sleep(self.pause)
            yield residues_of(sequence)


def residues_of(sequence: str) -> NDArray[np.float32]:
    """The residues that ``Hashing`` gives a sequence."""
    seed = int.from_bytes(hashlib.sha256(sequence.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal((len(sequence), DIMENSION)).astype(np.float32)


def open_database(db: str, model: str = "hash", pause: float = 0.0) -> Database:
    """The database at the path, made where there is none."""
    import protvec
    from protvec.errors import DatabaseExistsError, DatabaseNotFoundError
    from protvec.space import Space
    from protvec.store import Store

    if model != "hash":
        try:
            return protvec.open(db, model=model)
        except DatabaseNotFoundError:
            return protvec.create(db, model=model)
    try:
        store = Store.open(db)
    except DatabaseNotFoundError:
        try:
            store = Store.create(db, Space("hash", "none", None, "ab" * 32, DIMENSION))
        except DatabaseExistsError:
            store = Store.open(db)
    return protvec.Database(store, encoder=Hashing(pause))


@contextlib.contextmanager
def _in_small_steps(rows: int) -> Iterator[None]:
    """Commits and indexes of so many rows, while it lasts."""
    from protvec.ingest import commits
    from protvec.store.index import indexing

    places = [(commits, "COMMIT_ROWS"), (indexing, "SCALAR_ROWS"), (indexing, "_BEHIND_ROWS")]
    before = [getattr(*place) for place in places]
    for place in places:
        setattr(*place, rows)
    try:
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            setattr(*place, value)


def work(task: Task) -> list[dict[str, Any]]:
    """Do a task; the reports of its ingests."""
    with _in_small_steps(task.rows):
        return _work(task)


def _work(task: Task) -> list[dict[str, Any]]:
    from protvec.errors import ProteinNotFoundError

    reports = []
    database = open_database(task.db, task.model, task.pause)
    for name, *arguments in task.steps:
        if name == "ingest":
            file, *rest = arguments
            report = database.ingest(file, update=bool(rest and rest[0]), nucleotides_ok=True)
            reports.append(report.to_dict())
        elif name == "delete":
            with contextlib.suppress(ProteinNotFoundError):
                database.delete(arguments[0])
        elif name == "delete where":
            database.delete(where=arguments[0])
        elif name == "compact":
            database.store.compact(keep_seconds=0.0)
        elif name == "index":
            database.index(arguments[0])
        elif name == "memory for searches":
            database.store.search_memory = arguments[0]
        else:
            raise ValueError(name)
    return reports


# --- Dying -------------------------------------------------------------------------------------------------


TABLES = {"id": "proteins", "digest": "residues", "run": "ledger"}  # by the key that rows are merged on


class Countdown:
    """Counts the calls of lance that change files, and ends the process before one of them.

    Standard error has a line when each begins and ends, so that whoever kills the process knows what it was at.
    """

    def __init__(self, kill: int) -> None:
        self.calls: list[str] = []
        self._kill = kill
        self._key = ""

    def install(self) -> None:
        """Wrap every call of lance that protvec may change files with."""
        import lance
        from lance.dataset import DatasetOptimizer, LanceDataset, MergeInsertBuilder

        self._note_key(LanceDataset)
        self._wrap(lance, "write_dataset")
        self._wrap(lance.fragment, "write_fragments")
        self._wrap(LanceDataset, "commit")
        self._wrap(MergeInsertBuilder, "execute")
        for name in ("delete", "update", "insert", "update_schema_metadata", "update_config", "cleanup_old_versions"):
            self._wrap(LanceDataset, name)
        for name in ("create_scalar_index", "create_index", "drop_index", "add_columns", "drop_columns", "restore"):
            self._wrap(LanceDataset, name)
        for name in ("compact_files", "optimize_indices"):
            self._wrap(DatasetOptimizer, name)

    def _wrap(self, owner: object, name: str) -> None:
        real = getattr(owner, name)

        def counted(*args: object, **kwargs: object) -> object:
            self.calls.append(name)
            if len(self.calls) == self._kill:
                os._exit(KILLED)
            what = f"merge into {TABLES.get(self._key, self._key)}" if name == "execute" else name
            print(f"begin {what}", file=sys.stderr, flush=True)
            done = real(*args, **kwargs)
            print(f"end {what}", file=sys.stderr, flush=True)
            return done

        setattr(owner, name, counted)

    def _note_key(self, owner: type[LanceDataset]) -> None:
        real = owner.merge_insert

        def noted(dataset: LanceDataset, on: str) -> object:
            self._key = on
            return real(dataset, on)

        owner.merge_insert = noted


# --- What must be true -------------------------------------------------------------------------------------


@dataclass
class Found:
    """What is in a database.

    Attributes:
        content: By id: the row, the bytes of the vector and of the decoded residues.
        faults: What must never be: one line each.
        orphans: Digests of residues that no protein has; a kill may leave some, the next run none.
    """

    content: dict[str, tuple[str, bytes, bytes]]
    faults: list[str]
    orphans: set[str]


def examine(db: str) -> Found:
    """Read all of a database and look for what must not be."""
    from protvec.store import Store

    store = Store.open(db)
    rows = [row for batch in store.iter_proteins() for row in batch.to_pylist()]
    keys = [row["digest"] for row in _table(db, "residues").to_table(columns=["digest"]).to_pylist()]
    faults = [f"{name} occurs {count} times" for name, count in _repeats([row["id"] for row in rows] + keys)]
    faults += [f"{row['id']} has no residues" for row in rows if row["digest"] not in set(keys)]
    content = {}
    if not faults:
        arrays = store.residues([row["id"] for row in rows])
        for row in rows:
            vector = np.asarray(row.pop("vector"), np.float32)
            array = arrays[row["id"]]
            if len(array) != len(row["sequence"]) or abs(array.mean(axis=0) - vector).max() > 0.02:
                faults.append(f"{row['id']}: its residues are not those of its vector")
            content[row["id"]] = (repr(sorted(row.items())), vector.tobytes(), array.tobytes())
    return Found(content, faults, set(keys) - {row["digest"] for row in rows})


def _table(db: str, name: str) -> LanceDataset:
    import lance

    return lance.dataset(f"{Path(db).absolute()}/{name}.lance")


def _repeats(names: list[str]) -> list[tuple[str, int]]:
    from collections import Counter

    return [(name, count) for name, count in Counter(names).items() if count > 1]


def main(text: str) -> None:
    """Be the child."""
    task = Task(**json.loads(text))
    countdown = Countdown(task.kill)
    countdown.install()
    print("ready", file=sys.stderr, flush=True)
    reports = work(task)
    print(json.dumps({"calls": countdown.calls, "reports": reports}))


if __name__ == "__main__":
    main(sys.argv[1])
