"""The map of a database: taken as it is, given what came later, or made."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

import numpy as np

from protvec.errors import QueryError
from protvec.projection.chart import Chart, chart_of
from protvec.projection.methods import UMAP_FROM, has_umap, pca, umap
from protvec.projection.nearest import place
from protvec.store import MapRecord, Places

if TYPE_CHECKING:
    from collections.abc import Callable

    from protvec.store import Store
    from protvec.store.places.keeping import Distinct

METHODS = ("auto", "umap", "pca")
_FEW = 3  # sequences that make a plane
# With more of the map placed than made, it is made again.
_MOST_PLACED = 0.5


def make_chart(
    store: Store,
    *,
    method: str = "auto",
    color: str | None = None,
    again: bool = False,
    keep: bool = True,
    notify: Callable[[str], None] | None = None,
) -> Chart:
    """The map of a database: see ``Database.map``."""
    if method not in METHODS:
        raise QueryError(f"no method {method!r}: choose {', '.join(METHODS)}")
    still = store.pinned()
    if color is not None:
        _check_color(still, color)
    say = notify or (lambda _: None)
    old = None if again else still.places()
    if old is not None and method not in ("auto", old.record.method):
        old = None
    lacking = set() if old is None else _lacking(still, old)
    if old is not None and not lacking:
        return chart_of(still, old, color)
    if keep:
        store.check_writable()  # before it takes long
    places = _made(still, method, say) if old is None else _extended(still, old, lacking, say)
    if keep:
        store.set_places(places)
    return chart_of(still, places, color)


def _check_color(store: Store, column: str) -> None:
    """Refuse a column that is not there, or has no values that points could share, before anything takes long.

    Raises:
        FilterError: There is no such column.
        QueryError: It is that of the vectors.
    """
    store.get([], columns=[column])
    if column == "vector":
        raise QueryError("the vectors are what the map is made of: colour it by another column")


def _lacking(store: Store, places: Places) -> set[str]:
    """The sequences that have no place."""
    there = {digest for batch in store.iter_proteins(columns=["digest"]) for digest in batch["digest"].to_pylist()}
    return there - set(places.digests)


def _made(store: Store, method: str, say: Callable[[str], None]) -> Places:
    """A map of all sequences that there are."""
    distinct = store.distinct_vectors()
    number = len(distinct.digests)
    if number < _FEW:
        raise QueryError(f"{store.path} holds {number} distinct sequences: a map takes at least {_FEW}")
    chosen = _chosen(method, number, say)
    scoring = store.scoring.name
    say(f"computing the map: {chosen.upper()} of {number:,} distinct sequences in {scoring}")
    coordinates, parameters = umap(distinct.vectors) if chosen == "umap" else pca(distinct.vectors)
    record = MapRecord(
        method=chosen,
        parameters=parameters,
        space=scoring,
        sequences=number,
        proteins=store.count(),
        version=store.version,
        made=_now(),
        software=_software(chosen),
    )
    return Places(record, distinct.digests, coordinates, np.zeros(number, bool))


def _chosen(method: str, number: int, say: Callable[[str], None]) -> str:
    if method == "umap" and number < UMAP_FROM:
        raise QueryError(f"UMAP takes at least {UMAP_FROM} distinct sequences, and there are {number}: take pca")
    if method != "auto":
        return method
    if number < UMAP_FROM:
        say(f"PCA, since {number} distinct sequences are too few for UMAP ({UMAP_FROM})")
        return "pca"
    if not has_umap():
        say("PCA, since umap-learn is not installed: pip install 'protvec[map]' for UMAP")
        return "pca"
    return "umap"


def _extended(store: Store, old: Places, lacking: set[str], say: Callable[[str], None]) -> Places:
    """The map with a place for the sequences that came later."""
    distinct = store.distinct_vectors()
    on_map = np.array([digest not in lacking for digest in distinct.digests])
    made = on_map.sum() - old.placed.sum()
    if not on_map.any() or len(lacking) + old.placed.sum() > _MOST_PLACED * made:
        say(f"{len(lacking):,} sequences have no place on the map: it is made again")
        return _made(store, old.record.method if len(distinct.digests) >= UMAP_FROM else "pca", say)
    say(f"{len(lacking):,} sequences came after the map: each is placed among its nearest (--again makes it anew)")
    return _with(old, distinct, on_map)


def _with(old: Places, distinct: Distinct, on_map: np.ndarray) -> Places:
    """A map with those that it lacks; sequences that no protein has any more are left out."""
    row = {digest: number for number, digest in enumerate(old.digests)}
    kept = [row[digest] for digest, there in zip(distinct.digests, on_map, strict=True) if there]
    coordinates = np.empty((len(on_map), 2), np.float32)
    coordinates[on_map] = old.coordinates[kept]
    coordinates[~on_map] = place(distinct.vectors[~on_map], distinct.vectors[on_map], old.coordinates[kept])
    placed = np.ones(len(on_map), bool)
    placed[on_map] = old.placed[kept]
    record = dataclasses.replace(old.record, placed=int(placed.sum()))
    return Places(record, distinct.digests, coordinates, placed)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _software(method: str) -> str:
    from protvec import __version__

    others = ("umap-learn", "numba", "numpy") if method == "umap" else ("numpy",)
    return ", ".join([f"protvec {__version__}", *(f"{name} {version_of(name)}" for name in others)])
