"""SQL filters: quoting keys, and telling a user's mistake from a damaged table in one line."""

from __future__ import annotations

import re
from operator import index
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError, FilterError, QueryError
from protvec.store.remote import explain_remote, is_remote, unwrapped
from protvec.store.scoring.record import plain_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lance import LanceDataset

# What lance may raise for a failed read or commit; it maps most of its own errors to the first two.
LANCE_ERRORS = (OSError, ValueError, RuntimeError)
# LanceDB parses a filter in time linear in its keys (about 10 microseconds each); this bounds its text.
KEYS_PER_FILTER = 2000
# What parentheses are no parentheses in: texts, quoted names, comments.
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL)


def quote(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def in_lists(column: str, keys: Sequence[str]) -> Iterator[str]:
    """Filters that together select the rows with those keys, each of a bounded number of them."""
    for start in range(0, len(keys), KEYS_PER_FILTER):
        chunk = ", ".join(quote(key) for key in keys[start : start + KEYS_PER_FILTER])
        yield f"{column} IN ({chunk})"


def enclosed(where: str | None) -> str | None:
    """The filter in parentheses.

    LanceDB drops, in silence, what follows the first expression (``length > 3 LIMIT 5``, ``a = 1; b``);
    inside parentheses it is a syntax error. The newline ends a comment.

    Raises:
        FilterError: It closes them itself (``a = 1) OR (b = 2``), and would escape what is added to it.
    """
    if where is None:
        return None
    depth = 0
    for mark in re.findall(r"[()]", _QUOTED.sub("", str(where))):
        depth += (mark == "(") - (mark == ")")
        if depth < 0:
            raise FilterError(f"cannot filter by {where!r}: a parenthesis is closed that was not opened")
    return f"({where}\n)"


def both(where: str | None, condition: str) -> str:
    """A filter that what passes the user's and the condition passes."""
    return f"({condition})" if where is None else f"{enclosed(where)} AND ({condition})"


def check_k(k: int) -> None:
    """Refuse a number of hits that is none.

    Raises:
        QueryError: it is no whole number from 1 on.
    """
    try:
        few = index(k) < 1
    except TypeError:
        raise QueryError(f"k is {k!r}; it must be a whole number, at least 1") from None
    if few:
        raise QueryError(f"k is {k}; it must be at least 1")


def brief(error: BaseException) -> str:
    """Lance's message in one line, without its wrapping, its source positions and what may be secret.

    Raises:
        KeyboardInterrupt: It is one, which reached lance or Arrow while they were at work, and was wrapped by them.
    """
    text = str(error)
    if re.search(r"(^|: )KeyboardInterrupt(:|$)", text.strip()):
        raise KeyboardInterrupt from error
    return explain_remote(error) if is_remote(text) else unwrapped(text)


def check_columns(dataset: LanceDataset, columns: Sequence[str]) -> list[str]:
    """The columns, if the table has them all.

    Raises:
        FilterError: It lacks one; names those it has.
    """
    names = plain_names(dataset.schema)
    unknown = [column for column in columns if column not in names]
    if unknown:
        raise FilterError(f"no column {', '.join(map(repr, unknown))}: the columns are {', '.join(names)}")
    return list(columns)


def check_filter(dataset: LanceDataset, where: str) -> None:
    """Plan a filter without running it.

    Raises:
        FilterError: It cannot be used.
    """
    try:
        dataset.scanner(filter=enclosed(where), columns=["id"]).explain_plan()
    except LANCE_ERRORS as error:
        raise explain(error, dataset, where) from error


def explain(error: Exception, dataset: LanceDataset, where: str | None) -> Exception:
    """What to raise in place of an error of a read: the filter's fault, or the table's."""
    if isinstance(error, (DatabaseError, FilterError)):
        return error
    if isinstance(error, UnicodeEncodeError):  # as bytes of a command line may be
        return QueryError(f"not UTF-8 text: {error.object[error.start : error.end]!r} in an id or a condition")
    reason = str(error)
    if where is not None and re.search(r"Invalid user input|Execution error|Arrow error|DataFusion", reason):
        names = ", ".join(plain_names(dataset.schema))
        return FilterError(f"cannot filter by {where!r}: {_reason(reason) or brief(error)}; the columns are {names}")
    from protvec.store.damage import read_failure

    return read_failure(dataset, error)


def _reason(message: str) -> str | None:
    """The two common mistakes in plain words."""
    if unknown := re.search(r"No field named (\S+?)\.? ", message):
        return f"no column {unknown[1]}"
    if "sql parser error" in message or "Error tokenizing" in message:
        return "not a valid SQL expression"
    return None
