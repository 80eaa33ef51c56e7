"""An ontology as OBO files have it: which terms imply which.

Format: https://owlcollab.github.io/oboformat/doc/GO.format.obo-1_4.html, of which the terms, their names, ``is_a``,
``part_of``, ``alt_id``, ``is_obsolete`` and ``replaced_by`` are read.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from protvec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_GZIP = b"\x1f\x8b"
_PART_OF = ("part_of", "BFO:0000050")


@dataclass
class _Term:
    """A stanza as it is being read."""

    line: int
    id: str = ""
    parents: dict[str, int] = field(default_factory=dict)  # with the line that names each
    others: list[str] = field(default_factory=list)
    obsolete: bool = False
    replaced_by: str = ""


class Ontology:
    """The terms of an ontology.

    Attributes:
        name: The file as the user named it.
    """

    def __init__(
        self, name: str, parents: Mapping[str, Iterable[str]], current: Mapping[str, str] | None = None
    ) -> None:
        """Take the terms.

        Args:
            name: What to call it in messages.
            parents: For each term those that it is, or is part of.
            current: Other ids of terms, such as old ones, with the id to use.
        """
        self.name = name
        self._parents = {term: frozenset(above) for term, above in parents.items()}
        self._current = dict(current or {})
        self._closures: dict[str, frozenset[str]] = {}

    def __contains__(self, term: object) -> bool:
        return term in self._parents or term in self._current

    def __len__(self) -> int:
        return len(self._parents)

    def current(self, term: str) -> str:
        """The id to use for a term."""
        return self._current.get(term, term)

    def closure(self, term: str) -> frozenset[str]:
        """The term, under its current id, and all that it implies, but for roots, which say nothing.

        A term that the ontology does not have implies itself.
        """
        term = self.current(term)
        if term not in self._parents:
            return frozenset((term,))
        if term not in self._closures:
            self._closures[term] = frozenset(each for each in self._above(term) if self._parents[each])
        return self._closures[term]

    def _above(self, term: str) -> set[str]:
        found, ahead = {term}, [term]
        while ahead:
            new = self._parents[ahead.pop()] - found
            found |= new
            ahead.extend(new)
        return found


def read_ontology(path: str | Path) -> Ontology:
    """Read an OBO file, plain or gzip.

    Raises:
        InputError: It cannot be read, has no terms, or a term is a child of one that it does not have; names the line.
    """
    name = str(path)
    terms = list(_terms(_lines(name), name))
    if not terms:
        raise InputError(f"{name}: no [Term] in it: give an ontology in OBO format, such as go-basic.obo")
    there = {term.id for term in terms}
    parents, current = {}, {}
    for term in terms:
        if term.obsolete:
            if term.replaced_by in there:
                current[term.id] = term.replaced_by
            continue
        parents[term.id] = list(term.parents)
        current.update(dict.fromkeys(term.others, term.id))
        for parent, line in term.parents.items():
            if parent not in there:
                raise InputError(f"{name}:{line}: {term.id} is below {parent}, which is no term of this file")
    retired = {term.id for term in terms} - parents.keys()
    living = {term: [each for each in above if each not in retired] for term, above in parents.items()}
    return Ontology(name, living, {old: new for old, new in current.items() if new in living and old not in living})


def _lines(name: str) -> list[str]:
    try:
        data = Path(name).read_bytes()
        return (gzip.decompress(data) if data.startswith(_GZIP) else data).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 text: give an ontology in OBO format") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{name}: a damaged gzip file ({error})") from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error


def _terms(lines: Iterable[str], name: str) -> Iterator[_Term]:
    """The stanzas of terms, in order; those of other things are passed over."""
    term: _Term | None = None
    for number, line in enumerate(lines, start=1):
        if line.startswith("["):
            if term:
                yield _checked(term, name)
            term = _Term(number) if line.strip() == "[Term]" else None
        elif term:
            _take(term, line, number)
    if term:
        yield _checked(term, name)


def _checked(term: _Term, name: str) -> _Term:
    if not term.id:
        raise InputError(f"{name}:{term.line}: a [Term] without an id")
    return term


def _take(term: _Term, line: str, number: int) -> None:
    """One line of a term."""
    tag, _, rest = line.partition(":")
    words = rest.split("!")[0].split()
    if not words:
        return
    if tag == "id":
        term.id = words[0]
    elif tag == "is_a":
        term.parents[words[0]] = number
    elif tag == "relationship" and words[0] in _PART_OF and len(words) > 1:
        term.parents[words[1]] = number
    elif tag == "alt_id":
        term.others.append(words[0])
    elif tag == "is_obsolete":
        term.obsolete = words[0] == "true"
    elif tag == "replaced_by":
        term.replaced_by = words[0]
