"""Search of ``proteins`` by text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from protvec.store.filters import both, check_columns, check_k, quote
from protvec.store.schema import SUMMARY_COLUMNS
from protvec.store.searching import Searching
from protvec.store.tables import read, take_addresses
from protvec.store.text.ranking import NAMES, SEARCHED, scores
from protvec.store.text.terms import parse_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa
    from lance import LanceDataset
    from numpy.typing import NDArray

    from protvec.store.text.terms import Text


class FoundText(NamedTuple):
    """The proteins that match a text.

    Attributes:
        table: ``id``, the columns asked for and ``score`` (float64), best first, equal scores by id.
        ranking: ``id``, ``score`` and ``address`` of all that match, whatever k is, in that order.
        proteins: How many the database has.
    """

    table: pa.Table
    ranking: pa.Table
    proteins: int


class Texts(Searching):
    """Search by text."""

    def find_text(
        self, text: str, *, k: int = 10, where: str | None = None, columns: Sequence[str] | None = None
    ) -> FoundText:
        """The k proteins that match a text best: see ``protvec.store.text.ranking``.

        Every protein is looked at: none is missed, and what was just added is found.

        Args:
            text: Words, phrases in quotation marks, an id or a gene, or a part of one.
            k: How many; fewer rows come back where there are fewer.
            where: An SQL filter over the metadata.
            columns: Of the result, between ``id`` and ``score``; ``SUMMARY_COLUMNS`` by default.

        Raises:
            QueryError: There is nothing in the text to look for, or k is below 1.
            FilterError: The filter or a column cannot be used; names the columns there are.
        """
        import numpy as np
        import pyarrow as pa

        check_k(k)
        asked = parse_text(text)
        handle, _ = self._current()
        names = check_columns(handle, list(dict.fromkeys(["id", *(SUMMARY_COLUMNS if columns is None else columns)])))
        some = _may_match(asked)
        rows = read(handle, where=some, columns=list(SEARCHED), with_row_address=True)
        proteins = int(handle.count_rows())
        worth = scores(rows, asked, proteins=proteins)
        worth[~_passing(handle, rows["_rowaddr"].to_numpy(), some, where)] = 0.0
        order = pa.table({"score": worth, "id": rows["id"], "address": rows["_rowaddr"]}).filter(worth > 0)
        ranking = order.sort_by([("score", "descending"), ("id", "ascending")])
        best = ranking.slice(0, k)
        table = take_addresses(handle, np.asarray(best["address"], np.uint64), names)
        return FoundText(table.append_column("score", best["score"]), ranking, proteins)


def _passing(handle: LanceDataset, addresses: NDArray[np.uint64], some: str, where: str | None) -> NDArray[np.bool_]:
    """Whether each row passes the user's filter."""
    import numpy as np

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
