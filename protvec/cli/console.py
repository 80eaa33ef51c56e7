"""What a person sees: notes and progress on standard error, counts and times in words."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress


NOTE_EVERY = 60.0  # seconds between two lines of progress where there is no terminal


@dataclass
class _State:
    debug: bool = False
    storage_options: dict[str, str] = field(default_factory=dict)  # secrets among them: never shown
    search_memory: int | None = None


state = _State()


class Stop(Exception):  # noqa: N818  # no error: the command has said everything and ends with a code
    """End the command with an exit code, everything being said."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


class ReaderLeft(Exception):  # noqa: N818  # no error: whoever read our output has what they want
    """The reader of standard output has gone. Typer would take the system's own error for a failure."""


def note(message: str) -> None:
    """A line for a person, on standard error."""
    print(message, file=sys.stderr, flush=True)


def error(message: str) -> None:
    """The one line that says what went wrong."""
    note(f"protvec: error: {message}")


def warn(message: str) -> None:
    """A line about something that the user should look at."""
    note(f"protvec: warning: {message}")


def is_terminal() -> bool:
    """Whether a person reads standard error."""
    return sys.stderr.isatty()


def note_model(name: str) -> None:
    """Say what the offline model is not."""
    if name == "near":
        note("The model is near, a small offline network; it is not Ankh.")


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress display on standard error; shown on a terminal only."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not is_terminal()) as shown:
        yield shown


@contextmanager
def counting(
    what: str, noun: str = "protein", nouns: str | None = None, *, before: int = 0
) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on a terminal, else a line a minute, for work that says how many proteins of how many are done.

    Args:
        what: What is being done.
        noun: What is counted.
        nouns: More than one of it.
        before: How many were done by an earlier run.
    """
    nouns = nouns or f"{noun}s"
    started = noted = time.monotonic()
    with progress() as shown:
        task = shown.add_task(what, total=None, rate="")

        def advance(done: int, total: int | None) -> None:
            nonlocal noted
            now = time.monotonic()
            rate = (done - before) / max(now - started, 1e-9)
            shown.update(task, completed=done, total=total, rate=f"{rate:,.0f} {nouns}/s")
            if not is_terminal() and now - noted >= NOTE_EVERY:
                noted = now
                note(f"{what}: {plural(done, noun, nouns) if total is None else f'{done:,} of {total:,} {nouns}'}")

        yield advance


def duration(seconds: float) -> str:
    """A time in words: ``2 h 05 min``, ``3 min 20 s``, ``4.2 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """A count with its noun: ``1 protein``, ``12,653 proteins``."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"
