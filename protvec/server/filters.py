"""Conditions of clients: taken apart, compared with what is allowed, and written anew; else refused.

``where`` of a request is SQL to look at. What reaches the database is text that is made here, out of comparisons of
columns that the database has with plain values. So no request can call a function that does more, or look at what
is not a column.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Literal

from protvec.errors import FilterError
from protvec.store import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlglot import exp

Op = Literal["eq", "ne", "lt", "le", "gt", "ge", "in", "not_in", "like", "contains", "between", "is_null", "has"]
Value = str | float | int | bool

MOST_NODES = 2000
MOST_VALUES = 1000
DEEPEST = 50
_SIGNS = {"eq": "=", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_ALLOWED = "comparisons of columns and values with AND, OR, NOT, IN, LIKE, BETWEEN, IS NULL, and array_has"


def safe_where(where: str, columns: Iterable[str], *, longest: int) -> str:
    """A condition of a client, written anew.

    Args:
        where: As it was given.
        columns: Those that there are.
        longest: Characters that it may have.

    Raises:
        FilterError: it is no condition, too long, or asks for more than comparisons.
    """
    if len(where) > longest:
        raise FilterError(f"the condition has {len(where):,} characters: {longest:,} at most")
    return _Writer(columns).write(_parsed(where))


def _parsed(where: str) -> exp.Expr:
    import sqlglot
    from sqlglot.errors import SqlglotError

    if _nesting(where) > DEEPEST:
        raise FilterError(f"the condition is nested more than {DEEPEST} deep")
    try:
        return sqlglot.condition(where)
    except (SqlglotError, RecursionError, ValueError):
        raise FilterError("the condition is no SQL expression that can be read") from None


def _nesting(where: str) -> int:
    """The most brackets and negations that may stand in one another, before anything is read."""
    return where.count("(") + where.upper().count("NOT") // 2 + where.count("-") // 4


class _Writer:
    """Writes what is allowed of a parsed condition."""

    def __init__(self, columns: Iterable[str]) -> None:
        self._columns = {name.lower(): name for name in columns}
        self._nodes = 0

    def write(self, node: exp.Expr) -> str:
        """The condition as text.

        Raises:
            FilterError: there is something that is not allowed.
        """
        from sqlglot import exp

        self._count()
        if isinstance(node, exp.And | exp.Or):
            return self._chain(node)
        if isinstance(node, exp.Not):
            return f"(NOT {self.write(node.this)})"
        if isinstance(node, exp.Paren):
            return self.write(node.this)
        if isinstance(node, exp.Column):
            return self._column(node)  # of truth values
        if isinstance(node, exp.Boolean):
            return "true" if node.this else "false"
        kinds: dict[type[exp.Expr], Callable[[Any], str]] = {
            exp.In: self._in,
            exp.Between: self._between,
            exp.Is: self._is,
            exp.ArrayContains: lambda each: f"array_has({self._column(each.this)}, {self._value(each.expression)})",
        }
        comparisons: dict[type[exp.Expr], str] = {
            exp.EQ: "=",
            exp.NEQ: "!=",
            exp.LT: "<",
            exp.LTE: "<=",
            exp.GT: ">",
            exp.GTE: ">=",
        }
        comparisons |= {exp.Like: "LIKE", exp.ILike: "ILIKE"}
        if write := kinds.get(type(node)):
            return write(node)
        if sign := comparisons.get(type(node)):
            return f"({self._operand(node.this)} {sign} {self._operand(node.expression)})"
        raise self._refused(node)

    def _chain(self, node: exp.Expr) -> str:
        """A row of ANDs, or of ORs, which the parser has as a tree as deep as it is long."""
        kind, word = type(node), type(node).__name__.upper()
        parts: list[str] = []
        while type(node) is kind:
            self._count()
            parts.append(self.write(node.expression))
            node = node.this
        return "(" + f" {word} ".join([self.write(node), *reversed(parts)]) + ")"

    def _in(self, node: exp.In) -> str:
        from sqlglot import exp

        values = node.expressions
        if not values or {name for name, value in node.args.items() if value} - {"this", "expressions"}:
            raise self._refused(node)
        if len(values) > MOST_VALUES:
            raise FilterError(f"IN has {len(values):,} values: {MOST_VALUES:,} at most")
        if not isinstance(node.this, exp.Column):
            raise self._refused(node)
        return f"({self._column(node.this)} IN ({', '.join(map(self._value, values))}))"

    def _between(self, node: exp.Between) -> str:
        if node.args.get("symmetric") is not None:
            raise self._refused(node)
        low, high = (self._value(node.args[each]) for each in ("low", "high"))
        return f"({self._column(node.this)} BETWEEN {low} AND {high})"

    def _is(self, node: exp.Is) -> str:
        from sqlglot import exp

        what = node.expression
        if isinstance(what, exp.Null):
            return f"({self._column(node.this)} IS NULL)"
        if isinstance(what, exp.Boolean):
            return f"({self._column(node.this)} IS {'TRUE' if what.this else 'FALSE'})"
        raise self._refused(node)

    def _operand(self, node: exp.Expr) -> str:
        from sqlglot import exp

        if isinstance(node, exp.Lower | exp.Upper):
            return f"{type(node).__name__.lower()}({self._column(node.this)})"
        return self._column(node) if isinstance(node, exp.Column) else self._value(node)

    def _column(self, node: exp.Expr) -> str:
        from sqlglot import exp

        self._count()
        if not isinstance(node, exp.Column) or len(node.parts) != 1:
            raise self._refused(node)
        return self._known(node.name, quoted=bool(node.this.args.get("quoted")))

    def _known(self, name: str, *, quoted: bool = False) -> str:
        if column := self._columns.get(name.lower()):
            return column
        hint = ": texts stand in single quotation marks" if quoted else ""
        raise FilterError(f"no column {name!r}{hint}; the columns are {', '.join(self._columns.values())}")

    def _value(self, node: exp.Expr) -> str:
        from sqlglot import exp

        self._count()
        if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal) and not node.this.is_string:
            return f"-{self._value(node.this)}"
        if isinstance(node, exp.Boolean):
            return literal(bool(node.this))
        if isinstance(node, exp.Literal):
            return quote(str(node.this)) if node.is_string else _number(str(node.this))
        raise self._refused(node)

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise FilterError(f"the condition has more than {MOST_NODES:,} parts")

    @staticmethod
    def _refused(node: exp.Expr) -> FilterError:
        return FilterError(f"the condition may have {_ALLOWED}: not {type(node).__name__.upper()}")


def structured(filters: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> str | None:
    """Conditions that were given as values, all of which a protein has to meet; None of none.

    Args:
        filters: Each with ``column``, ``op`` and ``value``.
        columns: Those that there are.

    Raises:
        FilterError: there is no such column, or a value does not suit its operation.
    """
    known = _Writer(columns)
    parts = [_condition(known._known(each["column"]), each["op"], each.get("value")) for each in filters]  # noqa: SLF001
    return " AND ".join(f"({part})" for part in parts) or None


def _condition(column: str, op: Op, value: Any) -> str:  # noqa: ANN401  # a value of JSON
    if op in ("in", "not_in", "between"):
        if not isinstance(value, list) or not value or (op == "between" and len(value) != 2):
            raise FilterError(f"{op} of {column} needs {'two values' if op == 'between' else 'a list of values'}")
        low, *high = texts = [literal(each) for each in value]
        if op == "between":
            return f"{column} BETWEEN {low} AND {high[0]}"
        return f"{column} {'NOT ' if op == 'not_in' else ''}IN ({', '.join(texts)})"
    if op == "is_null":
        if not isinstance(value, bool | None):
            raise FilterError(f"is_null of {column} needs true or false")
        return f"{column} IS {'NOT ' if value is False else ''}NULL"
    if isinstance(value, list) or value is None:
        raise FilterError(f"{op} of {column} needs one value")
    if op == "has":
        return f"array_has({column}, {literal(value)})"
    if op in ("like", "contains"):
        if not isinstance(value, str):
            raise FilterError(f"{op} of {column} needs a text")
        return f"{column} LIKE {quote(value)}" if op == "like" else f"contains(lower({column}), {quote(value.lower())})"
    return f"{column} {_SIGNS[op]} {literal(value)}"


def literal(value: Value) -> str:
    """A value as SQL.

    Raises:
        FilterError: it is not a finite number.
    """
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _number(json.dumps(value))


def _number(text: str) -> str:
    """A number as SQL has it, and nothing else."""
    try:
        whole = int(text)
    except ValueError:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise FilterError(f"{text[:40]} is no finite number") from None
        return repr(value)
    if abs(whole) >= 1 << 63:
        raise FilterError("a whole number has at most 63 bits")
    return str(whole)
