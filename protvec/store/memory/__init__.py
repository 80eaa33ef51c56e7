"""Vectors kept in memory while a database is open: what makes an exact search take milliseconds.

``rows`` reads them, and again only what other commits changed; ``codes`` rounds them to a byte a value with a proven
bound of the error: that is all that is kept of vectors that do not fit. ``scan`` finds the nearest; ``cache`` is what
the store holds, and ``passing`` what it holds of conditions where an index has taken the place of the vectors;
``columns`` are those of hits. See docs/search.md.
"""

from __future__ import annotations

from protvec.store.memory.cache import Cache, bytes_coded, bytes_needed
from protvec.store.memory.columns import Columns
from protvec.store.memory.passing import Passing

__all__ = ["Cache", "Columns", "Passing", "bytes_coded", "bytes_needed"]
