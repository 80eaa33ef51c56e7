"""Where records come from: files, or standard input kept so that it can be read twice."""

from __future__ import annotations

import hashlib
import shutil
import stat
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from protvec import fasta
from protvec.errors import FastaError
from protvec.store import InputFile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

STDIN = "<stdin>"


class Readable(Protocol):
    """What records can be read from, several times.

    Attributes:
        name: What errors and reports call it.
    """

    name: str

    def read(
        self, *, fix: Collection[str] = (), nucleotides_ok: bool = False
    ) -> Iterator[fasta.Record | fasta.Rejected]:
        """Its records from the start."""
        ...

    def describe(self) -> InputFile:
        """It, as the ledger names it."""
        ...


@dataclass
class Source:
    """One input that can be read several times.

    Attributes:
        name: What the user called it; errors and reports use it.
        path: Where its bytes are.
        signature: Size in bytes and modification time in nanoseconds when it was opened.
        sha256: Digest of its bytes, in hexadecimal, once it was read to its end.
    """

    name: str
    path: Path
    signature: tuple[int, int]
    sha256: str | None = None

    def read(
        self, *, fix: Collection[str] = (), nucleotides_ok: bool = False
    ) -> Iterator[fasta.Record | fasta.Rejected]:
        """Its records from the start.

        Raises:
            FastaError: it cannot be read as a protein FASTA file, or it changed since it was opened.
        """
        if _signature(self.path) != self.signature:
            raise FastaError("the file changed while it was being read: run again", file=self.name)
        if self.sha256 is not None:
            yield from fasta.read(self.path, name=self.name, fix=fix, nucleotides_ok=nucleotides_ok)
            return
        seen = hashlib.sha256()
        yield from fasta.read(self.path, name=self.name, fix=fix, nucleotides_ok=nucleotides_ok, tap=seen.update)
        self.sha256 = seen.hexdigest()

    def describe(self) -> InputFile:
        """It, as the ledger names it."""
        return InputFile(self.name, self.sha256, self.signature[0])


@contextmanager
def open_sources(files: Sequence[str | Path], *, stdin: BinaryIO | None = None) -> Iterator[list[Source]]:
    """Check that every input is there, before any is read.

    Args:
        files: Paths; ``-`` stands for standard input, which is copied to a temporary file.
        stdin: The stream behind ``-``.

    Raises:
        FastaError: a file is not there or named twice.
    """
    with ExitStack() as copies:
        sources: list[Source] = []
        for file in files:
            source = _open(str(file), stdin, copies)
            if any(source.path.resolve() == other.path.resolve() for other in sources):
                raise FastaError("named twice", file=source.name)
            sources.append(source)
        yield sources


def _open(name: str, stdin: BinaryIO | None, copies: ExitStack) -> Source:
    if name == "-":
        if stdin is None:
            raise FastaError("standard input is not available here", file=STDIN)
        return _spool(STDIN, stdin, copies)
    path = Path(name)
    try:
        if stat.S_ISFIFO(path.stat().st_mode):  # as of the shell's <(zcat …): it can be read only once
            with path.open("rb") as stream:
                return _spool(name, stream, copies)
        return Source(name, path, _signature(path))
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or str(error))
        raise FastaError(reason, file=name) from None


def _spool(name: str, stream: BinaryIO, copies: ExitStack) -> Source:
    """What can be read only once, as a file that can be read again until the stack is left."""
    target = copies.enter_context(tempfile.NamedTemporaryFile(prefix="protvec-"))  # noqa: SIM115  # the stack closes it
    shutil.copyfileobj(stream, target)
    target.flush()
    return Source(name, Path(target.name), _signature(Path(target.name)))


def _signature(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
