"""Indexes on disk: of vectors, for databases that do not fit the memory, and of metadata. See docs/search.md."""

from __future__ import annotations

from protvec.store.index.parts import BuiltPart, IndexPart, IndexWorkers, build_part
from protvec.store.index.record import KINDS, IndexInfo

__all__ = ["KINDS", "BuiltPart", "IndexInfo", "IndexPart", "IndexWorkers", "build_part"]
