"""What a query may be: a bare sequence, or records of a FASTA file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from protvec import fasta
from protvec.errors import InputError, QueryError

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
    """

    id: str
    sequence: str
    named: bool = True


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
        FastaError: the file cannot be read.
        QueryError: a record cannot be used; a query that is left out in silence would look like one without hits.
    """
    for item in fasta.read(source, name=name):
        if isinstance(item, fasta.Rejected):
            raise QueryError(str(item))
        yield Query(item.id, item.sequence)


def as_queries(queries: Iterable[str | Query | fasta.Record]) -> Iterator[Query]:
    """Bare sequences, records and queries, all as queries, in order."""
    for query in queries:
        if isinstance(query, Query):
            yield query
        elif isinstance(query, fasta.Record):
            yield Query(query.id, query.sequence)
        else:
            yield parse_query(query)
