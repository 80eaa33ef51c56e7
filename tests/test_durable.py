"""Every commit is on the disk when it is said to be done, residues before the proteins that need them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import store_data as data

from protvec.errors import DatabaseError, DatabaseFormatError
from protvec.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths in the order in which they were synced."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("only /proc says which file a descriptor is of")
    paths: list[str] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        paths.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return paths


def files(path: str) -> set[str]:
    return {str(file) for file in Path(path).rglob("*") if file.is_file() and file.name != "latest_version_hint.json"}


@pytest.mark.parametrize("change", ["create", "write", "replace", "delete", "compact"])
def test_every_file_of_a_change_is_synced(tmp_path: Path, synced: list[str], change: str) -> None:
    path = str(tmp_path / "new" / "db")
    if change == "create":
        before = set()
        Store.create(path, data.space())
        assert {path, str(tmp_path / "new")} <= set(synced), "the names of new directories have to last too"
    else:
        store = Store.create(path, data.space())
        data.write(store, data.numbered(0, 5))
        data.write(store, data.numbered(5, 9))
        changes: dict[str, Callable[[], object]] = {
            "write": lambda: data.write(store, data.numbered(9, 12)),
            "replace": lambda: data.write(store, [data.row("P0001", "MKVWWW")]),
            "delete": lambda: store.delete(ids=["P0001", "P0007"]),
            "compact": store.compact,
        }
        before = files(path)
        synced.clear()
        changes[change]()
    new = files(path) - before
    assert new
    assert new <= set(synced)
    assert {str(Path(file).parent) for file in new} <= set(synced)


def test_residues_are_safe_before_their_proteins_are_written(tmp_path: Path, synced: list[str]) -> None:
    store = Store.create(tmp_path / "db", data.space())
    synced.clear()
    data.write(store, data.numbered(0, 5))
    versions = "residues.lance/_versions/"
    manifests = [place for place, path in enumerate(synced) if path.endswith(".manifest") and versions in path]
    proteins = [place for place, path in enumerate(synced) if "proteins.lance" in path]
    assert manifests
    assert max(manifests) < min(proteins)


def test_a_disk_that_does_not_take_a_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems say that they are full only then."""
    store = Store.create(tmp_path / "db", data.space())

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(DatabaseError, match="the disk is full: make room"):
            data.write(store, data.numbered(0, 5))
    data.write(store, data.numbered(0, 5))
    assert len(store.residues([f"P{i:04d}" for i in range(5)])) == 5


@pytest.mark.parametrize("table", ["proteins", "residues"])
def test_a_power_cut_before_the_sync_costs_the_last_commit_at_most(tmp_path: Path, table: str) -> None:
    """The newest manifest is there without its bytes: a clear error; without it, the version before."""
    store = Store.create(tmp_path / "db", data.space())
    data.write(store, data.numbered(0, 5))
    before = shutil.copytree(tmp_path / "db", tmp_path / "before")
    data.write(store, data.numbered(5, 9))
    names = {path.name for path in (before / f"{table}.lance/_versions").glob("*.manifest")}
    (newest,) = [
        path for path in Path(store.path, f"{table}.lance/_versions").glob("*.manifest") if path.name not in names
    ]
    if table == "residues":  # the proteins of that commit were not begun then
        shutil.rmtree(Path(store.path, "proteins.lance"))
        shutil.copytree(before / "proteins.lance", Path(store.path, "proteins.lance"))
    newest.write_bytes(b"")
    with pytest.raises(DatabaseFormatError, match=newest.name):
        Store.open(store.path)
    newest.unlink()
    again = Store.open(store.path)
    assert again.count() == 5
    assert len(again.residues([f"P{i:04d}" for i in range(5)])) == 5
    data.write(again, data.numbered(5, 9))
    assert len(again.residues([f"P{i:04d}" for i in range(9)])) == 9
