"""Where answers go: standard output as they come, or a file that a killed run can go on with."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from protvec.cli import console
from protvec.cli.console import duration, plural
from protvec.cli.fields import BY_VECTOR
from protvec.cli.formats import HEADERS, TEXTS, Batches, Format, Pretty, Records, convert, format_for
from protvec.cli.layout import Answer, check_m8, layout
from protvec.cli.partial import Partial, Progress
from protvec.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    import pyarrow as pa

    from protvec.cli.formats import Writer
    from protvec.cli.layout import Layout
    from protvec.search import Hits

    Answers = Callable[[Progress], Iterator[Answer]]

_SHOWN_EVERY = 0.1  # seconds between two steps of the bar


class Sink:
    """Writes the answers of one search in one format to one place."""

    def __init__(
        self,
        *,
        format: Format | None,
        columns: Sequence[str] | None,
        header: bool | None,
        output: Path | None,
        force: bool,
        aligned: bool = False,
        pairwise: bool = False,
    ) -> None:
        """Check it all before anything is searched for.

        Args:
            format: The format; by default as the name of the file says, or as suits standard output.
            columns: Names of columns, as they were given.
            header: Whether text begins with the names of the columns; None for what the format usually has.
            output: The file; None for standard output.
            force: Replace the file.
            aligned: Whether hits have alignments.
            pairwise: Draw them under each table.

        Raises:
            QueryError: the format cannot be had so.
            InputError: the file is there already, or cannot be.
        """
        stdout = sys.stdout.isatty()
        self.format = format or (Format.table if pairwise else format_for(output, terminal=stdout))
        if pairwise and self.format is not Format.table:
            raise QueryError(
                f"alignments are drawn under a table, not in {self.format.value}: take --columns qaln,taln"
            )
        self._pairwise = pairwise
        if self.format is Format.parquet and output is None and stdout:
            raise QueryError("parquet is binary: name a file with -o, or send standard output to one")
        if self.format is Format.m8:
            check_m8(columns, aligned=aligned)
        self.header = HEADERS.get(self.format, False) if header is None else header
        self._output = output
        device = output is not None and output.exists() and not output.is_file() and not output.is_dir()
        self._device = output if device else None
        self._partial = Partial(output, force=force) if output and not device else None
        self._terminal = output is None and stdout

    @property
    def resumable(self) -> bool:
        """Whether a killed run can be gone on with."""
        return self._partial is not None

    def settings(self) -> dict[str, Any]:
        """What decides about the bytes, beside the answers and the columns."""
        return {"format": self.format.value, "header": self.header, "pairwise": self._pairwise}

    def write(
        self,
        answers: Answers,
        layout: Layout,
        *,
        search: Mapping[str, Any],
        types: Mapping[str, pa.DataType],
        total: int | None,
    ) -> Progress:
        """Write all answers, in order.

        Args:
            answers: Gives those that are not done.
            layout: The columns.
            search: What makes the search what it is, to recognise a partial file by.
            types: Of columns of queries.
            total: How many queries there are, if that is known.

        Raises:
            InputError: the file cannot be written, or the partial one is of another search.
        """

        def writer(*, begun: bool) -> Writer:
            return self._writer(layout, types=types, begun=begun)

        if self._partial is not None:
            return self._to_file(self._partial, answers, writer, dict(search), total)
        try:
            with self._opened() as stream:
                return self._to_stream(stream, answers, writer(begun=False), total)
        except BrokenPipeError:
            raise console.ReaderLeft from None

    def write_table(self, answer: Answer, layout: Layout, *, noun: str) -> None:
        """Write one table, whole or not at all."""
        from protvec.cli.output import writing

        writer = Records(layout) if self.format is Format.json else self._writer(layout, noun=noun)
        spooled = io.BytesIO()
        spooled.write(writer.add(answer) + writer.end())
        try:
            with writing(self._output) if self._output else nullcontext(sys.stdout.buffer) as stream:
                spooled.seek(0)
                convert(spooled, stream) if writer.spooled else shutil.copyfileobj(spooled, stream)
                stream.flush()
        except BrokenPipeError:
            raise console.ReaderLeft from None

    def _writer(
        self, layout: Layout, *, types: Mapping[str, pa.DataType] | None = None, begun: bool = False, noun: str = "hit"
    ) -> Writer:
        if self.format is Format.parquet:
            return Batches(layout, types=types or {}, begun=begun)
        if self.format is Format.table:
            width = shutil.get_terminal_size().columns if self._terminal else None
            return Pretty(layout, width=width, colour=self._terminal, begun=begun, noun=noun, pairwise=self._pairwise)
        return TEXTS[self.format](layout, header=self.header, begun=begun)

    def _to_file(
        self,
        partial: Partial,
        answers: Answers,
        writer: Callable[..., Writer],
        search: dict[str, Any],
        total: int | None,
    ) -> Progress:
        started = time.monotonic()
        done = partial.begin(search)
        if done.queries:
            console.note(f"going on after {plural(done.queries, 'query', 'queries')} in {partial.path}")
        writes = writer(begun=done.queries > 0)
        with partial.writing(writes) as add, _bar(total, done.queries) as advance:
            for number, answer in enumerate(answers(done), start=done.queries + 1):
                add(answer)
                advance(number)
        partial.finish(writes, convert)
        now = partial.progress
        what = f"{plural(now.hits, 'hit')} of {plural(now.queries, 'query', 'queries')}"
        console.note(f"{self._output}: {what}, {duration(time.monotonic() - started)}")
        return now

    def _to_stream(self, stream: BinaryIO, answers: Answers, writer: Writer, total: int | None) -> Progress:
        done = Progress()
        with tempfile.TemporaryFile() if writer.spooled else nullcontext(stream) as target:
            with nullcontext(_nothing) if self._terminal else _bar(total, 0) as advance:
                for answer in answers(done):
                    data = writer.add(answer)
                    target.write(data)
                    target.flush()
                    done = done.after(answer, len(data))
                    advance(done.queries)
            target.write(writer.end())
            if writer.spooled:
                target.seek(0)
                convert(target, stream)
            stream.flush()
        return done

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        if self._device is None:
            yield sys.stdout.buffer
            return
        from protvec.cli.output import writing

        with writing(self._device) as stream:
            yield stream


def show(hits: Hits, columns: Sequence[str]) -> None:
    """A table of the hits of one query, on standard output."""
    found = hits.to_arrow().column_names
    chosen = layout(columns, found, [], sides=BY_VECTOR if "evalue" in found else ())
    answer = Answer.of(hits)
    Sink(format=Format.table, columns=columns, header=None, output=None, force=False).write(
        lambda _: iter([answer]), chosen, search={}, types={}, total=1
    )


@contextmanager
def _bar(total: int | None, before: int) -> Iterator[Callable[[int], None]]:
    """What moves the bar to a query, now and then; one query has none."""
    if total == 1:
        yield _nothing
        return
    with console.counting("Searching", "query", "queries", before=before) as advance:
        shown = 0.0

        def step(number: int) -> None:
            nonlocal shown
            now = time.monotonic()
            if now - shown >= _SHOWN_EVERY:
                shown = now
                advance(number, total)

        yield step


def _nothing(number: int) -> None:
    """No bar."""
