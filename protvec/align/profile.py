"""Profiles: residues as a pairing sees them in a protein and in its relatives, so that what they share stands out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from protvec.align.pairing import Described
from protvec.align.threads import map_threads

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from protvec.align.matrix import Chain
    from protvec.align.pairing import Pairing

    Sums = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


# A mean of vectors that differ is shorter than they are, and what it makes of a pair is more to be relied on: of a pair
# of profiles products count so many times, and so much is added (chosen among few: docs/alignment.md).
SHARPER, STRICTER = 1.3, -0.7


def profile(protein: Chain, relatives: Iterable[Chain], pairing: Pairing, *, threads: int | None = None) -> Chain:
    """A protein whose residues are described by the mean over its own and its relatives', as they are aligned.

    Each residue of a relative counts as much as it is likely to be across from the protein's. Relatives so long that
    memory would count (a product of the lengths above 4 million) are left out. Without any the protein is as it was.

    Args:
        protein: The protein.
        relatives: Others of its family; 256 at a time are read.
        pairing: What describes residues.
        threads: At most so many; None for as many as there are cores. The profile does not depend on it.

    Returns:
        The same protein, for alignments that show pairs by this pairing; scores are those of the protein alone.

    Raises:
        QueryError: an embedding has other dimensions than the pairing.
    """
    from protvec.align.likely import CELLS

    protein.prepare()
    own = pairing.describe(protein)
    near = (relative for relative in relatives if len(protein) * len(relative) <= CELLS)
    sums = list(map_threads(lambda each: _across(own, pairing.describe(each), pairing), near, threads=threads))
    if not sums:
        return protein.seen_as(pairing, own)
    vectors, levels, weights = own.vectors.astype(np.float64), own.levels.astype(np.float64), np.ones(len(protein))
    for across in sums:
        vectors += across[0]
        levels += across[1]
        weights += across[2]
    vectors *= np.sqrt(SHARPER) / weights[:, None]
    levels = levels / weights + STRICTER / 2
    return protein.seen_as(pairing, Described(vectors.astype(np.float32), levels.astype(np.float32)))


def _across(own: Described, theirs: Described, pairing: Pairing) -> Sums:
    """Of what is across from each residue in a relative: the sums of vectors, levels and probabilities."""
    from protvec.align.likely import probabilities

    likely = probabilities(pairing.scores(own, theirs), *pairing.gaps, temperature=1.0)
    return likely @ theirs.vectors, likely @ theirs.levels, likely.sum(axis=1)
