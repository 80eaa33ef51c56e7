"""A table of the user's own, put beside the proteins: read it, find each column's type, match rows, store.

``open_sheet`` reads a file or a table in memory, ``annotate`` does the rest.
"""

from __future__ import annotations

from protvec.annotate.kinds import KINDS
from protvec.annotate.match import Annotated, Options, annotate
from protvec.annotate.sheet import Sheet, open_sheet

__all__ = ["KINDS", "Annotated", "Options", "Sheet", "annotate", "open_sheet"]
