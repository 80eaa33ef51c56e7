"""Two proteins side by side, as a picture has them: the alignment, and how alike all their residues are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protvec.align.local import local_alignment
from protvec.align.plot import thumbnail
from protvec.errors import QueryError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

    from protvec.align.alignment import Alignment
    from protvec.align.matrix import Chain
    from protvec.align.scoring import Scoring


@dataclass(frozen=True, eq=False)
class Paired:
    """Two proteins side by side.

    Attributes:
        names: Of the query and of the target.
        lengths: Residues of the two.
        alignment: The best local one.
        dots: ndarray, shape=(rows, columns), dtype=float32: what each pair of residues scores, a row for each of the
            query; of long proteins the highest score of every few. None where it was not asked for.
        relatives: How many relatives the profiles of the two have; None for one without a profile.
    """

    names: tuple[str, str]
    lengths: tuple[int, int]
    alignment: Alignment
    dots: NDArray[np.float32] | None = None
    relatives: tuple[int | None, int | None] = (None, None)

    @classmethod
    def of(
        cls, query: Chain, target: Chain, scoring: Scoring, *, names: tuple[str, str], dots: int | None = None
    ) -> Self:
        """Align two, and look at all pairs of residues.

        Args:
            query: One.
            target: The other.
            scoring: What residues score.
            names: Of the two.
            dots: Rows and columns of the picture at most; None for none.

        Raises:
            QueryError: there are to be no dots.
        """
        if dots is not None and dots < 1:
            raise QueryError(f"a picture of {dots} dots: it takes at least 1")
        picture = None if dots is None else thumbnail(query, target, scoring, dots=dots)
        alignment = local_alignment(query, target, scoring)
        return cls(names, (len(query), len(target)), alignment, picture)
