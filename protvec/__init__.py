"""protvec: a vector database of proteins.

FASTA in, protein language model vectors on a CPU, nearest neighbours out::

    import protvec

    db = protvec.open("plants.lancedb")
    report = db.ingest("AtCol-0.fa.gz", dataset="AtCol-0")
    hits = db.search("MKTAYIAKQRQISFVKSHFSRQ", k=10, where="organism = 'Arabidopsis thaliana'")

Importing protvec loads neither torch nor lancedb: what is named here is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

_PUBLIC = {
    "AsyncClient": "protvec.client",
    "AsyncDatabase": "protvec.database.asynchronous",
    "Client": "protvec.client",
    "CheckResult": "protvec.store.check",
    "Chart": "protvec.projection",
    "Database": "protvec.database",
    "Protein": "protvec.database",
    "Settings": "protvec.database",
    "create": "protvec.database",
    "open": "protvec.database",
    "open_async": "protvec.database.asynchronous",
    "Moved": "protvec.exchange",
    "import_file": "protvec.exchange",
    "merge": "protvec.exchange",
    "Hit": "protvec.search",
    "Hits": "protvec.search",
    "IndexUse": "protvec.search",
    "Pair": "protvec.search.reciprocal",
    "Pairs": "protvec.search.reciprocal",
    "Query": "protvec.search",
    "Prediction": "protvec.transfer",
    "Predictions": "protvec.transfer",
    "Observer": "protvec.ingest",
    "Report": "protvec.ingest",
    "LogEntry": "protvec.store",
    "Space": "protvec.space",
    "ProtvecError": "protvec.errors",
}

__all__ = [
    "AsyncClient",
    "AsyncDatabase",
    "Chart",
    "CheckResult",
    "Client",
    "Database",
    "Hit",
    "Hits",
    "IndexUse",
    "LogEntry",
    "Moved",
    "Observer",
    "Pair",
    "Pairs",
    "Prediction",
    "Predictions",
    "Protein",
    "ProtvecError",
    "Query",
    "Report",
    "Settings",
    "Space",
    "create",
    "import_file",
    "merge",
    "open",
    "open_async",
]

if TYPE_CHECKING:
    from protvec.client import AsyncClient, Client
    from protvec.database import Database, Protein, Settings, create, open
    from protvec.database.asynchronous import AsyncDatabase, open_async
    from protvec.errors import ProtvecError
    from protvec.exchange import Moved, import_file, merge
    from protvec.ingest import Observer, Report
    from protvec.projection import Chart
    from protvec.search import Hit, Hits, IndexUse, Query
    from protvec.search.reciprocal import Pair, Pairs
    from protvec.space import Space
    from protvec.store import LogEntry
    from protvec.store.check import CheckResult
    from protvec.transfer import Prediction, Predictions


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'protvec' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
