"""From bytes to header lines and sequence lines.

Biopython parses. What it would pass over in silence (text before the first header, comments, bytes that
are not text, white space inside a sequence) is seen by ``lines``, which stands between the file and the
parser, so that it is either reported or refused.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from protvec.errors import FastaError

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterator

    from _typeshed import WriteableBuffer

# The id ends where it does for BLAST: at the first space or control character. Unicode spaces are part of it.
_HEADER = re.compile(r"[\0-\x20]*([^\0-\x20]*)(.*)", re.DOTALL)
# Control A is let through: it joins the titles of merged entries in NCBI's nr.
_CONTROL = re.compile(r"[\0\x02-\x08\x0e-\x1f\x7f]")
_UNDECODED = re.compile(r"[\udc80-\udcff]")
_LINE_END = re.compile(rb"\r\n?|\n")

_GZIP = b"\x1f\x8b"
_BINARY = (
    (b"\xff\xfe", "UTF-16 text: convert it to UTF-8 first"),
    (b"\xfe\xff", "UTF-16 text: convert it to UTF-8 first"),
    (b">\0", "UTF-16 text: convert it to UTF-8 first"),
    (b"\0>", "UTF-16 text: convert it to UTF-8 first"),
    (b"PK\x03\x04", "a zip archive: unpack it first"),
    (b"BZh", "bzip2 data: decompress it first (only gzip is read as it is)"),
    (b"\xfd7zXZ\0", "xz data: decompress it first (only gzip is read as it is)"),
    (b"\x28\xb5\x2f\xfd", "zstd data: decompress it first (only gzip is read as it is)"),
    (_GZIP, "gzip data inside gzip data: decompress it once first"),
    (b"%PDF", "a PDF document, not a FASTA file"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, not a FASTA file"),
)
_HEAD_BYTES = 4096


@dataclass(slots=True)
class Header:
    """A header line, and what is seen of its record on the way.

    Attributes:
        line: 1-based number of the line.
        id: Its first word; empty where there is none.
        description: The rest, stripped of surrounding white space.
        spaced: Whether there is white space inside the sequence.
    """

    line: int
    id: str
    description: str
    spaced: bool = False


@contextmanager
def opened(path: str | Path | BinaryIO, file: str) -> Iterator[BinaryIO]:
    """The bytes of a path; a stream as it is, and left open.

    Raises:
        FastaError: The path cannot be opened.
    """
    if not isinstance(path, (str, Path)):
        yield path
        return
    try:
        stream = Path(path).open("rb")  # noqa: SIM115 - only opening may fail here, not the reader's own work
    except FileNotFoundError:
        raise FastaError("no such file", file=file) from None
    except IsADirectoryError:
        if not file:
            raise FastaError("the name of a file is empty", file="FASTA") from None
        raise FastaError("this is a directory: name the FASTA files in it", file=file) from None
    except (OSError, ValueError) as error:
        raise FastaError(f"cannot be opened: {_words(error)}", file=file) from None
    with stream:
        yield stream


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def lines(stream: Readable, file: str, headers: deque[Header]) -> Iterator[str]:
    """The lines that the parser needs; headers are noted on the way, in order.

    The parser takes a header off ``headers`` only after it has read the next one: empty means none so far.

    Raises:
        FastaError: Not text, damaged, nothing in it, or text before the first header.
    """
    number = 0
    for number, raw in enumerate(_text(stream, file), 1):
        if headers and raw.isascii() and raw.rstrip("\n").isalpha():  # as nearly all are
            yield raw
            continue
        line = raw if raw.isascii() and raw.rstrip("\n").isprintable() else _checked(raw, file, number)
        if line.startswith(">"):
            headers.append(_header(line, number))
            yield line
            continue
        words = line.split()
        # A PEFF file starts with a block of '#' lines.
        if not words or line.startswith((";", "#") if not headers else ";"):
            continue
        if not headers:
            message = f"text before the first header: {_short(line)}; a record starts with a line '>id description'"
            raise FastaError(message, file=file, line=number)
        headers[-1].spaced |= line.rstrip("\n") != words[0]
        yield line
    if not headers:
        raise FastaError("no record: only blank lines and comments" if number else "the file is empty", file=file)


def _header(line: str, number: int) -> Header:
    match = _HEADER.match(line, 1)
    name, description = match.groups() if match else ("", "")
    return Header(number, name, description.strip())


def _checked(line: str, file: str, number: int) -> str:
    """A line that may not be plain text, if it is text after all."""
    if control := _CONTROL.search(line):
        raise FastaError(f"binary data: byte 0x{ord(control[0]):02x} in the line", file=file, line=number)
    if undecoded := _UNDECODED.search(line):
        byte = ord(undecoded[0]) - 0xDC00
        raise FastaError(f"not UTF-8 text: byte 0x{byte:02x} in the line; convert it first", file=file, line=number)
    return line.removeprefix("\ufeff")  # a byte order mark can be in the middle of joined files


def _short(line: str) -> str:
    text = line.strip()
    return repr(text if len(text) <= 40 else f"{text[:39]}…")


def _text(stream: Readable, file: str) -> Iterator[str]:
    """Lines of text, whatever the line ends; bytes that are not UTF-8 come as lone surrogates."""
    try:
        data = _Rewound(_head(stream), stream)
        if data.head.startswith(_GZIP):
            unzipped = gzip.GzipFile(fileobj=io.BufferedReader(data))
            data = _Rewound(_head(unzipped), unzipped)
        _refuse_binary(data.head, file)
        yield from io.TextIOWrapper(io.BufferedReader(data), encoding="utf-8-sig", errors="surrogateescape")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        message = f"truncated or corrupt gzip data ({_words(error)}): get the file again"
        raise FastaError(message, file=file) from None
    except OSError as error:
        raise FastaError(f"cannot be read: {_words(error)}", file=file) from None


def _head(stream: Readable) -> bytes:
    """The first bytes; a pipe may give them in pieces."""
    head = b""
    while len(head) < _HEAD_BYTES and (more := stream.read(_HEAD_BYTES - len(head))):
        head += more
    return head


def _refuse_binary(head: bytes, file: str) -> None:
    for magic, what in _BINARY:
        if head.startswith(magic):
            raise FastaError(f"binary data: {what}", file=file)
    # Here too, not only line by line: a file of zeros would be one endless line.
    if (zero := head.find(b"\0")) >= 0:
        line = len(_LINE_END.findall(head, 0, zero)) + 1
        raise FastaError("binary data: byte 0x00 in the line", file=file, line=line)


class Readable(Protocol):
    """What gives bytes when asked."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


class Tapped:
    """A stream whose bytes somebody else sees too, as they are read."""

    def __init__(self, stream: Readable, tap: Callable[[bytes], object]) -> None:
        self._stream = stream
        self._tap = tap

    def read(self, size: int, /) -> bytes:
        """As of the stream."""
        data = self._stream.read(size)
        self._tap(data)
        return data


class _Rewound(io.RawIOBase):
    """A stream with its first bytes put back; closing it leaves the stream open."""

    def __init__(self, head: bytes, stream: Readable) -> None:
        self.head = head
        self._stream = stream

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer, from the head first; the number of bytes."""
        view = memoryview(buffer).cast("B")
        data = self.head[: len(view)] or self._stream.read(len(view))
        self.head = self.head[len(data) :]
        view[: len(data)] = data
        return len(data)
