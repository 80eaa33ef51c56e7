"""What a query may be: a bare sequence, or records of a FASTA file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from protvec import fasta
from protvec.errors import FastaError, InputError, QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

UNNAMED = "query"


@dataclass(frozen=True, slots=True)
class Query:
    """A sequence to search with.

    Attributes:
        id: Its name in the results.
        sequence: Clean, upper-case residues.
        named: Whether the name came with the sequence, as in a FASTA file, so that it may be a protein's id.
        description: The rest of its header line.
    """

    id: str
    sequence: str
    named: bool = True
    description: str = ""


def parse_query(sequence: str, *, id: str | None = None) -> Query:
    """A query from a bare sequence.

    Raises:
        QueryError: it is empty, holds other symbols than residues, or looks like nucleotides.
    """
    if not sequence.strip():
        raise QueryError("the query sequence is empty")
    try:
        cleaned, _ = fasta.clean(sequence)
    except InputError as error:
        raise QueryError(f"the query is not a protein sequence: {error}") from None
    if fasta.looks_like_nucleotides(Counter(cleaned)):
        raise QueryError("the query looks like nucleotides: translate it first")
    return Query(id or UNNAMED, cleaned, named=id is not None)


def read_queries(source: str | Path | BinaryIO, *, name: str | None = None) -> Iterator[Query]:
    """The records of a FASTA file as queries, in order.

    Raises:
        FastaError: the file cannot be read, is empty, or two records have one id, whose hits nobody could tell apart.
        QueryError: a record cannot be used; a query that is left out in silence would look like one without hits.
    """
    lines: dict[str, int] = {}
    for item in fasta.read(source, name=name):
        if isinstance(item, fasta.Rejected):
            raise QueryError(str(item))
        if (first := lines.setdefault(item.id, item.line)) != item.line:
            raise FastaError(
                f"two queries are called {item.id!r}, the first in line {first}: nobody could tell their hits apart",
                file=item.file,
                line=item.line,
            )
        if fasta.looks_like_nucleotides(Counter(item.sequence)):
            raise FastaError(f"{item.id} looks like nucleotides: translate it first", file=item.file, line=item.line)
        yield Query(item.id, item.sequence, description=item.description)


def as_queries(queries: Iterable[str | Query | fasta.Record]) -> Iterator[Query]:
    """Bare sequences, records and queries, all as queries, in order."""
    for query in queries:
        if isinstance(query, Query):
            yield query
        elif isinstance(query, fasta.Record):
            yield Query(query.id, query.sequence, description=query.description)
        else:
            yield parse_query(query)
