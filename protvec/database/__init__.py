"""The one object that a program uses: a database of proteins, with the model that its vectors are of."""

from __future__ import annotations

from protvec.database.database import Database, create, open
from protvec.database.options import AlignedOptions, ProteomeOptions, SearchOptions
from protvec.database.protein import Protein
from protvec.database.settings import Settings, SettingsOptions

__all__ = [
    "AlignedOptions",
    "Database",
    "Protein",
    "ProteomeOptions",
    "SearchOptions",
    "Settings",
    "SettingsOptions",
    "create",
    "open",
]
