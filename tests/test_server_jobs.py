"""Batches of queries, jobs, and what becomes of jobs when their server ends."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from proteins import CALMODULIN, HISTONE, UBIQUITIN, random_sequence
from server_client import RECORDS, Running, make_database

import protvec
from protvec.server import Key, Limits, create_app
from protvec.server.jobs import JobStore
from protvec.server.jobs import store as job_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DB = "/api/v1/databases/plants"
JOBS = "/api/v1/jobs"
FASTA = "".join(f">{header}\n{sequence}\n" for header, sequence in RECORDS)


@pytest.fixture(scope="module")
def db(plants: Path) -> Iterator[protvec.Database]:
    with protvec.open(plants) as opened:
        yield opened


@pytest.fixture(scope="module")
def running(plants: Path) -> Iterator[Running]:
    with Running(create_app({"plants": plants}, limits=Limits(batch=4, job_queries=300))) as started:
        yield started.wait_until_ready()


def lines(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def ended(running: Running, job: str) -> dict[str, Any]:
    for _ in range(1200):
        found: dict[str, Any] = running.get(f"{JOBS}/{job}").json()
        if found["state"] not in ("queued", "running"):
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def targets(answers: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    return [(each["query"], [hit["target"] for hit in each["hits"]]) for each in answers]


def expected(db: protvec.Database, k: int = 2) -> list[tuple[str, list[str]]]:
    return [(header.split()[0], db.search(sequence, k=k).ids) for header, sequence in RECORDS]


def test_a_fasta_text_is_answered_in_order(running: Running, db: protvec.Database) -> None:
    answers = lines(running.post(f"{DB}/search/fasta?k=2", content=FASTA))
    assert targets(answers) == expected(db)
    assert [each["query_length"] for each in answers] == [len(sequence) for _, sequence in RECORDS]
    few = lines(running.post(f"{DB}/search/fasta", content=FASTA, params={"where": "id = 'ubq'", "columns": "gene"}))
    assert [list(hit) for each in few for hit in each["hits"]] == [
        ["target", "rank", "score", "evalue", "bits", "gene"]
    ] * 4
    aligned = lines(running.post(f"{DB}/search/fasta?k=1&align=true", content=FASTA))
    assert [each["hits"][0]["qcov"] for each in aligned] == [1.0] * 4


def test_many_records_become_a_job(running: Running, db: protvec.Database) -> None:
    answer = running.post(f"{DB}/search/fasta?k=2", content=FASTA + f">five\n{HISTONE}\n")
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"{JOBS}/{job['id']}"
    found = ended(running, job["id"])
    assert (found["state"], found["done"], found["total"], found["error"]) == ("done", 5, 5, None)
    answers = lines(running.get(found["result"]))
    assert targets(answers)[:4] == expected(db)
    assert job["id"] in [each["id"] for each in running.get(JOBS).json()]
    assert running.request("DELETE", f"{JOBS}/{job['id']}").json()["state"] == "done"
    assert running.get(f"{JOBS}/{job['id']}").status_code == 404
    forced = running.post(f"{DB}/search/fasta?job=false", content=FASTA + f">five\n{HISTONE}\n")
    assert (forced.status_code, forced.json()["code"]) == (413, "too_many")
    assert running.post(f"{DB}/search/fasta?job=true", content=FASTA).status_code == 202


def test_a_job_of_ids_says_of_each_that_is_not_there(running: Running, db: protvec.Database) -> None:
    body = {"kind": "search", "database": "plants", "ids": ["his1", "nobody", "cam/1|x"], "k": 2, "exclude_self": True}
    found = ended(running, running.post(JOBS, json=body).json()["id"])
    first, second, third = lines(running.get(found["result"]))
    assert [hit["target"] for hit in first["hits"]] == db.search_id("his1", k=2, exclude_self=True).ids
    assert (second["query"], second["error"]["status"]) == ("nobody", 404)
    assert third["query"] == "cam/1|x"


@pytest.mark.parametrize(
    ("content", "query", "status", "said"),
    [
        ("", "", 422, "empty"),
        ("MKV", "", 422, "request"),
        (">a\nMK1V\n", "", 422, "request:1: a"),
        (f">a\n{HISTONE}\n>a\n{UBIQUITIN}\n", "", 422, "two queries are called 'a'"),
        (b"\x1f\x8b\x08", "", 422, "compressed"),
        (FASTA, "?k=0", 422, "query.k"),
        (FASTA, "?nothing=1", 422, "query.nothing"),
        (FASTA, "?where=x=1", 422, "no column 'x'"),
        (f">a\n{'M' * 10_001}\n", "", 413, "10,000 at most"),
        ("".join(f">r{n}\nMKV\n" for n in range(301)), "", 413, "300 at most"),
    ],
)
def test_fasta_texts_that_cannot_be_used(running: Running, content: Any, query: str, status: int, said: str) -> None:
    answer = running.post(f"{DB}/search/fasta{query}", content=content)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"kind": "search", "database": "plants"}, 422, "give fasta or ids"),
        ({"kind": "search", "database": "plants", "ids": ["a"], "fasta": FASTA}, 422, "give fasta or ids"),
        ({"kind": "search", "database": "x", "ids": ["a"]}, 404, "no database 'x'"),
        ({"kind": "search", "database": "plants", "ids": ["a"], "columns": ["x"]}, 422, "no column 'x'"),
        ({"kind": "search", "database": "plants", "ids": ["a"] * 301}, 413, "300 at most"),
        ({"kind": "ingest", "database": "plants", "fasta": FASTA}, 403, "--allow-write"),
        ({"kind": "drop"}, 422, "kind"),
    ],
)
def test_jobs_that_are_not_taken(running: Running, body: Any, status: int, said: str) -> None:
    answer = running.post(JOBS, json=body)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["detail"]
    assert running.get(f"{JOBS}/{'0' * 32}").status_code == 404
    assert running.get(f"{JOBS}/../../etc").status_code in (404, 422)


def test_an_ingest_is_a_job_where_it_is_allowed(tmp_path: Path) -> None:
    path = make_database(tmp_path)
    with Running(create_app({"plants": path}, allow_write=True, state=tmp_path / "state")) as running:
        body = {"kind": "ingest", "database": "plants", "fasta": f">new\n{random_sequence(60, 1)}\n>bad\nMK1V\n"}
        found = ended(running, running.post(JOBS, json=body | {"dataset": "mine"}).json()["id"])
        assert (found["state"], found["done"], found["error"]) == ("done", 2, None)
        (report,) = lines(running.get(found["result"]))
        assert (report["added"], len(report["skipped"])) == (1, 1)
        assert (report["files"], report["database"]) == (["upload.fa"], "plants")
        assert running.get(f"{DB}/proteins/new").json()["dataset"] == "mine"
        body["fasta"] = f">his1\n{UBIQUITIN}\n>his1\n{HISTONE}\n"
        failed = ended(running, running.post(JOBS, json=body).json()["id"])
        assert (failed["state"], failed["error"]["code"]) == ("failed", "fasta")
        assert "upload.fa:" in failed["error"]["detail"]
        assert str(tmp_path) not in json.dumps(failed)


def test_a_job_outlives_its_server(plants: Path, tmp_path: Path, db: protvec.Database) -> None:
    fasta = "".join(f">r{n}\n{random_sequence(40 + n, n)}\n" for n in range(60))
    whole = [(f"r{n}", db.search(random_sequence(40 + n, n), k=1).ids) for n in range(60)]
    state = tmp_path / "state"
    begun = threading.Event()
    with Running(create_app({"plants": plants}, state=state)) as first:
        served = first.app.state.service.database("plants")
        in_turn, turns = served.in_turn, []

        async def once(*arguments: Any) -> Any:
            if turns:  # what the first turn answered is in the file by now
                begun.set()
                await asyncio.Event().wait()
            turns.append(1)
            return await in_turn(*arguments)

        served.in_turn = once
        body = {"kind": "search", "database": "plants", "fasta": fasta, "k": 1}
        job = first.post(JOBS, json=body).json()["id"]
        assert begun.wait(60)
    store = JobStore(state)
    left = store.get(job)
    assert left is not None
    assert left.state == "queued"
    assert 0 < left.done < 60
    with store.file(left).open("ab") as file:
        file.write(b'{"half a li')  # as a kill leaves it
    with Running(create_app({"plants": plants}, state=state)) as second:
        found = ended(second, job)
        assert (found["state"], found["done"]) == ("done", 60)
        assert targets(lines(second.get(found["result"]))) == whole


def test_a_job_is_cancelled(plants: Path) -> None:
    with Running(create_app({"plants": plants})) as running:
        served = running.app.state.service.database("plants")
        hold, begun = threading.Event(), threading.Event()
        search_many = served.db.database.search_many

        def slow(*arguments: Any, **options: Any) -> Any:
            begun.set()
            hold.wait(60)
            return search_many(*arguments, **options)

        body = {"kind": "search", "database": "plants", "fasta": "".join(f">r{n}\n{CALMODULIN}\n" for n in range(40))}
        first, second = (running.post(JOBS, json=body).json()["id"] for _ in range(2))
        served.db.database.search_many = slow
        assert begun.wait(60)
        assert running.get(f"{JOBS}/{first}/result").json()["code"] == "not_done"
        assert running.request("DELETE", f"{JOBS}/{second}").json()["state"] == "cancelled"
        running.request("DELETE", f"{JOBS}/{first}")
        time.sleep(1.1)  # until it is asked again whether to go on
        hold.set()
        assert ended(running, first)["state"] == "cancelled"


def test_jobs_are_those_of_their_client_alone(plants: Path) -> None:
    keys = [Key.of(name, f"0123456789abcdef-{name}") for name in ("ann", "bob")]
    with Running(create_app({"plants": plants}, keys=keys, models=False, limits=Limits(jobs=1))) as running:
        ann, bob = ({"X-API-Key": f"0123456789abcdef-{name}"} for name in ("ann", "bob"))
        body = {"kind": "search", "database": "plants", "ids": ["his1"]}
        job = running.post(JOBS, json=body, headers=ann).json()["id"]
        assert running.get(f"{JOBS}/{job}", headers=ann).status_code == 200
        for method, url in (("GET", ""), ("GET", "/result"), ("DELETE", "")):
            assert running.request(method, f"{JOBS}/{job}{url}", headers=bob).status_code == 404
        assert running.get(JOBS, headers=bob).json() == []
        running.app.state.service.jobs.store.active = lambda: 1
        full = running.post(JOBS, json=body, headers=bob)
        assert (full.status_code, full.json()["code"], full.headers["retry-after"]) == (503, "too_many_jobs", "10")


def test_what_a_silent_process_had_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = JobStore(tmp_path / "state")
    job = store.add(client="me", kind="search", database="plants", request={}, upload=b">a\n", total=1)
    taken = store.claim("first")
    assert taken is not None
    assert taken.id == job.id
    assert store.claim("second") is None
    assert store.beat(job, "first", 1, 2)
    monkeypatch.setattr(job_store, "SILENCE_SECONDS", -1.0)
    assert store.claim("second") is not None
    assert not store.beat(job, "first", 2, 2)
    store.finish(job, "first", "done", done=2)
    left = store.get(job.id)
    assert left is not None
    assert (left.state, left.owner, left.done) == ("running", "second", 1)
    store.finish(job, "second", "done", done=2)
    store.sweep(days=1)
    assert store.get(job.id) is not None
    store.sweep(days=-1)
    assert store.get(job.id) is None
    assert not store.file(job).parent.exists()
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
