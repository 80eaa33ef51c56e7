"""The map of all proteins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.database.core import Core

if TYPE_CHECKING:
    from protvec.projection import Chart


class Mapped(Core):
    """The method of ``Database`` that maps it."""

    def map(self, method: str = "auto", *, color: str | None = None, again: bool = False, keep: bool = True) -> Chart:
        """Every protein as a point in two dimensions, near to those that are like it.

        The map is made of the vectors that searches compare, one for each distinct sequence, and is kept in the
        database with how it was made. The next call takes it as it is; proteins that came since are each placed among
        their nearest, and where these are too many, the map is made again. The same proteins give the same map.

        Args:
            method: ``umap``, ``pca``, or ``auto``: the map that there is, else UMAP where umap-learn is installed
                (``protvec[map]``) and there are 50 distinct sequences, else PCA.
            color: A column of the proteins that points are coloured by.
            again: Make it again, whatever there is.
            keep: Store it; without, nothing is written, and the map is only returned.

        Returns:
            Ids, coordinates, groups of colours; ``write`` makes a file of it, ``record`` says how it was made.

        Raises:
            QueryError: an unknown method, too few proteins.
            InputError: UMAP is asked for, and umap-learn is not installed.
            FilterError: there is no such column.
            DatabaseError: the disk, or other writers that keep getting in first.
        """
        from protvec.projection import make_chart

        return make_chart(self.store, method=method, color=color, again=again, keep=keep, notify=self.settings.notify)
