"""Several processes at one database: each protein once, each sequence embedded once, never a torn state."""

from __future__ import annotations

import contextlib
import gc
import json
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lance
import numpy as np
import psutil
import pytest
import store_data as data
from proteins import random_sequence, write_fasta

from protvec.errors import (
    DatabaseError,
    DatabaseExistsError,
    DatabaseNotFoundError,
    InputError,
    ProteinNotFoundError,
    QueryError,
)
from protvec.ingest.course import Course
from protvec.store import Claims, Store, deleting, digest, protein_table, writing

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from _crash import Task, examine, work

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

PROTEINS = 300


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two files that share two thirds of their proteins; some sequences occur twice."""
    folder = tmp_path_factory.mktemp("input")
    records = [(f"p{i}", "M" + random_sequence(30, seed=i % 280)) for i in range(PROTEINS)]
    return [str(write_fasta(folder / "a.fa", records[:250])), str(write_fasta(folder / "b.fa", records[50:]))]


def wait_for(db: str) -> Store:
    while True:
        with contextlib.suppress(DatabaseNotFoundError):
            return Store.open(db, read_consistency_seconds=0.05)
        time.sleep(0.02)


@pytest.mark.parametrize("indexed", [False, True])
def test_four_processes_share_the_work_and_a_reader_sees_nothing_torn(
    tmp_path: Path, files: list[str], indexed: bool
) -> None:
    """The database is made by four at once, or there with the indexes that switch lance's own check off."""
    db = str(tmp_path / "db")
    if indexed:
        few = write_fasta(tmp_path / "few.fa", [("few", "MKVMKV")])
        work(Task(db, [["ingest", str(few)]]))
        for table, key in (("proteins", "id"), ("residues", "digest")):
            lance.dataset(f"{db}/{table}.lance").create_scalar_index(key, "BTREE")
    children = [Task(db, [["ingest", files[i % 2]]], rows=25, pause=0.01).start() for i in range(4)]
    store, seen, looks, draw = wait_for(db), 0, 0, random.Random(1)
    while any(child.poll() is None for child in children):
        ids = [i for batch in store.iter_proteins(columns=["id"]) for i in batch["id"].to_pylist()]
        assert len(ids) == len(set(ids)) >= seen, "a protein twice, or one that was seen is gone"
        seen, looks = len(ids), looks + 1
        some = draw.sample(ids, min(5, len(ids)))
        assert {len(array) for array in store.residues(some).values()} <= {31, 6}
        time.sleep(0.02)
    reports = []
    for child in children:
        out, error = child.communicate()
        assert child.returncode == 0, error
        reports += json.loads(out)["reports"]

    assert looks > 3
    found = examine(db)
    assert (found.faults, found.orphans) == ([], set())
    work(Task(str(tmp_path / "alone"), [["ingest", file] for file in files]))
    alone = examine(str(tmp_path / "alone")).content
    assert {i: row for i, row in found.content.items() if i != "few"} == alone
    assert sum(report["added"] + report["reused"] for report in reports) == PROTEINS
    for report in reports:
        names = ("added", "reused", "updated", "unchanged")
        assert report["requested"] == sum(report[name] for name in names) + len(report["skipped"])
    embedded = [report["embedded"] for report in reports]
    assert sum(embedded) <= 280 * 1.1, f"{embedded}: sequences were embedded twice"


def test_a_claim_is_for_one_process_and_ends_with_it(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space())
    mine, digests = Claims(store.location), [row["digest"] for row in data.numbered(0, 3)]
    assert mine.take(digests[0])
    holder = (
        "import sys; from protvec.store import Claims; from protvec.store.location import locate;"
        "claims = Claims(locate(sys.argv[1])); print([claims.take(d) for d in sys.argv[2:]], flush=True); input()"
    )
    line = [sys.executable, "-c", holder, store.path, *digests]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "[False, True, True]\n"
        assert not mine.take(digests[1])
        other.kill()
    assert mine.take(digests[1])
    mine.close()
    assert mine.take(digests[2]), "where there is nothing to lock, all may be claimed"


def test_as_many_claims_as_a_run_has_lie_in_all_files_and_end_one_by_one(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space())
    mine, digests = Claims(store.location), [digest(f"M{number}") for number in range(200)]
    assert all(mine.take(each) for each in digests)
    mine.give_back(digests[::2])
    code = (
        "import sys; from protvec.store import Claims; from protvec.store.location import locate;"
        "claims = Claims(locate(sys.argv[1])); print(*[claims.take(d) for d in sys.argv[2:]])"
    )
    line = [sys.executable, "-c", code, store.path, *digests]
    taken = subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()
    assert taken == ["True", "False"] * 100
    names = {path.name for path in Path(store.path).iterdir() if path.name.startswith(".claims")}
    assert len(names) == 16


def test_what_another_process_has_given_back_is_looked_up_before_it_is_claimed(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space())
    mine, other = Claims(store.location), Claims(store.location)
    mine.look()
    assert not mine.outdated
    other.close()  # at the end of its run, with all stored
    assert mine.outdated
    assert not mine.take("SQ." + "A" * 32), "it may be in the database by now"
    mine.look()
    assert mine.take("SQ." + "A" * 32)


def test_a_course_does_everything_once_whatever_is_left_and_wherever_it_jumps() -> None:
    batches: Any = [[f"{n}.{i}" for i in range(5)] for n in range(20)]
    for seed in range(30):
        draw, course, done, rounds = random.Random(seed), Course(20 + seed % 3), [], 0
        while course.goes_on:
            rounds += 1
            for batch in course.choose(batches):
                for place, record in batch:
                    if draw.random() < 0.2:
                        course.leave(place)
                    else:
                        done.append(record)
                if draw.random() < 0.2:
                    course.jump()
        assert sorted(map(str, done)) == sorted(record for batch in batches for record in batch)
        assert rounds > 1


def test_what_another_process_stored_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """Another sequence under the same id, committed after this run had looked: kept, and told."""
    import protvec
    from protvec import ingest

    db = str(tmp_path / "db")
    work(Task(db, []))
    from _crash import open_database

    database, other = open_database(db), open_database(db)
    mine = write_fasta(tmp_path / "mine.fa", [("a", "MKVLLA"), ("b", "MKVLLB"), ("c", "MKVLLC")])
    theirs = write_fasta(tmp_path / "theirs.fa", [("a", "MKVLLA"), ("b", "MWWWWW")])

    class Meanwhile(protvec.Observer):
        def advanced(self, proteins: int, residues: int) -> None:
            if not other.store.count("id = 'b'"):
                other.ingest(theirs)

    with ingest.open_sources([mine]) as sources:
        report = database.run(ingest.make_plan(sources, database.store, ingest.Options()), Meanwhile())
    assert (report.requested, report.added, report.unchanged) == (3, 1, 1)
    assert [(skipped.id, skipped.line) for skipped in report.skipped] == [("b", 3)]
    assert other.get("b").sequence == "MWWWWW"
    found = examine(db)
    assert (found.faults, found.orphans) == ([], set())


def test_a_filter_that_meets_a_new_protein_leaves_no_residues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A protein that passes the filter is added after the residues to drop were noted."""
    store, other = Store.create(tmp_path / "db", data.space()), Store.open(tmp_path / "db")
    data.write(store, [data.row("a", "MKV"), data.row("keep", "MKVMKVMKV")])
    real = deleting.delete_rows

    def later(handle: Any, where: str) -> int:
        if "length" in where and not other.count("id = 'b'"):
            data.write(other, [data.row("b", "MWV")])
        return real(handle, where)

    monkeypatch.setattr(deleting, "delete_rows", later)
    assert store.delete(where="length < 5") == 2
    assert lance.dataset(f"{store.path}/residues.lance").count_rows() == 1
    assert list(store.residues(["keep"])) == ["keep"]


def test_residues_that_are_about_to_get_a_protein_are_not_swept(tmp_path: Path) -> None:
    """Between its two commits a writer has residues without a protein; another's sweep lets them be."""
    store, other = Store.create(tmp_path / "db", data.space()), Store.open(tmp_path / "db")
    data.write(store, data.numbered(0, 3))
    row = data.row("late", "MKVMKV")
    swept: list[int] = []
    real = writing.merge_counted

    def merging(handle: Any, key: str, rows: pa.Table, *, replace: bool) -> Any:
        swept.append(other.sweep())
        return real(handle, key, rows, replace=replace)

    writing.merge_counted = merging
    try:
        store.write(protein_table([row], data.residues("MKVMKV")[:1]), [(row["digest"], data.residues("MKVMKV"))])
    finally:
        writing.merge_counted = real
    assert set(swept) == {0}
    other.refresh()
    assert len(other.residues(["late"])["late"]) == 6


def test_residues_are_read_while_their_proteins_come_and_go(tmp_path: Path) -> None:
    store, reader = Store.create(tmp_path / "db", data.space()), Store.open(tmp_path / "db", read_consistency_seconds=0)
    rows = data.numbered(0, 4)
    data.write(store, rows)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            store.delete(ids=["P0001"])
            data.write(store, rows)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        outcomes = [_read(lambda: reader.residues(["P0001"])) for _ in range(60)]
    finally:
        stop.set()
        thread.join()
    assert set(outcomes) <= {"read", "ProteinNotFoundError"}
    assert "read" in outcomes


def _read(look: Callable[[], Any]) -> str:
    try:
        look()
    except (ProteinNotFoundError, DatabaseError, QueryError) as error:
        return type(error).__name__
    return "read"


def test_a_handle_that_stays_open_neither_goes_stale_nor_grows(tmp_path: Path) -> None:
    """Another handle commits, compacts and cleans up, while threads read through this one."""
    writer = Store.create(tmp_path / "db", data.space())
    data.write(writer, data.numbered(0, 10))
    app = Store.open(writer.path, read_consistency_seconds=0.02)
    stop = threading.Event()

    def read() -> int:
        looks = 0
        while not stop.is_set():
            vector = app.get(["P0003"], columns=["vector"])["vector"][0].as_py()
            assert app.search(vector, k=1)["id"].to_pylist() == ["P0003"]
            assert len(app.residues(["P0003"])["P0003"]) == len(data.sequence(3))
            looks += 1
            stop.wait(0.003)  # the writer is to get on, too
        return looks

    sizes = []
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for number in range(20):
                data.write(writer, data.numbered(10 + number, 11 + number))
                if number % 10 == 9:
                    writer.compact(keep_seconds=5.0)
                    gc.collect()
                    sizes.append(psutil.Process().memory_info().rss)
                app.refresh()
                assert app.count() == 11 + number
        finally:
            stop.set()
        assert all(reader.result(60) > 0 for reader in readers)
    assert sizes[1] - sizes[0] < 60e6


def test_the_database_that_another_process_makes_meanwhile_is_used(tmp_path: Path) -> None:
    """Of several first ingests one makes the database, and the others add to it."""
    import protvec
    from protvec.cli.ingest import _Target
    from protvec.database import Settings

    target = _Target(str(tmp_path / "db"), Settings(model="near"), None)
    made = protvec.create(tmp_path / "db", model="near")
    with pytest.raises(DatabaseExistsError):
        protvec.create(tmp_path / "db", model="near")
    assert target.database().path == made.path
    other = _Target(str(tmp_path / "else"), Settings(model="near"), "float16")
    protvec.create(tmp_path / "else", model="near", residues="int8")
    with pytest.raises(InputError, match="keeps residue arrays as int8, not float16"):
        other.database()


def test_a_course_draws_alike_for_nobody() -> None:
    starts = set()
    for _ in range(8):
        course = Course(1000)
        course.jump()
        batches: Any = [["r"]] * 1000
        starts.add(len(list(course.choose(batches))))
    assert len(starts) > 1
    assert np.mean(list(starts)) < 1000


def test_a_database_that_is_made_while_it_is_looked_for_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look for its table and the look for what a creation that was cut short leaves."""
    from protvec.store import layout

    real = layout._is_unfinished
    (tmp_path / "db").mkdir()
    made: list[Store] = []

    def later(root: Any) -> bool:
        if not made:
            made.append(Store.create(tmp_path / "other", data.space()))
            (tmp_path / "db").rmdir()
            (tmp_path / "other").rename(tmp_path / "db")
        return real(root)

    monkeypatch.setattr(layout, "_is_unfinished", later)
    assert Store.open(tmp_path / "db").count() == 0
    assert made
