"""More like these, less like those: one vector from several stored proteins."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from protvec.errors import QueryError
from protvec.search.nearest import search_vector
from protvec.store import matrix_of, quote
from protvec.words import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from protvec.search.hits import Hits
    from protvec.search.nearest import Wanted
    from protvec.store.reader import Reader

# Weight of what to be far from, beside 1 for what to be near to.
AWAY = 0.5
_NOTHING = 1e-6  # length of a mean of vectors of length 1, below which rounding decides where it points


def search_like(store: Reader, ids: Sequence[str], unlike: Sequence[str], wanted: Wanted) -> Hits:
    """The proteins most like several of the database and unlike others; none of these is among the hits.

    Args:
        store: The database.
        ids: Proteins to be near to.
        unlike: Proteins to be far from.
        wanted: What to find.

    Raises:
        ProteinNotFoundError: one is not there.
        QueryError: there is no id to be near to, one is named twice, or the vectors cancel one another out.
    """
    _check(ids, unlike)
    view = store.pinned()
    named = [*ids, *unlike]
    vectors = view.project(matrix_of(view.get(named, columns=["vector"])["vector"]), scoring=wanted.scoring)
    mean = direction(vectors[: len(ids)], vectors[len(ids) :])
    others = wanted.limited_to(f"id NOT IN ({', '.join(map(quote, named))})")
    return search_vector(view, mean, others, query=_name(ids, unlike), projected=True)


def direction(like: NDArray[np.float32], unlike: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where to look: the mean of the ones, less half the mean of the others, each vector scaled to length 1.

    This is Rocchio's feedback (1971) without a query of its own; the half gives the same direction as the
    ``average_vector`` of Qdrant's recommendations, which is twice the one mean less the other.

    Args:
        like: ndarray, shape=(N, D), N at least 1.
        unlike: ndarray, shape=(M, D), M may be 0.

    Returns:
        ndarray, shape=(D,), dtype=float32.

    Raises:
        QueryError: nothing is left.
    """
    mean: NDArray[np.float64] = _unit(like).mean(axis=0)
    if len(unlike):
        mean = mean - AWAY * _unit(unlike).mean(axis=0)
    if np.linalg.norm(mean) < _NOTHING:
        raise QueryError("the vectors of these proteins cancel one another out: there is no direction to search in")
    rounded: NDArray[np.float32] = mean.astype(np.float32)
    return rounded


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    unit: NDArray[np.float64] = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    return unit


def _check(ids: Sequence[str], unlike: Sequence[str]) -> None:
    if isinstance(ids, str) or isinstance(unlike, str):
        raise QueryError("give lists of ids, not one text")
    if not ids:
        raise QueryError("name at least one protein to be like" + (", beside those to be unlike" if unlike else ""))
    for id, times in Counter([*ids, *unlike]).items():
        if times > 1:
            where = "to be like and to be unlike" if id in ids and id in unlike else "twice"
            raise QueryError(f"the protein {id!r} is named {where}")


def _name(ids: Sequence[str], unlike: Sequence[str]) -> str:
    """The name of the query in the hits."""
    return f"like {some(ids)}" + (f", unlike {some(unlike)}" if unlike else "")
