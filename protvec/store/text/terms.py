"""What a text asks for: words, phrases, and a part of a name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from protvec.errors import QueryError

MOST_TERMS = 64
_PIECE = re.compile(r'"([^"]*)"|([^\s"]+)')
# Letters and digits, as in the words of ``ranking``: what is between them, such as a hyphen, only separates.
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Text:
    """A text, parsed.

    Attributes:
        terms: Each a word, or words that have to follow one another; all in lower case.
        name: What may be a part of an id or a gene; None where the text is of several pieces.
    """

    terms: tuple[tuple[str, ...], ...]
    name: str | None


def parse_text(text: str) -> Text:
    """The terms of a text: ``auxin "efflux carrier" F-box`` has a word and two phrases.

    Raises:
        QueryError: it is empty, has nothing but marks, too many words, or a quotation mark that is not closed.
    """
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # bytes of a command line that are no UTF-8
        raise QueryError(f"the text {text!r} is not UTF-8")
    if text.count('"') % 2:
        raise QueryError(f"the text {text!r} has a quotation mark that is not closed")
    pieces = [(quoted or bare).strip().lower() for quoted, bare in _PIECE.findall(text)]
    terms = tuple(dict.fromkeys(tuple(words) for piece in pieces if (words := _WORD.findall(piece))))
    if not terms:
        what = f"{text!r} has no letter or digit in it" if text.strip() else "is empty"
        raise QueryError(f"the text {what}: give words, an id or a gene")
    if len(terms) > MOST_TERMS:
        raise QueryError(f"the text has {len(terms)} words: give at most {MOST_TERMS}")
    return Text(terms, pieces[0] if len(pieces) == 1 else None)
