"""Profiles: residues as a pairing sees them in a protein and in its relatives, so that what they share stands out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from protvec.align.pairing import Described

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protvec.align.matrix import Chain
    from protvec.align.pairing import Pairing


def profile(protein: Chain, relatives: Iterable[Chain], pairing: Pairing) -> Chain:
    """A protein whose residues are described by the mean over its own and its relatives', as they are aligned.

    Each residue of a relative counts as much as it is likely to be across from the protein's. Relatives so long that
    memory would count (a product of the lengths above 4 million) are left out.

    Returns:
        The same protein, for alignments that show pairs by this pairing; scores are those of the protein alone.

    Raises:
        QueryError: an embedding has other dimensions than the pairing.
    """
    from protvec.align.likely import CELLS, probabilities

    own = pairing.describe(protein)
    vectors, levels, weights = own.vectors.astype(np.float64), own.levels.astype(np.float64), np.ones(len(protein))
    for relative in relatives:
        if len(protein) * len(relative) > CELLS:
            continue
        theirs = pairing.describe(relative)
        likely = probabilities(pairing.scores(own, theirs), *pairing.gaps, temperature=1.0)
        vectors += likely @ theirs.vectors
        levels += likely @ theirs.levels
        weights += likely.sum(axis=1)
    mean = Described((vectors / weights[:, None]).astype(np.float32), (levels / weights).astype(np.float32))
    return protein.seen_as(pairing, mean)
