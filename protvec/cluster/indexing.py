"""An index of vectors built on a Ray cluster: tasks that Ray gives to another worker where one dies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protvec.cluster.on_ray import connect
from protvec.errors import DatabaseError, EngineError, ProtvecError
from protvec.store import build_part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    from protvec.store import BuiltPart, IndexInfo, IndexPart, Store

RETRIES = 4  # of a part whose worker or node died
_WAIT_SECONDS = 0.5  # so that Ctrl-C is heard


def index_on_ray(
    store: Store,
    kind: str = "auto",
    *,
    target_recall: float | None = None,
    address: str = "auto",
    threads: int | None = None,
    notify: Callable[[str], None] | None = None,
) -> list[IndexInfo]:
    """Build the indexes of a database as ``Store.index`` does, that of vectors on all nodes of a Ray cluster.

    This process learns the centres of its partitions from a sample, workers index parts of the table, and this process
    commits all parts as one index in place of the one that there is, tunes it and builds the indexes of metadata. A
    part whose worker dies is built by another. A kill of this process before the commit changes nothing.

    Args:
        store: The database; every node must see its directory or URL.
        kind: As of ``Store.index``.
        target_recall: As of ``Store.index``.
        address: Of the cluster: see ``connect``.
        threads: Of each worker; by default all processors of the smallest node.
        notify: Called with a line of text for each step.

    Returns:
        The indexes that there are.

    Raises:
        QueryError: An unknown kind, or a recall that is not above 0 and at most 1.
        EngineError: Ray is not installed, no cluster answers, no node has processors, or workers die again and again.
        DatabaseError: A node does not see the database; the disk; or other writers that keep getting in first.
    """
    workers = _Workers(lambda: connect(address), threads, notify or (lambda _: None))
    return store.index(kind, target_recall=target_recall, notify=notify, workers=workers)


class _Workers:
    """Ray's, as those who build an index; Ray is connected once there is something to build."""

    def __init__(self, connected: Callable[[], ModuleType], threads: int | None, notify: Callable[[str], None]) -> None:
        self._connected, self._threads, self._notify = connected, threads, notify

    @property
    def count(self) -> int:
        """How many parts are built at once."""
        nodes = _processors(self._connected())
        each = self._each(nodes)
        return sum(processors // each for processors in nodes)

    def build(self, parts: Sequence[IndexPart], centres: NDArray[np.float32]) -> list[BuiltPart]:
        """Have every part built; what one worker raises ends the others."""
        ray = self._connected()
        each = self._each(_processors(ray))
        # Lance takes all processors of a machine unless told otherwise before it is loaded.
        environment = {"env_vars": {"LANCE_CPU_THREADS": str(each)}}
        task = ray.remote(_build_part).options(num_cpus=each, max_retries=RETRIES, runtime_env=environment)
        shared = ray.put(centres)
        waiting = [task.remote(part, shared) for part in sorted(parts, key=lambda part: -part.rows)]
        made: list[BuiltPart] = []
        try:
            while waiting:
                ready, waiting = ray.wait(waiting, timeout=_WAIT_SECONDS)
                for done in ready:
                    made.append(_result(ray, done))
                    self._notify(f"{len(made)} of {len(parts)} parts indexed")
                for part in made:
                    part.touch()
        finally:
            for left in waiting:
                ray.cancel(left, force=True)
        return made

    def _each(self, nodes: Sequence[int]) -> int:
        """Processors of a worker: so many that each node takes one."""
        return min(self._threads or min(nodes), max(nodes))


def _processors(ray: ModuleType) -> list[int]:
    """Those of each node that has any."""
    found = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    if not any(found):
        raise EngineError("no node of the Ray cluster has processors for a worker")
    return [each for each in found if each]


def _result(ray: ModuleType, task: Any) -> BuiltPart:  # noqa: ANN401 - Ray's reference
    try:
        built: BuiltPart = ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ProtvecError):
            raise error.cause from error
        raise DatabaseError(f"a part of the index was not built: {' '.join(str(error).split())[-300:]}") from error
    except ray.exceptions.RayError as error:
        raise EngineError(f"workers died {RETRIES + 1} times: {' '.join(str(error).split())[:300]}") from error
    return built


def _build_part(part: IndexPart, centres: NDArray[np.float32]) -> BuiltPart:
    """The task: of this module, so that workers know it by name."""
    return build_part(part, centres)
