"""``protvec index``."""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from protvec.cli import console
from protvec.cli.console import plural
from protvec.cli.options import DEFAULT_DB, Db, Json, SearchMemory, open_store
from protvec.cli.ray import quiet_ray
from protvec.words import size

if TYPE_CHECKING:
    from protvec.store import IndexInfo, Store


class Kind(str, Enum):
    """Indexes of vectors."""

    auto = "auto"
    exact = "exact"
    ivf_flat = "ivf_flat"
    ivf_sq = "ivf_sq"


def index(
    db: Db = DEFAULT_DB,
    search_memory: SearchMemory = None,  # noqa: ARG001  # acts through its callback
    kind: Annotated[
        Kind,
        typer.Option(help="Of vectors; exact is none, and auto is none while they fit the memory, a byte a value."),
    ] = Kind.auto,
    target_recall: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="The share of the true ten nearest to find.  [default: 0.98]", show_default=False
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="auto|ADDRESS",
            help="Build the index of vectors on all nodes of a Ray cluster; auto takes the one that runs here, or "
            "starts one.",
            show_default=False,
        ),
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Remove all indexes: every search is exact.")] = False,
    as_json: Json = False,
) -> None:
    """Build the indexes that suit the size of a database, and measure what they find. Ingest does it by itself."""
    if drop and (kind is not Kind.auto or target_recall is not None or ray is not None):
        raise typer.BadParameter("takes no other options", param_hint="--drop")
    store = open_store(db)
    if drop:
        console.note(f"{db}: {plural(store.drop_indexes(), 'index', 'indexes')} removed; every search is exact")
        there = store.indexes()
    else:
        there = _built(store, kind, target_recall, ray)
    if as_json:
        print(json.dumps({"indexes": [each.to_dict() for each in there]}))
    elif not drop:
        for each in there:
            print(_line(each))
        if not any(each.kind.startswith("ivf") for each in there):
            console.note(f"{db}: no index of vectors: every search is exact")


def _built(store: Store, kind: Kind, target_recall: float | None, ray: str | None) -> list[IndexInfo]:
    if ray is None:
        return store.index(kind.value, target_recall=target_recall, notify=console.note)
    from protvec import cluster

    quiet_ray()
    return cluster.index_on_ray(store, kind.value, target_recall=target_recall, address=ray, notify=console.note)


def _line(index: IndexInfo) -> str:
    parts = [index.column, index.kind, f"{plural(index.indexed, 'protein')} indexed"]
    if index.pending:
        parts.append(f"{index.pending:,} not yet")
    if index.bytes is not None:
        parts.append(size(index.bytes))
    if index.recall is not None:
        parts.append(f"recall@10 {index.recall:.3f} (target {index.target:g})")
    return "\t".join(parts)
