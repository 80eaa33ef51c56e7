"""Rows of a table find their proteins, and their cells become columns, in one commit."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from protvec.annotate.kinds import KINDS, convert
from protvec.errors import QueryError, TableError
from protvec.store import kind_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pyarrow as pa

    from protvec.annotate.sheet import Sheet
    from protvec.store import Store

_SAMPLE = 1000  # keys that are tried on other columns where none matched


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a table is put beside the proteins.

    Attributes:
        key: The column of the database that rows are matched by, of text or integers.
        key_column: The column of the table that has the keys; by default the one of the same name.
        columns: The columns to take; by default all but the key.
        rename: New names of columns, by their names in the table.
        types: The kinds (``KINDS``) of columns, by their names in the table; others are inferred.
        separator: Splits cells into lists, in columns of text where it occurs; it has to occur somewhere.
        nulls: Texts that stand for nothing, beside the empty one; in columns of a type also numbers that they are, the
            words of booleans, and lists of one of them alone.
        replace: Overwrite what proteins have in columns that are there.
    """

    key: str = "id"
    key_column: str | None = None
    columns: Sequence[str] | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    separator: str | None = None
    nulls: Collection[str] = ()
    replace: bool = False


@dataclass
class Annotated:
    """What became of a table.

    Attributes:
        table: Its name.
        key: The column that rows were matched by.
        rows: Rows of the table.
        repeated: Rows that say again what an earlier row says.
        columns: The kind (``KINDS``) of each column that was set.
        added: Those of them that were new.
        proteins: Proteins that a row was found for.
        changed: Proteins in which a value changed.
        without: Proteins that no row was found for.
        unmatched: The keys that no protein has, in order; a row without a key is ``line N: no key``.
    """

    table: str
    key: str
    rows: int
    repeated: int = 0
    columns: dict[str, str] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)
    proteins: int = 0
    changed: int = 0
    without: int = 0
    unmatched: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self)


def annotate(store: Store, sheet: Sheet, options: Options) -> Annotated:
    """Put the columns of a table beside the proteins that its rows match.

    A row annotates every protein that has its key. A protein that no row matches is left as it is. In a column
    that is there already, empty places are filled; with ``options.replace`` matched proteins get exactly what the
    table says, empty cells included.

    Raises:
        TableError: The table, with file and line: a cell that does not fit its type, a key with two different
            rows, another value than a protein has, no match at all. Nothing is changed then.
        QueryError: An option, or the name of a column.
    """
    key_column = _key_column(store, sheet, options)
    names = _names(store, sheet, options, key_column)
    stored = store.user_columns
    arrays = {
        new: convert(
            sheet,
            old,
            said=options.types.get(old),
            stored=stored.get(new),
            separator=options.separator,
            nulls={options.nulls} if isinstance(options.nulls, str) else set(options.nulls),
        )
        for old, new in names.items()
    }
    if options.separator is not None and not any(kind_of(array.type) == "list" for array in arrays.values()):
        raise sheet.fault(f"{options.separator!r} separates nothing: no column of text has it; leave --separator out")
    return _Match(store, sheet, options, key_column, arrays).run()


class _Match:
    """One table on its way into the database."""

    def __init__(
        self, store: Store, sheet: Sheet, options: Options, key_column: str, arrays: dict[str, pa.Array]
    ) -> None:
        import pyarrow as pa

        self.store, self.sheet, self.options, self.arrays = store, sheet, options, arrays
        self.report = Annotated(sheet.name, options.key, len(sheet))
        self.report.columns = {name: kind_of(array.type) or str(array.type) for name, array in arrays.items()}
        self.keys = [_as_key(cell) for cell in sheet.cells[key_column]]
        self.rows = self._rows()
        self.schema = pa.schema([pa.field(name, array.type) for name, array in arrays.items()])

    def run(self) -> Annotated:
        self.store.set_columns(self.schema, [self.options.key], self.values)
        report = self.report
        if report.changed or report.added:
            self.store.ledger.record(
                "annotate",
                counts={"rows": report.rows, "changed": report.changed, "unmatched": len(report.unmatched)},
                files=[self.sheet.file] if self.sheet.file else [],
                options={"key": report.key, "columns": list(report.columns), "replace": self.options.replace},
            )
        return report

    def _rows(self) -> dict[str, int]:
        """The row of each key; a key with two rows that say different things is an error."""
        rows: dict[str, int] = {}
        values = {name: array.to_pylist() for name, array in self.arrays.items()}
        for row, key in enumerate(self.keys):
            if not key:
                continue
            first = rows.setdefault(key, row)
            self.report.repeated += first != row
            for name, column in values.items():
                if column[first] != column[row]:
                    raise self.sheet.fault(
                        f"{key!r} has {name} {column[row]!r} here and {column[first]!r} in "
                        f"{self._place(first)}: keep one",
                        row,
                    )
        return rows

    def values(self, proteins: pa.Table) -> pa.Table:
        """The proteins that the table says something new about, with all of its columns."""
        import pyarrow as pa

        keys = [_as_key(key) for key in proteins[self.options.key].to_pylist()]
        places = [self.rows.get(key) if key else None for key in keys]
        self._count(keys, places)
        known = [name for name in self.arrays if name in proteins.column_names]
        matched = proteins.take([i for i, row in enumerate(places) if row is not None])
        rows = [row for row in places if row is not None]
        columns = {name: array.take(pa.array(rows, pa.int64())) for name, array in self.arrays.items()}
        for name in known:
            columns[name] = self._filled(name, columns[name], matched, rows)
        table = pa.table({"id": matched["id"], **columns})
        changed = _differs(matched, columns)
        self.report.changed = sum(changed)
        self.report.added = [name for name in self.arrays if name not in known]
        return table if self.report.added else table.filter(pa.array(changed, pa.bool_()))

    def _count(self, keys: Sequence[str | None], places: Sequence[int | None]) -> None:
        report, there = self.report, set(keys)
        report.proteins = sum(row is not None for row in places)
        report.without = len(places) - report.proteins
        missing = [key for key in self.rows if key not in there]
        report.unmatched = missing + [f"{self._place(row)}: no key" for row, key in enumerate(self.keys) if not key]
        if not report.proteins:
            raise self._no_match()

    def _filled(self, name: str, new: pa.Array, proteins: pa.Table, rows: Sequence[int]) -> pa.Array:
        """The column as it is to be: what the table says, or with what was there where it may not be replaced."""
        import pyarrow.compute as pc

        if self.options.replace:
            return new
        before, now = proteins[name].to_pylist(), new.to_pylist()
        clashes = [i for i, (a, b) in enumerate(zip(before, now, strict=True)) if a is not None and b not in (None, a)]
        if clashes:
            i, more = clashes[0], f" ({len(clashes) - 1:,} more like this)" if len(clashes) > 1 else ""
            raise self.sheet.fault(
                f"{proteins['id'][i].as_py()!r} has {name} {before[i]!r} already, here it is {now[i]!r}{more}; "
                "--replace overwrites",
                rows[i],
            )
        return pc.coalesce(new, proteins[name].combine_chunks().cast(new.type))

    def _no_match(self) -> TableError:
        sample = list(itertools.islice(self.rows, _SAMPLE))
        if not sample:
            return self.sheet.fault(f"no row has a key for {self.options.key}")
        better = {name: found for name in _key_columns(self.store) if (found := self._found(name, sample))}
        hint = f"; --key {max(better, key=lambda name: better[name])} would match" if better else ""
        return self.sheet.fault(
            f"none of {len(self.rows):,} keys, such as {sample[0]!r}, is the {self.options.key} of a protein{hint}"
        )

    def _found(self, column: str, sample: Sequence[str]) -> int:
        there = {
            _as_key(key) for batch in self.store.iter_proteins(columns=[column]) for key in batch[column].to_pylist()
        }
        return sum(key in there for key in sample)

    def _place(self, row: int) -> str:
        return f"line {self.sheet.lines[row]}" if self.sheet.lines else f"row {row + 1}"


def _differs(proteins: pa.Table, columns: Mapping[str, pa.Array]) -> list[bool]:
    """Whether any of the columns is another than the proteins have."""
    changed = [False] * proteins.num_rows
    for name, column in columns.items():
        before = proteins[name].to_pylist() if name in proteins.column_names else [None] * proteins.num_rows
        for i, (a, b) in enumerate(zip(before, column.to_pylist(), strict=True)):
            changed[i] |= a != b
    return changed


def _as_key(value: object) -> str | None:
    """A key as text; blanks around it are no part of it.

    Data frames make numbers with a point of integers where one is missing, and NaN of that.
    """
    if isinstance(value, float):
        value = None if math.isnan(value) else int(value) if value.is_integer() else value
    return None if value is None else str(value).strip() or None


def _key_columns(store: Store) -> list[str]:
    """Columns that rows can be matched by."""
    return [field.name for field in store.schema if kind_of(field.type) in ("text", "int")]


def _key_column(store: Store, sheet: Sheet, options: Options) -> str:
    """The column of the table that has the keys."""
    there = _key_columns(store)
    if options.key not in there:
        raise QueryError(f"no column {options.key!r} of text or integers to match by; there are {', '.join(there)}")
    wanted = options.key_column or options.key
    if wanted in sheet.cells:
        return wanted
    alike = [name for name in sheet.cells if name.lower() == wanted.lower()]
    if len(alike) == 1:
        return alike[0]
    named = ", ".join(map(repr, list(sheet.cells)[:10]))
    raise sheet.fault(f"no column {wanted!r} of keys among {named}: --key {options.key}=COLUMN says which one it is")


def _names(store: Store, sheet: Sheet, options: Options, key_column: str) -> dict[str, str]:
    """The columns to take, by their names in the table, with the names that they get."""
    asked = list(options.columns) if options.columns is not None else [n for n in sheet.cells if n != key_column]
    for name in (*asked, *options.rename, *options.types):
        if name not in sheet.cells:
            raise sheet.fault(f"no column {name!r}; there are {', '.join(map(repr, sheet.cells))}")
    if unused := [name for name in (*options.rename, *options.types) if name not in asked]:
        raise sheet.fault(f"{unused[0]!r} is none of the columns to take: {', '.join(asked)}")
    for name, kind in options.types.items():
        if kind not in KINDS:
            raise QueryError(f"{kind!r} is no type for column {name!r}: use one of {', '.join(KINDS)}")
    names = {old: options.rename.get(old, old) for old in dict.fromkeys(asked)}
    if not names:
        raise sheet.fault(f"no columns beside {key_column!r}")
    folded = [new.lower() for new in names.values()]
    for old, new in names.items():
        try:
            store.check_column_name(new)
        except QueryError as error:
            raise sheet.fault(f"{error}; --rename '{old}=NEW' gives it another, --columns leaves it out") from error
        if folded.count(new.lower()) > 1:
            raise sheet.fault(f"two columns would be named {new!r}, but for case: --rename or --columns")
    return names
