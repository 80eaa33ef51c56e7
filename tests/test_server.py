"""The server asked over HTTP: the answers are those of the library, and errors are problems that leak nothing."""

from __future__ import annotations

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pytest
from fastapi import FastAPI
from proteins import CALMODULIN, HISTONE, UBIQUITIN, write_fasta
from server_client import RECORDS, Running

import protvec
from protvec.errors import DatabaseError, ServerError
from protvec.server import Key, Limits, create_app, read_keys
from protvec.server.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DB = "/api/v1/databases/plants"


@pytest.fixture(scope="module")
def running(plants: Path) -> Iterator[Running]:
    with Running(create_app({"plants": plants})) as started:
        yield started.wait_until_ready()


@pytest.fixture(scope="module")
def db(plants: Path) -> Iterator[protvec.Database]:
    with protvec.open(plants) as opened:
        yield opened


def as_answered(hits: protvec.Hits) -> list[dict[str, Any]]:
    return [{name: value for name, value in hit.items() if name != "query"} for hit in hits.to_dicts()]


def test_it_says_that_it_lives_and_what_it_has(running: Running) -> None:
    assert running.get("/healthz").json() == {"status": "ok", "version": protvec.__version__}
    assert running.get("/readyz").json() == {"ready": True, "databases": {"plants": "ready"}}
    summary = {"name": "plants", "proteins": 4, "model": "near", "dimension": 256, "state": "ready"}
    assert running.get("/api/v1/databases").json() == [summary]
    found = running.get(DB).json()
    assert summary.items() <= found.items()
    assert found["model_card"]["licence"] == "GPL-3.0-or-later"
    columns = {each["name"]: (each["type"], each["added"]) for each in found["columns"]}
    assert columns["plddt"] == ("float", True)
    assert columns["length"] == ("int", False)
    assert "vector" not in columns
    assert [each["id"] for each in found["examples"]["proteins"]] == ["cam/1|x", "his1", "his2"]
    for asked in ({"id": "his1", "where": found["examples"]["where"]}, {"text": found["examples"]["text"]}):
        assert running.post(f"{DB}/search", json=asked).json()["hits"]


def test_examples_of_databases_that_have_little_to_show(tmp_path: Path) -> None:
    db = protvec.create(tmp_path / "db", model="near")
    assert examples(db) == {"proteins": [], "text": None, "where": None}
    db.ingest(write_fasta(tmp_path / "in.fa", [("b hypothetical protein", UBIQUITIN), ("a", HISTONE)]))
    proteins = [{"id": "a", "description": None}, {"id": "b", "description": "hypothetical protein"}]
    assert examples(db) == {"proteins": proteins, "text": "hypothetical protein", "where": "length < 120"}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"sequence": HISTONE, "k": 2}, lambda db: db.search(HISTONE, k=2)),
        ({"sequence": HISTONE, "exclude_self": True}, lambda db: db.search(HISTONE, exclude_self=True)),
        ({"sequence": HISTONE, "text": "again"}, lambda db: db.search(HISTONE, text="again")),
        ({"id": "his1", "k": 3, "exclude_self": True}, lambda db: db.search_id("his1", k=3, exclude_self=True)),
        ({"id": "his1", "align": True}, lambda db: db.search_id("his1", align=True)),
        ({"id": "his1", "scoring": "raw", "evalue": 0.5}, lambda db: db.search_id("his1", scoring="raw", evalue=0.5)),
        ({"like": ["his1"], "unlike": ["ubq"]}, lambda db: db.search_like(["his1"], unlike=["ubq"])),
        ({"text": "histone", "columns": ["gene"]}, lambda db: db.search_text("histone", columns=["gene"])),
        (
            {"id": "his1", "where": "organism = 'L''Oryza' and length > 10"},
            lambda db: db.search_id("his1", where="organism = 'L''Oryza' and length > 10"),
        ),
        (
            {"id": "his1", "filters": [{"column": "plddt", "op": "gt", "value": 90}]},
            lambda db: db.search_id("his1", where="plddt > 90"),
        ),
    ],
)
def test_searches_are_those_of_the_library(running: Running, db: protvec.Database, asked: Any, expected: Any) -> None:
    answer = running.post(f"{DB}/search", json=asked)
    assert answer.status_code == 200, answer.text
    hits, found = expected(db), answer.json()
    assert len(hits)
    assert found["hits"] == json.loads(json.dumps(as_answered(hits)))
    assert (found["query"], found["chance"], found["index"]["text"]) == (hits.query, hits.chance, str(hits.index))
    length = len(HISTONE) if {"sequence", "id"} & asked.keys() else None
    assert found["query_length"] == length


def test_a_vector_is_a_query(running: Running, db: protvec.Database) -> None:
    vector = db.get("ubq").vector
    found = running.post(f"{DB}/search", json={"vector": vector.tolist(), "query": "mine", "k": 2}).json()
    assert found["query"] == "mine"
    assert found["hits"] == as_answered(db.search_vector(vector, k=2))


def test_hits_as_arrow_and_as_a_table(running: Running, db: protvec.Database) -> None:
    hits = db.search_id("his1", k=2)
    arrow = running.post(
        f"{DB}/search", json={"id": "his1", "k": 2}, headers={"Accept": "application/vnd.apache.arrow.stream"}
    )
    table = pa.ipc.open_stream(arrow.content).read_all()
    assert table.replace_schema_metadata(None).equals(hits.to_arrow().replace_schema_metadata(None))
    assert json.loads(table.schema.metadata[b"protvec.hits"])["chance"] == hits.chance
    text = running.post(
        f"{DB}/search", json={"id": "his1", "k": 2}, headers={"Accept": "text/tab-separated-values"}
    ).text.splitlines()
    assert text[0].split("\t") == hits.to_arrow().column_names
    assert [line.split("\t")[1] for line in text[1:]] == hits.ids


def test_proteins_by_id_whatever_letters_it_has(running: Running, db: protvec.Database) -> None:
    for header, sequence in RECORDS:
        id = header.split()[0]
        found = running.get(f"{DB}/proteins/{quote(id, safe='')}").json()
        assert (found["id"], found["sequence"]) == (id, sequence)
        assert "vector" not in found
    many = running.post(f"{DB}/proteins", json={"ids": ["ubq", "cam/1|x", "ubq"], "vector": True}).json()
    assert [each["id"] for each in many] == ["ubq", "cam/1|x", "ubq"]
    assert many[1]["vector"] == db.get("cam/1|x").vector.tolist()


def test_arrays_in_each_form(running: Running, db: protvec.Database) -> None:
    residues, vector = db.residues("cam/1|x"), db.get("cam/1|x").vector
    for name, array in (("residues", residues), ("vectors", vector)):
        url = f"{DB}/{name}/cam/1|x"
        plain = running.get(url).json()
        assert (plain["id"], plain["shape"]) == ("cam/1|x", list(array.shape))
        np.testing.assert_array_equal(np.array(plain["values"], np.float32), array)
        np.testing.assert_array_equal(np.load(io.BytesIO(running.get(f"{url}?format=npy").content)), array)
        table = pa.ipc.open_stream(running.get(f"{url}?format=arrow").content).read_all()
        np.testing.assert_array_equal(np.array(table[0].to_pylist(), np.float32), array)
    stream = running.post(f"{DB}/residues", json={"ids": ["his2", "cam/1|x"]}).content
    rows = pa.ipc.open_stream(stream).read_all().to_pylist()
    assert [row["id"] for row in rows] == ["his2", "cam/1|x"]
    np.testing.assert_array_equal(np.array(rows[1]["residues"], np.float32), residues)


def test_alignment_and_dot_plot(running: Running, db: protvec.Database) -> None:
    found = running.post(f"{DB}/align", json={"query": "his1", "target": HISTONE[:90], "dots": 40}).json()
    expected = db.align("his1", HISTONE[:90])
    assert (found["cigar"], found["score"]) == (expected.cigar, pytest.approx(expected.score))
    assert (found["query"], found["target"], found["query_length"]) == ("his1", "query", len(HISTONE))
    assert found["picture"] == expected.picture("his1", "query")
    dots = found["dot_plot"]
    assert (dots["rows"], dots["columns"], dots["residues_per_row"], dots["residues_per_column"]) == (34, 30, 4, 3)
    assert np.array(dots["scores"]).shape == (34, 30)
    paired = db.compare("his1", HISTONE[:90])
    assert (found["query_relatives"], found["target_relatives"]) == paired.relatives
    plain = running.post(f"{DB}/align", json={"query": "his1", "target": "ubq", "profiles": False}).json()
    assert "dot_plot" not in plain
    assert plain["query_relatives"] is None


SEARCH = f"{DB}/search"
FOREIGN = {"Origin": "https://elsewhere.example"}


@pytest.mark.parametrize(
    ("method", "url", "body", "status", "code", "said"),
    [
        ("GET", f"{DB}/proteins/his", None, 404, "protein_not_found", "plants: no protein 'his'"),
        ("GET", f"{DB}/residues/nobody", None, 404, "protein_not_found", "no protein 'nobody'"),
        ("GET", "/api/v1/databases/x", None, 404, "database_not_found", "there are plants"),
        ("GET", "/nowhere", None, 404, "not_found", "Not Found"),
        ("DELETE", "/healthz", None, 405, "method_not_allowed", "Method Not Allowed"),
        ("POST", SEARCH, {"id": "nobody"}, 404, "protein_not_found", "no protein 'nobody'"),
        ("POST", SEARCH, {"like": ["his1", "nobody"]}, 404, "protein_not_found", "no protein 'nobody'"),
        ("POST", SEARCH, {}, 422, "query", "there is no query"),
        ("POST", SEARCH, {"id": "his1", "sequence": HISTONE}, 422, "query", "one query"),
        ("POST", SEARCH, {"sequence": "MK1V"}, 422, "query", "not a protein sequence"),
        ("POST", SEARCH, {"sequence": "ACGT" * 30}, 422, "query", "nucleotides"),
        ("POST", SEARCH, {"sequence": "M" * 10_001}, 413, "sequence_too_long", "10,000 at most"),
        ("POST", SEARCH, {"id": "his1", "k": 0}, 422, "request", "body.k: Input should be greater than or equal to 1"),
        ("POST", SEARCH, {"id": "his1", "k": 1001}, 422, "query", "1,000 at most on this server"),
        ("POST", SEARCH, {"id": "his1", "kk": 1}, 422, "request", "body.kk"),
        ("POST", SEARCH, {"id": "his1", "columns": ["x"]}, 422, "filter", "there is no column 'x'"),
        ("POST", SEARCH, {"id": "his1", "where": "x = 1"}, 422, "filter", "no column 'x'"),
        ("POST", SEARCH, {"id": "his1", "where": "plddt LIKE 'x'"}, 422, "filter", "cannot filter"),
        ("POST", SEARCH, {"text": "x", "align": True}, 422, "query", "align has no use in a search by text"),
        ("POST", SEARCH, {"text": '"x'}, 422, "query", "quotation mark"),
        ("POST", SEARCH, {"vector": [1.0, 2.0]}, 422, "query", "256"),
        ("POST", SEARCH, {"vector": [0.0] * 256}, 422, "query", "zero"),
        ("POST", f"{DB}/align", {"query": "his1", "target": "?"}, 422, "query", "not a protein sequence"),
        ("POST", f"{DB}/proteins", {"ids": ["his1"] * 1001}, 413, "too_many", "1,000 at most"),
    ],
)
def test_errors_are_problems(
    running: Running, plants: Path, method: str, url: str, body: Any, status: int, code: str, said: str
) -> None:
    answer = running.request(method, url, json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert (problem["type"], problem["status"]) == ("about:blank", status)
    assert str(plants) not in answer.text


def test_similar_ids_are_named(running: Running) -> None:
    problem = running.get(f"{DB}/proteins/his").json()
    assert (problem["ids"], problem["near"]) == (["his"], ["his1", "his2"])


def test_one_bad_id_among_others_at_the_same_moment(running: Running) -> None:
    ids = ["his1", "nobody", "ubq", "his1", "no2", "cam/1|x"] * 4
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda id: running.post(SEARCH, json={"id": id, "k": 1}), ids))
    for id, answer in zip(ids, answers, strict=True):
        if id in ("nobody", "no2"):
            assert answer.status_code == 404
            assert f"'{id}'" in answer.json()["detail"]
        else:
            assert answer.json()["query"] == answer.json()["hits"][0]["target"] == id


def test_many_clients_get_what_one_gets(running: Running) -> None:
    bodies: list[dict[str, Any]] = [{"sequence": each, "k": 3} for each in (HISTONE, UBIQUITIN, CALMODULIN)]
    bodies += [{"id": "his1", "k": k} for k in (1, 2, 3)] + [{"text": "histone"}, {"like": ["his1"]}]
    alone = [running.post(SEARCH, json=body).json()["hits"] for body in bodies]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda body: running.post(SEARCH, json=body).json(), bodies * 4))
    assert [answer["hits"] for answer in together] == alone * 4


def test_headers_of_every_answer(running: Running) -> None:
    for url in ("/healthz", "/nowhere", SEARCH, "/docs"):
        headers = running.get(url, headers={"X-Request-ID": "mine-1"}).headers
        assert headers["x-request-id"] == "mine-1"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers
    assert running.get("/healthz", headers={"X-Request-ID": "a b\tc"}).headers["x-request-id"] != "a b\tc"


def test_pages_of_other_origins_may_not_ask(running: Running) -> None:
    answer = running.post(SEARCH, json={"id": "his1"}, headers=FOREIGN)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin")
    assert running.post(SEARCH, json={"id": "his1"}, headers={"Origin": "http://localhost"}).status_code == 200


def test_the_pages_of_routes_come_from_here(running: Running) -> None:
    page = running.get("/docs").text
    assert "http" not in page.replace("<!doctype html>", "")
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js"):
        assert f'"docs/{name}"' in page
        assert running.get(f"/docs/{name}").status_code == 200
    assert running.get("/docs/other.js").status_code == 404
    assert running.get("/openapi.json").json()["paths"].keys() >= {"/api/v1/databases/{db}/search"}


def test_the_page_of_routes_knows_what_examples_name(plants: Path, running: Running) -> None:
    description = running.get("/openapi.json").text
    assert json.loads(description) == create_app({"other": plants}).openapi()
    named = json.loads(running.get("/docs/start.js").text.split("=", 1)[1].split(";", 1)[0])
    assert named["asks"]
    for text in (named["database"], *named["ids"], named["text"], named["where"]):
        assert json.dumps(text) in description


def test_metrics(running: Running) -> None:
    running.get("/nowhere/secret")
    text = running.get("/metrics").text
    assert 'protvec_database_proteins{database="plants"} 4.0' in text
    assert 'route="/api/v1/databases/{db}/search",status="200"' in text
    assert 'protvec_queries_total{database="plants",kind="sequence"}' in text
    assert "protvec_ready 1.0" in text
    assert "secret" not in text


def test_keys(plants: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# who\nann  0123456789abcdef-ann\nbob 0123456789abcdef-bob # our Bob\n")
    with Running(create_app({"plants": plants}, keys=read_keys(tmp_path / "keys"), models=False)) as running:
        for url in ("/healthz", "/docs", "/openapi.json"):
            assert running.get(url).status_code == 200
        assert '"asks": false' in running.get("/docs/start.js").text  # it has no key
        for url in ("/metrics", "/api/v1/databases", f"{DB}/proteins/his1", "/nowhere", "/healthz/"):
            answer = running.get(url)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert running.get(url, headers={"X-API-Key": "0123456789abcdef-an"}).status_code == 401
        for headers in ({"X-API-Key": "0123456789abcdef-bob"}, {"Authorization": "bearer 0123456789abcdef-ann"}):
            assert running.get("/api/v1/databases", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no key"),
        ("ann", ":1: needs a name and a key"),
        ("ann 0123456789abcdef x", ":1: needs a name and a key"),
        ("\nann short", ":2: a key has at least 16"),
        ("ann 0123456789abcdef\nann 0123456789abcdeg", ":2: a second key is named 'ann'"),
    ],
)
def test_files_of_keys_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(ServerError, match=said) as caught:
        read_keys(tmp_path / "keys")
    assert "0123456789abcde" not in str(caught.value)
    with pytest.raises(ServerError, match="cannot be read"):
        read_keys(tmp_path / "none")


def test_settings_that_cannot_be(plants: Path) -> None:
    with pytest.raises(ServerError, match="no database"):
        create_app({})
    with pytest.raises(ServerError, match="'a/b' cannot name a database"):
        create_app({"a/b": plants})
    with pytest.raises(ServerError, match="no origin"):
        create_app({"a": plants}, cors=["example.org"])
    with pytest.raises(ServerError, match="the limit k is 0"):
        Limits(k=0)
    with pytest.raises(TypeError, match="kk"):
        create_app({"a": plants}, kk=1)  # type: ignore[call-arg]


def test_small_limits(plants: Path) -> None:
    limits = Limits(
        body_bytes=500, k=5, sequence_length=100, where_length=20, residue_values=1000, candidates=10, profiles=2
    )
    with Running(create_app({"plants": plants}, limits=limits, models=False)) as running:
        large = running.post(SEARCH, json={"id": "x" * 600})
        assert (large.status_code, large.json()["code"]) == (413, "too_large")

        async def parts() -> Any:
            for _ in range(100):
                yield b" " * 10

        assert running.post(SEARCH, content=parts()).status_code == 413
        assert running.post(SEARCH, json={"id": "his1", "k": 6}).status_code == 422
        assert running.post(SEARCH, json={"id": "his1", "align": True, "candidates": 11}).status_code == 422
        assert running.post(SEARCH, json={"id": "his1", "align": True, "profiles": True, "k": 3}).status_code == 422
        assert running.post(f"{DB}/align", json={"query": "his1", "target": "ubq"}).status_code == 413
        assert running.post(SEARCH, json={"id": "his1", "where": "length = 1 or length = 2"}).status_code == 422
        assert running.get(f"{DB}/residues/his1").json()["code"] == "too_many"
        off = running.post(SEARCH, json={"sequence": UBIQUITIN})
        assert (off.status_code, off.json()["code"]) == (503, "model")
        assert running.get("/readyz").json()["databases"] == {"plants": "off"}


def test_a_database_that_fails_is_503_and_tells_no_paths(
    running: Running, plants: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served = running.app.state.service.database("plants")

    async def broken(id: str) -> None:
        raise DatabaseError(f"{plants}: cannot be read any more")

    get, served.db.get = served.db.get, broken
    try:
        answer = running.get(f"{DB}/proteins/his1")
        served.db.get = lambda id: 1 / 0
        bug = running.get(f"{DB}/proteins/his1")
    finally:
        served.db.get = get
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert str(plants) not in answer.text
    assert (bug.status_code, bug.json()["code"]) == (500, "internal")
    assert "division" not in bug.text
    first, second = (each for each in caplog.records if each.levelname == "ERROR" and each.name == "protvec.server")
    assert str(plants) in first.message  # what is not told is in the log, under the name that is told
    assert (first.request_id, second.request_id) == (answer.json()["request_id"], bug.json()["request_id"])
    assert second.exc_info is not None


def test_cors_and_names_are_let_in_when_they_are_named(plants: Path) -> None:
    app = create_app({"plants": plants}, cors=["https://elsewhere.example"], hosts=["proteins.example"], models=False)
    with Running(app) as running:
        answer = running.post(SEARCH, json={"id": "his1"}, headers=FOREIGN)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == FOREIGN["Origin"]
        asks = FOREIGN | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        assert running.request("OPTIONS", SEARCH, headers=asks).status_code == 200
        missing = running.get(f"{DB}/proteins/nobody", headers=FOREIGN)
        assert (missing.status_code, missing.headers["access-control-allow-origin"]) == (404, FOREIGN["Origin"])
        elsewhere = running.get(
            "/healthz", headers=FOREIGN | {"Host": "evil.example"}
        )  # refused by the outermost layer
        assert (elsewhere.status_code, elsewhere.headers["access-control-allow-origin"]) == (421, FOREIGN["Origin"])
        assert (
            "access-control-allow-origin"
            not in running.get("/healthz", headers={"Origin": "https://x.example"}).headers
        )
        for host, status in (("proteins.example", 200), ("proteins.example:80", 200), ("evil.example", 421)):
            assert running.get("/healthz", headers={"Host": host}).status_code == status


def test_mounted_in_another_application(plants: Path) -> None:
    from contextlib import asynccontextmanager

    inner = create_app({"plants": plants}, models=False, keys=[Key.of("ann", "0123456789abcdef")])

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> Any:
        async with inner.router.lifespan_context(inner):
            yield

    outer = FastAPI(lifespan=lifespan)
    outer.mount("/proteins", inner)
    with Running(outer) as running:
        assert running.get("/proteins/healthz").status_code == 200
        assert running.get(f"/proteins{DB}").status_code == 401
        assert running.get(f"/proteins{DB}", headers={"X-API-Key": "0123456789abcdef"}).json()["proteins"] == 4


def test_an_application_that_nobody_started_says_so(plants: Path) -> None:
    outer = FastAPI()
    outer.mount("/proteins", create_app({"plants": plants}))
    with Running(outer) as running:
        answer = running.get("/proteins/api/v1/databases")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_running")


def test_too_many_queries_are_told_to_come_back(plants: Path) -> None:
    limits = Limits(queue=2)
    with Running(create_app({"plants": plants}, limits=limits)) as running:
        running.wait_until_ready()
        served = running.app.state.service.database("plants")
        hold, begun = threading.Event(), threading.Event()

        def slow(database: protvec.Database) -> None:
            begun.set()
            hold.wait(60)

        from protvec.server.served import Asking

        def first() -> None:
            running.run(served.in_turn(Asking("other"), slow))

        with ThreadPoolExecutor(8) as pool:
            holding = pool.submit(first)
            assert begun.wait(30)
            waiting = [pool.submit(running.post, SEARCH, json={"sequence": UBIQUITIN, "k": 1}) for _ in range(2)]
            while running.app.state.service.queue._number < 2:
                pass
            refused = running.post(SEARCH, json={"sequence": HISTONE})
            by_id = running.post(SEARCH, json={"id": "his1"})
            hold.set()
            holding.result(60)
            assert [each.result(60).status_code for each in waiting] == [200, 200]
        assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        assert by_id.status_code == 200
        assert "protvec_queue_refused_total 1.0" in running.get("/metrics").text


def test_what_takes_too_long_is_told_to_come_back(plants: Path) -> None:
    with Running(create_app({"plants": plants}, limits=Limits(seconds=0.2))) as running:
        running.wait_until_ready()
        served = running.app.state.service.database("plants")
        hold = threading.Event()
        from protvec.server.served import Asking

        with ThreadPoolExecutor(1) as pool:
            holding = pool.submit(running.run, served.in_turn(Asking("other"), lambda database: hold.wait(60)))
            answer = running.post(SEARCH, json={"sequence": UBIQUITIN, "k": 1})
            hold.set()
            assert holding.result(60)
        assert (answer.status_code, answer.json()["code"]) == (503, "timeout")
        assert running.app.state.service.queue._number == 0
