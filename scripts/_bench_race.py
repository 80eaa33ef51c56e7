"""Engines that take turns on the same proteins, each in a process of its own."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from _bench import Worker, WorkerError
from _bench_encoders import encode, load, model_argument, product_peaks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from protvec.models import Checkpoint

PAUSE_SECONDS = 0.3  # OpenMP's threads of the one before spin for 0.2 s


@dataclass
class Contender:
    """One engine in one precision, in a process of its own.

    Attributes:
        problem: Why it is out of the race; None while it is in.
        first_load: Of a process that converts the checkpoint where that was not done before.
        loaded: Of the process that runs the rounds: seconds and peak of memory.
        turns: One for each round: seconds, CPU seconds, peak of memory.
    """

    checkpoint: Checkpoint
    engine: str
    precision: str
    worker: Worker = field(default_factory=Worker)
    problem: str | None = None
    first_load: dict[str, Any] | None = None
    loaded: dict[str, Any] | None = None
    turns: list[dict[str, float]] = field(default_factory=list)
    outputs: str = ""

    def start(self) -> None:
        """Load the model, in a process before this one too where that may convert it."""
        arguments = (load, model_argument(self.checkpoint), self.engine, self.precision)
        try:
            if self.engine == "openvino":
                self.first_load = self.worker.call(*arguments)
                self.worker.close()
                self.worker = Worker()
            self.loaded = self.worker.call(*arguments)
        except WorkerError as error:
            self.leave(str(error))

    def turn(self, sequences: Sequence[str], *, counts: bool = True) -> None:
        """Embed all sequences while the others wait."""
        try:
            figures = self.worker.call(encode, list(sequences), self.outputs)
        except WorkerError as error:
            self.leave(str(error))
            return
        if counts:
            self.turns.append(figures)
        time.sleep(PAUSE_SECONDS)

    def leave(self, problem: str) -> None:
        """Be out of the race."""
        self.problem = problem
        self.worker.close()


def entries(
    checkpoint: Checkpoint, engines: Sequence[str], precisions: Sequence[str], scratch: Path
) -> list[Contender]:
    """The yardstick, which is the first engine in fp32, and every other engine in every precision."""
    pairs = [(engines[0], "fp32"), *((engine, precision) for engine in engines[1:] for precision in precisions)]
    return [Contender(checkpoint, *pair, outputs=str(scratch / str(i))) for i, pair in enumerate(pairs)]


def race(
    contenders: Sequence[Contender],
    sequences: Sequence[str],
    rounds: int,
    measured: tuple[float, Sequence[tuple[int, int, int]]],
) -> list[dict[str, float | None]]:
    """Let all take their turns; the fastest matrix products of each round, in GFLOP/s."""
    products = Worker()
    peaks = []
    warm = sorted(sequences, key=len)[: len(sequences) // 2 + 1]
    try:
        for entry in contenders:
            note(f"loading {entry.engine} {entry.precision}")
            entry.start()
            if entry.problem is None:
                entry.turn([warm[0], warm[-1]], counts=False)
        for number in range(1, rounds + 1):
            for entry in contenders:
                if entry.problem is None:
                    note(f"round {number} of {rounds}: {entry.engine} {entry.precision}")
                    entry.turn(sequences)
            note(f"round {number} of {rounds}: matrix products")
            peaks.append(products.call(product_peaks, *measured))
    finally:
        for worker in (products, *(entry.worker for entry in contenders)):
            worker.close()
    if contenders[0].problem is not None:
        raise SystemExit(f"{contenders[0].engine}, the yardstick, failed: {contenders[0].problem}")
    return peaks


def note(text: str) -> None:
    """Say what goes on, with the time: a run takes minutes."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)
