"""``check`` finds each fault that is put into a database through lance, and ``repair`` mends it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lance
import numpy as np
import pyarrow as pa
import pytest
import store_data as data
from proteins import CALMODULIN, HISTONE, UBIQUITIN, random_sequence, write_fasta

import protvec
from protvec.cli.app import run as cli
from protvec.errors import DatabaseError, ModelUnavailableError
from protvec.store import CODECS, Store, digest, protein_table
from protvec.store.check import CheckResult, check, repair
from protvec.store.check.fragments import Fragments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

N = 40


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty proteins in four commits; one more has the sequence of another. Not to be changed."""
    store = Store.create(tmp_path_factory.mktemp("check") / "clean", data.space())
    for start in range(0, N, 10):
        data.write(store, data.numbered(start, start + 10, dataset="d"))
    data.write(store, [data.row("twin", data.sequence(0))])
    return Path(store.path)


@pytest.fixture
def db(clean: Path, tmp_path: Path) -> Path:
    shutil.copytree(clean, tmp_path / "db")
    return tmp_path / "db"


def table(db: Path, name: str) -> lance.LanceDataset:
    return lance.dataset(f"{db}/{name}.lance")


def codes(result: CheckResult) -> dict[str, int]:
    return {finding.code: finding.count for finding in result.findings}


def embedder(sequences: Sequence[str]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    for sequence in sequences:
        array = data.residues(sequence)
        yield array.mean(axis=0), array


def content(db: Path) -> dict[str, dict[str, Any]]:
    """Everything stored, by id; residues decoded."""
    store = Store.open(db)
    rows = {row["id"]: row for batch in store.iter_proteins() for row in batch.to_pylist()}
    arrays = store.residues(list(rows)) if store.keeps_residues else {}
    return {key: {**row, "residues": arrays[key].tobytes() if arrays else b""} for key, row in rows.items()}


def change(db: Path, name: str, column: str, value: Callable[[Any], Any], where: str) -> None:
    """Write other values into a column, as somebody else's program might."""
    dataset = table(db, name)
    rows = dataset.to_table(filter=where)
    assert rows.num_rows
    place = rows.schema.get_field_index(column)
    values = pa.array([value(each) for each in rows[column].to_pylist()], rows.schema.field(column).type)
    key = {"proteins": "id", "residues": "digest"}[name]
    rows = rows.set_column(place, rows.schema.field(column), values)
    dataset.merge_insert(key).when_matched_update_all().execute(rows)


def append(db: Path, name: str, where: str) -> None:
    dataset = table(db, name)
    lance.write_dataset(dataset.to_table(filter=where), dataset.uri, mode="append")


def file_of(db: Path, name: str, number: int = 1) -> Path:
    fragment = table(db, name).get_fragments()[number]
    return db / f"{name}.lance" / "data" / fragment.data_files()[0].path


KEY = digest(data.sequence(7))

FAULTS: dict[str, tuple[Callable[[Path], object], dict[str, int]]] = {
    "wrong length": (
        lambda db: change(db, "proteins", "length", lambda n: n + 1, "id = 'P0003'"),
        {"wrong-length": 1, "wrong-residues-length": 1},
    ),
    "length of nothing": (
        lambda db: change(db, "proteins", "length", lambda _: 0, "id IN ('P0003', 'P0004')"),
        {"wrong-length": 2, "wrong-residues-length": 2},
    ),
    "wrong digest": (
        lambda db: change(db, "proteins", "digest", lambda _: "SQ.x", "id = 'P0003'"),
        {"wrong-digest": 1, "no-residues": 1, "orphan": 1},
    ),
    "digest of another": (
        lambda db: change(db, "proteins", "digest", lambda _: KEY, "id = 'twin'"),
        {"wrong-digest": 1, "wrong-vector": 1},
    ),
    "vector of NaN": (
        lambda db: change(db, "proteins", "vector", lambda v: [np.nan, *v[1:]], "id = 'P0003'"),
        {"bad-vector": 1},
    ),
    "vector of infinity": (
        lambda db: change(db, "proteins", "vector", lambda v: [np.inf, *v[1:]], "id = 'P0003'"),
        {"bad-vector": 1},
    ),
    "zero vectors": (
        lambda db: change(db, "proteins", "vector", lambda v: [0.0] * len(v), "id IN ('P0003', 'P0009')"),
        {"bad-vector": 2},
    ),
    "another vector": (
        lambda db: change(db, "proteins", "vector", lambda v: [v[0] + 0.1, *v[1:]], "id = 'twin'"),
        {"wrong-vector": 1},
    ),
    "id twice": (lambda db: append(db, "proteins", "id IN ('P0003', 'P0013')"), {"duplicate-id": 2, "ledger-count": 2}),
    "residues twice": (lambda db: append(db, "residues", f"digest = '{KEY}'"), {"duplicate-residues": 1}),
    "residues gone": (lambda db: table(db, "residues").delete(f"digest = '{KEY}'"), {"no-residues": 1}),
    "residues of another length": (
        lambda db: change(db, "residues", "length", lambda n: n + 1, f"digest = '{KEY}'"),
        {"wrong-residues-length": 1, "bad-residues": 1},
    ),
    "residues cut short": (
        lambda db: change(db, "residues", "data", lambda raw: raw[:-1], f"digest = '{KEY}'"),
        {"bad-residues": 1},
    ),
    "residues of other bytes": (
        lambda db: change(db, "residues", "data", lambda raw: raw[::-1], f"digest = '{KEY}'"),
        {"wrong-vector": 1},
    ),
    "residues without scales": (
        lambda db: change(db, "residues", "scales", lambda _: None, f"digest = '{KEY}'"),
        {"bad-residues": 1},
    ),
    "scales of NaN": (
        lambda db: change(db, "residues", "scales", lambda raw: b"\xff" * len(raw), f"digest = '{KEY}'"),
        {"bad-residues": 1},
    ),
    "residues in no codec": (
        lambda db: change(db, "residues", "codec", lambda _: "zip", f"digest = '{KEY}'"),
        {"bad-residues": 1},
    ),
    "residues file missing": (lambda db: file_of(db, "residues").unlink(), {"file-damaged": 10}),
    "residues file cut": (lambda db: os.truncate(file_of(db, "residues"), 500), {"file-damaged": 10}),
    "residues file empty": (lambda db: os.truncate(file_of(db, "residues"), 0), {"file-damaged": 10}),
    "ledger gone": (lambda db: shutil.rmtree(db / "ledger.lance"), {"ledger-missing": 0}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_mended_and_nothing_is_lost(db: Path, name: str) -> None:
    before = content(db)
    inject, expected = FAULTS[name]
    inject(db)
    found = check(Store.open(db))
    assert codes(found) == expected
    assert not found.ok or name == "nothing"
    mended = repair(Store.open(db), embedder=embedder)
    assert mended.findings == []
    assert mended.repairs
    assert mended.notes == []
    assert check(Store.open(db), full=True).findings == []
    after = content(db)
    assert after.keys() == before.keys()
    for key, row in before.items():
        vector, expected_vector = after[key].pop("vector"), row.pop("vector")
        np.testing.assert_allclose(vector, expected_vector, rtol=1e-4, atol=1e-5)
        assert after[key] == row


def test_a_good_database_has_nothing(db: Path) -> None:
    result = check(Store.open(db), full=True)
    assert (result.findings, result.ok, result.proteins, result.residues) == ([], True, N + 1, N)
    assert result.compared == N
    versions = Store.open(db).info()["versions"]
    assert repair(Store.open(db)).repairs == []
    assert Store.open(db).info()["versions"] == versions


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_passes(tmp_path: Path, codec: str) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec=codec)
    data.write(store, data.numbered(0, 30))
    result = check(store, full=True)
    assert result.findings == []
    assert result.compared == (30 if CODECS[codec].keeps else 0)


def test_without_residues_a_bad_vector_is_embedded_again(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    data.write(store, data.numbered(0, 5))
    before = content(tmp_path / "db")
    change(tmp_path / "db", "proteins", "vector", lambda v: [0.0] * len(v), "id = 'P0003'")
    assert repair(Store.open(store.path), embedder=embedder).findings == []
    assert content(tmp_path / "db") == before


def test_damaged_proteins_are_given_up_and_named(db: Path) -> None:
    os.truncate(file_of(db, "proteins"), 100)
    found = check(Store.open(db))
    assert codes(found) == {"file-damaged": 10}
    (finding,) = found.findings
    assert finding.ids == (f"data/{file_of(db, 'proteins').name}",)
    with pytest.raises(DatabaseError):
        content(db)
    mended = repair(Store.open(db), embedder=embedder)
    assert mended.findings == []
    store = Store.open(db)
    assert sorted(content(db)) == sorted([f"P{i:04d}" for i in range(N) if not 10 <= i < 20] + ["twin"])
    assert store.info()["residue_arrays"] == N - 10
    entry = store.ledger.entry(store.ledger.entries()[-1 if len(store.ledger.entries()) == 1 else 1].run)
    assert entry.command == "repair"
    assert sum(each.gained for each in store.ledger.entries()) == store.count() == N + 1 - 10
    lost = [repair_.lost for repair_ in mended.repairs if repair_.code == "file-damaged"]
    assert lost == [finding.ids]
    data.write(store, data.numbered(10, 20))  # as an ingest of the same file would
    assert check(Store.open(db)).findings == []


def test_residues_are_not_blamed_for_proteins_that_cannot_be_read_to_their_end(
    db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = Fragments._batches

    def broken(self: Fragments, part: Any, columns: Any, *options: Any) -> Iterator[pa.RecordBatch]:
        yield from batches(self, part, columns, *options)
        if self.name == "proteins" and part.id == 1:
            os.truncate(file_of(db, "proteins"), 100)
            raise OSError("failed to fill whole buffer")

    monkeypatch.setattr(Fragments, "_batches", broken)
    result = check(Store.open(db), full=True)
    assert [(finding.code, finding.table) for finding in result.findings] == [("file-damaged", "proteins")]
    assert result.proteins == N + 1 - 10


def test_of_two_rows_with_one_id_the_newer_is_kept_and_the_older_named(db: Path) -> None:
    dataset = table(db, "proteins")
    rows = dataset.to_table(filter="id = 'P0003'")
    place = rows.schema.get_field_index("gene")
    newer = rows.set_column(place, rows.schema.field("gene"), pa.array(["NEW"]))
    lance.write_dataset(newer, dataset.uri, mode="append")
    mended = repair(Store.open(db), embedder=embedder)
    assert mended.findings == []
    assert content(db)["P0003"]["gene"] == "NEW"
    assert [r.lost for r in mended.repairs if r.code == "duplicate-id"] == [("P0003",)]
    entries = [Store.open(db).ledger.entry(e.run) for e in Store.open(db).ledger.entries() if e.command == "repair"]
    assert ["P0003"] in [[skipped.id for skipped in entry.skipped] for entry in entries]


def test_residues_without_proteins_are_a_leftover(db: Path) -> None:
    """What a kill between the two commits leaves: no damage, used by the same run, removed by a repair."""
    store = Store.open(db)
    with store.ledger.running("delete") as entry:
        entry.gained -= table(db, "proteins").delete("id = 'P0007'")["num_deleted_rows"]
    found = check(Store.open(db))
    assert (codes(found), found.ok) == ({"orphan": 1}, True)
    assert found.findings[0].ids == (KEY,)
    mended = repair(Store.open(db))
    assert mended.findings == []
    assert Store.open(db).info()["residue_arrays"] == N - 1


def test_without_the_model_doubtful_residues_stay_and_that_is_said(db: Path) -> None:
    table(db, "residues").delete(f"digest = '{KEY}'")

    def cannot(sequences: Sequence[str]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        raise ModelUnavailableError("the weights are not here")

    for chosen in (None, cannot):
        mended = repair(Store.open(db), embedder=chosen)
        assert codes(mended) == {"no-residues": 1}
        assert not mended.ok
        assert "1 sequences have to be embedded again, which needs the model" in mended.notes[0]
    assert Store.open(db).count() == N + 1


def test_a_column_of_another_type_is_named_and_left(db: Path) -> None:
    dataset = table(db, "proteins")
    dataset.drop_columns(["taxid"])
    dataset.add_columns(pa.schema([pa.field("taxid", pa.string())]))
    result = repair(Store.open(db), embedder=embedder)
    assert codes(result) == {"schema": 0}
    assert str(result.findings[0]) == "proteins: column taxid is string, not int32: taxid"
    dataset.drop_columns(["taxid"])
    assert "column taxid is missing" in str(check(Store.open(db)).findings[0])


def test_columns_of_the_users_own_are_no_fault(db: Path) -> None:
    table(db, "proteins").add_columns(pa.schema([pa.field("weight", pa.float64())]))
    assert check(Store.open(db)).findings == []


def test_a_sequence_that_was_changed_is_not_believed(db: Path) -> None:
    """Digest, vector and residues agree with one another: it is the sequence that is not theirs."""
    before = content(db)
    change(db, "proteins", "sequence", lambda text: "W" + text[1:], "id = 'P0003'")
    mended = repair(Store.open(db), embedder=embedder)
    assert codes(mended) == {"wrong-digest": 1}
    assert "1 proteins (wrong-digest) may have had their sequence changed" in mended.notes[0]
    assert "--update" in mended.notes[0]
    assert content(db)["P0003"]["digest"] == before["P0003"]["digest"]
    data.write(Store.open(db), data.numbered(3, 4, dataset="d"))  # as an ingest with --update does
    assert check(Store.open(db), full=True).findings == []
    assert content(db) == before


def test_without_residues_nothing_tells_whether_sequence_or_digest_is_wrong(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    data.write(store, data.numbered(0, 5))
    change(tmp_path / "db", "proteins", "digest", lambda _: "SQ.x", "id = 'P0003'")
    mended = repair(store, embedder=embedder)
    assert codes(mended) == {"wrong-digest": 1}
    assert not mended.ok


def test_proteins_without_a_sequence_are_whole_and_cannot_be_embedded(tmp_path: Path) -> None:
    """As an import of vectors makes them: a digest of another kind, and a length that the file says."""
    store = Store.create(tmp_path / "db", data.space())
    array = data.residues("MKVLL")
    rows = protein_table([data.row("a", ""), data.row("b", "MKV")], np.stack([array.mean(axis=0)] * 2))
    rows = rows.set_column(rows.schema.get_field_index("digest"), "digest", [["NS.a", "NS.b"]])
    rows = rows.set_column(rows.schema.get_field_index("sequence"), "sequence", [["", ""]])
    rows = rows.set_column(rows.schema.get_field_index("length"), "length", [pa.array([5, 5], pa.int32())])
    store.write(rows, [("NS.a", array), ("NS.b", array)])
    assert check(store, full=True).findings == []
    change(tmp_path / "db", "proteins", "vector", lambda v: [0.0] * len(v), "id = 'a'")
    assert repair(store, embedder=embedder).findings == []
    table(tmp_path / "db", "residues").delete("digest = 'NS.b'")
    mended = repair(store, embedder=embedder)
    assert codes(mended) == {"no-residues": 1}
    assert mended.notes == ["1 proteins (no-residues) have no sequence to embed: import them again"]


class TestIndexes:
    def test_one_that_lacks_rows_is_extended(self, db: Path) -> None:
        table(db, "proteins").create_scalar_index("id", "BTREE")
        assert check(Store.open(db)).findings == []
        data.write(Store.open(db), data.numbered(50, 53))
        found = check(Store.open(db))
        assert (codes(found), found.ok) == ({"index-behind": 3}, True)
        assert repair(Store.open(db)).findings == []

    def test_one_of_vectors_is_read_without_a_word_of_lance(self, db: Path, capfd: pytest.CaptureFixture[str]) -> None:
        store = Store.open(db)
        store.index("ivf_flat")
        capfd.readouterr()
        assert check(Store.open(db)).findings == []
        assert capfd.readouterr() == ("", "")
        data.write(Store.open(db), data.numbered(50, 53))
        assert codes(check(Store.open(db))) == {"index-behind": 3}

    @pytest.mark.parametrize("damage", [Path.unlink, lambda file: os.truncate(file, file.stat().st_size // 2)])
    def test_one_of_vectors_that_is_damaged_is_built_again(self, db: Path, damage: Callable[[Path], None]) -> None:
        Store.open(db).index("ivf_flat")
        for file in (db / "proteins.lance" / "_indices").rglob("*.idx"):
            damage(file)
        assert codes(check(Store.open(db))) == {"index-damaged": 1}
        mended = repair(Store.open(db), embedder=embedder)
        assert mended.findings == []
        assert [r.message for r in mended.repairs if r.code == "index-damaged"] == ["index protvec_vector built again"]
        assert [index.pending for index in Store.open(db).indexes()] == [0]

    def test_one_that_is_damaged_is_built_again(self, db: Path) -> None:
        table(db, "proteins").create_scalar_index("id", "BTREE")
        for file in (db / "proteins.lance" / "_indices").rglob("*.lance"):
            file.unlink()
        found = check(Store.open(db))
        assert "index-damaged" in codes(found)
        assert not found.ok
        mended = repair(Store.open(db), embedder=embedder)
        assert mended.findings == []
        assert [r.message for r in mended.repairs if r.code == "index-damaged"] == ["index id_idx built again"]
        assert table(db, "proteins").describe_indices()[0].num_rows_indexed == N + 1
        assert Store.open(db).get(["P0003"]).num_rows == 1


class TestLedger:
    def test_rows_that_nobody_recorded(self, db: Path) -> None:
        table(db, "proteins").delete("id = 'twin'")
        found = check(Store.open(db))
        assert codes(found) == {"ledger-count": 1}
        assert "add up to 41 proteins, and there are 40" in str(found.findings[0])
        assert repair(Store.open(db)).findings == []
        newest = Store.open(db).ledger.entries()[0]
        assert (newest.command, newest.gained) == ("repair", -1)

    def test_a_damaged_file_of_the_ledger(self, db: Path) -> None:
        os.truncate(file_of(db, "ledger", 0), 10)
        found = check(Store.open(db))
        assert codes(found) == {"file-damaged": 1}
        assert repair(Store.open(db)).findings == []
        entries = Store.open(db).ledger.entries()
        assert sum(entry.gained for entry in entries) == N + 1

    def test_a_killed_run_is_a_leftover_until_it_is_closed(self, db: Path) -> None:
        code = (
            "import os, signal, sys\n"
            f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            "import store_data as data\n"
            "from protvec.store import Store\n"
            "store = Store.open(sys.argv[1])\n"
            "store._restore = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
            "data.write(store, data.numbered(60, 63))\n"
        )
        done = subprocess.run([sys.executable, "-c", code, str(db)], check=False)
        assert done.returncode == -signal.SIGKILL
        found = check(Store.open(db))
        assert (codes(found), found.ok) == ({"killed-run": 1}, True)
        assert "left +3 rows" in str(found.findings[0])
        assert repair(Store.open(db)).findings == []
        killed = next(entry for entry in Store.open(db).ledger.entries() if entry.state == "killed")
        assert (killed.gained, killed.ended) == (3, None)

    def test_counts_are_not_compared_while_a_run_is_under_way(self, db: Path) -> None:
        store = Store.open(db)
        with store.ledger.running("ingest") as entry:
            table(db, "proteins").delete("id = 'twin'")
            assert check(Store.open(db)).findings == []
            entry.gained = -1
        assert check(Store.open(db)).findings == []

    def test_a_run_elsewhere_that_fell_silent_counts_as_killed(self, db: Path) -> None:
        ledger = Store.open(db).ledger
        with ledger.running("ingest") as entry:
            entry.host, entry.pid = "elsewhere", 1
            ledger._save(entry)
            assert ledger.accounts().running
            rows = table(db, "ledger").to_table(filter=f"run = '{entry.run}'")
            place = rows.schema.get_field_index("updated")
            silent = pa.array([entry.updated - timedelta(hours=7)], rows.schema.field(place).type)
            table(db, "ledger").merge_insert("run").when_matched_update_all().execute(
                rows.set_column(place, rows.schema.field(place), silent)
            )
            accounts = ledger.accounts()
            assert ([e.run for e in accounts.killed], accounts.running) == ([entry.run], [])


def test_a_sample_is_enough_to_see_the_rows_and_full_sees_every_array(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space())
    rows = [data.row(f"Q{i:04d}", "M" + random_sequence(4, seed=i)) for i in range(400)]
    data.write(store, rows)
    sampled, full = check(store), check(store, full=True)
    assert (sampled.compared, full.compared) == (256, store.info()["residue_arrays"])
    assert sampled.residues == full.residues == full.compared
    assert sampled.findings == full.findings == []
    calls: list[tuple[int, int]] = []
    check(store, full=True, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (400 + 2 * full.residues, 400 + 2 * full.residues)
    assert calls == sorted(calls)


def test_a_snapshot_can_be_checked_but_not_repaired(db: Path) -> None:
    Store.open(db).snapshot("good")
    table(db, "residues").delete(f"digest = '{KEY}'")
    assert not check(Store.open(db)).ok
    assert check(Store.open(db, at="good"), full=True).findings == []
    with pytest.raises(DatabaseError, match="opened at snapshot"):
        repair(Store.open(db, at="good"))


class TestCommand:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        file = write_fasta(tmp_path / "a.fa", [("his", HISTONE), ("ubq", UBIQUITIN), ("cam", CALMODULIN)])
        protvec.create(tmp_path / "db", model="near").ingest(file)
        return tmp_path / "db"

    def test_a_real_database_passes(self, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert cli(["check", "--full", "--db", str(path)]) == 0
        out, err = capfd.readouterr()
        assert out == ""
        assert "nothing is damaged (3 proteins, 3 residue arrays, 3 compared)" in err

    def test_damage_ends_with_1_and_a_repair_embeds_again(self, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        before = protvec.open(path).residues("ubq")
        table(path, "residues").delete(f"digest = '{digest(UBIQUITIN)}'")
        assert cli(["check", "--db", str(path)]) == 1
        out, err = capfd.readouterr()
        assert out == f"damage\tno-residues\tproteins: 1 sequences have no residues: {digest(UBIQUITIN)}\n"
        assert "`protvec check --repair` mends" in err
        assert cli(["check", "--json", "--db", str(path)]) == 1
        assert json.loads(capfd.readouterr().out)["findings"][0]["count"] == 1
        assert cli(["check", "--repair", "--offline", "--db", str(path)]) == 0
        assert "repaired\tno-residues\tproteins: 1 sequences embedded again" in capfd.readouterr().out
        np.testing.assert_allclose(protvec.open(path).residues("ubq"), before, atol=2e-2)
        assert cli(["check", "--db", str(path), "--json"]) == 0

    def test_the_python_way(self, path: Path) -> None:
        db = protvec.open(path)
        assert db.check(full=True).ok
        change(path, "proteins", "vector", lambda v: [0.0] * len(v), "id = 'cam'")
        assert not db.check().ok
        assert db.check(repair=True).ok


def test_writers_at_work_are_no_damage(db: Path) -> None:
    store = Store.open(db)
    stop = threading.Event()

    def work(first: int) -> int:
        other, rounds = Store.open(db), 0
        while not stop.is_set():
            data.write(other, data.numbered(first, first + 5))
            other.delete(where=f"id >= 'P{first:04d}'")
            rounds += 1
        return rounds

    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(work, 100)
        try:
            for _ in range(8):
                result = check(store, full=True)
                assert result.ok, result.findings
        finally:
            stop.set()
        assert worker.result(60)
    assert check(store, full=True).findings == []
