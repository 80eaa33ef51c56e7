"""Proteins in and out of a database as files that other programs read and write."""

from __future__ import annotations

from protvec.exchange.exporting import Exported, export
from protvec.exchange.files import FORMATS, format_of

__all__ = ["FORMATS", "Exported", "export", "format_of"]
