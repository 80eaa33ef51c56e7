"""Queries that are no sequences and no ids: vectors of a file, what several proteins have in common, a text."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from protvec.cli import console
from protvec.cli.layout import Answer
from protvec.cli.queries import rest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from protvec.cli.partial import Progress
    from protvec.cli.queries import Options
    from protvec.database import Database
    from protvec.exchange.vectors import Named


class Vectors:
    """The vectors of a file; a ``Source``."""

    known: Sequence[str] = ()

    def __init__(self, database: Database, file: str) -> None:
        """Open the file, and look through it before the first is searched with.

        Raises:
            ExchangeError: it cannot be read, or a vector cannot be used.
            SpaceMismatchError: it has vectors of another model.
        """
        from protvec.exchange.vectors import VectorFile

        self._database = database
        self._vectors = VectorFile(file, database.store.space)
        if self._vectors.pooled:
            console.note(f"{file} has the residues of proteins: each is searched with its mean")
        self.total: int | None = sum(1 for _ in self._vectors)

    def identity(self) -> dict[str, Any]:
        """Nothing: each vector is a part of its query."""
        return {}

    def answers(self, options: Options, done: Progress) -> Iterator[Answer]:
        """See ``Source``."""
        from itertools import tee

        left, again, names = tee(rest(((each, _key(each)) for each in self._vectors), done), 3)
        answers = self._database.search_vectors(
            (each.vector for each in left), names=(each.name for each in names), **options.of_hits()
        )
        for hits, each in zip(answers, again, strict=True):
            yield Answer.of(hits, {}, _key(each))


class Like:
    """What proteins have in common; a ``Source``."""

    known: Sequence[str] = ()

    def __init__(self, database: Database, like: Sequence[str], unlike: Sequence[str]) -> None:
        """Take the ids."""
        self._database = database
        self._like = list(like)
        self._unlike = list(unlike)
        self.total: int | None = 1

    def identity(self) -> dict[str, Any]:
        """The ids."""
        return {"like": self._like, "unlike": self._unlike}

    def answers(self, options: Options, done: Progress) -> Iterator[Answer]:
        """See ``Source``."""
        if done.queries:
            return
        yield Answer.of(self._database.search_like(self._like, unlike=self._unlike, **options.of_hits()))


class Words:
    """A text alone; a ``Source``."""

    known: Sequence[str] = ()

    def __init__(self, database: Database, text: str) -> None:
        """Take the text."""
        self._database = database
        self._text = text
        self.total: int | None = 1

    def identity(self) -> dict[str, Any]:
        """The text."""
        return {"text": self._text}

    def answers(self, options: Options, done: Progress) -> Iterator[Answer]:
        """See ``Source``."""
        if done.queries:
            return
        yield Answer.of(
            self._database.search_text(self._text, k=options.k, where=options.where, columns=list(options.columns))
        )


def _key(each: Named) -> str:
    return f"{each.name}\n{hashlib.sha256(each.vector.tobytes()).hexdigest()}"
