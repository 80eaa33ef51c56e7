"""An ingest on a Ray cluster: Ray places and watches the workers, and the shards are what they are without it."""

from __future__ import annotations

import hashlib
import json
import threading
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protvec.cluster.committing import commit
from protvec.cluster.cutting import cut
from protvec.cluster.pool import Pool, Worker
from protvec.cluster.shards import RECORDS, Shards
from protvec.errors import EngineError, ProtvecError, ShardError
from protvec.ingest import Observer, make_plan, run
from protvec.store import open_work, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from protvec.cluster.pool import MakeEncoder
    from protvec.database import Settings
    from protvec.ingest import Plan, Report, Source
    from protvec.store import Location, Store

WORK = ".shards"  # in the database's directory: all who see the one see the other
SHARDS_PER_WORKER = 8
# Residues of a shard at least, as making its database takes a fifth of a second: where each worker has one, and more.
LEAST_RESIDUES, GOOD_RESIDUES = 20_000, 100_000
ATTEMPTS = 3
_POLL_SECONDS = 0.3


def connect(address: str) -> ModuleType:
    """Ray, connected.

    Args:
        address: ``auto``: the cluster that runs here, or else one of this machine alone; ``HOST:PORT``, ``ray://…``.

    Raises:
        EngineError: Ray is not installed, or there is no cluster there.
    """
    try:
        import ray
    except ImportError as error:
        raise EngineError("this needs the package ray: pip install 'protvec[ray]'") from error
    quietly: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    with warnings.catch_warnings():
        # A cluster of this machine is started by forks that execute at once: lance warns of those that go on.
        warnings.filterwarnings("ignore", message="lance is not fork-safe")
        if not ray.is_initialized():
            _connect(ray, address, quietly)
    loaded: ModuleType = ray
    return loaded


def _connect(ray: ModuleType, address: str, quietly: dict[str, Any]) -> None:
    try:
        ray.init(address=address, **quietly)
    except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
        if address != "auto" or not isinstance(error, ConnectionError):
            words = " ".join(str(error).split())[:200]
            raise EngineError(f"no Ray cluster answers at {address}: {words}") from error
        ray.init(include_dashboard=False, **quietly)


def ingest_on_ray(
    sources: Sequence[Source],
    plan: Plan,
    store: Store,
    settings: Settings,
    *,
    address: str = "auto",
    observer: Observer | None = None,
    encoder: MakeEncoder | None = None,
) -> Report:
    """Do what a plan says, on all nodes of a Ray cluster; the report and the database are those of ``ingest.run``.

    Records are cut into shards in the database's own directory; workers, which Ray starts on every node, embed one
    after the other there, and this process commits each when it is complete. A worker or node that dies costs what it
    had embedded since its last commit; this process killed and started again goes on with the shards that there are.

    Args:
        sources: The inputs.
        plan: Of these inputs, from ``make_plan``.
        store: The database; every node must see its directory or URL.
        settings: How workers get and run the model; ``threads`` is how many each has, all of a node by default.
        address: Of the cluster: see ``connect``.
        observer: Sees progress, and may stop the run.
        encoder: Makes the engine of a worker from the shards and the settings; ``encoder_for`` by default.

    Raises:
        EngineError: Ray is not installed, no cluster answers, or no node can run a worker.
        ShardError: A node does not see the database's directory.
        IngestInterrupted: The observer asked to stop; it carries the report of what is stored.
        DatabaseError: The disk.
    """
    observer = observer or Observer()
    for attempt in range(ATTEMPTS):
        if not plan.distinct:
            return run(plan, store, None, observer)
        ray = connect(address)
        where = _place(plan, store)
        try:
            return _embedded(ray, where, sources, plan, store, settings, observer, encoder)
        except ProtvecError:
            # Another process at the same work was done first, and has removed the shards: then all is stored.
            if attempt == ATTEMPTS - 1 or open_work(where.join(RECORDS)) is not None:
                raise
        plan = make_plan(sources, store, plan.options)
    raise AssertionError("unreachable")


def _embedded(
    ray: ModuleType,
    where: Location,
    sources: Sequence[Source],
    plan: Plan,
    store: Store,
    settings: Settings,
    observer: Observer,
    encoder: MakeEncoder | None,
) -> Report:
    shards = _shards(ray, where, sources, plan, store, settings)
    worker = Worker(where.path, where.storage, replace(settings, notify=None), encoder)
    with Pool(ray, shards, worker, threads=settings.threads, advanced=observer.advanced) as pool:
        report = commit(
            shards,
            store,
            wait=True,
            trust_log=False,
            observer=_Quiet(observer),
            notify=settings.notify,
            complete=pool.complete,
            poll=_waiting(pool),
            command="ingest",
        )
    remove(where)
    if where.is_local:
        with suppress(OSError):  # another work may be under way there
            Path(where.parent.path).rmdir()
    return report


def _waiting(pool: Pool) -> Callable[[], None]:
    """What the committer does while nothing is complete: wait a little, and raise what has gone wrong meanwhile."""
    pause = threading.Event()

    def poll() -> None:
        pause.wait(_POLL_SECONDS)
        pool.check()

    return poll


def _place(plan: Plan, store: Store) -> Location:
    """Where the shards of this work are: the same for everybody who does it, now or after a kill."""
    about = {
        "files": [(file.sha256, file.bytes) for file in (source.describe() for source in plan.sources)],
        "options": plan.options.to_dict(),
        "space": store.space.to_dict(),
        "codec": store.codec,
    }
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    return store.location.join(WORK).join(key)


def _shards(
    ray: ModuleType, where: Location, sources: Sequence[Source], plan: Plan, store: Store, settings: Settings
) -> Shards:
    """The shards of this work, cut unless they are there."""
    if open_work(where.join(RECORDS)) is not None:
        return Shards.open(where.path, storage_options=where.storage)
    workers = max(1, int(ray.cluster_resources().get("CPU", 1)) // (settings.threads or 1))
    try:
        return cut(
            sources,
            where.path,
            shards=min(_shards_for(plan.residues_to_embed, workers), plan.distinct),
            space=store.space,
            codec=store.codec,
            options=plan.options,
            precision=store.precision,
            store=store,
            storage_options=where.storage,
        )
    except ShardError:  # another process was quicker, and the database has changed since
        return Shards.open(where.path, storage_options=where.storage)


def _shards_for(residues: int, workers: int) -> int:
    """How many shards: one for each worker, and as many more as are worth it, so that all end together."""
    each = min(workers, residues // LEAST_RESIDUES)
    more = min(workers * SHARDS_PER_WORKER, residues // GOOD_RESIDUES)
    return max(1, each, more)


class _Quiet(Observer):
    """Hears of commits, and may stop; progress is what is embedded, which the workers say."""

    def __init__(self, observer: Observer) -> None:
        self.committed = observer.committed  # type: ignore[method-assign]
        self.should_stop = observer.should_stop  # type: ignore[method-assign]
