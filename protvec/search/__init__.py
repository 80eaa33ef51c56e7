"""Query to hits: what a query may be, the nearest proteins of a vector, and their table."""

from __future__ import annotations

from protvec.search.aligning import CANDIDATES
from protvec.search.hits import Hit, Hits
from protvec.search.query import Query, parse_query, read_queries
from protvec.search.ranked import chains_of
from protvec.store import IndexUse

__all__ = ["CANDIDATES", "Hit", "Hits", "IndexUse", "Query", "chains_of", "parse_query", "read_queries"]
