"""In which order a run goes through its input, so that processes at the same work do not all do all of it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from protvec.ingest.records import Keyed


class Course:
    """What of an input is still to be done: all of it, in order, and then what was left for later.

    A record is left when another process is embedding its sequence just then (``leave``). Where processes
    cannot see that of each other, as in an object store, one that finds in the database what it has just
    embedded itself goes on from a place drawn at random (``jump``), and leaves what is before it. What was left
    is looked at again when the rest is done; most of it is in the database by then.
    """

    def __init__(self, batches: int = 0) -> None:
        """A course through so many batches, or a few more than there are."""
        self._batches = batches
        self._left: dict[int, int] | None = None  # batch -> a bit for each record; None before the first time
        self._number = 0  # of the batch at hand
        self._jump = False
        self._draw = random.Random()  # noqa: S311  # no secret; two processes must not draw alike

    @property
    def begins(self) -> bool:
        """Whether the input has not been read yet."""
        return self._left is None

    @property
    def goes_on(self) -> bool:
        """Whether there is anything left to do."""
        return self._left is None or bool(self._left)

    def jump(self) -> None:
        """Go on elsewhere after the batch at hand."""
        self._jump = True

    def leave(self, place: int) -> None:
        """Leave a record of the batch at hand for later."""
        assert self._left is not None
        self._left[self._number] = self._left.get(self._number, 0) | 1 << place

    def choose(self, batches: Iterable[list[Keyed]]) -> Iterator[Sequence[tuple[int, Keyed]]]:
        """What is to be done now of each of the input's batches: places in the batch, and records.

        All of the input is read each time.
        """
        wanted, self._left = self._left, {}
        start = 0
        for number, batch in enumerate(batches):
            mask = (1 << len(batch)) - 1 if wanted is None else wanted.get(number, 0)
            if not mask:
                continue
            if self._jump:
                self._jump = False
                start = self._elsewhere(number, wanted)
            self._number = number
            if number < start:
                self._left[number] = mask
            else:
                yield [(place, record) for place, record in enumerate(batch) if mask >> place & 1]

    def _elsewhere(self, number: int, wanted: dict[int, int] | None) -> int:
        """A batch after this one, or this one if it is the last."""
        ahead = range(number + 1, self._batches) if wanted is None else [n for n in sorted(wanted) if n > number]
        return self._draw.choice(ahead) if ahead else number
