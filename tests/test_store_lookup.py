"""Rows that are found by key, in a table and in what is kept of it between reads."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protvec.store import lookup
from protvec.store.lookup import Lookup

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from lance import LanceDataset

NAMES = [f"SQ.{number:03}" for number in range(30)]
LENGTH = {name: number for number, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> LanceDataset:
    return written(tmp_path_factory.mktemp("lookup") / "t.lance", [NAMES[17:20], NAMES[3:12], NAMES[25:28]])


def written(path: Path, fragments: list[list[str]]) -> LanceDataset:
    """A table with the names, one fragment for each list."""
    import lance
    import pyarrow as pa

    for names in fragments:
        rows = pa.table({"length": [LENGTH[name] for name in names], "digest": names})
        made = lance.write_dataset(rows, path, mode="append" if path.exists() else "create")
    return made


def looked_for(table: LanceDataset, names: list[str]) -> pa.Table:
    """What a scan finds, by place."""
    import pyarrow as pa

    rows = table.to_table(columns=["digest", "length"], with_row_address=True)
    return rows.filter(pa.array([name in names for name in rows["digest"].to_pylist()], pa.bool_()))


@settings(max_examples=40)
@given(st.lists(st.sampled_from([*NAMES, "", "SQ", "T", "it's"]), unique=True))
def test_kept_rows_are_those_of_the_table(table: LanceDataset, names: list[str]) -> None:
    kept = Lookup("digest", ["length"])
    for _ in range(3):  # once from the table, then from what is kept
        assert kept.find(table, names) == looked_for(table, names)


def test_a_change_of_the_table_is_followed(tmp_path: Path) -> None:
    kept = Lookup("digest", ["length"])
    table = written(tmp_path / "t.lance", [NAMES[:5], NAMES[5:9]])
    changes = [lambda: table.delete("digest = 'SQ.002'"), table.optimize.compact_files, lambda: table.delete("true")]
    for change, left in zip([lambda: None, *changes], [9, 8, 8, 0], strict=True):
        change()
        for _ in range(3):
            assert kept.find(table, NAMES) == looked_for(table, NAMES)
            assert kept.find(table, NAMES).num_rows == left


def test_a_table_that_was_made_again_is_not_taken_for_the_one_before(tmp_path: Path) -> None:
    """Its version has the same number; what is known of a row is not read again, so it must be of this table."""
    kept = Lookup("digest", ["length"])
    for names in ([NAMES[2], NAMES[8]], [NAMES[8], NAMES[2]]):
        table = written(tmp_path / "t.lance", [names])
        for _ in range(3):
            assert kept.find(table, NAMES) == looked_for(table, NAMES)
        shutil.rmtree(tmp_path / "t.lance")


def test_keys_of_one_hash_are_told_apart(table: LanceDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "hash", lambda name: int(name[3:] or 0) % 3, raising=False)
    kept = Lookup("digest", ["length"])
    for wanted in ([NAMES[4], NAMES[7], NAMES[1]], [NAMES[1]], NAMES):
        for _ in range(2):
            assert kept.find(table, wanted) == looked_for(table, wanted)


@pytest.mark.parametrize(("most", "reads"), [(100, 2), (3, 4)])
def test_all_rows_are_read_for_who_asks_again_if_they_are_few(
    table: LanceDataset, monkeypatch: pytest.MonkeyPatch, most: int, reads: int
) -> None:
    seen = []

    def watched(handle: LanceDataset, **options: object) -> pa.Table:
        seen.append(options.get("where"))
        return read(handle, **options)

    read = lookup.read
    monkeypatch.setattr(lookup, "read", watched)
    monkeypatch.setattr(lookup, "_MOST_ROWS", most)
    kept = Lookup("digest", ["length"])
    for _ in range(4):
        assert kept.find(table, NAMES) == looked_for(table, NAMES)
    assert len(seen) == reads
    assert seen[0] is not None, "the first is a look for these alone"
