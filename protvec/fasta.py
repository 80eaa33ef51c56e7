"""FASTA in: records out one by one, cleaned, every change named and every fault with its file and line.

Biopython parses. What it would pass over in silence (text before the first header, comments, bytes that
are not text, white space inside a sequence) is seen by ``_lines``, which stands between the file and the
parser, so that it is either reported or refused.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections import Counter, deque
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias

from protvec.errors import FastaError, InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from _typeshed import WriteableBuffer

FIXES: tuple[str, ...] = ("stops", "gaps", "digits", "symbols")
"""Repairs a user may ask for: an internal ``*`` and other symbols become X, gaps and digits are dropped."""

CHANGES: tuple[str, ...] = (
    "white space",
    "lower case",
    "trailing stop",
    *(f"fixed {name}" for name in FIXES),
    "non-standard residues",
)
"""What cleaning may report. The last changes nothing that is stored: U, Z, O, B and J are embedded as X."""

_NON_STANDARD = "UZOBJ"
_DROPPED = {"gaps": "-.", "digits": "0123456789"}
_NOT_A_LETTER = re.compile(r"[^A-Za-z]")
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
# How far to look before the first record is let out: enough to tell nucleotides from proteins.
_AHEAD_RECORDS, _AHEAD_LETTERS = 100, 100_000
_MIN_BASES = 50


@dataclass(frozen=True, slots=True)
class Record:
    """One protein as it will be stored.

    Attributes:
        id: The first word of the header, byte for byte.
        description: The rest of the header line, stripped of surrounding white space only.
        sequence: Upper-case letters A to Z, at least one; U, Z, O, B, J and X stay as they are.
        file: What the file is called in errors.
        line: 1-based line of the header.
        changes: What cleaning changed, names from ``CHANGES``.
    """

    id: str
    description: str
    sequence: str
    file: str = ""
    line: int = 0
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that cannot be used, and why.

    Attributes:
        id: As in ``Record``; empty where the header has none.
        file: What the file is called in errors.
        line: 1-based line of the header.
        reason: Such as ``'*' inside the sequence at position 37``.
    """

    id: str
    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (f"{self.file}:{self.line}", self.id, self.reason)))


def read(
    path: str | Path | BinaryIO,
    *,
    name: str | None = None,
    fix: Collection[str] = (),
    nucleotides_ok: bool = False,
) -> Iterator[Record | Rejected]:
    """Read a FASTA file lazily: one ``Record`` or one ``Rejected`` for each header line, in order.

    At most one sequence is in memory, beside the short look-ahead at the start that recognises nucleotides.

    Args:
        path: A file, plain or gzip (told by its content), or a file object opened in binary mode, which
            is left open.
        name: What errors call the file (``<stdin>``); its path where None.
        fix: Names from ``FIXES``: repair these faults instead of rejecting the record.
        nucleotides_ok: Read the file even if it looks like nucleotides.

    Raises:
        InputError: A name in ``fix`` is not in ``FIXES``.
        FastaError: The file as a whole cannot be used: missing, empty, not text, damaged, or nucleotides.
            Raised on iteration; records before the damaged place may have come out by then.
    """
    if isinstance(path, io.TextIOBase):
        raise TypeError("read() takes a path or a file opened in binary mode, not one opened in text mode")
    if name is None:
        name = str(path if isinstance(path, (str, Path)) else getattr(path, "name", "<stream>"))
    return _read(path, name, _repairs(fix), nucleotides_ok)


def clean(sequence: str, *, fix: Collection[str] = ()) -> tuple[str, tuple[str, ...]]:
    """A sequence as it is stored, and the names from ``CHANGES`` of what was changed.

    White space and stops (``*``) at the end go, letters become upper case; what ``fix`` names is repaired.

    Raises:
        InputError: No residues, or a character that is none; positions count from 1, without white space.
    """
    return _clean(sequence, _repairs(fix))


def looks_like_nucleotides(letters: Mapping[str, int]) -> bool:
    """Whether letter counts are those of DNA or RNA rather than of proteins.

    It takes 50 bases, 95% of all letters A, C, G, T, U or N, and at least 3% of each base. Silk or an
    antifreeze protein may be nearly all A, G or T, but no protein is so rich in all four.

    Args:
        letters: How often each letter occurs, in either case; other characters are ignored.
    """
    counts: Counter[str] = Counter()
    for letter, count in letters.items():
        if letter.isascii() and letter.isalpha():
            counts[letter.upper()] += count
    bases = (counts["A"], counts["C"], counts["G"], counts["T"] + counts["U"])
    found = sum(bases)
    return (
        found >= _MIN_BASES
        and found + counts["N"] >= 0.95 * counts.total()
        and all(base >= 0.03 * found for base in bases)
    )


def check_protein(letters: Mapping[str, int], *, file: str) -> None:
    """Refuse a file whose first letters are nucleotides.

    Raises:
        FastaError: ``looks_like_nucleotides`` says so.
    """
    if looks_like_nucleotides(letters):
        raise FastaError(
            "these are nucleotides, not proteins: translate them first, for example with EMBOSS transeq,"
            " or pass nucleotides_ok=True if they are proteins after all",
            file=file,
        )


def _read(
    path: str | Path | BinaryIO, file: str, repairs: frozenset[str], nucleotides_ok: bool
) -> Iterator[Record | Rejected]:
    with _opened(path, file) as stream:
        parsed = _parse(stream, file)
        ahead, letters = _look_ahead(parsed)
        if not nucleotides_ok:
            check_protein(letters, file=file)
        for header, sequence in chain(ahead, parsed):
            yield _record(header, sequence, file, repairs)


def _look_ahead(parsed: Iterable[_Parsed]) -> tuple[list[_Parsed], Counter[str]]:
    """The first records, and how often each letter occurs in them."""
    ahead: list[_Parsed] = []
    letters: Counter[str] = Counter()
    for header, sequence in parsed:
        ahead.append((header, sequence))
        # Letters from all over it: a chromosome may begin with millions of N.
        letters.update(sequence[:: len(sequence) // _AHEAD_LETTERS + 1])
        if len(ahead) == _AHEAD_RECORDS or letters.total() >= _AHEAD_LETTERS:
            break
    return ahead, letters


def _record(header: _Header, sequence: str, file: str, repairs: frozenset[str]) -> Record | Rejected:
    if not header.id:
        return Rejected("", file, header.line, "a header without an id")
    # The parser has taken spaces out already; one is put back where there was any, to be reported.
    try:
        cleaned, changes = _clean(f" {sequence}" if header.spaced else sequence, repairs)
    except InputError as error:
        return Rejected(header.id, file, header.line, str(error))
    return Record(header.id, header.description, cleaned, file, header.line, changes)


# --- cleaning ----------------------------------------------------------------------------------


def _repairs(fix: Collection[str]) -> frozenset[str]:
    names = frozenset([fix] if isinstance(fix, str) else fix)
    if unknown := names.difference(FIXES):
        raise InputError(f"unknown repair {min(unknown)!r}: there are {', '.join(FIXES)}")
    return names


def _clean(sequence: str, repairs: frozenset[str]) -> tuple[str, tuple[str, ...]]:
    letters = "".join(sequence.split())
    changes = set()
    if len(letters) != len(sequence):
        changes.add("white space")
    body = letters.rstrip("*")
    if not (body.isascii() and body.isalpha()):
        letters, body = _repair(letters, repairs, changes)
    if not body:
        raise InputError("no residues, only '*'" if letters else "no residues")
    if len(body) != len(letters):
        changes.add("trailing stop")
    upper = body.upper()
    if upper != body:
        changes.add("lower case")
    if any(residue in upper for residue in _NON_STANDARD):
        changes.add("non-standard residues")
    return upper, tuple(change for change in CHANGES if change in changes)


def _repair(letters: str, repairs: frozenset[str], changes: set[str]) -> tuple[str, str]:
    """The sequence without what is dropped, and its residues; raises where a fault is not to be repaired."""
    dropped = "".join(_DROPPED[name] for name in _DROPPED if name in repairs)
    kept = letters.translate(str.maketrans("", "", dropped))
    body = kept.rstrip("*")
    for fault in _NOT_A_LETTER.finditer(body):
        if _kind(fault[0]) not in repairs:
            raise InputError(_fault(letters, dropped, fault.start(), fault[0]))
    faults = set(_NOT_A_LETTER.findall(body)) | set(dropped).intersection(letters)
    changes.update(f"fixed {_kind(fault)}" for fault in faults)
    return kept, _NOT_A_LETTER.sub("X", body)


def _kind(symbol: str) -> str:
    """Which repair takes care of a symbol; none of them does of a header inside a sequence."""
    if symbol == ">":
        return "header"
    if symbol == "*":
        return "stops"
    return next((name for name, symbols in _DROPPED.items() if symbol in symbols), "symbols")


def _fault(letters: str, dropped: str, index: int, symbol: str) -> str:
    """What to say of the symbol at an index that does not count what was dropped."""
    position = [n for n, letter in enumerate(letters, 1) if letter not in dropped][index]
    hint = ": a header starts its line (files joined without a line end?)" if symbol == ">" else ""
    return f"{symbol!r} inside the sequence at position {position}{hint}"


# --- from bytes to headers and sequences -------------------------------------------------------


@dataclass(slots=True)
class _Header:
    line: int
    id: str
    description: str
    spaced: bool = False  # white space inside the sequence


_Parsed: TypeAlias = "tuple[_Header, str]"


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Rewound(io.RawIOBase):
    """A stream with its first bytes put back; closing it leaves the stream open."""

    def __init__(self, head: bytes, stream: _Readable) -> None:
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


@contextmanager
def _opened(path: str | Path | BinaryIO, file: str) -> Iterator[BinaryIO]:
    if not isinstance(path, (str, Path)):
        yield path
        return
    try:
        stream = Path(path).open("rb")  # noqa: SIM115 - only opening may fail here, not the reader's own work
    except FileNotFoundError:
        raise FastaError("no such file", file=file) from None
    except IsADirectoryError:
        raise FastaError("this is a directory: name the FASTA files in it", file=file) from None
    except (OSError, ValueError) as error:
        raise FastaError(f"cannot be opened: {_words(error)}", file=file) from None
    with stream:
        yield stream


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _parse(stream: BinaryIO, file: str) -> Iterator[_Parsed]:
    """Headers and sequences, as Biopython reads them."""
    # Not at the top: Bio.SeqIO loads all its formats and NumPy, a third of a second.
    from Bio.SeqIO.FastaIO import SimpleFastaParser

    headers: deque[_Header] = deque()
    for _, sequence in SimpleFastaParser(_lines(stream, file, headers)):
        yield headers.popleft(), sequence


def _lines(stream: BinaryIO, file: str, headers: deque[_Header]) -> Iterator[str]:
    """The lines that the parser needs; headers are noted on the way, in order.

    The parser takes a header off ``headers`` only after it has read the next one: empty means none so far.
    """
    number = 0
    for number, raw in enumerate(_text(stream, file), 1):
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


def _header(line: str, number: int) -> _Header:
    match = _HEADER.match(line, 1)
    name, description = match.groups() if match else ("", "")
    return _Header(number, name, description.strip())


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


def _text(stream: BinaryIO, file: str) -> Iterator[str]:
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


def _head(stream: _Readable) -> bytes:
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
