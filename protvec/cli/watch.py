"""Progress of an ingest on standard error, and Ctrl-C between two commits."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from protvec.cli import console
from protvec.cli.console import NOTE_EVERY, duration, note
from protvec.ingest import Observer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.progress import Progress


@contextmanager
def stop_on_interrupt(*, also: Sequence[signal.Signals] = ()) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second one ends the program at once.

    Args:
        also: Other signals that ask for the same, as a batch system sends SIGTERM before it kills.
    """
    stop = threading.Event()

    def asked(signum: int, frame: object) -> None:  # noqa: ARG001
        stop.set()
        note("Stopping after this commit; once more to stop at once.")
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {each: signal.signal(each, asked) for each in (signal.SIGINT, *also)}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class Watcher(Observer):
    """Draws the progress of a run, and stops it when asked."""

    def __init__(self, residues: int, shown: Progress, stop: threading.Event, *, what: str = "Embedding") -> None:
        """Watch so many residues."""
        self._stop = stop
        self._shown = shown
        self._total = max(residues, 1)
        self._done = 0
        self._started = self._noted = time.monotonic()
        self._task = shown.add_task(what, total=self._total, rate="")

    def advanced(self, proteins: int, residues: int) -> None:  # noqa: ARG002
        """Move the bar, or say a line now and then."""
        self._done += residues
        now = time.monotonic()
        rate = self._done / max(now - self._started, 1e-9)
        self._shown.update(self._task, completed=self._done, rate=f"{rate:,.0f} residues/s")
        if not console.is_terminal() and now - self._noted >= NOTE_EVERY and rate:
            self._noted = now
            left = duration((self._total - self._done) / rate)
            note(f"{self._done:,} of {self._total:,} residues, {rate:,.0f} residues/s, {left} left")

    def should_stop(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._stop.is_set()
