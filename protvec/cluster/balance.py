"""Which sequence goes to which shard, so that all shards take about as long."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Residues at which attention, which grows with the square of the length, takes as long as all else of Ankh base: its
# layers take 2 (4 * 768² + 3 * 768 * 3072) operations a residue, and 4 * 768 more for each residue of the sequence.
EVEN_LENGTH = 6_144


def cost(lengths: NDArray[np.int64], *, quadratic: bool) -> NDArray[np.float64]:
    """What sequences cost to embed, in residues of a short sequence.

    Args:
        lengths: ndarray, shape=(N,).
        quadratic: Whether the model has attention.

    Returns:
        ndarray, shape=(N,), dtype=float64.
    """
    plain = lengths.astype(np.float64)
    return plain * (1 + plain / EVEN_LENGTH) if quadratic else plain


def distribute(costs: NDArray[np.float64], shards: int) -> NDArray[np.int32]:
    """The shard of each: the dearest first, each to the shard that has least so far.

    No shard exceeds the best possible maximum by more than a third (Graham 1969), and where there are many sequences a
    shard, none differs from another by more than its cheapest sequence.

    Args:
        costs: ndarray, shape=(N,).
        shards: How many.

    Returns:
        ndarray, shape=(N,), dtype=int32.
    """
    chosen = np.empty(len(costs), np.int32)
    heap = [(0.0, shard) for shard in range(shards)]
    for place in np.argsort(-costs, kind="stable").tolist():
        load, shard = heap[0]
        chosen[place] = shard
        heapq.heapreplace(heap, (load + float(costs[place]), shard))
    return chosen
