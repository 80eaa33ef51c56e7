"""Where the queries of a search come from, and the answers to them in their order."""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from protvec.cli.layout import Answer
from protvec.cli.partial import Progress, chained
from protvec.errors import InputError, QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from protvec.database import Database
    from protvec.search import Hits, Query

_T = TypeVar("_T")
_BLOCK = 256  # stored queries that are looked up at once


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to find for each query.

    Attributes:
        k: How many hits at most.
        where: Condition on the hits.
        min_score: The lowest cosine.
        exclude_self: Leave the query itself out.
        columns: Columns that the hits bring.
        facts: Columns that have to be known of a query.
        text: Rank by this text too.
        candidates: Rank by alignment, of so many proteins.
        profiles: Show alignments by profiles.
        evalue: The highest E-value.
        scoring: ``raw``, or None for the database's search space.
        segments: Compare segments too.
    """

    k: int
    where: str | None
    min_score: float | None
    exclude_self: bool
    columns: Sequence[str]
    facts: Sequence[str]
    text: str | None = None
    candidates: int | None = None
    profiles: bool = False
    scoring: str | None = None
    evalue: float | None = None
    segments: bool = True

    def of_hits(self) -> dict[str, Any]:
        """Those that every search of ``Database`` by vector takes."""
        given: dict[str, Any] = {"k": self.k, "where": self.where, "min_score": self.min_score}
        given |= {"columns": list(self.columns), "scoring": self.scoring, "evalue": self.evalue}
        given["segments"] = self.segments
        if self.text is not None:
            given["text"] = self.text
        if self.candidates is not None:
            given |= {"align": True, "candidates": self.candidates, "profiles": self.profiles}
        return given


class Source(Protocol):
    """The queries of one command line.

    Attributes:
        total: How many there are; None where that is seen only at their end.
        known: What can be printed of a query, by the names of a database's columns.
    """

    total: int | None

    @property
    def known(self) -> Sequence[str]:
        """What can be printed of a query."""
        ...

    def identity(self) -> dict[str, Any]:
        """What makes the answers what they are, beside the options and the queries themselves."""
        ...

    def answers(self, options: Options, done: Progress) -> Iterator[Answer]:
        """The answers to those queries that are not done, in order.

        Raises:
            InputError: those that are done were others.
        """
        ...


class Sequences:
    """Sequences: of a FASTA file, of standard input, or one as it was typed."""

    known = ("length", "header", "sequence")

    def __init__(self, database: Database, text: str) -> None:
        """Look through a file before anything is embedded: an error in its last record is said at once.

        Raises:
            FastaError, QueryError: a query that cannot be used.
        """
        self._database = database
        self._text = text
        self.total: int | None = 1
        if text == "-" or is_stream(text):
            self.total = None
        elif is_file(text):
            from protvec.search import read_queries

            self.total = sum(1 for _ in read_queries(text))

    def identity(self) -> dict[str, Any]:
        """The model's arithmetic: other vectors come of another."""
        encoder = self._database.encoder()
        return {"precision": encoder.precision, "engine": encoder.engine}

    def answers(self, options: Options, done: Progress) -> Iterator[Answer]:
        """See ``Source``."""
        pending: deque[Query] = deque()

        def asked() -> Iterator[Query]:
            for query in rest(((each, _key(each)) for each in self._queries()), done):
                pending.append(query)
                yield query

        for hits in self._database.search_many(asked(), exclude_self=options.exclude_self, **options.of_hits()):
            query = pending.popleft()
            facts = {"length": len(query.sequence), "header": query.description, "sequence": query.sequence}
            yield Answer.of(hits, facts, _key(query))

    def _queries(self) -> Iterator[Query]:
        from protvec.search import parse_query, read_queries

        if self._text == "-":
            yield from read_queries(sys.stdin.buffer, name="<stdin>")
        elif is_file(self._text):
            yield from read_queries(self._text)
        else:
            try:
                yield parse_query(self._text)
            except QueryError as error:
                raise QueryError(
                    f"{_shortened(self._text)!r} is neither a file nor a protein sequence: {error}"
                ) from None


class Stored:
    """Proteins of a database by id."""

    def __init__(self, database: Database, against: Database, ids: Sequence[str]) -> None:
        """Look whether all are there, before any is searched for.

        Raises:
            ProteinNotFoundError: one is not; the message names similar ids.
            QueryError: one is named twice.
        """
        self._database = database
        self._against = against
        self._ids = ids
        self.total: int | None = len(ids)
        seen: set[str] = set()
        for id in ids:
            if id in seen:
                raise QueryError(f"the id {id!r} is named twice: nobody could tell the two answers apart")
            seen.add(id)
        database.store.get(ids, columns=["id"])

    @property
    def known(self) -> Sequence[str]:
        """Every column of the database."""
        return _columns(self._database)

    def identity(self) -> dict[str, Any]:
        """Nothing: the version of the database says it all."""
        return {}

    def answers(self, options: Options, done: Progress) -> Iterator[Answer]:
        """See ``Source``."""
        left = rest(((id, id) for id in self._ids), done)
        while block := list(islice(left, _BLOCK)):
            rows = self._database.store.get(block, columns=["id", *options.facts])
            facts = rows.select(list(options.facts)).to_pylist() if options.facts else [{}] * len(block)
            answers = self._database.search_ids(
                block, against=self._against, exclude_self=options.exclude_self, **options.of_hits()
            )
            for hits, about in zip(answers, facts, strict=True):
                yield Answer.of(hits, about, hits.query)


class Whole:
    """Every protein of a database, or those of a condition, in the order of their ids."""

    def __init__(self, database: Database, against: Database | None, where: str | None) -> None:
        """Count them.

        Raises:
            FilterError: the condition cannot be used.
            QueryError: no protein meets it.
        """
        self._database = database
        self._against = against
        self._where = where
        self.total: int | None = database.store.count(where)
        if where is not None and not self.total:
            raise QueryError(f"no protein of {database.path} meets {where!r}: there is no query")

    @property
    def known(self) -> Sequence[str]:
        """Every column of the database."""
        return _columns(self._database)

    def identity(self) -> dict[str, Any]:
        """Which of them are queries."""
        return {"query-where": self._where}

    def answers(self, options: Options, done: Progress) -> Iterator[Answer]:
        """See ``Source``."""
        given = {"query_where": self._where, "after": done.last, **options.of_hits()}
        if self._against is None:
            answers = self._database.search_all(include_self=not options.exclude_self, **given)
        else:
            answers = self._database.search_against(self._against, **given)
        if not options.facts:
            yield from (Answer.of(hits, {}, hits.query) for hits in answers)
            return
        while block := list(islice(answers, _BLOCK)):
            facts = self._facts(block, options.facts)
            yield from (Answer.of(hits, about, hits.query) for hits, about in zip(block, facts, strict=True))

    def _facts(self, block: list[Hits], names: Sequence[str]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._database.store.get(
            [hits.query for hits in block], columns=list(names)
        ).to_pylist()
        return rows


def read_ids(file: str) -> list[str]:
    """The ids of ``--ids``: one a line, in a file or on standard input.

    Raises:
        InputError: the file cannot be read, or has none.
    """
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text (byte {error.start:,}): one id a line") from None
    ids = [line.strip(" \t\r") for line in text.split("\n")]
    found = [id for id in ids if id]
    if not found:
        raise InputError(f"{file}: no ids in it: one a line")
    return found


def is_file(text: str) -> bool:
    """Whether something of this name is there; a long sequence is too long for a name, which is an error to ask."""
    try:
        return bool(text) and Path(text).exists()
    except (OSError, ValueError):
        return False


def is_stream(text: str) -> bool:
    """Whether it can be read only once, as ``<(zcat …)`` of a shell."""
    return is_file(text) and not Path(text).is_file() and not Path(text).is_dir()


def rest(queries: Iterable[tuple[_T, str]], done: Progress) -> Iterator[_T]:
    """The queries that are not done, once those that are have been found to be the same."""
    everything = iter(queries)
    digest = ""
    for _, key in islice(everything, done.queries):
        digest = chained(digest, key)
    if digest != done.digest:
        raise InputError(
            f"the partial file has the answers to {done.queries:,} other queries: "
            "--force starts anew, or choose another file"
        )
    return (query for query, _ in everything)


def _key(query: Query) -> str:
    return f"{query.id}\n{query.description}\n{query.sequence}"


def _columns(database: Database) -> list[str]:
    return [name for name in database.store.columns if name not in ("id", "vector")]


def _shortened(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
