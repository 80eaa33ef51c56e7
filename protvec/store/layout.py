"""The directory of a database: making it so that a kill does no harm, and opening it with checks."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError, DatabaseExistsError, DatabaseFormatError, DatabaseNotFoundError
from protvec.store.codec import CODECS
from protvec.store.near import near_names
from protvec.store.schema import (
    LEDGER,
    MAP,
    METADATA_KEY,
    PROTEINS,
    RESIDUES,
    SCHEMA_VERSION,
    TRANSFORMS,
    Description,
    ledger_schema,
    proteins_schema,
    residues_schema,
)
from protvec.store.segments.rule import Rule, keeping
from protvec.store.tables import commit, create_table, latest, open_table
from protvec.store.writable import PROBE, check_writable

if TYPE_CHECKING:
    from lance import LanceDataset, Session

    from protvec.store.ledger import Ledger
    from protvec.store.location import Location


def table_uri(root: Location, name: str) -> Location:
    """Where a table lies: LanceDB's own layout, so that its clients find it."""
    return root.join(f"{name}.lance")


def create(root: Location, description: Description, *, segments: bool = True) -> None:
    """Make the empty tables, ``proteins`` last: a database exists once ``proteins`` does.

    Args:
        root: Where.
        description: What it says about itself.
        segments: Whether it keeps segments.

    Raises:
        DatabaseExistsError: There is something at the path other than a creation that was cut short.
    """
    if root.exists() and not _is_unfinished(root):
        what = "a database" if open_table_safely(root, PROTEINS) is not None else "something else"
        raise DatabaseExistsError(f"{root}: there is {what} already: open it, or choose another path")
    made = root.make()
    try:
        check_writable(root)
    except DatabaseError:
        for directory in reversed(made):
            directory.rmdir()
        raise
    create_table(table_uri(root, RESIDUES), residues_schema())
    create_table(table_uri(root, LEDGER), ledger_schema())
    schema = proteins_schema(description)
    if not create_table(table_uri(root, PROTEINS), keeping(schema, Rule()) if segments else schema):
        raise DatabaseExistsError(f"{root}: another process has just created a database there: open it")


def migrate(root: Location, proteins: LanceDataset, ledger: Ledger) -> LanceDataset:
    """Bring a database of an older schema version to this one.

    One of version 1 is given a ledger, whose first row counts what is there. One of version 2 or 3 lacks nothing; its
    version says that programs that know no search columns, or no segments, may not write it any more.

    Each step may be repeated, by this process or by another at the same time; the version comes last.

    Returns:
        A handle on ``proteins`` with the new version.
    """
    description = Description.from_schema(proteins.schema, path=root.path)
    if description.schema_version < 2:
        create_table(table_uri(root, LEDGER), ledger_schema())
        ledger.opening("migrated-to-2", "migrate", latest(proteins).count_rows())
    description = dataclasses.replace(description, schema_version=SCHEMA_VERSION)
    metadata = {METADATA_KEY.decode(): description.to_json()}
    return commit(proteins, lambda target: target.update_schema_metadata(metadata))[0]


def open_tables(root: Location, *, session: Session) -> tuple[Description, tuple[LanceDataset, LanceDataset]]:
    """The description and handles on ``proteins`` and ``residues``.

    Raises:
        DatabaseNotFoundError: There is nothing, or only a creation that was cut short.
        DatabaseFormatError: Something else, a table is missing, or a newer schema.
    """
    if root.is_file():
        raise DatabaseFormatError(f"{root}: a file, not a database directory")
    inside = root.entries()
    if not inside and not root.exists():
        raise DatabaseNotFoundError(f"{root}: no such database{_neighbours(root)}")
    if "_versions" in inside:
        raise DatabaseFormatError(f"{root}: one table, not a database: name the directory that it is in")
    proteins = open_table(table_uri(root, PROTEINS), session=session)
    if proteins is None:
        if _is_unfinished(root):
            raise DatabaseNotFoundError(f"{root}: empty, or its creation was interrupted: create it again")
        proteins = open_table(table_uri(root, PROTEINS), session=session)  # made by another process between the looks
    residues = open_table(table_uri(root, RESIDUES), session=session)
    if proteins is None:
        what = "not a protvec database" if residues is None else "damaged"
        raise DatabaseFormatError(f"{root}: {what} (no table {PROTEINS}{_tables(inside)})")
    if residues is None:
        raise DatabaseFormatError(f"{root}: not a protvec database, or damaged (no table {RESIDUES})")
    description = Description.from_schema(proteins.schema, path=root.path)
    if description.codec not in CODECS:
        raise DatabaseFormatError(f"{root}: residues in codec {description.codec!r}, which this protvec lacks")
    return description, (proteins, residues)


def _tables(inside: set[str]) -> str:
    """The tables of another LanceDB database."""
    names = sorted(
        {name[: -len(".lance")] for name in inside if name.endswith(".lance")}
        - {PROTEINS, RESIDUES, LEDGER, TRANSFORMS, MAP}
    )
    return f", but {', '.join(names[:5])}" if names else ""


def open_table_safely(root: Location, name: str) -> LanceDataset | None:
    """The table, or None where there is none or it cannot be opened."""
    try:
        return open_table(table_uri(root, name))
    except DatabaseError:
        return None


def _is_unfinished(root: Location) -> bool:
    """Whether the directory holds no more than what a creation that was cut short leaves."""
    inside = {name for name in root.entries() if not name.startswith(PROBE)}
    if root.is_file() or inside - {f"{name}.lance" for name in (PROTEINS, RESIDUES, LEDGER)}:
        return False
    proteins = table_uri(root, PROTEINS)
    if "data" in proteins.entries() or open_table(proteins) is not None:  # an empty table has no data files
        return False
    others = (open_table(table_uri(root, name)) for name in (RESIDUES, LEDGER))
    return all(table is None or table.count_rows() == 0 for table in others)


def _neighbours(root: Location) -> str:
    """A hint: databases beside the path with a similar name."""
    parent = root.parent
    if parent.is_local and not parent.exists():
        return f" (nor the directory {parent})"
    near = near_names(root.name, sorted(parent.entries()))
    databases = [name for name in near if f"{PROTEINS}.lance" in parent.join(name).entries()]
    return f"; near: {', '.join(databases)}" if databases else ""
