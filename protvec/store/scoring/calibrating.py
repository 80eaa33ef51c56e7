"""Fitting the search space of a database, on its own vectors, and fitting it again once it has grown."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext, suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from protvec.errors import ColumnGoneError, DatabaseError, QueryError
from protvec.products import single_products
from protvec.store.changes import Changes
from protvec.store.filters import quote
from protvec.store.schema import matrix_of
from protvec.store.scoring.column import add_columns, derived, drop_columns, field_of, fill
from protvec.store.scoring.record import CHOICES, METADATA_KEY, SEGMENTS, Scoring, scoring_of
from protvec.store.segments.making import begin, end, fill_means
from protvec.store.segments.rule import Rule, rule_of
from protvec.store.segments.vectors import segments_of
from protvec.store.tables import commit, read, stream
from protvec.transform import ENOUGH, Moments, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from lance import LanceDataset

    from protvec.transform import Transform

# Times as many proteins as were there when it was fitted make a new fit worth while.
_GROWN = 2
# Distinct sequences that are looked at: of more, those of the smallest digests, which is as good as at random.
_MOST = 1 << 18
_BATCH_ROWS = 4096
# Up to these, a product of so many rows takes less time than it may take to wait for another core.
_FEW_DIMENSIONS = 512


class Calibrating(Changes):
    """The search space."""

    def calibrate(
        self, scoring: str = "auto", *, segments: bool | None = None, notify: Callable[[str], None] | None = None
    ) -> Scoring:
        """Fit the search space on the vectors that there are, and have searches use it.

        Every protein is given a search vector beside its mean, in a column of its own; the mean stays as it is. Others
        read and write meanwhile: searches go on in the space before until the new one is complete.

        Args:
            scoring: ``auto``: what suits the number of proteins, and again by itself once they are twice as many;
                ``raw``: compare the means themselves; or ``centred`` or ``whitened``.
            segments: Whether the database is to keep segments of long proteins, which are made from their residues
                where it has kept none; by default as it does. See docs/segments.md.
            notify: Called with a line of text where it takes long.

        Raises:
            QueryError: An unknown scoring, or too few proteins for it; or there are no residues to make segments of.
            DatabaseError: The disk, or other writers that keep getting in first.
        """
        if scoring not in CHOICES:
            raise QueryError(f"no scoring {scoring!r}: choose {', '.join(CHOICES)}")
        self.check_writable()
        self.migrate()
        say = notify or (lambda _: None)
        with self._writing:
            self._keep_segments(segments, say)
            return self._calibrate(scoring, say)

    def keep_calibrated(self, notify: Callable[[str], None] | None = None) -> None:
        """Fit the search space where that pays by now; an ingest calls this at its end.

        What cannot be done now, because of the disk or of other writers, is left for the next time.
        """
        with suppress(DatabaseError), self._writing:
            handle = self._newest()[0]
            now, rows = scoring_of(handle.schema), int(handle.count_rows())
            if now.wanted == "raw" or rows < ENOUGH or rows < _GROWN * now.rows:
                return
            self._calibrate(now.wanted, notify or (lambda _: None))

    def _keep_segments(self, wanted: bool | None, say: Callable[[str], None]) -> None:
        """Have segments, or have none, or give those rows theirs that another client of Lance has added."""
        handle, _ = self._newest()
        keeps = rule_of(handle.schema) is not None
        if wanted and not keeps:
            self.check_residues()
            begin(handle, Rule())
        elif keeps and wanted is False:
            end(handle)
        handle, residues = self._newest()
        if (rule := rule_of(handle.schema)) is None:
            return
        if not keeps:
            say("making vectors of segments from the residues of long proteins")
        fill_means(handle, rule, self.space.dimension, residues if self._codec.keeps else None)
        self._newest()

    def _calibrate(self, wanted: str, say: Callable[[str], None]) -> Scoring:
        with single_products() if self.space.dimension <= _FEW_DIMENSIONS else nullcontext():
            return self._fitted(wanted, say)

    def _fitted(self, wanted: str, say: Callable[[str], None]) -> Scoring:
        handle, _ = self._newest()
        rows = int(handle.count_rows())
        proteins, segments = _moments(handle, self.space.dimension)
        transform = fit(proteins, wanted)
        now = Scoring(wanted=wanted, kind=transform.kind, proteins=transform.proteins, rows=rows)
        if transform.kind != "raw":
            stamp = datetime.now(timezone.utc).isoformat(timespec="seconds")
            now = dataclasses.replace(now, key=transform.key, shrinkage=transform.shrinkage, fitted=stamp)
            transforms = [transform]
            if segments is not None:
                transforms.append(fit(segments, transform.kind))
                now = dataclasses.replace(now, segments_key=transforms[1].key)
            say(f"fitting the search space on {transform.proteins:,} proteins: {now.name}")
            handle = self._filled_with(handle, now, transforms)
        _switch(handle, now)
        drop_columns(self._newest()[0], but=now.columns)
        self._newest()
        return now

    def _filled_with(self, handle: LanceDataset, now: Scoring, transforms: list[Transform]) -> LanceDataset:
        """A version of which every row has the search vector of a transform, and its segments in that of theirs."""
        for transform in transforms:
            self._transforms.put(transform)
        handle = add_columns(handle, [field_of(name, self.space.dimension) for name in now.columns])
        for name, transform in zip(now.columns, transforms, strict=True):
            handle = fill(handle, derived(name, transform))
        return handle


def _switch(handle: LanceDataset, now: Scoring) -> None:
    """Have searches use it from the next version on."""

    def change(target: LanceDataset) -> None:
        if not set(now.columns) <= set(target.schema.names):
            raise ColumnGoneError(f"{target.uri}: another process has fitted another search space: run it again")
        target.update_schema_metadata({METADATA_KEY.decode(): now.to_json()})

    commit(handle, change)


def _moments(handle: LanceDataset, dimension: int) -> tuple[Moments, Moments | None]:
    """Of the vectors of proteins and of their segments, for each distinct sequence or for many, in one pass.

    Memory is bounded. There are none of segments where the database keeps none.
    """
    proteins, segments = Moments(dimension), Moments(dimension) if rule_of(handle.schema) else None
    for batch in _distinct(handle, ["vector", *([SEGMENTS] if segments else [])]):
        vectors = matrix_of(batch["vector"])
        proteins.add(vectors)
        if segments is not None:
            segments.add(segments_of(batch[SEGMENTS], vectors)[0])
    return proteins, segments


def _distinct(handle: LanceDataset, columns: list[str]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    limit = _limit(handle)
    seen: set[str] = set()
    where = None if limit is None else f"digest <= {quote(limit)}"
    for batch in stream(handle, where=where, user=None, columns=["digest", *columns], batch_size=_BATCH_ROWS):
        new = []
        for digest in batch["digest"].to_pylist():
            new.append(digest not in seen)
            seen.add(digest)
        yield batch.filter(pa.array(new))


def _limit(handle: LanceDataset) -> str | None:
    """The digest up to which there are as many as are looked at; None where that is all."""
    import pyarrow.compute as pc

    if int(handle.count_rows()) <= _MOST:
        return None
    digests = pc.unique(read(handle, columns=["digest"])["digest"])
    if len(digests) <= _MOST:
        return None
    return str(digests.take(pc.sort_indices(digests)[_MOST - 1 : _MOST])[0].as_py())
