"""How well proteins match a text: BM25 over words, and names before all else.

The score of a protein depends on its own texts, on how many proteins have each term, and on how many there are: never
on an index, a filter or the order of the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from protvec.store.text.terms import Text

# What names a protein or its gene; ``symbols`` is a list of texts.
NAMES = ("id", "gene", "symbols", "locus", "transcript", "accession")
SEARCHED = (*NAMES, "description")
# BM25 as in Robertson and Zaragoza (2009) with its usual settings, but a fixed length in place of the average one: the
# average would have to be read from every row, and change all scores with each ingest.
K1, B, TYPICAL_LENGTH = 1.2, 0.75, 12.0
# Added where a name contains the text, begins with it, or is it: more than BM25 can give to one term.
CONTAINS, BEGINS, IS = 100.0, 200.0, 300.0


class Prepared(NamedTuple):
    """The texts of some rows, ready to be looked through.

    Attributes:
        words: The words of each in lower case, each with a space before and after it: ``" f  box  protein "``.
        names: The names of each in lower case, each in a line of its own.
    """

    words: pa.Array
    names: pa.Array

    def take(self, rows: NDArray[np.intp]) -> Prepared:
        """Of some of the rows."""
        return Prepared(self.words.take(rows), self.names.take(rows))


def prepared(rows: pa.Table) -> Prepared:
    """The texts of rows with the columns ``SEARCHED``."""
    import pyarrow.compute as pc

    names = pc.utf8_lower(pc.binary_join_element_wise("", *_texts(rows, NAMES), "", "\n"))
    whole = pc.utf8_lower(pc.binary_join_element_wise("", *_texts(rows, SEARCHED), "", "\n"))
    return Prepared(pc.replace_substring_regex(whole, r"[^\pL\pN]+", "  "), names)


def scores(rows: pa.Table, text: Text, *, proteins: int) -> NDArray[np.float64]:
    """The score of each row; 0 where it does not match.

    Args:
        rows: The columns ``SEARCHED`` of every protein that may match.
        text: What was asked for.
        proteins: How many the database has.
    """
    texts = prepared(rows)
    lengths = count(texts.words, "  ") - 1
    total: NDArray[np.float64] = np.zeros(rows.num_rows)
    for term in text.terms:
        times = count(texts.words, pattern(term))
        total += bm25(times, lengths, int(np.count_nonzero(times)), proteins)
    return total if text.name is None else total + name_scores(texts.names, text.name)


def pattern(term: tuple[str, ...]) -> str:
    """How words that follow one another look in ``Prepared.words``."""
    return f" {'  '.join(term)} "


def bm25(times: NDArray[np.float64], lengths: NDArray[np.float64], having: int, proteins: int) -> NDArray[np.float64]:
    """What one term adds to the scores of rows.

    Args:
        times: How often each row has the term.
        lengths: How many words each has.
        having: How many proteins have it.
        proteins: How many there are.
    """
    rarity = np.log1p((proteins - having + 0.5) / (having + 0.5))
    score: NDArray[np.float64] = rarity * times * (K1 + 1) / (times + K1 * (1 - B + B * lengths / TYPICAL_LENGTH))
    return score


def name_scores(names: pa.Array, name: str) -> NDArray[np.float64]:
    """What a name adds to the scores of rows."""
    import pyarrow.compute as pc

    total = np.zeros(len(names))
    for part, worth in ((name, CONTAINS), (f"\n{name}", BEGINS), (f"\n{name}\n", IS)):
        total[pc.match_substring(names, part).to_numpy(zero_copy_only=False)] = worth
    return total


def _texts(rows: pa.Table, names: tuple[str, ...]) -> list[pa.Array]:
    """Columns as texts, with nothing where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    arrays = [rows[name].combine_chunks() for name in names]
    flat = [pc.binary_join(each, "\n") if pa.types.is_list(each.type) else each for each in arrays]
    return [pc.fill_null(each, "") for each in flat]


def count(texts: pa.Array, part: str) -> NDArray[np.float64]:
    """How often each text has a part."""
    import pyarrow.compute as pc

    counted: NDArray[np.float64] = pc.count_substring(texts, part).to_numpy().astype(np.float64)
    return counted
