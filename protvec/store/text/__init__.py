"""Proteins by the words of their ids, genes and descriptions."""

from __future__ import annotations

from protvec.store.text.finding import FoundText, Texts
from protvec.store.text.terms import Text, parse_text

__all__ = ["FoundText", "Text", "Texts", "parse_text"]
