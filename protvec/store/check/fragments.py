"""Reading a table fragment by fragment, so that a damaged file costs no more than its own rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protvec.store.check.findings import Finding
from protvec.store.filters import LANCE_ERRORS, brief

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa
    from lance import LanceDataset


@dataclass
class Part:
    """A fragment that can be read.

    Attributes:
        id: Its number.
        start: Its first row in the order of the table.
        rows: How many it has.
    """

    id: int
    start: int
    rows: int


@dataclass
class Damaged:
    """A fragment that cannot be read.

    Attributes:
        id: Its number.
        rows: How many rows it had.
        files: Its data files.
        reason: What reading it met.
    """

    id: int
    rows: int
    files: tuple[str, ...]
    reason: str


@dataclass
class Fragments:
    """A table as its fragments: those that can be read, and those that turn out not to be."""

    dataset: LanceDataset
    name: str
    parts: list[Part] = field(default_factory=list)
    damaged: dict[int, Damaged] = field(default_factory=dict)

    def __post_init__(self) -> None:
        start = 0
        for fragment in self.dataset.get_fragments():
            rows = fragment.count_rows()
            self.parts.append(Part(fragment.fragment_id, start, rows))
            start += rows

    def scan(
        self,
        columns: Sequence[str],
        use: Callable[[Part, int, pa.RecordBatch], None],
        *,
        batch_size: int = 1024,
        only: Callable[[Part], Sequence[int] | None] = lambda _: None,
    ) -> None:
        """Hand every batch of every readable fragment to ``use``, with the offset of its first row there.

        Args:
            columns: What to read.
            use: Called with the fragment, the offset and the batch.
            batch_size: Rows of a batch.
            only: Which rows of a fragment, by offset; None means all. A selection comes in batches too, whose
                offset counts within it.
        """
        for part in list(self.parts):
            if part.id in self.damaged:
                continue
            try:
                offset = 0
                for batch in self._batches(part, columns, batch_size, only(part)):
                    use(part, offset, batch)
                    offset += batch.num_rows
            except BaseException as error:
                if not isinstance(error, LANCE_ERRORS) and type(error).__name__ != "PanicException":
                    raise
                self._give_up(part, error)

    def _batches(
        self, part: Part, columns: Sequence[str], batch_size: int, only: Sequence[int] | None
    ) -> Iterator[pa.RecordBatch]:
        fragment = self.dataset.get_fragment(part.id)
        if only is None:
            yield from fragment.scanner(columns=list(columns), batch_size=batch_size).to_batches()
            return
        for start in range(0, len(only), batch_size):
            rows = fragment.take(list(only[start : start + batch_size]), columns=list(columns))
            yield from rows.combine_chunks().to_batches()

    def _give_up(self, part: Part, error: BaseException) -> None:
        fragment = self.dataset.get_fragment(part.id)
        files = tuple(f"data/{file.path}" for file in fragment.data_files())
        self.damaged[part.id] = Damaged(part.id, part.rows, files, brief(error))

    def findings(self) -> list[Finding]:
        """One for each fragment that could not be read."""
        return [
            Finding(
                "file-damaged",
                self.name,
                f"{each.rows} rows cannot be read ({each.reason}); a copy of the file would bring them back",
                each.rows,
                each.files,
            )
            for each in self.damaged.values()
        ]
