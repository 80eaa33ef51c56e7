"""Records of a FASTA file, one by one."""

from __future__ import annotations

import io
from collections import Counter, deque
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from protvec.errors import FastaError, InputError
from protvec.fasta.cleaning import check_repairs, clean
from protvec.fasta.lines import Header, Tapped, lines, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from protvec.fasta.lines import Readable

_Parsed: TypeAlias = "tuple[Header, str]"

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
    tap: Callable[[bytes], object] | None = None,
) -> Iterator[Record | Rejected]:
    """Read a FASTA file lazily: one ``Record`` or one ``Rejected`` for each header line, in order.

    At most one sequence is in memory, beside the short look-ahead at the start that recognises nucleotides.

    Args:
        path: A file, plain or gzip (told by its content), or a file object opened in binary mode, which
            is left open.
        name: What errors call the file (``<stdin>``); its path where None.
        fix: Names from ``FIXES``: repair these faults instead of rejecting the record.
        nucleotides_ok: Read the file even if it looks like nucleotides.
        tap: Called with the bytes of the file as they are read, in order, before gzip is undone.

    Raises:
        InputError: A name in ``fix`` is not in ``FIXES``.
        FastaError: The file as a whole cannot be used: missing, empty, not text, damaged, or nucleotides.
            Raised on iteration; records before the damaged place may have come out by then.
    """
    given: object = path  # a type checker knows that it is no text; who calls may not
    if isinstance(given, io.TextIOBase):
        raise TypeError("read() takes a path or a file opened in binary mode, not one opened in text mode")
    if name is None:
        name = str(path if isinstance(path, (str, Path)) else getattr(path, "name", "<stream>"))
    return _read(path, name, check_repairs(fix), nucleotides_ok, tap)


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
            "these are nucleotides, not proteins: translate them first, for example with EMBOSS transeq;"
            " if they are proteins after all, ingest takes them with --allow-nucleotides"
            " (in Python nucleotides_ok=True)",
            file=file,
        )


def _read(
    path: str | Path | BinaryIO,
    file: str,
    repairs: frozenset[str],
    nucleotides_ok: bool,
    tap: Callable[[bytes], object] | None,
) -> Iterator[Record | Rejected]:
    with opened(path, file) as stream:
        parsed = _parse(Tapped(stream, tap) if tap else stream, file)
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


def _record(header: Header, sequence: str, file: str, repairs: frozenset[str]) -> Record | Rejected:
    if not header.id:
        return Rejected("", file, header.line, "a header without an id")
    # The parser has taken spaces out already; one is put back where there was any, to be reported.
    try:
        cleaned, changes = clean(f" {sequence}" if header.spaced else sequence, fix=repairs)
    except InputError as error:
        return Rejected(header.id, file, header.line, str(error))
    return Record(header.id, header.description, cleaned, file, header.line, changes)


def _parse(stream: Readable, file: str) -> Iterator[_Parsed]:
    """Headers and sequences, as Biopython reads them."""
    # Not at the top: Bio.SeqIO loads all its formats and NumPy, a third of a second.
    from Bio.SeqIO.FastaIO import SimpleFastaParser

    headers: deque[Header] = deque()
    for _, sequence in SimpleFastaParser(lines(stream, file, headers)):
        yield headers.popleft(), sequence
