"""Search of ``proteins`` by text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from protvec.store.filters import both, check_columns, check_k, enclosed, quote
from protvec.store.schema import SUMMARY_COLUMNS
from protvec.store.searching import Searching
from protvec.store.tables import read, take_addresses
from protvec.store.text.memory import Matches, Words, matching
from protvec.store.text.ranking import NAMES, SEARCHED, scores
from protvec.store.text.terms import parse_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import NDArray

    from protvec.store.location import Location
    from protvec.store.schema import Description
    from protvec.store.text.terms import Text
    from protvec.store.view import Handles


class FoundText(NamedTuple):
    """The proteins that match a text.

    Attributes:
        table: ``id``, the columns asked for and ``score`` (float64), best first, equal scores by id.
        matches: All that match, whatever k is, in no order.
        proteins: How many the database has.
    """

    table: pa.Table
    matches: Matches
    proteins: int


class Texts(Searching):
    """Search by text."""

    def __init__(
        self, location: Location, description: Description, handles: Handles, *, seconds: float, at: str | None = None
    ) -> None:
        """As ``View``."""
        super().__init__(location, description, handles, seconds=seconds, at=at)
        self._words = Words()

    def find_text(
        self, text: str, *, k: int = 10, where: str | None = None, columns: Sequence[str] | None = None
    ) -> FoundText:
        """The k proteins that match a text best: see ``protvec.store.text.ranking``.

        Every protein is looked at: none is missed, and what was just added is found. After the first search, an index
        of the words is kept in memory where it fits; what it finds is the same.

        Args:
            text: Words, phrases in quotation marks, an id or a gene, or a part of one.
            k: How many; fewer rows come back where there are fewer.
            where: An SQL filter over the metadata.
            columns: Of the result, between ``id`` and ``score``; ``SUMMARY_COLUMNS`` by default.

        Raises:
            QueryError: There is nothing in the text to look for, or k is below 1.
            FilterError: The filter or a column cannot be used; names the columns there are.
        """
        import pyarrow as pa

        check_k(k)
        asked = parse_text(text)
        handle, _ = self._current()
        names = check_columns(handle, list(dict.fromkeys(["id", *(SUMMARY_COLUMNS if columns is None else columns)])))
        matches = self._matches(handle, asked, where)
        best = _best(matches, k)
        table = take_addresses(handle, matches.addresses[best], names)
        scored = table.append_column("score", pa.array(matches.scores[best]))
        return FoundText(scored, matches, int(handle.count_rows()))

    def _matches(self, handle: LanceDataset, asked: Text, where: str | None) -> Matches:
        """All that match; those of the last text are kept, which is asked again for each of many queries."""
        key = int(handle.version), asked, where
        last, matches = self._words.last
        if last == key:
            return matches
        parts = self._words.of(handle, memory=self.search_memory)
        if parts is None:
            matches = _looked_through(handle, asked, where)
        else:
            matches = matching(parts, asked)
            if where is not None:
                meeting = read(handle, where=enclosed(where), user=where, columns=[], with_row_address=True)
                matches = _those(matches, np.isin(matches.addresses, meeting["_rowaddr"].to_numpy()))
        self._words.last = key, matches
        return matches


def _best(matches: Matches, k: int) -> NDArray[np.intp]:
    """The places of the k best, best first, equal scores by id."""
    places = np.arange(len(matches.scores))
    if len(places) > k:
        places = np.flatnonzero(matches.scores >= np.partition(matches.scores, len(places) - k)[len(places) - k])
    ids = np.array(matches.ids.take(places).to_pylist(), object)
    by_id = np.argsort(ids, kind="stable")
    return places[by_id[np.argsort(-matches.scores[places[by_id]], kind="stable")]][:k]


def _those(matches: Matches, wanted: NDArray[np.bool_]) -> Matches:
    return Matches(matches.ids.filter(wanted), matches.scores[wanted], matches.addresses[wanted])


def _looked_through(handle: LanceDataset, asked: Text, where: str | None) -> Matches:
    """What matches of all the table."""
    some = _may_match(asked)
    rows = read(handle, where=some, columns=list(SEARCHED), with_row_address=True)
    worth = scores(rows, asked, proteins=int(handle.count_rows()))
    addresses = rows["_rowaddr"].to_numpy()
    worth[~_passing(handle, addresses, some, where)] = 0.0
    return _those(Matches(rows["id"].combine_chunks(), worth, addresses), worth > 0)


def _passing(handle: LanceDataset, addresses: NDArray[np.uint64], some: str, where: str | None) -> NDArray[np.bool_]:
    """Whether each row passes the user's filter."""
    if where is None:
        return np.ones(len(addresses), bool)
    passing = read(handle, where=both(where, some), user=where, columns=[], with_row_address=True)
    return np.isin(addresses, passing["_rowaddr"].to_numpy())


def _may_match(text: Text) -> str:
    """A filter that every match passes: the longest word of each term is somewhere, or the text in a name."""
    looked_for: set[tuple[str, tuple[str, ...]]] = {(max(term, key=len), SEARCHED) for term in text.terms}
    if text.name is not None:
        looked_for.add((text.name, NAMES))
    return " OR ".join(
        f"contains({_lower(column)}, {quote(part)})" for part, columns in sorted(looked_for) for column in columns
    )


def _lower(column: str) -> str:
    return "lower(array_to_string(symbols, ' '))" if column == "symbols" else f"lower({column})"
