"""One proteome against another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.database.core import Core
from protvec.errors import QueryError
from protvec.store import both, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protvec.search.reciprocal import Pairs


class Comparing(Core):
    """The methods of ``Database`` that compare proteomes."""

    def rbh(
        self,
        other: Core | None = None,
        *,
        datasets: tuple[str, str] | None = None,
        where: str | None = None,
        other_where: str | None = None,
        collapse: bool = True,
        locus: str | None = None,
        ties: str = "first",
        min_score: float | None = None,
        columns: Sequence[str] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> Pairs:
        """Reciprocal best hits: candidate orthologues of two proteomes. Needs no model.

        Two loci are a pair where each is the nearest of the other among all of the other side, by the highest cosine
        of their isoforms. Every pair of proteins is compared, in bounded memory. docs/rbh.md says what the result
        means, and what it does not.

        Args:
            other: Another database of the same model; or none, with ``datasets``.
            datasets: Two datasets of this database: the sides.
            where: SQL condition on the proteins of this side; with ``datasets`` on both.
            other_where: The same for the other side; by default none, with ``other`` this very database it is needed.
            collapse: Take isoforms of a locus for one: those with one value in ``locus`` or, where there is none, with
                one ``gene`` in one ``organism``. A protein with neither is a locus of its own.
            locus: Another column that names loci.
            ties: Of partners that are exactly as good, take the ``first`` by the names of the loci, each locus once;
                ``all``; or none (``drop``).
            min_score: Leave out pairs below this cosine.
            columns: Metadata columns, which become ``query.NAME`` and ``target.NAME``.
            progress: Called with the proteins compared so far, and how many there are.

        Raises:
            SpaceMismatchError: the vectors of the two are of different models.
            QueryError: the sides or an option cannot be used.
            FilterError: a condition is no SQL, or names a column that is not there; or there is no such column.
        """
        from protvec.search.reciprocal import Options, rbh

        if (other is None) == (datasets is None):
            raise QueryError("say what to compare with: another database, or two datasets of this one")
        if datasets is not None:
            self._check_datasets(datasets)
            where, other_where = (both(where, f"dataset = {quote(name)}") for name in datasets)
        options = Options(
            query_where=where,
            target_where=other_where,
            collapse=collapse,
            locus=locus,
            ties=ties,
            min_score=min_score,
            columns=columns,
        )
        return rbh(self.store, self.store if other is None else other.store, options, progress=progress)

    def _check_datasets(self, names: tuple[str, str]) -> None:
        if len(names) != 2:
            raise QueryError(f"{len(names)} datasets: name two")
        if names[0] == names[1]:
            raise QueryError(f"the dataset {names[0]!r} is compared with itself: name two")
        there = [name for name in self.store.info()["datasets"] if name]
        for name in names:
            if name not in there:
                known = f"there are {', '.join(there)}" if there else "none of its proteins has a dataset"
                raise QueryError(f"{self.path} has no dataset {name!r}: {known}")
