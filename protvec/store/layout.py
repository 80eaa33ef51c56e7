"""The directory of a database: making it so that a kill does no harm, and opening it with checks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError, DatabaseExistsError, DatabaseFormatError, DatabaseNotFoundError
from protvec.store.codec import CODECS
from protvec.store.near import near_names
from protvec.store.schema import PROTEINS, RESIDUES, Description, proteins_schema, residues_schema
from protvec.store.tables import create_table, open_table

if TYPE_CHECKING:
    from lance import LanceDataset, Session


def absolute(path: str | Path) -> str:
    """The absolute path; LanceDB takes some relative ones for names in a cloud."""
    return str(Path(path).expanduser().absolute())


def table_uri(root: str, name: str) -> str:
    """Where a table lies: LanceDB's own layout, so that its clients find it."""
    return str(Path(root) / f"{name}.lance")


def create(root: str, description: Description) -> None:
    """Make the two empty tables, ``proteins`` last: a database exists once ``proteins`` does.

    Raises:
        DatabaseExistsError: There is something at the path other than a creation that was cut short.
    """
    if Path(root).exists() and not _is_unfinished(root):
        what = "a database" if open_table_safely(root, PROTEINS) is not None else "something else"
        raise DatabaseExistsError(f"{root}: there is {what} already: open it, or choose another path")
    try:
        Path(root).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"{root}: cannot be created: {error.strerror or error}") from error
    create_table(table_uri(root, RESIDUES), residues_schema())
    if not create_table(table_uri(root, PROTEINS), proteins_schema(description)):
        raise DatabaseExistsError(f"{root}: another process has just created a database there: open it")


def open_tables(root: str, *, session: Session) -> tuple[Description, tuple[LanceDataset, LanceDataset]]:
    """The description and handles on ``proteins`` and ``residues``.

    Raises:
        DatabaseNotFoundError: There is nothing, or only a creation that was cut short.
        DatabaseFormatError: Something else, a table is missing, or a newer schema.
    """
    if not Path(root).exists():
        raise DatabaseNotFoundError(f"{root}: no such database{_neighbours(root)}")
    if not Path(root).is_dir():
        raise DatabaseFormatError(f"{root}: a file, not a database directory")
    proteins = open_table(table_uri(root, PROTEINS), session=session)
    residues = open_table(table_uri(root, RESIDUES), session=session)
    if proteins is None:
        if _is_unfinished(root):
            raise DatabaseNotFoundError(f"{root}: empty, or its creation was interrupted: create it again")
        what = "not a protvec database" if residues is None else "damaged"
        raise DatabaseFormatError(f"{root}: {what} (no table {PROTEINS})")
    if residues is None:
        raise DatabaseFormatError(f"{root}: not a protvec database, or damaged (no table {RESIDUES})")
    description = Description.from_schema(proteins.schema, path=root)
    if description.codec not in CODECS:
        raise DatabaseFormatError(f"{root}: residues in codec {description.codec!r}, which this protvec lacks")
    return description, (proteins, residues)


def open_table_safely(root: str, name: str) -> LanceDataset | None:
    """The table, or None where there is none or it cannot be opened."""
    try:
        return open_table(table_uri(root, name))
    except DatabaseError:
        return None


def _is_unfinished(root: str) -> bool:
    """Whether the directory holds no more than what a creation that was cut short leaves."""
    if not Path(root).is_dir():
        return False
    if {entry.name for entry in Path(root).iterdir()} - {f"{PROTEINS}.lance", f"{RESIDUES}.lance"}:
        return False
    if open_table(table_uri(root, PROTEINS)) is not None:
        return False
    residues = open_table(table_uri(root, RESIDUES))
    return residues is None or residues.count_rows() == 0


def _neighbours(root: str) -> str:
    """A hint: databases beside the path with a similar name."""
    parent = Path(root).parent
    if not parent.is_dir():
        return f" (nor the directory {parent})"
    databases = [entry.name for entry in parent.iterdir() if (entry / f"{PROTEINS}.lance").is_dir()]
    near = near_names(Path(root).name, databases)
    return f"; near: {', '.join(near)}" if near else ""
