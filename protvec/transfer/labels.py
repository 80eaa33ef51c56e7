"""What the labels of a column are: which there are in a cell, and which of them imply others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from protvec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from protvec.transfer.ontology import Ontology

_BETWEEN = r"[;,|\s]+"
_GO = r"GO:[0-9]{7}"
# An EC number with - for what is not known, also at its end, and preliminary ones such as 3.1.1.n4.
_EC = r"(?:EC[: ]?)?[1-7](?:\.(?:[0-9]+|-)){0,2}(?:\.(?:n?[0-9]+|-))?"
_UNKNOWN = "-"


class Labels:
    """Labels that imply nothing but themselves."""

    def __init__(self, separator: str | None = None) -> None:
        """Take cells of text apart at the separator; without one, a cell is one label."""
        self._separator = separator

    def of(self, cell: Any) -> frozenset[str]:  # noqa: ANN401  # whatever the column holds
        """The labels of a cell."""
        cells = cell if isinstance(cell, list) else [cell]
        texts = [str(each) for each in cells if each is not None]
        if self._separator:
            texts = [part for text in texts for part in text.split(self._separator)]
        return frozenset(text.strip() for text in texts if text.strip())

    def implied(self, label: str) -> frozenset[str]:
        """The label, and every other that is true where it is."""
        return frozenset((label,))

    def told(self, labels: Collection[str]) -> list[str]:
        """Those worth telling of labels that were found, in order."""
        return sorted(labels)


class Terms(Labels):
    """Terms such as ``GO:0005634``, of which a text may have several, whatever is between them."""

    def of(self, cell: Any) -> frozenset[str]:  # noqa: ANN401
        """The labels of a cell."""
        return frozenset(term for text in super().of(cell) for term in re.split(_BETWEEN, text) if term)


class InOntology(Labels):
    """Terms of an ontology: each implies those above it, but for roots."""

    def __init__(self, ontology: Ontology, parts: Labels) -> None:
        """Take cells apart as ``parts`` does."""
        super().__init__()
        self._ontology, self._parts = ontology, parts

    def of(self, cell: Any) -> frozenset[str]:  # noqa: ANN401
        """The terms of a cell, under their current ids; roots are left out."""
        terms = self._parts.of(cell)
        return frozenset(self._ontology.current(term) for term in terms if self._ontology.closure(term))

    def implied(self, label: str) -> frozenset[str]:
        """The term and those above it."""
        return self._ontology.closure(label)


class EnzymeNumbers(Labels):
    """EC numbers: each implies its prefixes, written as ``3.1.-.-``."""

    def of(self, cell: Any) -> frozenset[str]:  # noqa: ANN401
        """The numbers of a cell, in four parts."""
        texts = re.split(_BETWEEN, ";".join(super().of(cell)).replace("EC ", ""))
        return frozenset(_whole(text.removeprefix("EC:").removeprefix("EC")) for text in texts if text)

    def implied(self, label: str) -> frozenset[str]:
        """The number and its prefixes."""
        known = [part for part in label.split(".") if part != _UNKNOWN]
        return frozenset(_whole(".".join(known[:end])) for end in range(1, len(known) + 1))

    def told(self, labels: Collection[str]) -> list[str]:
        """The longest numbers: a prefix of another says nothing more."""
        shorter = {prefix for label in labels for prefix in self.implied(label) if prefix != label}
        return sorted(set(labels) - shorter)


def _whole(number: str) -> str:
    parts = [part for part in number.split(".") if part != _UNKNOWN]
    return ".".join(parts + [_UNKNOWN] * (4 - len(parts)))


def find_labels(
    column: str, cells: Iterable[Any], *, separator: str | None = None, ontology: Ontology | None = None
) -> Labels:
    """What the labels of a column are, told from its values.

    Args:
        column: Its name, for messages.
        cells: Values that are not null.
        separator: Splits cells of text; GO terms and EC numbers need none.
        ontology: The ontology that the labels are terms of.

    Raises:
        InputError: None of the labels is a term of the ontology.
    """
    plain = Labels(separator)
    texts = {text for cell in cells for text in plain.of(cell)}
    parts = Terms(separator) if _all_are(_GO, texts) else plain
    if ontology is not None:
        terms = {term for text in texts for term in parts.of(text)}
        if terms and not any(term in ontology for term in terms):
            raise InputError(f"no label of {column}, such as {min(terms)!r}, is a term of {ontology.name}")
        return InOntology(ontology, parts)
    return EnzymeNumbers(separator) if _all_are(_EC, texts) else parts


def _all_are(label: str, texts: Collection[str]) -> bool:
    whole = re.compile(rf"{label}(?:{_BETWEEN}{label})*")
    return bool(texts) and all(whole.fullmatch(text) for text in texts)
