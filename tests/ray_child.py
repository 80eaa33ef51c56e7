"""Engines for workers on Ray, and a driver in a process of its own."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from _crash import Hashing, open_database, residues_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from protvec.cluster.pool import MakeEncoder

STRAGGLER = "straggler"


class Noting(Hashing):
    """Says in a file what it embeds, and does nothing until the others have done so much, or four minutes are over."""

    def __init__(self, file: Path, *, after: int = 0) -> None:
        super().__init__()
        self._file, self._after = file, after

    def encode(self, sequences: Iterable[str]) -> Iterator[NDArray[np.float32]]:
        """See ``protvec.engine.base.Encoder``."""
        end = time.monotonic() + 240
        for sequence in sequences:
            while self._by_others() < self._after and time.monotonic() < end:
                time.sleep(0.05)
            with self._file.open("a") as file:
                file.write(f"{sequence}\n")
            yield residues_of(sequence)

    def _by_others(self) -> int:
        return sum(len(file.read_text().splitlines()) for file in self._file.parent.iterdir() if file != self._file)


class slow:  # noqa: N801 - used as a function, but it travels to other processes
    """Makes an instant model that pauses after each sequence."""

    def __init__(self, pause: float, *, notes: str = "", others: int = 0, fails: bool = False) -> None:
        """Prepare.

        Args:
            pause: Seconds.
            notes: A folder where every worker says what it embeds; the first there is a straggler.
            others: Sequences that the other workers have to have done before that one does its first.
            fails: Make none.
        """
        self._pause, self._notes, self._others, self._fails = pause, notes, others, fails

    def __call__(self, shards: Any, settings: Any) -> Hashing:
        from protvec.errors import EngineError
        from protvec.ingest import commits

        commits.FIRST_SECONDS = 0.2
        if self._fails:
            raise EngineError("no engine here")
        if not self._notes:
            return Hashing(self._pause)
        try:
            (Path(self._notes) / STRAGGLER).touch(exist_ok=False)
        except FileExistsError:
            return Noting(Path(self._notes) / str(os.getpid()))
        return Noting(Path(self._notes) / STRAGGLER, after=self._others)


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
