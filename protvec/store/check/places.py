"""The map of a database: whether it can be read, and which proteins have no place on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.errors import DatabaseError
from protvec.store.check.findings import Finding
from protvec.store.schema import MAP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protvec.store.check.rows import Rows
    from protvec.store.store import Store


def check_places(store: Store, proteins: Rows) -> Iterator[Finding]:
    """A map that cannot be read, and one that lacks sequences.

    Args:
        store: The database.
        proteins: What the scan of ``proteins`` kept.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        places = store.places()
    except DatabaseError as error:
        yield Finding("map-damaged", MAP, f"the map cannot be read ({error})", 1)
        return
    if places is None:
        return
    there = pa.array(places.digests, pa.string())
    if repeated := len(there) - len(pc.unique(there)):
        yield Finding("map-damaged", MAP, f"{repeated:,} sequences have several places", repeated)
        return
    owned = pc.unique(proteins.digest())
    if lacking := len(owned) - pc.sum(pc.is_in(owned, value_set=there)).as_py() if len(owned) else 0:
        message = f"{lacking:,} sequences have no place on the map: `protvec map` gives them one"
        yield Finding("map-behind", MAP, message, lacking, level="note", repairable=False)
