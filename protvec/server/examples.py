"""What a stranger may try on a database: some of its proteins, words that find some, a condition that some meet."""

from __future__ import annotations

import itertools
import re
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protvec import Database

_LOOKED_AT = 512  # the first of the table: enough for three, however many there are
_PROTEINS = 3
_LENGTHS = range(50, 1001)  # what is shorter finds little, what is longer takes a while to align
_DULL = re.compile(r"hypothetical|unknown|uncharacteri[sz]ed|unnamed|expressed protein", re.IGNORECASE)
_WORD = re.compile(r"(?<![\w-])[^\W\d_][\w-]{2,}(?![\w-])")


def examples(database: Database) -> dict[str, Any]:
    """Three proteins with their descriptions, two words of one of these, a condition; empty without proteins."""
    rows = _first(database)
    if not rows:
        return {"proteins": [], "text": None, "where": None}
    telling = [row for row in rows if row["length"] in _LENGTHS and not _DULL.search(row["description"] or "unknown")]
    among = sorted(telling or rows, key=lambda row: str(row["id"]))
    places = dict.fromkeys(len(among) * place // _PROTEINS for place in range(_PROTEINS))
    shown = [among[place] for place in places]
    texts = (_WORD.findall(row["description"] or "")[:2] for row in shown)
    text = next((" ".join(words).lower() for words in texts if len(words) == 2), None)
    longer = round(statistics.median(row["length"] for row in rows) / 10 + 1) * 10
    proteins = [{"id": row["id"], "description": row["description"]} for row in shown]
    return {"proteins": proteins, "text": text, "where": f"length < {longer}"}


def _first(database: Database) -> list[dict[str, Any]]:
    batches = database.store.iter_proteins(columns=["id", "description", "length"], batch_size=_LOOKED_AT)
    return list(itertools.islice((row for batch in batches for row in batch.to_pylist()), _LOOKED_AT))
