"""Answers as rows: which columns were asked for, and their values."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from protvec.cli.fields import BOTH, BY_NAME, FIELDS, HIT, M8, OF_ALIGNMENTS, QUERY, SEGMENT, SIGNIFICANCE, TARGET
from protvec.errors import FilterError, QueryError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pyarrow as pa

    from protvec.align import Alignment
    from protvec.search.hits import Hits
    from protvec.search.listing import Listing


@dataclass(frozen=True)
class Column:
    """A column that was asked for.

    Attributes:
        name: As it was asked for.
        side: As in ``Field``.
        source: The column of the database, or of the table of hits, behind it.
        header: Whether the id goes in front, as in a header line.
    """

    name: str
    side: str
    source: str
    header: bool = False


@dataclass(frozen=True)
class Answer:
    """The hits of one query, and what is to be printed of the query itself; or another table of two proteins a row.

    Attributes:
        query: Name of the query, or a title of the table.
        hits: The hits; its table has the columns query and target.
        facts: Columns of the query by name, such as ``length``: those that ``Layout.of_query`` names.
        key: What the query is, so that another search can tell whether it has the same queries.
        how: How the hits were found.
        chance: What their E-values come from.
        alignments: The alignment of each hit, where there are any.
    """

    query: str
    hits: Listing[Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    how: str = ""
    chance: str = ""
    alignments: Sequence[Alignment] = ()

    @classmethod
    def of(cls, hits: Hits, facts: Mapping[str, Any] | None = None, key: str = "") -> Answer:
        """The hits of one query."""
        return cls(hits.query, hits, facts or {}, key, str(hits.index), hits.chance, hits.alignments)


@dataclass(frozen=True)
class Layout:
    """The columns of an answer, in order."""

    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """What they are called."""
        return [column.name for column in self.columns]

    @property
    def of_target(self) -> list[str]:
        """Columns of the database that the hits have to bring."""
        return list(dict.fromkeys(each.source for each in self.columns if each.side == TARGET))

    @property
    def of_query(self) -> list[str]:
        """Columns that have to be known of a query."""
        return list(dict.fromkeys(each.source for each in self.columns if each.side == QUERY))

    def values(self, answer: Answer) -> list[list[Any]]:
        """The values of each column, best hit first."""
        table = answer.hits.to_arrow()
        return [self._values(column, answer, table) for column in self.columns]

    def rows(self, answer: Answer) -> list[tuple[Any, ...]]:
        """The same by hits."""
        return list(zip(*self.values(answer), strict=True))

    def to_arrow(self, answer: Answer, types: Mapping[str, pa.DataType]) -> pa.Table:
        """The same with the types of the database.

        Args:
            answer: The hits of one query.
            types: Of columns of queries, by their name in the database.
        """
        import pyarrow as pa

        table = answer.hits.to_arrow()
        arrays = []
        for column in self.columns:
            if column.side == QUERY or column.header:
                kind = types.get(column.source, pa.string())
                arrays.append(pa.array(self._values(column, answer, table), kind))
            else:
                arrays.append(table[column.source])
        return pa.table(arrays, names=self.names)

    @staticmethod
    def _values(column: Column, answer: Answer, table: pa.Table) -> list[Any]:
        if column.side == QUERY:
            value = answer.facts[column.source]
            return [headed(answer.query, value) if column.header else value] * len(table)
        values: list[Any] = table[column.source].to_pylist()
        if column.header:
            return [headed(id, value) for id, value in zip(table["target"].to_pylist(), values, strict=True)]
        return values


def headed(id: str, header: str | None) -> str:
    """A header line, as a FASTA file has it."""
    return f"{id} {header}" if header else id


def layout(
    names: Sequence[str], targets: Collection[str], queries: Collection[str], *, sides: Collection[str] = ()
) -> Layout:
    """The columns that were asked for by name.

    A name of ``FIELDS`` means that field; any other is a column of the targets. ``target.NAME`` and ``query.NAME``
    are columns of the database whatever ``FIELDS`` has.

    Args:
        names: The columns.
        targets: Columns of the database that is searched.
        queries: What is known of a query, by the names of a database's columns.
        sides: The sides of ``FIELDS`` that this search has beside those of every search.

    Raises:
        FilterError: a column is not there, is of other searches, or is named twice.
    """
    refuse_repeats(names)
    lacking = [name for name in names if _side(name) in (*OF_ALIGNMENTS, SIGNIFICANCE) and _side(name) not in sides]
    if lacking:
        raise FilterError(_lacking(lacking, targets))
    return Layout(tuple(_column(name, targets, queries, sides) for name in names))


def _side(name: str) -> str:
    return BY_NAME[name].side if name in BY_NAME else TARGET


def refuse_repeats(names: Sequence[str]) -> None:
    """Refuse a column that is asked for twice.

    Raises:
        FilterError: it is; names it.
    """
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    if repeated:
        raise FilterError(f"the column {repeated[0]!r} is named twice")


def check_m8(names: Sequence[str] | None, *, aligned: bool) -> None:
    """Refuse BLAST's twelve columns where some cannot be had.

    Raises:
        QueryError: they are asked for; the message says what works.
    """
    lacking = [name for name in M8 if _side(name) in OF_ALIGNMENTS and not aligned]
    if names is None and lacking:
        raise QueryError(
            f"m8 has columns that need an alignment (--align): {', '.join(lacking)}; "
            f"what works: --format m8 --columns query,target,score (tabs, no header), or --format tsv"
        )


def _column(name: str, targets: Collection[str], queries: Collection[str], sides: Collection[str]) -> Column:
    side, _, rest = name.partition(".")
    known = BY_NAME.get(name)
    if known is not None and known.side not in (HIT, QUERY, TARGET, *sides):
        if name not in targets:
            others = "--text beside another query" if known.side == BOTH else "--text beside another query, or --align"
            others = "segments, without --align, --text and --scoring raw" if known.side == SEGMENT else others
            raise FilterError(f"the column {name!r} is of searches with {others}")
        known = None  # a column of the user's own
    if known is not None and known.side not in (QUERY, TARGET):
        return Column(name, HIT, known.column)
    if known is not None:
        found = Column(name, known.side, known.column, header=known.column == "header")
    elif side in (QUERY, TARGET) and rest:
        found = Column(name, side, rest)
    else:
        found = Column(name, TARGET, name)
    there = queries if found.side == QUERY else targets
    if found.side == TARGET and found.source in {each.column for each in FIELDS if each.side in sides}:
        raise FilterError(f"{found.source} is what this search says of a hit: rename the database's column")
    if found.side == TARGET and found.source in _OF_HITS and found.source in there:
        raise FilterError(
            f"{found.source} is what a search says of a hit, and cannot be printed of a protein: rename the database's "
            "column (protvec itself lets none be called so)"
        )
    if found.source not in there:
        raise FilterError(_unknown(name, found, targets, queries))
    return found


_OF_HITS = {each.column for each in FIELDS if each.side == HIT}


def _unknown(name: str, found: Column, targets: Collection[str], queries: Collection[str]) -> str:
    if found.side == QUERY:
        return f"there is no column {name!r}: of these queries {', '.join(sorted(queries))} are known"
    names = [*BY_NAME, *targets]
    hint = "target" if name == "id" else ", ".join(difflib.get_close_matches(name.lower(), names, n=3))
    meant = f" (near: {hint})" if hint else ""
    fields = ", ".join(each.name for each in FIELDS if each.side not in OF_ALIGNMENTS)
    return f"there is no column {name!r}{meant}; there are {fields}, and of the database {', '.join(targets)}"


def _lacking(names: Sequence[str], targets: Collection[str]) -> str:
    own = [f"target.{name}" for name in names if name in targets]
    hint = f"; the database's own column is {', '.join(own)}" if own else ""
    what = f"the column {names[0]!r} needs" if len(names) == 1 else f"the columns {', '.join(names)} need"
    if any(_side(name) == SIGNIFICANCE for name in names):
        return f"{what} a vector to search with, not --text alone: take score, qlen, tlen or others{hint}"
    return f"{what} an alignment: add --align, or take score, qlen, tlen or others{hint}"
