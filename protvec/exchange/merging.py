"""Databases of one space into one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protvec.errors import DatabaseError, QueryError, SpaceMismatchError
from protvec.exchange.absorb import Absorber
from protvec.exchange.batches import Batch
from protvec.exchange.report import Moved
from protvec.exchange.target import Target, making
from protvec.store import CODECS, InputFile, matrix_of
from protvec.words import some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.exchange.batches import Arrays
    from protvec.exchange.target import Create
    from protvec.store import Store, Stored
    from protvec.store.reader import Reader

    Progress = Callable[[int, int], None]

PREFERENCES = ("first", "last")
_ROWS = 2_048
_RESIDUE_ROWS = 256
_SHOWN = 5
_STANDARD = ("id", "digest", "length", "vector")


class StoreSource:
    """A database as a source of records: see ``batches.Source``."""

    model_name: str | None = None

    def __init__(self, store: Reader) -> None:
        """Read the database as it is now."""
        self._view = store.pinned()
        self.name = store.path
        self.level = "protein" if store.codec == "none" else "residue"
        self.dimension = store.space.dimension
        self.about: dict[str, Any] | None = {"space": store.space.to_dict(), "precision": store.precision}
        self.total = self._view.count()
        self.fields = [field for field in self._view.schema if field.name not in _STANDARD]

    def batches(self) -> Iterator[Batch]:
        """See ``Source``; residues are read, as they are stored, for those records alone that need them."""
        import pyarrow as pa

        place = 1
        rows = _ROWS if self.level == "protein" else _RESIDUE_ROWS
        for read in self._view.iter_proteins(batch_size=rows):
            table = pa.Table.from_batches([read])
            digests = table["digest"].to_pylist()
            yield Batch(
                table.select(["id", *(field.name for field in self.fields)]),
                list(range(place, place + table.num_rows)),
                matrix_of(table["vector"]),
                table["length"].to_pylist(),
                None if self.level == "protein" else self._reading(digests),
            )
            place += table.num_rows

    def _reading(self, digests: list[str]) -> Arrays:
        def arrays(wanted: Sequence[int]) -> list[NDArray[np.float32] | Stored]:
            stored = self._view.stored([digests[row] for row in wanted])
            missing = [digests[row] for row in wanted if digests[row] not in stored]
            if missing:
                raise DatabaseError(f"{self.name}: no residues of {missing[0]}: `protvec check` looks for more")
            return [stored[digests[row]] for row in wanted]

        return arrays


def merge_into(
    into: Store | None,
    stores: Sequence[Store],
    create: Create | None,
    *,
    prefer: str | None = None,
    residues: str | None = None,
    progress: Progress | None = None,
) -> Moved:
    """Copy the proteins of databases into one, in their order; nothing is embedded. Doing it again changes nothing.

    Args:
        into: The database to copy into; None where it is still to be made. It counts as the first, and may be the
            first of ``stores`` too.
        stores: The databases to copy from.
        create: Makes it, for a space and a codec; None where it is there.
        prefer: Of proteins with one id and different sequences (or metadata), take the ``first`` or the ``last``;
            None means that different sequences are an error.
        residues: Codec of a new database; None means that of the first.
        progress: Called with proteins done and proteins in all, for each database.

    Raises:
        SpaceMismatchError: Two of them hold vectors of different models; nothing was written.
        QueryError: No database is named, one id has different sequences, a database is merged into itself, or columns
            of one name have different types; nothing was written.
        DatabaseError: A database cannot be read or written.
    """
    start = time.monotonic()
    if not stores:
        raise QueryError("name the databases to merge")
    if into is not None and len(stores) > 1 and _place(stores[0]) == _place(into):
        stores = stores[1:]
    everything = [*([into] if into is not None else []), *stores]
    _check(everything, prefer=prefer, into=into)
    codec = _codec(everything, residues, into)
    if prefer is None:
        _refuse_conflicts([store.pinned() for store in everything])
    paths = [store.path for store in stores]
    report = Moved(files=paths, model=everything[0].space.model, created=into is None, codec=codec)
    files = [InputFile(path, None, None) for path in paths]
    options = {"prefer": prefer} if prefer else {}
    space = everything[0].space
    with Target(into, making(create, space, codec), codec, command="merge", files=files, options=options) as target:
        try:
            for store in stores:
                source = StoreSource(store)
                # Each has its own absorber: an id may occur in several databases, but once in each.
                absorber = Absorber(target, report, update=prefer == "last", keep=True)
                absorber.absorb(source, source.batches(), progress)
        finally:
            target.note(report)
        target.finish(report)
        made = {store.precision for store in everything if store.precision}
        if report.created and target.store is not None and len(made) == 1:
            target.store.note_precision(made.pop())
    report.seconds = time.monotonic() - start
    return report


def _place(store: Store) -> Path:
    """The same for all names of a directory; of a URL, it only tells one from another."""
    return Path(store.path).resolve()


def _check(stores: Sequence[Store], *, prefer: str | None, into: Store | None) -> None:
    if prefer not in (None, *PREFERENCES):
        raise QueryError(f"prefer the {' or the '.join(PREFERENCES)}, not {prefer!r}")
    places = [_place(store) for store in stores]
    if twice := next((place for place in places if places.count(place) > 1), None):
        raise QueryError(f"{twice}: a database cannot be merged {'into' if into else 'with'} itself")
    first = stores[0]
    for store in stores[1:]:
        if not first.space.matches(store.space):
            raise SpaceMismatchError(
                f"{first.path} holds vectors of {first.space}, {store.path} of {store.space}: they cannot be merged",
                expected=first.space,
                actual=store.space,
            )
    known: dict[str, tuple[pa.Field, str]] = {}
    for store in stores:
        for field in store.schema:
            # Filters take no notice of the case of names.
            first_field, where = known.setdefault(field.name.lower(), (field, store.path))
            if (first_field.name, first_field.type) != (field.name, field.type):
                raise QueryError(
                    f"column {first_field.name} is {first_field.type} in {where}, "
                    f"{field.name} is {field.type} in {store.path}: rename one"
                )


def _codec(stores: Sequence[Store], given: str | None, into: Store | None) -> str:
    if given is not None and given not in CODECS:
        raise QueryError(f"no codec {given!r}: there are {', '.join(CODECS)}")
    if into is not None and given not in (None, into.codec):
        raise QueryError(f"{into.path} keeps residue arrays as {into.codec}, not {given}")
    codec = given or stores[0].codec
    without = [store.path for store in stores if store.codec == "none" and store.count()]
    if codec != "none" and without:
        raise QueryError(
            f"{without[0]} keeps no residue arrays, {'the others do' if into is None else into.path + ' does'}: "
            "merge into a new database of vectors only, with --residues none"
        )
    return codec


def _refuse_conflicts(views: Sequence[Reader]) -> None:
    """Compare each database with those before it, ids and digests alone, before anything is written."""
    found: list[str] = []
    for number, view in enumerate(views):
        for batch in view.iter_proteins(columns=["id", "sequence"], batch_size=_ROWS):
            rows = dict(zip(batch["id"].to_pylist(), batch["sequence"].to_pylist(), strict=True))
            for earlier in views[:number]:
                for id, known in earlier.known(list(rows)).items():
                    if rows[id] and known.row["sequence"] and rows[id] != known.row["sequence"]:
                        found.append(f"{id!r} ({earlier.path} and {view.path})")
    if found:
        raise QueryError(
            f"the same id with different sequences: {some(found, _SHOWN)}; --prefer first or last says which to take"
        )
