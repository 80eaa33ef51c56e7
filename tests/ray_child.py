"""Engines for workers on Ray, and a driver in a process of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from _crash import Hashing, open_database

if TYPE_CHECKING:
    from protvec.cluster.pool import MakeEncoder


class slow:  # noqa: N801 - used as a function, but it travels to other processes
    """Makes an instant model that pauses after each sequence."""

    def __init__(self, pause: float, *, first: str = "", seconds: float = 0.0, fails: bool = False) -> None:
        """Prepare.

        Args:
            pause: Seconds.
            first: A file that whoever makes it first leaves, and is the slow one.
            seconds: That this one pauses.
            fails: Make none.
        """
        self._pause, self._first, self._seconds, self._fails = pause, first, seconds, fails

    def __call__(self, shards: Any, settings: Any) -> Hashing:
        from protvec.errors import EngineError
        from protvec.ingest import commits

        commits.FIRST_SECONDS = 0.2
        if self._fails:
            raise EngineError("no engine here")
        if self._first:
            try:
                Path(self._first).touch(exist_ok=False)
            except FileExistsError:
                return Hashing(self._pause)
            return Hashing(self._seconds)
        return Hashing(self._pause)


def main(text: str) -> None:
    """Be the driver."""
    import ray

    import protvec
    from protvec import cluster
    from protvec.cluster import on_ray, pool
    from protvec.ingest import Options, make_plan, open_sources

    task = json.loads(text)
    on_ray.LEAST_RESIDUES = on_ray.GOOD_RESIDUES = 60
    on_ray.SHARDS_PER_WORKER, pool._LOOK_SECONDS = 3, 0.3
    here = Path(__file__).resolve().parent
    paths = f"{here}:{here.parent / 'scripts'}"
    ray.init(address=task["address"], log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": paths}})
    store = open_database(task["db"]).store
    encoder: MakeEncoder = slow(task["pause"])
    with open_sources([task["fasta"]]) as sources:
        plan = make_plan(sources, store, Options(dataset="test", nucleotides_ok=True))
        report = cluster.ingest_on_ray(sources, plan, store, protvec.Settings(), encoder=encoder)
    sys.stdout.write(json.dumps(report.to_dict()))


if __name__ == "__main__":
    from ray_child import main as imported  # so that what travels is not of __main__

    imported(sys.argv[1])
