"""Proteins side by side: each of some with each of others, aligned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from protvec.align import align_many
from protvec.search.aligned import table_of
from protvec.search.hits import Hits
from protvec.search.ranked import chains_of
from protvec.store.answer import exactly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protvec.align import Chain
    from protvec.search.aligning import Aligning
    from protvec.store.reader import Reader

# What is known of each of them.
FACTS = ("length", "header", "sequence")


@dataclass(frozen=True, eq=False)
class Party:
    """One of the proteins.

    Attributes:
        name: Its id, or what stands for one.
        header: The rest of its header line, where there is one.
        chain: Its sequence and its residues.
        relatives: How many its profile is of, beside itself; None where there is none.
    """

    name: str
    header: str | None
    chain: Chain
    relatives: int | None = None

    def facts(self) -> dict[str, object]:
        """What can be printed of it."""
        return {"length": len(self.chain), "header": self.header, "sequence": self.chain.sequence}


def stored_parties(store: Reader, ids: Sequence[str]) -> list[Party]:
    """Proteins of a database.

    Raises:
        ProteinNotFoundError: one is not there.
        QueryError: the database keeps no residues.
    """
    headers = store.get(ids, columns=["header"])["header"].to_pylist()
    return [Party(*each) for each in zip(ids, headers, chains_of(store, ids), strict=True)]


def compare(query: Party, targets: Sequence[Party], how: Aligning) -> Hits:
    """The alignment of one protein with each of others, best first; those that cannot be aligned are no hits."""
    import pyarrow as pa

    found = align_many(query.chain, [each.chain for each in targets], how.scoring, threads=how.threads)
    order = sorted((n for n, each in enumerate(found) if each.score), key=lambda n: (-found[n].score, n))
    columns = {
        "query": [query.name] * len(order),
        "target": [targets[n].name for n in order],
        "score": [_cosine(query.chain, targets[n].chain) for n in order],
    }
    about = [targets[n].facts() for n in order]
    types = {"length": pa.int32(), "header": pa.string(), "sequence": pa.string()}
    rows = pa.table(
        {name: pa.array(values, pa.float64() if name == "score" else pa.string()) for name, values in columns.items()}
        | {name: pa.array([each[name] for each in about], types[name]) for name in FACTS}
    )
    best = [found[n] for n in order]
    return Hits(query.name, table_of(rows, best, FACTS), exactly(len(targets)), best)


def _cosine(query: Chain, target: Chain) -> float:
    """Of the mean vectors."""
    a, b = (chain.residues.mean(axis=0, dtype=np.float64) for chain in (query, target))
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), np.finfo(np.float64).tiny))
