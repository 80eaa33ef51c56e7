"""Reciprocal best hits: pairs of proteins of two proteomes, each the other's nearest."""

from __future__ import annotations

from protvec.search.reciprocal.pairs import Pair, Pairs
from protvec.search.reciprocal.run import TIES, Options, rbh

__all__ = ["TIES", "Options", "Pair", "Pairs", "rbh"]
