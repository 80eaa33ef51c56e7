"""A sequence as a file has it becomes one as it is stored: upper-case letters, every change named."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from protvec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection

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


def clean(sequence: str, *, fix: Collection[str] = ()) -> tuple[str, tuple[str, ...]]:
    """A sequence as it is stored, and the names from ``CHANGES`` of what was changed.

    White space and stops (``*``) at the end go, letters become upper case; what ``fix`` names is repaired.

    Raises:
        InputError: No residues, or a character that is none; positions count from 1, without white space.
            Or a name in ``fix`` that is not in ``FIXES``.
    """
    repairs = check_repairs(fix)
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


def check_repairs(fix: Collection[str]) -> frozenset[str]:
    """The names, if they are all in ``FIXES``.

    Raises:
        InputError: One is not.
    """
    names = frozenset([fix] if isinstance(fix, str) else fix)
    if unknown := names.difference(FIXES):
        raise InputError(f"unknown repair {min(unknown)!r}: there are {', '.join(FIXES)}")
    return names


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
