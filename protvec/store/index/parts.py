"""An index of vectors built in parts, by several workers, and committed as one.

Each part is of some fragments of the table, with the same centres. Parts stay as they are: lance 13 merges parts of
IVF_SQ as if all had the first one's range of values, and searches then find little.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from protvec.errors import DatabaseError
from protvec.store import durable
from protvec.store.filters import LANCE_ERRORS, brief
from protvec.store.index.record import VECTOR_INDEX
from protvec.store.index.vectors import METRIC, partitions_of, sampled
from protvec.store.tables import commit, latest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lance import LanceDataset
    from lance.dataset import Index
    from numpy.typing import NDArray

MOST = 8  # parts: each has all the centres, and a search ranks them in each
_PER_WORKER = 2  # so that all end together
_ROUNDS = 3
_LATE = 0.1  # of the rows: so many may have come or changed meanwhile; they are compared one by one


@dataclass(frozen=True, kw_only=True)
class IndexPart:
    """Fragments of a table that one worker is to index.

    Attributes:
        uri: The table.
        storage: Options of its object store.
        version: Of the table.
        column: What is indexed.
        kind: ``ivf_flat`` or ``ivf_sq``.
        fragments: Their numbers.
        rows: That they have.
    """

    uri: str
    storage: Mapping[str, str] | None = field(repr=False)
    version: int
    column: str
    kind: str
    fragments: tuple[int, ...]
    rows: int


@dataclass(frozen=True, kw_only=True)
class BuiltPart:
    """A part on the disk that no version has yet.

    Attributes:
        uri: The table.
        index: Lance's description of it.
        files: Those with the vectors of each fragment, which nobody may have replaced when the part is committed.
    """

    uri: str
    index: Index
    files: Mapping[int, tuple[str, ...]]

    def touch(self) -> bool:
        """Say that it is still wanted, as what nobody writes to for an hour is swept; whether it is still there."""
        if "://" in self.uri:
            return True  # nothing is swept there
        try:
            os.utime(Path(self.uri, "_indices", self.index.uuid))
        except OSError:
            return False
        return True


class IndexWorkers(Protocol):
    """Who builds the parts of an index."""

    @property
    def count(self) -> int:
        """How many parts are built at once."""

    def build(self, parts: Sequence[IndexPart], centres: NDArray[np.float32]) -> list[BuiltPart]:
        """Have every part built with ``build_part``, in no order."""


def build(
    dataset: LanceDataset, kind: str, column: str, *, storage: Mapping[str, str] | None, workers: IndexWorkers
) -> LanceDataset:
    """Make the index of vectors in place of one that there is, in one commit; a handle on that version.

    Fragments that others replace while parts are built, in a compaction say, are built again; what is still missing at
    the end is compared one by one, as rows are that come after an index.

    Raises:
        DatabaseError: The disk; a worker does not see the database; or all was replaced again and again.
    """
    most = max(1, min(_PER_WORKER * workers.count, MOST))  # first: where there are none, that is said at once
    centres = _centres(dataset, column)
    made: list[BuiltPart] = []
    for _ in range(_ROUNDS):
        dataset = latest(dataset)
        made = _standing(dataset, made, column)
        left = _left(dataset, made)
        if made and sum(left.values()) <= _LATE * int(dataset.count_rows()):
            break
        plan = {"uri": dataset.uri, "storage": storage, "version": dataset.version, "column": column, "kind": kind}
        groups = _groups(left, max(1, most - len(made)))
        parts = [IndexPart(fragments=group, rows=sum(left[each] for each in group), **plan) for group in groups]
        made += workers.build(parts, centres)
    return commit(dataset, lambda target: _put(target, made, column, storage))[0]


def build_part(part: IndexPart, centres: NDArray[np.float32]) -> BuiltPart:
    """Index some fragments, on whichever machine; nothing is committed.

    Args:
        part: Which.
        centres: ndarray, shape=(partitions, D), dtype=float32.

    Raises:
        DatabaseError: This machine does not see the table, or the disk.
    """
    import lance

    storage = dict(part.storage) if part.storage is not None else None
    try:
        dataset = lance.dataset(part.uri, version=part.version, storage_options=storage)
    except LANCE_ERRORS as error:
        raise DatabaseError(
            f"{platform.node()} does not see {part.uri} ({brief(error)}): "
            "put the database on a file system that all nodes see, or s3://…"
        ) from error
    try:
        known = durable.files(part.uri)
        index = dataset.create_index_uncommitted(
            part.column,
            part.kind.upper(),
            name=VECTOR_INDEX,
            metric=METRIC,
            num_partitions=len(centres),
            ivf_centroids=centres,
            fragment_ids=list(part.fragments),
            replace=True,
        )
        durable.sync(part.uri, known)
    except LANCE_ERRORS as error:
        raise DatabaseError(f"{part.uri}: no index could be built on {platform.node()}: {brief(error)}") from error
    files = _files(dataset, part.column)
    return BuiltPart(uri=part.uri, index=index, files={each: files[each] for each in part.fragments})


def _centres(dataset: LanceDataset, column: str) -> NDArray[np.float32]:
    """The centres of the partitions, learnt from a sample that is bounded in memory."""
    from lance.indices import IndicesBuilder

    rows, dimension = int(dataset.count_rows()), dataset.schema.field(column).type.list_size
    partitions = partitions_of(rows)
    rate = min(sampled(partitions, dimension), rows // partitions)
    try:
        if rate > 1:
            model = IndicesBuilder(dataset, column).train_ivf(partitions, distance_type=METRIC, sample_rate=rate)
            values = model.centroids.flatten()
        else:
            values = dataset.take([0], columns=[column])[column].combine_chunks().flatten()
    except LANCE_ERRORS as error:
        raise DatabaseError(f"{dataset.uri}: no centres could be learnt: {brief(error)}") from error
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float32).reshape(-1, dimension)


def _files(dataset: LanceDataset, column: str) -> dict[int, tuple[str, ...]]:
    """The files of a column, by fragment."""
    number = dataset.lance_schema.field(column).id()
    return {
        each.fragment_id: tuple(str(file.path) for file in each.data_files() if number in file.fields)
        for each in dataset.get_fragments()
    }


def _standing(dataset: LanceDataset, made: Sequence[BuiltPart], column: str) -> list[BuiltPart]:
    """The parts that are there, each with the fragments whose vectors are in the files that it was built of."""
    files = _files(dataset, column)
    found = []
    for part in made:
        same = {each for each in part.index.fragment_ids if files.get(each) == part.files[each]}
        if same and part.touch():
            found.append(replace(part, index=replace(part.index, fragment_ids=same)))
    return found


def _left(dataset: LanceDataset, made: Sequence[BuiltPart]) -> dict[int, int]:
    """The fragments that no part has, and the rows of each."""
    done = {each for part in made for each in part.index.fragment_ids}
    return {
        each.fragment_id: int(each.count_rows()) for each in dataset.get_fragments() if each.fragment_id not in done
    }


def _groups(rows: Mapping[int, int], count: int) -> list[tuple[int, ...]]:
    """Fragments in so many groups at most, of about as many rows each."""
    numbers = sorted(rows)
    each = np.array([rows[number] for number in numbers], np.float64)
    middle = np.cumsum(each) - each / 2
    group = np.minimum(count - 1, (count * middle / max(1.0, float(each.sum()))).astype(np.int64))
    chosen: dict[int, list[int]] = {}
    for number, place in zip(numbers, group.tolist(), strict=True):
        chosen.setdefault(place, []).append(number)
    return [tuple(members) for members in chosen.values()]


def _put(
    target: LanceDataset, made: Sequence[BuiltPart], column: str, storage: Mapping[str, str] | None
) -> LanceDataset:
    """Commit the parts in place of the index that there is: one version has the old one, and the next the new one."""
    import lance

    standing = _standing(target, made, column)
    if not standing:
        raise DatabaseError(f"{target.uri}: all vectors were replaced while they were being indexed: run it again")
    change = lance.LanceOperation.CreateIndex(
        new_indices=[part.index for part in standing], removed_indices=_there(target)
    )
    return lance.LanceDataset.commit(
        target, change, read_version=target.version, storage_options=dict(storage) if storage is not None else None
    )


def _there(dataset: LanceDataset) -> list[Any]:
    """The parts of the index of vectors that a version has, as a commit names what it removes."""
    from lance.dataset import Index

    return [
        Index(
            uuid=str(part.uuid),
            name=each.name,
            fields=[dataset.lance_schema.field(name).id() for name in each.field_names],
            dataset_version=part.dataset_version_at_last_update,
            fragment_ids=part.fragment_ids,
            index_version=part.index_version,
            created_at=part.created_at,
            base_id=part.base_id,
        )
        for each in dataset.describe_indices()
        if each.name == VECTOR_INDEX
        for part in each.segments
    ]
