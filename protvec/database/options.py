"""The options that searches share, as keywords: said once, for every kind of search."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypedDict

from protvec.search import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from protvec.align import Scoring
    from protvec.store import Store


class HitOptions(TypedDict, total=False):
    """What every search takes.

    Attributes:
        k: How many hits at most; 10 unless told otherwise.
        where: SQL condition on the metadata, such as ``"organism = 'Zea mays' AND length < 500"``.
        min_score: Leave out hits below this cosine.
        evalue: Leave out hits above this E-value: chance alone would give more hits as good in this search.
        columns: Metadata columns of the hits; by default length, gene, organism and description.
        scoring: ``raw`` for cosines of the mean vectors themselves; by default those of the search space that was
            fitted on the database, which find more: see ``calibrate``.
        segments: Compare segments of long proteins too, which finds domains; True unless told otherwise. Hits then say
            what found them: ``by`` is ``protein`` or ``segment``, with ``qstart``, ``qend``, ``tstart`` and ``tend``.
    """

    k: int
    where: str | None
    min_score: float | None
    evalue: float | None
    columns: Sequence[str] | None
    scoring: str | None
    segments: bool


class SearchOptions(HitOptions, total=False):
    """What searches with a query of any kind take.

    Attributes:
        text: Rank by this text too, as ``search_text`` would, by reciprocal ranks; every hit then says which
            evidence found it: ``evidence``, ``vector_rank``, ``text_rank`` and ``cosine``.
    """

    text: str | None


class ProteomeOptions(HitOptions, total=False):
    """What searches with all proteins of a database take.

    Attributes:
        align: Rank by local alignment of the residues, as suits the model, or with this ``Scoring``. Nothing that
            is stored is embedded again. Hits then have ``alignments``, and columns such as ``qstart``.
        candidates: How many proteins are aligned, at least k: half by matches of letters, half by cosine.
        profiles: With ``align``: choose the pairs of the alignments by what the relatives of the query and of each hit
            in the searched database say too, as ``align`` does. Nothing else of the hits changes; it takes a search
            for each. False unless told otherwise.
    """

    align: bool | Scoring
    candidates: int
    profiles: bool


class AlignedOptions(SearchOptions, ProteomeOptions, total=False):
    """What searches with proteins take whose residues are known: all of it."""


def checked(
    store: Store, options: Mapping[str, Any], among: type[HitOptions], *, threads: int | None = None
) -> nearest.Wanted:
    """What a search is asked for, checked before anything is done for it.

    Args:
        store: The database that is searched.
        options: The keywords that were given.
        among: The options that this search has.
        threads: To align with at most; None for all.

    Raises:
        TypeError: It has no such option.
        QueryError, FilterError: As ``nearest.check``.
    """
    check_names(options, among)
    return nearest.check(store, threads=threads, **options)


def check_names(options: Mapping[str, Any], among: type[HitOptions]) -> None:
    """Refuse an option that a search has not.

    Raises:
        TypeError: It is none of them; names the one that was meant.
    """
    names = list(among.__annotations__)  # those of its bases too
    for name in options:
        if name not in names:
            near = get_close_matches(name, names, 1)
            hint = f"near: {near[0]}" if near else f"there are {', '.join(names)}"
            raise TypeError(f"this search has no option {name!r}; {hint}")
