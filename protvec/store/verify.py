"""Whether a commit put into ``proteins`` what it was given, no more and no less.

Looked at in the version that the commit made and in the one before it, which no other writer touches: so it is
exact however many write at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protvec.errors import DatabaseError
from protvec.store.filters import LANCE_ERRORS
from protvec.store.tables import present, read_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from lance import LanceDataset

    from protvec.store.tables import Merged


def check_commit(merged: Merged, rows: pa.Table, *, replaced: bool = True) -> dict[str, str]:
    """Read the keys of a commit again, and compare the growth of the table with what was inserted.

    Args:
        merged: The commit.
        rows: What it was given.
        replaced: Whether rows that were known had to be replaced.

    Returns:
        The digests that the rows have in the version of the commit, by their ids.

    Raises:
        DatabaseError: Something differs; says what.
    """
    ids = rows["id"].to_pylist()
    found = read_keys(merged.own, "id", ids, ["id", "digest"])
    there = dict(zip(found["id"].to_pylist(), found["digest"].to_pylist(), strict=True))
    expected = rows["digest"].to_pylist() if replaced else [there.get(key, "") for key in ids]
    wrong = [key for key, digest in zip(ids, expected, strict=True) if there.get(key) != digest]
    where = f"{merged.own.uri} (version {merged.own.version})"
    if wrong:
        raise DatabaseError(f"{where}: {len(wrong)} of {len(ids)} proteins written are not there, such as {wrong[0]!r}")
    if found.num_rows != len(ids) or (replaced and merged.inserted + merged.replaced != len(ids)):
        raise DatabaseError(
            f"{where}: {len(ids)} proteins written, but {merged.inserted} added and {merged.replaced} replaced, "
            f"and {found.num_rows} rows have their ids: run `protvec check`"
        )
    more = growth(merged.own)
    if more is not None and more != merged.inserted:
        raise DatabaseError(f"{where}: {merged.inserted} proteins added, but {more} more rows: run `protvec check`")
    return there


def left_alone(merged: Merged, ids: Sequence[str]) -> set[str]:
    """Those of a commit's ids that were known before it, where known rows were not to be replaced.

    Another writer may have added them since they were looked for. Lance merges again then, into the version that
    has them: so it is the version before this commit that tells.
    """
    if merged.inserted == len(ids):
        return set()
    return present(merged.own.checkout_version(merged.own.version - 1), "id", ids)


def growth(version: LanceDataset) -> int | None:
    """Rows that a version has more than the one before it; None where that is gone."""
    try:
        before = version.checkout_version(version.version - 1).count_rows()
    except LANCE_ERRORS:
        return None
    return int(version.count_rows()) - int(before)
