"""Workers on the nodes of a Ray cluster, and which shard each has."""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from protvec.cluster.embedding import embed_shard, encoder_for
from protvec.cluster.shards import Shards
from protvec.errors import EngineError, ProtvecError, ShardError
from protvec.ingest import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType, TracebackType

    from protvec.database import Settings
    from protvec.engine.base import Encoder

    MakeEncoder = Callable[[Shards, Settings], Encoder]

TRIES = 5  # of one shard, before its failure is that of the run
SLOW = 2.0  # times as long as half of the shards took: another worker helps with such a shard
_WAIT_SECONDS = 0.2
_LOOK_SECONDS = 2.0  # between two looks at the nodes, and at how far the workers are
_PATIENCE_SECONDS = 120.0  # for a first node that can run a worker


class Worker:
    """What runs on a node: one engine, and one shard at a time."""

    def __init__(
        self, path: str, storage: Mapping[str, str] | None, settings: Settings, encoder: MakeEncoder | None
    ) -> None:
        """Make it anywhere: nothing is opened or loaded yet.

        Args:
            path: Of the shards.
            storage: Options of their object store.
            settings: How to get and run the model.
            encoder: Makes the engine; ``encoder_for`` by default.
        """
        self._place = (path, storage)
        self._settings = settings
        self._make = encoder or encoder_for
        self._encoder: Encoder | None = None
        self._residues = 0

    def embed(self, number: int) -> int:
        """Embed a shard; its number.

        Raises:
            ShardError: This node does not see the shards.
        """
        path, storage = self._place
        try:
            shards = Shards.open(path, storage_options=storage)
        except ShardError as error:
            import platform

            raise ShardError(
                f"{platform.node()} does not see {path}: put the database on a file system that all nodes see, or s3://…"
            ) from error
        embed_shard(shards, number, lambda: self._engine(shards), lambda _: _Counting(self._count))
        return number

    def with_threads(self, threads: int) -> None:
        """Use so many."""
        self._settings = replace(self._settings, threads=threads)

    def _engine(self, shards: Shards) -> Encoder:
        if self._encoder is None:
            self._encoder = self._make(shards, self._settings)
        return self._encoder

    def _count(self, residues: int) -> None:
        self._residues += residues

    def residues(self) -> int:
        """Embedded so far."""
        return self._residues


class _Counting(Observer):
    """Tells of each protein."""

    def __init__(self, count: Callable[[int], None]) -> None:
        self._count = count

    def advanced(self, proteins: int, residues: int) -> None:  # noqa: ARG002
        self._count(residues)


@dataclass(eq=False)
class _Actor:
    """A worker that Ray runs.

    Attributes:
        handle: Ray's.
        node: Its node.
        number: Of the shard that it has; None where it has none.
        task: Ray's reference to the result.
        since: When it got it.
        residues: That it had embedded when it was last asked.
        asked: Ray's reference to how many it has by now.
    """

    handle: Any
    node: str
    number: int | None = None
    task: Any = None
    since: float = 0.0
    residues: int = 0
    asked: Any = None


@dataclass
class _Course:
    """What of the shards is where."""

    waiting: list[int]
    done: set[int] = field(default_factory=set)
    failures: dict[int, int] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)


class Pool:
    """Gives shards to workers, dearest first, until all are embedded; in a thread of its own, as a context."""

    def __init__(
        self,
        ray: ModuleType,
        shards: Shards,
        worker: Worker,
        *,
        threads: int | None,
        advanced: Callable[[int, int], None],
    ) -> None:
        """Use it with ``with``.

        Args:
            ray: Connected.
            shards: What is to be embedded.
            worker: What is to run on each node.
            threads: Processors of each worker; by default all of its node.
            advanced: Told of what is embedded.
        """
        self._ray, self._shards, self._worker = ray, shards, worker
        self._threads, self._advanced = threads, advanced
        self._actors: list[_Actor] = []
        self._failure: BaseException | None = None
        self._stop = threading.Event()
        self._started = self._looked = 0.0
        listed = shards.location.entries()
        complete = {n for n in range(shards.count) if shards.progress(n, listed=listed).complete}
        parts = shards.manifest.shards
        left = sorted(set(range(shards.count)) - complete, key=lambda n: -parts[n].residues)
        self._course = _Course(left, complete)
        self._thread = threading.Thread(target=self._run, name="protvec-ray", daemon=True)

    def __enter__(self) -> Pool:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        for actor in self._actors:
            self._ray.kill(actor.handle)

    def complete(self, number: int) -> bool:
        """Whether a worker has said that a shard is complete."""
        return number in self._course.done

    def check(self) -> None:
        """Raise what has gone wrong.

        Raises:
            EngineError: No node runs a worker, or a shard fails again and again.
            ProtvecError: What a worker has raised.
        """
        if self._failure is not None:
            raise self._failure

    # -- in the thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._started = time.monotonic()
        try:
            while not self._stop.is_set() and len(self._course.done) < self._shards.count:
                self._look()
                self._give()
                self._take()
        except BaseException as error:  # told to whoever waits for the shards
            self._failure = error

    def _look(self) -> None:
        """Now and then: start workers on nodes that have none, and ask the others how far they are."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS and self._actors:
            return
        self._looked = now
        having = {actor.node for actor in self._actors}
        for node in self._ray.nodes():
            if node["Alive"] and node["NodeID"] not in having:
                self._actors += self._start(node)
        if not self._actors and now - self._started > _PATIENCE_SECONDS:
            raise EngineError("no node of the Ray cluster has processors free for a worker")
        for actor in self._actors:
            self._ask(actor)

    def _start(self, node: dict[str, Any]) -> list[_Actor]:
        """As many workers as a node has processors for."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        cpus = int(node["Resources"].get("CPU", 0))
        if not cpus:
            return []
        each = min(self._threads or cpus, cpus)
        here = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
        made = self._ray.remote(_Running).options(
            num_cpus=each, max_concurrency=2, scheduling_strategy=here, max_restarts=0
        )
        return [_Actor(made.remote(self._worker, each), node["NodeID"]) for _ in range(cpus // each)]

    def _ask(self, actor: _Actor) -> None:
        if actor.asked is not None:
            ready, _ = self._ray.wait([actor.asked], timeout=0)
            if not ready:
                return
            try:
                residues = self._ray.get(actor.asked)
            except self._ray.exceptions.RayError:  # it is gone, which its task will say
                return
            self._advanced(0, residues - actor.residues)
            actor.residues = residues
        actor.asked = actor.handle.residues.remote()

    def _give(self) -> None:
        """A shard to every worker that has none."""
        for actor in self._actors:
            if actor.task is None and (number := self._next()) is not None:
                actor.number, actor.since = number, time.monotonic()
                actor.task = actor.handle.embed.remote(number)

    def _next(self) -> int | None:
        """The next shard: one that nobody has, or else the slowest that has one worker alone."""
        course = self._course
        if course.waiting:
            return course.waiting.pop(0)
        if not course.times:
            return None
        holders: dict[int, list[_Actor]] = {}
        for actor in self._actors:
            if actor.number is not None and actor.number not in course.done:
                holders.setdefault(actor.number, []).append(actor)
        limit = time.monotonic() - SLOW * statistics.median(course.times)
        slow = [actors[0] for actors in holders.values() if len(actors) == 1 and actors[0].since < limit]
        return min(slow, key=lambda actor: actor.since).number if slow else None

    def _take(self) -> None:
        """What has come back."""
        busy = {actor.task: actor for actor in self._actors if actor.task is not None}
        if not busy:
            time.sleep(_WAIT_SECONDS)
            return
        ready, _ = self._ray.wait(list(busy), num_returns=len(busy), timeout=_WAIT_SECONDS)
        for task in ready:
            self._ended(busy[task])

    def _ended(self, actor: _Actor) -> None:
        number, task = actor.number, actor.task
        actor.number = actor.task = None
        assert number is not None
        try:
            self._ray.get(task)
        except self._ray.exceptions.RayTaskError as error:
            self._failed(number, error.cause if isinstance(error.cause, ProtvecError) else error, ours=True)
        except self._ray.exceptions.RayError as error:  # the worker or its node is gone
            self._actors.remove(actor)
            self._failed(number, error, ours=False)
        else:
            self._course.times.append(time.monotonic() - actor.since)
            self._course.done.add(number)

    def _failed(self, number: int, error: BaseException, *, ours: bool) -> None:
        """Have a shard embedded by another worker; what fails everywhere, or again and again, ends the run."""
        course = self._course
        if number in course.done:
            return
        if ours and isinstance(error, ProtvecError) and not isinstance(error, EngineError):
            raise error
        course.failures[number] = course.failures.get(number, 0) + 1
        if course.failures[number] >= TRIES:
            words = " ".join(str(error).split())[:300]
            raise EngineError(f"shard {number} failed on {TRIES} workers: {words}") from error
        if not any(actor.number == number for actor in self._actors):
            course.waiting.insert(0, number)


class _Running:
    """The actor: a worker with as many threads as it was given processors."""

    def __init__(self, worker: Worker, threads: int) -> None:
        worker.with_threads(threads)
        self._worker = worker

    def embed(self, number: int) -> int:
        return self._worker.embed(number)

    def residues(self) -> int:
        return self._worker.residues()
