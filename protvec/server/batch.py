"""Many queries of one request or of a job: a line of JSON for each, in their order, whatever becomes of one."""

from __future__ import annotations

import asyncio
import io
import time
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from protvec.errors import InputError, ProteinNotFoundError, QueryError
from protvec.search.query import read_queries
from protvec.server import answers
from protvec.server.asking import by_id, check_length
from protvec.server.problems import Problem, body, problem_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from protvec import Database, Hits
    from protvec.search import Query
    from protvec.server.asking import Found
    from protvec.server.served import Asking, Served
    from protvec.server.settings import Limits

# Of a turn: so that others have theirs soon, and the model has several sequences at once.
_RESIDUES = 2000
_SEQUENCES = 16
_IDS = 64
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Queries:
    """What a batch asks: sequences, or proteins of the database.

    Attributes:
        sequences: With names.
        ids: Of proteins; where there are no sequences.
    """

    sequences: tuple[Query, ...] = ()
    ids: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.sequences) or len(self.ids)

    def after(self, done: int) -> Queries:
        """Those that are not done."""
        return Queries(self.sequences[done:], self.ids[done:])


def parse_fasta(content: bytes, limits: Limits) -> Queries:
    """The records of a FASTA file.

    Raises:
        InputError: a record cannot be used; names its line.
        Problem: 413; there are too many, or one is too long.
    """
    if content.startswith(_GZIP):
        raise QueryError("the FASTA text is compressed: send it as it is")
    found = []
    for query in islice(read_queries(io.BytesIO(content), name="request"), limits.job_queries + 1):
        check_length(query.sequence, limits)
        found.append(query)
    check_number(len(found), limits)
    return Queries(sequences=tuple(found))


def check_number(number: int, limits: Limits) -> None:
    """Refuse more queries than a job may have.

    Raises:
        Problem: 413.
    """
    if number > limits.job_queries:
        raise Problem(413, "too_many", f"there are more queries than a job may have: {limits.job_queries:,} at most")


async def lines(
    served: Served, queries: Queries, options: dict[str, Any], asking: Asking, *, hide: Mapping[str, str]
) -> AsyncIterator[list[bytes]]:
    """The answers, some at a time.

    Args:
        served: The database.
        queries: In order.
        options: As keywords of the database.
        asking: Who asks.
        hide: See ``problem_of``.

    Yields:
        Lines, each an answer of a search or, of a query that has none, its name and the problem.

    Raises:
        ProtvecError: the database or the model fails: no query has an answer then.
        Problem: 503; too many wait, or it takes too long.
    """
    for part in _parts(queries.sequences, 1 if options["align"] else _SEQUENCES):
        yield await _of_sequences(served, part, options, asking)
    for start in range(0, len(queries.ids), _IDS):
        yield await _of_ids(served, queries.ids[start : start + _IDS], options, asking, hide)


def _parts(queries: Sequence[Query], most: int) -> Iterator[list[Query]]:
    """Queries of one turn each, so many at most."""
    part: list[Query] = []
    residues = 0
    for query in queries:
        if part and (len(part) == most or residues + len(query.sequence) > _RESIDUES):
            yield part
            part, residues = [], 0
        part.append(query)
        residues += len(query.sequence)
    if part:
        yield part


async def _of_sequences(served: Served, queries: list[Query], options: dict[str, Any], asking: Asking) -> list[bytes]:
    def work(database: Database) -> list[bytes]:
        started = time.perf_counter()
        found: list[Hits] = list(database.search_many(queries, **options))
        took_ms = 1000 * (time.perf_counter() - started) / len(queries)
        return [
            answers.as_json(hits, query_length=len(query.sequence), took_ms=took_ms) + b"\n"
            for hits, query in zip(found, queries, strict=True)
        ]

    served.check_embeds()
    return await served.in_turn(asking, work)


async def _of_ids(
    served: Served, ids: Sequence[str], options: dict[str, Any], asking: Asking, hide: Mapping[str, str]
) -> list[bytes]:
    """Those that are aligned wait their turn one by one."""

    async def one(id: str) -> bytes:
        started = time.perf_counter()
        try:
            found: Found = await by_id(served, id, options, asking)
        except (ProteinNotFoundError, InputError) as error:
            problem = problem_of(error, hide=hide)
            return answers.dumps({"query": id, "error": _plain(problem)}) + b"\n"
        took_ms = 1000 * (time.perf_counter() - started)
        return answers.as_json(found.hits, query_length=found.query_length, took_ms=took_ms) + b"\n"

    if options["align"]:
        return [await one(id) for id in ids]
    return list(await asyncio.gather(*map(one, ids)))


def _plain(problem: Problem) -> dict[str, Any]:
    return body(problem.status_code, problem.code, problem.detail, **problem.more)


def patient(asking: Asking) -> Asking:
    """Whoever has an answer in part already waits for the rest, however many others wait."""
    return replace(asking, patient=True, seconds=None)
