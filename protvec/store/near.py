"""What somebody may have meant by a name that is not there."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

_MOST = 5
# difflib is slow: in larger databases only names that begin alike are looked at.
_COMPARED = 20_000


def near_names(name: str, names: Sequence[str]) -> list[str]:
    """The closest names, best first, whatever their case."""
    by_fold = {other.lower(): other for other in names}
    return [by_fold[fold] for fold in difflib.get_close_matches(name.lower(), list(by_fold), n=_MOST)]


def near_ids(identifier: str, ids: pa.ChunkedArray) -> list[str]:
    """Ids that continue the one asked for (``AT1G01010`` finds ``AT1G01010.1``), else similar ones."""
    import pyarrow.compute as pc

    folded = pc.utf8_lower(ids)
    for length in (len(identifier), max(3, len(identifier) * 2 // 3)):
        alike = ids.filter(pc.starts_with(folded, identifier.lower()[:length])) if identifier else ids
        if length == len(identifier) and len(alike):
            return sorted(alike.slice(0, 1000).to_pylist())[:_MOST]
        if len(ids) <= _COMPARED:
            return near_names(identifier, ids.to_pylist())
    return near_names(identifier, alike.slice(0, _COMPARED).to_pylist())
