"""The types of columns: found from text with care, or said by the user, or that of the column that is there."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from protvec.store import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import pyarrow as pa

    from protvec.annotate.sheet import Sheet

KINDS = ("int", "float", "text", "bool", "list")
_WORDS = {"int": "an integer", "float": "a number", "text": "text", "bool": "true or false", "list": "a list"}
# What programs write for a missing number; in text it may be a name (NA is sodium, and a gene).
_MISSING = frozenset({"NA", "N/A", "NaN", "nan", "null", "NULL", "None", "-"})
_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]*")  # not 007, which is an identifier
_INTEGER = re.compile(r"[+-]?[0-9]+")
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)?(\.[0-9]+|(?<=[0-9])\.?)([eE][+-]?[0-9]+)?|-?(inf|Inf)")
_TRUTH = {"true": True, "false": False}
_SAID_TRUTH = {**_TRUTH, **dict.fromkeys(("t", "yes", "y", "1"), True), **dict.fromkeys(("f", "no", "n", "0"), False)}
_LARGEST = 2**63
_EXACT = 2**53  # up to here a float is the integer


def arrow_type(kind: str) -> pa.DataType:
    """How a kind of column is stored."""
    import pyarrow as pa

    return {
        "int": pa.int64(),
        "float": pa.float64(),
        "text": pa.string(),
        "bool": pa.bool_(),
        "list": pa.list_(pa.string()),
    }[kind]


def convert(
    sheet: Sheet, name: str, *, said: str | None, stored: pa.DataType | None, separator: str | None, nulls: set[str]
) -> pa.Array:
    """A column in its type.

    Args:
        sheet: The table.
        name: The column in it.
        said: The kind that the user wants.
        stored: The type of the column where the database has it.
        separator: Of the elements of lists; None where the user named none.
        nulls: Texts that stand for nothing, beside the empty one.

    Raises:
        TableError: A cell does not fit the type; names its line. Or the separator occurs, and the database has text;
            or the kind is not that of the database.
    """
    import pyarrow as pa

    typed = sheet.types.get(name)
    cells = sheet.cells[name] if typed is None else _emptied(sheet.cells[name], nulls)
    if stored is not None and said not in (None, kind_of(stored)):
        raise sheet.fault(f"column {name!r} of the database holds {stored}, not {said}: drop it first, or rename this")
    splits = said is None and _splits(cells, typed, separator, nulls)
    if splits and stored is not None and kind_of(stored) == "text":
        raise sheet.fault(
            f"column {name!r} of the database holds text, and {separator!r} would split it here: "
            f"--type {name}=text keeps cells as they are; drop the column first to have lists"
        )
    if typed is not None and not (splits and stored is None):
        found = kind_of(typed)
        if found is None and said != "text":
            raise sheet.fault(f"column {name!r} is {typed}: give integers, floats, text, booleans or lists of these")
        wanted = stored or (arrow_type(said) if said else None)
        if wanted is None or _is_alike(found, kind_of(wanted)):
            return _typed(sheet, name, cells, _plain_type(typed), wanted or _plain_type(typed))
        cells = [None if value is None else str(value) for value in cells]
    kind = said or (kind_of(stored) if stored is not None else infer(cells, separator=separator, nulls=nulls))
    values = _parsed(sheet, name, cells, str(kind), separator or ";", nulls, fixed=stored is not None)
    return pa.array(values, stored or arrow_type(str(kind)))


def _splits(cells: Sequence[Any], typed: pa.DataType | None, separator: str | None, nulls: Collection[str]) -> bool:
    """Whether a column of text would be one of lists."""
    if not separator or not (typed is None or kind_of(typed) == "text"):
        return False
    occurs = any(cell and separator in cell for cell in cells)
    return occurs and infer(cells, separator=separator, nulls=nulls) == "list"


def infer(cells: Sequence[str | None], *, separator: str | None, nulls: Collection[str] = ()) -> str:
    """The kind of a column of text: a number or a truth value only where every cell is plainly one.

    ``007``, integers beyond 64 bits, and floats beside integers that a float cannot hold are text. A column
    of 0 and 1 is of integers.

    >>> infer(["1", "", "-20"], separator=None), infer(["007", "12"], separator=None)
    ('int', 'text')
    >>> infer(["1", "2.5e-3", "NA"], separator=None), infer(["TRUE", "false"], separator=None)
    ('float', 'bool')
    >>> infer(["GO:1;GO:2", "GO:3"], separator=";"), infer(["GO:1;GO:2"], separator=None)
    ('list', 'text')
    """
    present = {cell.strip() for cell in cells if cell is not None and cell.strip() and cell.strip() not in nulls}
    values = present - _MISSING
    if values and all(value.lower() in _TRUTH for value in values):
        return "bool"
    integers = {value for value in values if _PLAIN_INTEGER.fullmatch(value)}
    if values and integers == values:
        return "int" if all(-_LARGEST <= int(value) < _LARGEST for value in values) else "text"
    if values and all(_PLAIN_NUMBER.fullmatch(value) for value in values):
        return "float" if all(abs(int(value)) <= _EXACT for value in integers) else "text"
    if separator and any(separator in value for value in present):
        return "list"
    return "text"


def _parsed(
    sheet: Sheet, name: str, cells: Sequence[str | None], kind: str, separator: str, nulls: set[str], *, fixed: bool
) -> list[Any]:
    missing = nulls if kind in ("text", "list") else nulls | _MISSING
    parse = _PARSERS[kind]
    values: list[Any] = []
    for row, cell in enumerate(cells):
        if cell is None or not cell.strip() or cell.strip() in missing:
            values.append(None)
            continue
        value = parse(cell, separator)
        if value is None:
            hint = "which is what the database has there" if fixed else f"--type {name}=text keeps it as it is"
            raise sheet.fault(f"column {name!r}: {cell!r} is not {_WORDS[kind]}; {hint}", row)
        values.append(value)
    return values


def _integer(cell: str, _: str) -> int | None:
    text = cell.strip()
    value = int(text) if _INTEGER.fullmatch(text) else _LARGEST
    return value if -_LARGEST <= value < _LARGEST else None


def _number(cell: str, _: str) -> float | None:
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _as_number(text: str) -> float | None:
    integer = _integer(text, "")
    return _number(text, "") if integer is None else integer


_PARSERS: dict[str, Callable[[str, str], Any]] = {
    "int": _integer,
    "float": _number,
    "text": lambda cell, _: cell,
    "bool": lambda cell, _: _SAID_TRUTH.get(cell.strip().lower()),
    "list": lambda cell, separator: [part.strip() for part in cell.split(separator) if part.strip()],
}


def _is_alike(found: str | None, wanted: str | None) -> bool:
    """Whether values of one kind are stored as the other without a detour over text."""
    return found == wanted or {found, wanted} == {"int", "float"}


def _plain_type(typed: pa.DataType) -> pa.DataType:
    kind = kind_of(typed)
    if kind == "list":
        import pyarrow as pa

        return pa.list_(_plain_type(typed.value_type))
    return arrow_type(kind) if kind else typed


def _emptied(cells: Sequence[Any], nulls: set[str]) -> Sequence[Any]:
    """None in the place of values that are one of the texts, or the number that one of them is, or a list of just that.

    >>> _emptied(["-", "a", -9.0, 9, True, ["-"], ["-", "a"]], {"-", "-9", "true"})
    [None, 'a', None, 9, None, None, ['-', 'a']]
    """
    if not nulls:
        return cells
    numbers = {number for text in nulls if (number := _as_number(text)) is not None}

    def stands_for_nothing(value: Any) -> bool:  # noqa: ANN401
        if isinstance(value, list):
            return len(value) == 1 and stands_for_nothing(value[0])
        if isinstance(value, bool):
            return str(value).lower() in nulls
        if isinstance(value, int | float):
            return value in numbers
        return isinstance(value, str) and value.strip() in nulls

    return [None if stands_for_nothing(cell) else cell for cell in cells]


def _typed(sheet: Sheet, name: str, cells: Sequence[Any], plain: pa.DataType, wanted: pa.DataType) -> pa.Array:
    import pyarrow as pa

    values = [_without_nan(value) for value in cells]
    try:
        return pa.array(values, plain).cast(wanted)  # a cast refuses what it would change, such as 1.5 to 1
    except (pa.ArrowException, OverflowError, TypeError) as error:
        raise sheet.fault(f"column {name!r} cannot be stored as {wanted}: {str(error).splitlines()[0]}") from error


def _without_nan(value: Any) -> Any:  # noqa: ANN401
    """None in the place of NaN, in lists as well: so data frames say that there is nothing, and NaN equals nothing."""
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
