"""Where proteins lie on the map of a database: a table of its own, and what it says about itself.

``record`` is how the map was made; ``table`` reads and writes it whole; ``keeping`` is what an open database does
with it. The rows are those of distinct sequences, like those of ``residues``: so writing, deleting and restoring
proteins takes nothing from them, and a protein whose sequence was replaced has no place until it is given one.
See docs/map.md.
"""

from __future__ import annotations

from protvec.store.places.record import MapRecord
from protvec.store.places.table import Places

__all__ = ["MapRecord", "Places"]
