"""One open database from many threads and many tasks, while another process adds proteins."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import store_data as data
from proteins import HISTONE, UBIQUITIN, random_sequence, write_fasta

import protvec
from protvec import AsyncDatabase, Database
from protvec.database.asynchronous import _streamed
from protvec.errors import DatabaseError, DatabaseNotFoundError, ProteinNotFoundError, QueryError
from protvec.search import Hits
from protvec.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

N = 60
FIXED = "dataset = 'fixed'"
# What a process beside us does until it is told to stop: a commit of a few proteins at a time.
WRITER = """
import sys
import store_data as data
from protvec.store import Store
store = Store.open(sys.argv[1])
for start in range(1000, 1400, 4):
    data.write(store, data.numbered(start, start + 4, dataset="new", description="new zinc finger"))
    print(start, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rows = data.numbered(0, N, dataset="fixed", description="F-box protein")
    data.write(Store.create(tmp_path / "db", data.space()), rows)
    return tmp_path / "db"


@pytest.fixture
def writer(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that adds proteins; it has begun."""
    command = [sys.executable, "-c", WRITER, str(path)]
    folders = [str(Path(__file__).parent), str(Path(protvec.__file__).parent.parent)]
    there = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=there) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "1000"
        yield process
        process.terminate()


def plain(answer: Any) -> Any:
    return answer.to_dicts() if hasattr(answer, "to_dicts") else answer


def asked() -> list[tuple[str, Callable[[Any], Any]]]:
    """Every kind of question, whose answer does not depend on what is added."""
    vector = data.residues(data.sequence(3)).mean(axis=0)
    kinds: list[Callable[[Any], Any]] = []
    for i in range(0, N, 7):
        id = f"P{i:04d}"
        kinds += [
            lambda db, id=id: db.search_id(id, k=5, where=FIXED),
            lambda db, id=id: db.search_like([id, "P0001" if id != "P0001" else "P0002"], k=3, where=FIXED),
            lambda db, id=id: db.get_many([id, "P0002"]),
            lambda db, id=id: db.residues(id),
        ]
    kinds.append(lambda db: db.search_vector(vector, k=N, where=FIXED, min_score=0.1))
    return [(str(number), kind) for number, kind in enumerate(kinds)]


def comparable(answer: Any) -> Any:
    if isinstance(answer, Hits):  # E-values grow with the database
        return answer.to_arrow().drop_columns(["evalue", "bits"]).to_pylist() if answer.chance else plain(answer)
    if isinstance(answer, list):
        return [protein.to_dict() for protein in answer]
    return answer.tolist() if hasattr(answer, "tolist") else plain(answer)


def test_threads_get_the_serial_answers_while_another_process_writes(path: Path, writer: subprocess.Popen[str]) -> None:
    questions = asked() * 4
    with protvec.open(path) as serial, protvec.open(path) as db, ThreadPoolExecutor(8) as pool:
        expected = {name: comparable(ask(serial)) for name, ask in questions[: len(questions) // 4]}
        answers = list(pool.map(lambda question: (question[0], comparable(question[1](db))), questions))
        assert all(answer == expected[name] for name, answer in answers)
        assert writer.poll() is None  # it was at work all the time


def test_tasks_get_the_serial_answers_while_another_process_writes(path: Path, writer: subprocess.Popen[str]) -> None:
    questions = asked() * 4

    async def main() -> list[Any]:
        async with await protvec.open_async(path, workers=4) as db:
            return [comparable(answer) for answer in await asyncio.gather(*(ask(db) for _, ask in questions))]

    answers = asyncio.run(main())
    assert writer.poll() is None
    with protvec.open(path) as serial:
        assert answers == [comparable(ask(serial)) for _, ask in asked()] * 4


def test_what_another_process_adds_is_seen(path: Path, writer: subprocess.Popen[str]) -> None:
    async def main() -> int:
        async with await protvec.open_async(path) as db:
            while not (found := await db.search_text("zinc finger", k=1)):
                await asyncio.sleep(0.05)
            assert (await db.get(found[0].target)).metadata["dataset"] == "new"
            return await db.count()

    assert asyncio.run(main()) > N


def test_streams_are_the_serial_ones(path: Path) -> None:
    async def main() -> None:
        async with await protvec.open_async(path) as db:
            serial = db.database
            assert [plain(h) async for h in db.search_all(k=2)] == [plain(h) for h in serial.search_all(k=2)]
            vectors = [serial.get(f"P{i:04d}").vector for i in range(5)]
            many = [plain(h) async for h in db.search_vectors(vectors, k=3)]
            assert many == [plain(h) for h in serial.search_vectors(vectors, k=3)]
            ids = [each.id async for each in db.iter_residues(where="length < 10")]
            assert sorted(ids) == sorted(each.id for each in serial.iter_residues(where="length < 10"))

    asyncio.run(main())


def test_a_stream_that_is_given_up_is_closed(path: Path) -> None:
    closed, slow = threading.Event(), threading.Event()

    class Watched(AsyncDatabase):
        @_streamed
        def numbers(self: Database) -> Iterator[int]:
            try:
                for number in range(5):
                    yield number
                    slow.wait(5)
            finally:
                closed.set()

    async def main() -> None:
        async with Watched(protvec.open(path)) as db:
            async for _ in (stream := db.numbers()):
                break
            await stream.aclose()
            assert closed.wait(5)
            closed.clear()
            stream = db.numbers()
            assert await anext(stream) == 0
            with pytest.raises(asyncio.TimeoutError):  # cancelled while a thread is at the next
                await asyncio.wait_for(anext(stream), 0.02)
            assert not closed.is_set()
            slow.set()
            assert await asyncio.to_thread(closed.wait, 5)

    asyncio.run(main())


def test_no_more_threads_than_workers_and_the_loop_goes_on(path: Path) -> None:
    at_work, most, lock = 0, 0, threading.Lock()

    def slow(_: Database) -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.05)
        with lock:
            at_work -= 1

    async def main() -> int:
        ticks = 0
        async with await protvec.open_async(path, workers=3) as db:
            calls = asyncio.gather(*(db.call(slow) for _ in range(12)))
            while not calls.done():
                await asyncio.sleep(0.005)
                ticks += 1
        return ticks

    assert asyncio.run(main()) > 5
    assert most == 3


def test_a_call_that_is_cancelled_does_no_harm(path: Path) -> None:
    release, begun, ran = threading.Event(), threading.Event(), []

    def wait(_: Database) -> None:
        begun.set()
        release.wait(10)
        ran.append("running")

    async def main() -> None:
        async with await protvec.open_async(path, workers=1) as db:
            running = asyncio.create_task(db.call(wait))
            waiting = asyncio.create_task(db.call(lambda _: ran.append("waiting")))
            await asyncio.to_thread(begun.wait, 10)
            for task in (running, waiting):
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(db.search_id("P0001"), 0.01)
            release.set()
            assert len(await db.search_id("P0001", k=3)) == 3

    asyncio.run(main())
    assert ran == ["running"]  # what waited never ran, what ran came to its end


def test_closing_waits_and_refuses_what_comes_after(path: Path) -> None:
    async def main() -> None:
        db = await protvec.open_async(path, workers=1)
        calls = [asyncio.create_task(db.call(lambda _: time.sleep(0.05))) for _ in range(4)]
        await asyncio.sleep(0)
        await asyncio.gather(db.close(), db.close())
        assert all(call.done() for call in calls)
        await asyncio.gather(*calls)
        with pytest.raises(DatabaseError, match="is closed: open it again"):
            await db.count()
        with pytest.raises(DatabaseError, match="is closed"):
            await anext(db.search_all())

    asyncio.run(main())


def test_errors_are_those_of_the_database(path: Path) -> None:
    async def main() -> None:
        with pytest.raises(DatabaseNotFoundError):
            await protvec.open_async(path / "nothing")
        with pytest.raises(QueryError, match="0 workers"):
            await protvec.open_async(path, workers=0)
        async with await protvec.open_async(path) as db:
            with pytest.raises(ProteinNotFoundError, match="near: P0001"):
                await db.get("P0001x")
            with pytest.raises(QueryError, match="k is 0"):
                await anext(db.search_all(k=0))
            assert not await db.contains("P0001x")
            assert await db.contains("P0001")

    asyncio.run(main())


def test_an_ingest_that_is_cancelled_stops_after_a_commit(tmp_path: Path) -> None:
    records = [(f"p{i}", random_sequence(60, seed=i)) for i in range(400)]
    fasta = write_fasta(tmp_path / "in.fa", [*records, ("his", HISTONE), ("ubq", UBIQUITIN)])
    protvec.create(tmp_path / "db", model="near", residues="none")
    seen: list[int] = []

    class Watch(protvec.Observer):
        def advanced(self, proteins: int, residues: int) -> None:
            seen.append(proteins)

    async def main() -> None:
        async with await protvec.open_async(tmp_path / "db", threads=1) as db:
            task = asyncio.create_task(db.ingest(fasta, observer=Watch()))
            while not seen:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        # Closing has waited for the commit.

    asyncio.run(main())
    with protvec.open(tmp_path / "db") as db:
        assert 0 < len(db) < len(records)
        assert db.check().ok
        report = db.ingest(fasta)
        assert (report.unchanged > 0, report.unchanged + report.added) == (True, len(records) + 2)


def test_a_closed_database_says_so(path: Path) -> None:
    with protvec.open(path) as db:
        assert len(db) == N
        stream = db.search_all(k=1)
    db.close()
    assert db.path == str(path)
    for use in (lambda: db.search_id("P0001"), lambda: len(db), db.info, db.encoder):
        with pytest.raises(DatabaseError, match=f"{path} is closed: open it again"):
            use()
    assert len(list(stream)) == N  # it has its own handles


def test_methods_are_awaited_under_the_same_names() -> None:
    for name in ("search", "search_id", "search_text", "rbh", "get", "ingest", "encoder"):
        assert inspect.iscoroutinefunction(getattr(AsyncDatabase, name)), name
        assert inspect.getdoc(getattr(AsyncDatabase, name)) == inspect.getdoc(getattr(Database, name))
    assert {name for name in dir(Database) if name.startswith("search")} <= vars(AsyncDatabase).keys()
