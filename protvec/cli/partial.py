"""A file of answers that a killed run leaves recognisable, and the same command goes on with.

Answers are written to ``FILE.partial``. Beside it, ``FILE.partial.json`` says of which search it is, and up to which
query and byte it is whole; it is replaced, never changed, once those bytes are on the disk. What is in the partial file
after that place, such as half a line, is cut off when the search goes on. At the end the file takes its name.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from protvec.cli import console
from protvec.cli.console import plural
from protvec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from protvec.cli.formats import Writer
    from protvec.cli.layout import Answer

CHECKPOINT_EVERY = 1.0  # seconds, at most, of work that a kill loses
# Settings that are versions of databases, and what those are called.
DATABASES = {"database": "the database", "against": "the database of --against"}
_FORMAT = 1


@dataclass(frozen=True)
class Progress:
    """How far a search has come.

    Attributes:
        queries: Answers that are in the file.
        bytes: Bytes that they take.
        hits: Hits in them.
        without: Queries that had no hit.
        digest: Of the queries, one after another: see ``chained``.
        last: Name of the last query.
    """

    queries: int = 0
    bytes: int = 0
    hits: int = 0
    without: int = 0
    digest: str = ""
    last: str | None = None

    def after(self, answer: Answer, written: int) -> Progress:
        """How far it has come with one more answer."""
        hits = len(answer.hits)
        return Progress(
            queries=self.queries + 1,
            bytes=self.bytes + written,
            hits=self.hits + hits,
            without=self.without + (not hits),
            digest=chained(self.digest, answer.key),
            last=answer.query,
        )


def chained(digest: str, key: str) -> str:
    """The digest of some queries and one more."""
    return hashlib.sha256(f"{digest}\n{key}".encode()).hexdigest()


class Partial:
    """A file on its way: ``begin``, then an ``add`` for each answer inside ``writing``, then ``finish``."""

    def __init__(self, target: Path, *, force: bool) -> None:
        """Look whether there may be such a file.

        Args:
            target: Its name at the end.
            force: Replace a file of that name, and start anew where a partial one is of another search.

        Raises:
            InputError: there is one already, or no such directory.
        """
        from protvec.exchange.files import check_target

        self.target = target.resolve()  # behind a link, as it would be written
        self.path = self.target.with_name(f"{self.target.name}.partial")
        self.record = self.target.with_name(f"{self.target.name}.partial.json")
        self._force = force
        self._search: dict[str, Any] = {}
        self._progress = Progress()
        self._stream: BinaryIO | None = None
        self._made = self._started = False
        self._whole = True  # whether no answer is half added
        self._saved = self._progress
        self._saved_at = time.monotonic()
        check_target(target, force=force)

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        return self._progress

    def begin(self, search: dict[str, Any]) -> Progress:
        """Take up what an earlier run of the same search left, and let no other process do so.

        Args:
            search: What the search is: equal settings give equal bytes.

        Raises:
            InputError: what is there is of another search, or of another process at work.
        """
        self._search = search
        with self._explained():
            if not self.path.exists():
                return self._progress
            self._stream = self.path.open("r+b")
            self._lock()
            try:
                self._progress = self._saved = self._done(search)
            except InputError:
                if not self._force:
                    self._stream.close()
                    raise
        return self._progress

    @contextmanager
    def writing(self, writer: Writer) -> Iterator[Callable[[Answer], None]]:
        """What adds an answer; whatever ends the block, what was added by then is kept.

        The file is made when the first answer is added: a search that fails before leaves nothing.
        """

        def add(answer: Answer) -> None:
            self._whole = False
            with self._explained():
                if not self._started:
                    self._start()
                data = writer.add(answer)
                self._opened.write(data)
                self._progress = self._progress.after(answer, len(data))
                if time.monotonic() - self._saved_at >= CHECKPOINT_EVERY:
                    self._checkpoint(writer)
            self._whole = True

        try:
            yield add
            self._whole = False
            with self._explained():
                if not self._started:
                    self._start()
                self._checkpoint(writer)
        except BaseException:
            self._leave(writer)
            raise

    def finish(self, writer: Writer, convert: Callable[[BinaryIO, BinaryIO], None]) -> None:
        """Give the file its name, once all of it is on the disk."""
        with self._explained():
            if writer.spooled:
                self._convert(convert)
            else:
                self._opened.write(writer.end())
                self._sync()
                self.path.replace(self.target)
            _sync_directory(self.target.parent)
            self.record.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)
            self._opened.close()

    # -- what is on the disk ---------------------------------------------------------------------------------

    @property
    def _opened(self) -> BinaryIO:
        assert self._stream is not None
        return self._stream

    def _done(self, search: dict[str, Any]) -> Progress:
        """What the record says; it may be believed where it is of this search and the file is as long as it says."""
        size = self.path.stat().st_size
        try:
            found = json.loads(self.record.read_text(encoding="utf-8"))
            progress, other = Progress(**found["progress"]), dict(found["search"])
        except FileNotFoundError:
            if not size:  # killed as it was made
                return Progress()
            raise InputError(
                f"{self.path}: there is no {self.record.name}, which would say what it is; {_HINT}"
            ) from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{self.record}: cannot be read ({error}); {_HINT}") from None
        if other != search:
            raise InputError(f"{self.path} is of another search: {_difference(other, search)}; {_HINT}")
        if size < progress.bytes:
            raise InputError(f"{self.path}: {size:,} bytes, but {progress.bytes:,} were written; {_HINT}")
        return progress

    def _start(self) -> None:
        if self._stream is None:
            try:
                self._stream = self.path.open("x+b")
            except FileExistsError:
                raise InputError(_BUSY.format(self.path)) from None
            self._made = True
            self._lock()
        self._save()  # before a byte is written: what is in the file is known to be of this search
        self._opened.truncate(self._progress.bytes)
        self._opened.seek(self._progress.bytes)
        self._started = True

    def _checkpoint(self, writer: Writer) -> None:
        data = writer.flush()
        self._opened.write(data)
        self._progress = replace(self._progress, bytes=self._progress.bytes + len(data))
        self._sync()
        self._save()
        self._saved_at = time.monotonic()

    def _sync(self) -> None:
        self._opened.flush()
        os.fsync(self._opened.fileno())

    def _save(self) -> None:
        text = json.dumps({"format": _FORMAT, "search": self._search, "progress": asdict(self._progress)}, indent=1)
        new = self.record.with_name(f".{self.record.name}.new")
        try:
            with new.open("w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(self.record)
            self._saved = self._progress
        finally:
            new.unlink(missing_ok=True)

    def _leave(self, writer: Writer) -> None:
        """Keep what there is, or nothing where that is nothing."""
        if self._stream is None:
            return
        with suppress(InputError), self._explained():
            if not self._progress.queries and (self._made or self._started):
                self.record.unlink(missing_ok=True)
                self.path.unlink(missing_ok=True)
            elif self._started and self._whole:
                self._checkpoint(writer)
        with suppress(OSError):  # what a full disk did not take is not noted as done
            self._stream.close()
        if self._saved.queries:
            done = plural(self._saved.queries, "query", "queries")
            console.note(f"{done} answered in {self.path}: the same command goes on from there")

    def _convert(self, convert: Callable[[BinaryIO, BinaryIO], None]) -> None:
        from protvec.exchange.files import replacing

        with self.path.open("rb") as stream, replacing(self.target, force=True) as new, new.open("wb") as target:
            convert(stream, target)

    def _lock(self) -> None:
        """Keep other processes away, where the file system can; the lock goes with the process."""
        import fcntl

        try:
            fcntl.flock(self._opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._opened.close()
            raise InputError(_BUSY.format(self.path)) from None
        except OSError:  # a network share without locks
            return
        mine = os.fstat(self._opened.fileno())
        if not self.path.exists() or not os.path.samestat(mine, self.path.stat()):
            self._opened.close()  # it was finished between being opened and being locked
            raise InputError(_BUSY.format(self.path))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{self.target}: cannot be written: {error.strerror or error}") from error


_HINT = "--force starts anew, or choose another file"
_BUSY = "{}: another process is writing it"


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The first thing that differs, in words."""
    name = next(name for name in {**before, **now} if before.get(name) != now.get(name))
    was, has = _word(before.get(name)), _word(now.get(name))
    if name in DATABASES:
        return f"{DATABASES[name]} has changed since (version {was.split()[0]}, now {has.split()[0]})"
    return f"{name} was {was}, and is {has}"


def _word(value: object) -> str:
    if value is None:
        return "not given"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _sync_directory(folder: Path) -> None:
    """Have the names in a directory written to the disk, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
