"""The ledger: what every run leaves behind, however it ends, and databases that were made before it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lance
import numpy as np
import pytest
import store_data as data
from proteins import CALMODULIN, HISTONE, UBIQUITIN, write_fasta

import protvec
from protvec import Database, ingest
from protvec.cli.app import run as cli
from protvec.errors import DatabaseError, DatabaseFormatError, IngestInterrupted, QueryError
from protvec.store import SCHEMA_VERSION, LogEntry, Store
from protvec.store.check import check
from protvec.store.location import locate
from protvec.store.tables import Merged, merge_counted
from protvec.store.verify import check_commit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


V1 = Path(__file__).parent / "data" / "v1.lancedb.tar.gz"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "test.lancedb", data.space())


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return protvec.create(tmp_path / "db.lancedb", model="near")


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """A database that protvec 0.1.0 wrote before there was a ledger: four short proteins, vectors of near."""
    with tarfile.open(V1) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "v1.lancedb"


def rows_of(store: Store) -> int:
    return Store.open(store.path).count()


def gained(store: Store) -> int:
    return sum(entry.gained for entry in store.ledger.entries())


class TestIngest:
    def test_a_run_is_recorded_with_all_that_it_did(self, db: Database, tmp_path: Path) -> None:
        plain = write_fasta(tmp_path / "a.fa", [("his", HISTONE), ("low", UBIQUITIN.lower()), ("bad", "MK*V")])
        packed = tmp_path / "b.fa.gz"
        packed.write_bytes(gzip.compress(f">twin\n{HISTONE}\n".encode()))
        stdin = f">cam\n{CALMODULIN}*\n".encode()
        options = ingest.Options(dataset="d", fix=frozenset({"gaps"}))
        with ingest.open_sources([plain, packed, "-"], stdin=io.BytesIO(stdin)) as sources:
            report = db.run(ingest.make_plan(sources, db.store, options))

        entry = db.log_entry(report.run)
        assert (entry.command, entry.state, entry.error, entry.gained) == ("ingest", "done", None, 4)
        assert entry.counts == report.counts | {"written": 4}
        assert [(file.name, file.sha256, file.bytes) for file in entry.files] == [
            (name, hashlib.sha256(content).hexdigest(), len(content))
            for name, content in [
                (str(plain), plain.read_bytes()),
                (str(packed), packed.read_bytes()),
                ("<stdin>", stdin),
            ]
        ]
        assert entry.skipped == report.skipped
        assert [(item.id, item.file, item.line) for item in entry.skipped] == [("bad", str(plain), 5)]
        assert entry.changed == report.changed
        assert [item.id for item in entry.changed] == ["low", "cam"]
        assert (entry.options["dataset"], entry.options["fix"], entry.options["residues"]) == ("d", ["gaps"], "int8")
        assert (entry.model, entry.weights) == ("near", db.store.space.weights)
        assert (entry.engine, entry.precision) == (report.engine, report.precision)
        assert entry.version == protvec.__version__
        assert entry.ended is not None
        assert timedelta(0) < entry.ended - entry.started < timedelta(minutes=2)
        assert abs(datetime.now(timezone.utc) - entry.ended) < timedelta(minutes=2)
        assert entry.pid == os.getpid()

    def test_a_run_that_changes_nothing_is_recorded_too(self, db: Database, tmp_path: Path) -> None:
        file = write_fasta(tmp_path / "a.fa", [("his", HISTONE)])
        first, second = db.ingest(file), db.ingest(file)
        newest, oldest = db.log()
        assert [newest.run, oldest.run] == [second.run, first.run]
        assert (newest.gained, newest.counts["unchanged"], newest.engine) == (0, 1, None)
        assert newest.files[0].sha256 == oldest.files[0].sha256
        assert [entry.run for entry in db.log(1)] == [second.run]

    def test_an_update_adds_no_row(self, db: Database, tmp_path: Path) -> None:
        db.ingest(write_fasta(tmp_path / "a.fa", [("a", HISTONE), ("b", UBIQUITIN)]))
        report = db.ingest(write_fasta(tmp_path / "b.fa", [("a", CALMODULIN), ("c", UBIQUITIN)]), update=True)
        entry = db.log_entry(report.run)
        assert (entry.gained, entry.counts["written"], entry.counts["updated"]) == (1, 2, 1)
        assert sum(e.gained for e in db.log()) == len(db) == 3

    def test_an_interrupted_run_says_so(self, db: Database, tmp_path: Path) -> None:
        class Stop(protvec.Observer):
            def should_stop(self) -> bool:
                return True

        file = write_fasta(tmp_path / "a.fa", [("a", HISTONE), ("b", UBIQUITIN), ("c", CALMODULIN)])
        with pytest.raises(IngestInterrupted) as stopped:
            db.ingest(file, observer=Stop())
        entry = db.log_entry(stopped.value.report.run)  # type: ignore[attr-defined]
        assert (entry.state, entry.gained) == ("interrupted", 1)
        assert (entry.counts["requested"], entry.counts["added"]) == (1, 1)
        assert entry.ended is not None

    def test_a_failed_run_says_why(self, db: Database, tmp_path: Path) -> None:
        class Breaks:
            def __init__(self, real: Any) -> None:
                self.real, self.dimension, self.precision, self.engine = real, 256, "fp32", "test"

            def encode(self, sequences: Any) -> Iterator[Any]:
                yield next(iter(self.real.encode(sequences)))
                raise MemoryError("no\nmore")

        file = write_fasta(tmp_path / "a.fa", [("a", HISTONE), ("b", UBIQUITIN)])
        with ingest.open_sources([file]) as sources, pytest.raises(MemoryError):
            ingest.run(ingest.make_plan(sources, db.store, ingest.Options()), db.store, Breaks(db.encoder()))  # type: ignore[arg-type]
        (entry,) = db.log()
        assert (entry.state, entry.error, entry.gained) == ("failed", "MemoryError: no more", 1)

    def test_a_file_that_cannot_be_used_leaves_no_trace(self, db: Database, tmp_path: Path) -> None:
        with pytest.raises(protvec.ProtvecError):
            db.ingest(write_fasta(tmp_path / "a.fa", [("a", HISTONE), ("a", UBIQUITIN)]))
        assert db.log() == []

    def test_a_killed_run_stays_to_be_seen(self, tmp_path: Path, db: Database) -> None:
        code = (
            "import os, signal, sys, protvec\n"
            "class Kill(protvec.Observer):\n"
            "    def committed(self, report): os.kill(os.getpid(), signal.SIGKILL)\n"
            "protvec.open(sys.argv[1]).ingest(sys.argv[2], observer=Kill())\n"
        )
        file = write_fasta(tmp_path / "a.fa", [("a", HISTONE)])
        done = subprocess.run([sys.executable, "-c", code, db.path, str(file)], check=False)
        assert done.returncode == -signal.SIGKILL
        (entry,) = db.log()
        assert (entry.state, entry.ended, entry.command) == ("killed", None, "ingest")
        assert entry.files[0].name == str(file)
        assert [finding.code for finding in db.check().findings] == ["killed-run"]
        assert db.ingest(file).unchanged == 1
        assert db.check().findings == [], "the next run closes it"
        assert [(entry.state, entry.gained) for entry in db.log()] == [("done", 0), ("killed", 1)]


class TestOtherCommands:
    @pytest.mark.parametrize(
        "next_run",
        [
            lambda store: store.delete(ids=["P0001"]),
            lambda store: store.delete(where="id = 'nobody'"),
            lambda store: store.recode("int4"),
        ],
    )
    def test_the_next_run_closes_one_that_was_killed(self, store: Store, next_run: Callable[[Store], object]) -> None:
        data.write(store, data.numbered(0, 3))
        killed = store.ledger._entry("ingest")
        with subprocess.Popen(["true"]) as process:
            killed.pid = process.pid
        killed.started -= timedelta(minutes=1)
        store.ledger._save(killed)
        assert [finding.code for finding in check(store).findings] == ["killed-run"]
        next_run(store)
        assert check(store).findings == []
        assert store.ledger.entry(killed.run).state == "killed"
        assert gained(store) == store.count()

    def test_writes_and_deletions_are_recorded(self, store: Store) -> None:
        data.write(store, data.numbered(0, 5))
        data.write(store, data.numbered(3, 7))
        store.delete(ids=["P0000", "P0001"])
        store.delete(where="id = 'P0002'")
        store.delete(where="id = 'nobody'")
        entries = store.ledger.entries()
        assert [(entry.command, entry.gained) for entry in reversed(entries)] == [
            ("write", 5),
            ("write", 2),
            ("delete", -2),
            ("delete", -1),
        ]
        assert entries[1].options == {"ids": ["P0000", "P0001"], "where": None}
        assert gained(store) == store.count() == 4

    def test_several_steps_are_one_run(self, store: Store) -> None:
        with store.ledger.running("import", options={"file": "x.h5"}) as entry:
            rows = data.numbered(0, 3)
            arrays = {row["digest"]: data.residues(row["sequence"]) for row in rows}
            vectors = np.stack([arrays[row["digest"]].mean(axis=0) for row in rows])
            for i in range(3):
                key = rows[i]["digest"]
                part = protvec.store.protein_table(rows[i : i + 1], vectors[i : i + 1])
                store.write(part, [(key, arrays[key])], run=entry)
            store.delete(ids=["P0001"], run=entry)
            entry.counts["renamed"] = 1
        (found,) = store.ledger.entries()
        assert (found.command, found.gained, found.counts) == ("import", 2, {"written": 3, "renamed": 1})

    def test_what_is_done_already_can_be_recorded(self, store: Store) -> None:
        entry = store.ledger.record("annotate", counts={"matched": 3}, options={"table": "t.tsv"})
        found = store.ledger.entry(entry.run)
        assert (found.command, found.state, found.gained) == ("annotate", "done", 0)
        assert (found.counts, found.options) == ({"matched": 3}, {"table": "t.tsv"})

    def test_a_run_is_found_by_the_beginning_of_its_name(self, store: Store) -> None:
        names = [store.ledger.record("annotate").run for _ in range(2)]
        assert store.ledger.entry(names[0][:-1]).run == names[0] or names[0][:-1] == names[1][:-1]
        with pytest.raises(QueryError, match="no run 'x'"):
            store.ledger.entry("x")
        with pytest.raises(QueryError, match="2 runs begin with ''"):
            store.ledger.entry("")

    def test_a_ledger_dropped_by_hand_stops_writers_only(self, store: Store, tmp_path: Path) -> None:
        data.write(store, data.numbered(0, 2))
        Path(store.path, "ledger.lance").rename(tmp_path / "gone")
        again = Store.open(store.path)
        assert again.count() == 2
        assert again.ledger.entries() == []
        with pytest.raises(DatabaseFormatError, match="no table ledger"):
            data.write(again, data.numbered(2, 3))
        assert again.count() == 2


def _write_in_steps(path: str, start: int, stop: int, barrier: Any) -> None:
    store = Store.open(path)
    barrier.wait()
    for first in range(start, stop, 5):
        data.write(store, data.numbered(first, first + 5))


def test_several_processes_keep_one_balanced_ledger(store: Store) -> None:
    """All write the same proteins: each is counted by the one process that added it."""
    context = data.forking()
    barrier = context.Barrier(3)
    workers = [context.Process(target=_write_in_steps, args=(store.path, 0, 20, barrier)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    entries = store.ledger.entries()
    assert len(entries) == 12
    assert {entry.state for entry in entries} == {"done"}
    assert sum(entry.counts["written"] for entry in entries) == 60
    assert gained(store) == rows_of(store) == 20


class TestCommitsAreChecked:
    """A commit that is not what was given, made through lance directly."""

    def commit(self, store: Store) -> tuple[Merged, Any]:
        data.write(store, data.numbered(0, 3))
        handle = lance.dataset(f"{store.path}/proteins.lance")
        rows = handle.to_table().slice(0, 2)
        rows = rows.set_column(0, rows.schema.field("id"), [["new", rows["id"][1].as_py()]])
        return merge_counted(handle, "id", rows, replace=True), rows

    def test_a_good_one_passes_also_after_others(self, store: Store) -> None:
        merged, rows = self.commit(store)
        assert (merged.inserted, merged.replaced) == (1, 1)
        store.delete(where="true")
        check_commit(merged, rows)

    def test_a_missing_row(self, store: Store) -> None:
        merged, rows = self.commit(store)
        rows = rows.set_column(0, rows.schema.field("id"), [["new", "absent"]])
        with pytest.raises(DatabaseError, match="1 of 2 proteins written are not there, such as 'absent'"):
            check_commit(merged, rows)

    def test_another_sequence(self, store: Store) -> None:
        merged, rows = self.commit(store)
        rows = rows.set_column(1, rows.schema.field("digest"), [[rows["digest"][0].as_py(), "SQ.other"]])
        with pytest.raises(DatabaseError, match="1 of 2 proteins written are not there"):
            check_commit(merged, rows)

    def test_wrong_counts(self, store: Store) -> None:
        merged, rows = self.commit(store)
        with pytest.raises(DatabaseError, match=r"2 proteins written, but 2 added and 1 replaced"):
            check_commit(merged._replace(inserted=2), rows)
        with pytest.raises(DatabaseError, match=r"2 proteins added, but 1 more rows"):
            check_commit(merged._replace(inserted=2, replaced=0), rows)


class TestMigration:
    def test_an_old_database_opens_and_answers_as_it_is(self, v1: Path) -> None:
        before = {str(file) for file in v1.rglob("*")}
        db = protvec.open(v1)
        assert db.store.schema_version == 1
        assert sorted(db.get("ubq").metadata["symbols"]) == []
        assert db.get("it's").sequence == "MADQLTDDQI"
        np.testing.assert_allclose(db.residues("his").mean(axis=0), db.get("his").vector, rtol=1e-2, atol=1e-3)
        hits = db.search_id("ubq", k=2).to_dicts()
        assert {hit["target"] for hit in hits} == {"ubq", "ubq2"}
        assert db.log() == []
        assert {str(file) for file in v1.rglob("*")} == before

    def test_the_first_write_migrates_it(self, v1: Path) -> None:
        db = protvec.open(v1)
        db.delete(["ubq2"])
        assert [(e.command, e.gained) for e in reversed(db.log())] == [("migrate", 4), ("delete", -1)]
        again = protvec.open(v1)
        assert again.store.schema_version == SCHEMA_VERSION == db.store.schema_version
        assert (again.store.space, again.store.codec, again.store.precision) == (
            db.store.space,
            "float16",
            "fp32",
        )
        assert again.store.migrate() is False

    @pytest.mark.parametrize(
        "write",
        [Database.compact, Database.index, Database.drop_indexes, lambda db: db.snapshot("before")],
        ids=["compact", "index", "drop_indexes", "snapshot"],
    )
    def test_so_does_one_that_the_ledger_has_no_row_of(self, v1: Path, write: Callable[[Database], object]) -> None:
        db = protvec.open(v1)
        write(db)
        again = protvec.open(v1)
        assert again.store.schema_version == SCHEMA_VERSION == db.store.schema_version
        assert [(e.command, e.gained) for e in again.log()] == [("migrate", 4)]
        assert again.check().findings == []

    def test_a_name_that_no_snapshot_can_have_migrates_nothing(self, v1: Path) -> None:
        with pytest.raises(QueryError, match="cannot name a snapshot"):
            protvec.open(v1).snapshot("a/b")
        assert protvec.open(v1).store.schema_version == 1

    def test_an_ingest_migrates_it_and_knows_what_is_there(self, v1: Path, tmp_path: Path) -> None:
        db = protvec.open(v1)
        report = db.ingest(write_fasta(tmp_path / "a.fa", [("ubq3", "MQIFVKTLTG"), ("his", "MARTKQTARKST")]))
        assert (report.reused, report.unchanged, report.embedded) == (1, 1, 0)
        assert sum(e.gained for e in db.log()) == len(db) == 5

    def test_two_migrate_at_once(self, v1: Path) -> None:
        """The other one migrates and writes between two steps of ours: what it wrote is not counted twice."""
        ours, other = Store.open(v1), Store.open(v1)
        opening = ours.ledger.opening

        def late(run: str, command: str, rows: int) -> None:
            assert other.delete(ids=["ubq2"]) == 1
            opening(run, command, rows)

        ours.ledger.opening = late  # type: ignore[method-assign]
        assert ours.migrate()
        assert gained(ours) == rows_of(ours) == 3

    def test_a_migration_cut_short_is_done_again(self, v1: Path) -> None:
        from protvec.store.schema import ledger_schema
        from protvec.store.tables import create_table

        create_table(locate(v1 / "ledger.lance"), ledger_schema())
        store = Store.open(v1)
        store.delete(ids=["ubq2"])
        assert gained(store) == rows_of(store) == 3
        assert Store.open(v1).schema_version == SCHEMA_VERSION


class TestCommand:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        file = write_fasta(tmp_path / "a.fa", [("his", HISTONE), ("low", UBIQUITIN.lower()), ("bad", "MK*V")])
        path = tmp_path / "db"
        assert cli(["ingest", str(file), "--db", str(path), "--model", "near"]) == 1
        assert cli(["delete", "--id", "low", "--yes", "--db", str(path)]) == 0
        return path

    def test_a_list(self, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        capfd.readouterr()
        assert cli(["log", "--db", str(path)]) == 0
        lines = [line.split("\t") for line in capfd.readouterr().out.splitlines()]
        assert lines[0] == ["run", "state", "command", "rows", "skipped", "time", "what"]
        assert [line[1:5] for line in lines[1:]] == [["done", "delete", "-1", ""], ["done", "ingest", "+2", "1"]]
        assert lines[1][6] == "ids low"
        assert lines[2][6].endswith("a.fa")
        assert cli(["log", "-n", "1", "--db", str(path)]) == 0
        assert len(capfd.readouterr().out.splitlines()) == 2

    def test_one_run(self, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        run = protvec.open(path).log()[-1].run
        capfd.readouterr()
        assert cli(["log", run, "--db", str(path)]) == 0
        out = capfd.readouterr().out
        assert "1 record skipped:\n" in out
        assert "a.fa:5: bad: '*' inside" in out
        assert "a.fa:3: low: " in out
        assert "SHA-256" in out

    def test_json(self, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        capfd.readouterr()
        assert cli(["log", "--json", "--db", str(path)]) == 0
        deleted, ingested = json.loads(capfd.readouterr().out)
        assert (deleted["command"], deleted["counts"]) == ("delete", {})
        assert cli(["log", ingested["run"], "--json", "--db", str(path)]) == 0
        one = json.loads(capfd.readouterr().out)
        assert one["skipped"][0]["id"] == "bad"
        assert one["changed"][0]["changes"]
        assert datetime.fromisoformat(one["started"]).utcoffset() == timedelta(0)

    def test_a_wrong_name(self, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert cli(["log", "nope", "--db", str(path)]) == 1
        assert "no run 'nope'; `protvec log` lists them" in capfd.readouterr().err

    def test_an_old_database_has_none(self, v1: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert cli(["log", "--db", str(v1), "--json"]) == 0
        out, err = capfd.readouterr()
        assert json.loads(out) == []
        assert "made before there was one" in err

    def test_a_new_database_has_nothing_yet(self, store: Store, capfd: pytest.CaptureFixture[str]) -> None:
        assert cli(["log", "--db", store.path]) == 0
        assert "nothing was done to it yet" in capfd.readouterr().err


def test_progress_is_noted_now_and_then_without_the_long_lists(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from protvec.store import Skipped, ledger

    with store.ledger.running("ingest") as entry:
        entry.counts["added"], entry.skipped = 5, [Skipped("a", "f", 1, "why")]
        store.ledger.progress(entry)
        assert store.ledger.entry(entry.run).counts == {}, "half a minute has not passed"
        monkeypatch.setattr(ledger, "_PROGRESS_SECONDS", 0.0)
        store.ledger.progress(entry)
        noted = store.ledger.entry(entry.run)
        assert (noted.state, noted.counts, noted.skipped) == ("running", {"added": 5}, [])
    assert store.ledger.entry(entry.run).skipped == [Skipped("a", "f", 1, "why")]


def test_a_long_list_of_cleaned_records_is_cheap(store: Store) -> None:
    import time

    from protvec.store import Changed

    start = time.perf_counter()
    with store.ledger.running("ingest") as entry:
        entry.changed = [Changed(f"p{i}", "some/file.fa", i, ("final stop removed",)) for i in range(100_000)]
    assert time.perf_counter() - start < 10  # 0.4 s on a machine with nothing else to do
    assert len(store.ledger.entry(entry.run).changed) == 100_000


def test_a_run_on_another_machine_is_judged_by_its_silence(store: Store) -> None:
    from dataclasses import replace

    from protvec.store.entries import is_running

    with store.ledger.running("ingest") as entry:
        assert is_running(entry)
        elsewhere: LogEntry = replace(entry, host="elsewhere", pid=1)
        assert is_running(elsewhere)
        elsewhere.updated -= timedelta(hours=7)
        assert not is_running(elsewhere)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not say when a process began")
def test_a_process_that_began_after_a_run_is_not_that_run(store: Store) -> None:
    """As after a restart of a container, in which every program has the number that it had."""
    with store.ledger.running("ingest") as entry:
        assert store.ledger.entry(entry.run).state == "running"
        entry.started -= timedelta(days=1)
        store.ledger._save(entry)
        assert store.ledger.entry(entry.run).state == "killed"
        assert [each.run for each in store.ledger.accounts().killed] == [entry.run]
