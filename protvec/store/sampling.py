"""A sample of the distinct sequences of a database: the same one for the same sequences, whatever their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from protvec.store.filters import quote
from protvec.store.tables import read

if TYPE_CHECKING:
    import pyarrow as pa
    from lance import LanceDataset

# The letters of a digest in their order, which are equally likely in each place (base64url), and its beginning.
_LETTERS = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_START = "SQ."
# Times as many rows are read as are needed: digests are random, and some are of several proteins.
_SPARE = 2.0


class Sample(NamedTuple):
    """Some of the distinct sequences.

    Attributes:
        table: ``digest``, ``sequence``, ``length`` and ``vector``, each sequence once, in the order of the digests;
            where segments are compared, ``segments`` too: their bytes.
        proteins: Proteins that there are.
        sequences: Distinct sequences among these; where not all were looked at, by the share among those that were.
    """

    table: pa.Table
    proteins: int
    sequences: float


def sample(handle: LanceDataset, number: int, *, segments: str | None = None) -> Sample:
    """The sequences of the smallest digests: digests are hashes, so that is at random (Bar-Yossef et al., 2002).

    Args:
        handle: On ``proteins``.
        number: How many.
        segments: The column that has the bytes of segments; None for none.
    """
    import numpy as np
    import pyarrow as pa

    rows = int(handle.count_rows())
    columns = ["digest", "sequence", "length", "vector", *([] if segments is None else [segments])]
    table = read(handle, where=_below(_SPARE * number / max(rows, 1)), columns=columns)
    if table.num_rows < number < rows:  # many of one sequence
        table = read(handle, columns=columns)
    found, first = np.unique(table["digest"].to_numpy(), return_index=True)
    sequences = rows * len(found) / max(table.num_rows, 1)
    if segments is not None:
        table = table.rename_columns([*columns[:-1], "segments"])
    return Sample(table.take(pa.array(first[:number])), rows, sequences)


def _below(share: float) -> str | None:
    """The condition that this share of digests meets; None for all."""
    if share >= 1:
        return None
    first, rest = divmod(int(share * len(_LETTERS) ** 3), len(_LETTERS) ** 2)
    second, third = divmod(rest, len(_LETTERS))
    return f"digest < {quote(_START + _LETTERS[first] + _LETTERS[second] + _LETTERS[third])}"
