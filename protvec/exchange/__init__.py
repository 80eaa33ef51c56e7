"""Proteins in and out of a database as files that other programs read and write, and databases into one."""

from __future__ import annotations

from protvec.exchange.exporting import Exported, export
from protvec.exchange.files import FORMATS
from protvec.exchange.importing import ImportOptions, import_into
from protvec.exchange.merging import merge_into
from protvec.exchange.paths import import_file, merge
from protvec.exchange.report import Moved

__all__ = [
    "FORMATS",
    "Exported",
    "ImportOptions",
    "Moved",
    "export",
    "import_file",
    "import_into",
    "merge",
    "merge_into",
]
