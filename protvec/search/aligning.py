"""How the hits of a search are aligned, and what is said of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protvec.align import scoring_for
from protvec.errors import QueryError
from protvec.search.library import Library

if TYPE_CHECKING:
    from collections.abc import Callable

    from protvec.align import Alignment, Scoring
    from protvec.store.reader import Reader

CANDIDATES = 200
# As many for the relatives of a profile: nearly all that have a good score are among them.
RELATIVES_AMONG = 100
# What an alignment says of a hit beside its score, under the names that MMseqs2 and BLAST have for it.
ALIGNED: dict[str, Callable[[Alignment], object]] = {
    "qstart": lambda found: found.query_start,
    "qend": lambda found: found.query_end,
    "tstart": lambda found: found.target_start,
    "tend": lambda found: found.target_end,
    "alnlen": lambda found: found.length,
    "pident": lambda found: 100 * found.identity,
    "fident": lambda found: found.identity,
    "nident": lambda found: found.identical,
    "positive": lambda found: found.positives,
    "mismatch": lambda found: found.mismatches,
    "gapopen": lambda found: found.gap_opens,
    "gaps": lambda found: found.gaps,
    "qcov": lambda found: found.query_coverage,
    "tcov": lambda found: found.target_coverage,
    "cigar": lambda found: found.cigar,
    "qaln": lambda found: found.query_line,
    "taln": lambda found: found.target_line,
}
# What every hit of a search that aligns has, beside its metadata.
OF_ALIGNED = ("cosine", *ALIGNED)


@dataclass(frozen=True, kw_only=True)
class Aligning:
    """How hits are aligned.

    Attributes:
        scoring: What residues and gaps score.
        candidates: How many proteins are aligned; at least as many as there are to be hits.
        threads: At most so many; None for all cores.
        library: Where proteins that share a stretch of letters with a query are looked for; None for nowhere.
        relatives: How relatives are found of which the query and its hits have profiles; None for no profiles.
    """

    scoring: Scoring
    candidates: int = CANDIDATES
    threads: int | None = None
    library: Library | None = None
    relatives: Aligning | None = None


def aligning(
    store: Reader,
    align: bool | Scoring,
    *,
    candidates: int,
    threads: int | None,
    where: str | None,
    profiles: bool = False,
) -> Aligning | None:
    """What a search is asked to align; None for nothing.

    Args:
        store: The database that is searched.
        align: How; True as suits its model.
        candidates: How many proteins.
        threads: At most so many.
        where: SQL condition on the proteins.
        profiles: Whether hits are shown aligned by profiles.

    Raises:
        QueryError: the database keeps no residues, there are to be no candidates, or there are no profiles.
    """
    if align is False:
        if profiles:
            raise QueryError("profiles are of alignments: align=True")
        return None
    if candidates < 1:
        raise QueryError(f"{candidates} candidates; there must be at least 1")
    store.check_residues()
    scoring = scoring_for(store.space.model) if align is True else align
    library = Library(where)
    why = no_learned_pairs(store, scoring) if profiles else None
    if why is not None:
        raise QueryError(why)
    relatives = of_relatives(store, threads=threads, library=Library(None) if where else library) if profiles else None
    return Aligning(scoring=scoring, candidates=candidates, threads=threads, library=library, relatives=relatives)


def of_relatives(store: Reader, *, threads: int | None, library: Library | None = None) -> Aligning:
    """How relatives of proteins are found in a database: as suits its model, among all of it.

    Args:
        store: The database.
        threads: At most so many.
        library: Of all its proteins, where there is one already.
    """
    scoring = scoring_for(store.space.model)
    return Aligning(scoring=scoring, candidates=RELATIVES_AMONG, threads=threads, library=library or Library(None))


def no_learned_pairs(store: Reader, scoring: Scoring) -> str | None:
    """Why a scoring has no profiles; None where it has."""
    if scoring.pairing is None:
        return f"no scores of pairs were learned for {store.space.model}: no profiles without them"
    if not scoring.temperature:
        return "profiles choose likely pairs, and a scoring without a temperature shows the best alignment"
    return None
