"""Addresses of residue arrays that are kept between reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protvec.store import addresses
from protvec.store.addresses import Addresses, looked_for

if TYPE_CHECKING:
    from pathlib import Path

    from lance import LanceDataset

NAMES = [f"SQ.{number:03}" for number in range(30)]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> LanceDataset:
    return written(tmp_path_factory.mktemp("addresses") / "t.lance", [NAMES[17:20], NAMES[3:12], NAMES[25:28]])


def written(path: Path, fragments: list[list[str]]) -> LanceDataset:
    """A table with the digests, one fragment for each list."""
    import lance
    import pyarrow as pa

    for names in fragments:
        made = lance.write_dataset(pa.table({"digest": names}), path, mode="append" if path.exists() else "create")
    return made


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([*NAMES, "", "SQ", "T"]), unique=True))
def test_kept_addresses_are_those_of_the_table(table: LanceDataset, digests: list[str]) -> None:
    kept = Addresses()
    for _ in range(2):
        np.testing.assert_array_equal(kept.find(table, digests), looked_for(table, digests))


def test_a_change_of_the_table_is_followed(tmp_path: Path) -> None:
    kept = Addresses()
    table = written(tmp_path / "t.lance", [NAMES[:5], NAMES[5:9]])
    assert len(kept.find(table, NAMES)) == 9
    table.delete("digest = 'SQ.002'")
    np.testing.assert_array_equal(kept.find(table, NAMES), looked_for(table, NAMES))
    table.optimize.compact_files()
    np.testing.assert_array_equal(kept.find(table, NAMES), looked_for(table, NAMES))
    table.delete("true")
    assert not len(kept.find(table, NAMES))


def test_a_table_that_is_too_large_is_looked_through(table: LanceDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_MOST_ROWS", 3)
    np.testing.assert_array_equal(Addresses().find(table, NAMES), looked_for(table, NAMES))
