"""The web service of docs/app_backend.md, asked as a client would."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from proteins import CALMODULIN, HISTONE, UBIQUITIN, write_fasta

import protvec
from protvec.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parent.parent / "examples" / "fastapi_app.py"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("app")
    db = protvec.create(folder / "db", model="near")
    records = [("his1 histone H3", HISTONE), ("his2 histone H3 again", HISTONE[:90]), ("cam/1 calmodulin", CALMODULIN)]
    db.ingest(write_fasta(folder / "a.fa", records), organism="Zea mays")
    db.ingest(write_fasta(folder / "b.fa", [("ubq ubiquitin", UBIQUITIN)]), organism="L'Oryza")
    return folder / "db"


class Client:
    """Sends requests to an app in this process, whose event loop has a thread of its own."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app")

    def __enter__(self) -> Client:
        self._thread.start()
        self._lifespan = self.app.router.lifespan_context(self.app)
        self._run(self._lifespan.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._lifespan.__aexit__(None, None, None))
        self._run(self._http.aclose())
        self._run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def request(self, method: str, url: str, **options: Any) -> Any:
        return self._run(self._http.request(method, url, **options))

    def get(self, url: str, **options: Any) -> Any:
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Any:
        return self.request("POST", url, **options)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)


@pytest.fixture(scope="module")
def client(path: Path) -> Iterator[Client]:
    spec = importlib.util.spec_from_file_location("fastapi_app", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROTVEC_DB", str(path))
        patch.setitem(sys.modules, "fastapi_app", module)  # pydantic looks types up there
        spec.loader.exec_module(module)
        with Client(module.app) as opened:
            yield opened


def test_it_answers(client: Client) -> None:
    assert client.get("/health").json() == {"proteins": 4, "model": "near"}
    assert client.get("/proteins/his1").json() == {
        "id": "his1",
        "sequence": HISTONE,
        "length": len(HISTONE),
        "gene": None,
        "organism": "Zea mays",
        "description": "histone H3",
    }
    assert client.get("/proteins/cam/1").json()["sequence"] == CALMODULIN


def test_searches(client: Client, path: Path) -> None:
    found = client.post("/search", json={"sequence": HISTONE, "k": 2}).json()
    with protvec.open(path) as db:
        expected = db.search(HISTONE, k=2)
        assert [hit["target"] for hit in found["hits"]] == expected.ids == ["his1", "his2"]
        assert [hit["score"] for hit in found["hits"]] == expected.scores
        assert found["index"] == str(expected.index)
        near = client.get("/proteins/his1/similar", params={"k": 3}).json()
        assert [hit["target"] for hit in near["hits"]] == db.search_id("his1", k=3, exclude_self=True).ids
        like = client.post("/search/like", json={"like": ["his1", "his2"], "unlike": ["ubq"]}).json()
        assert [hit["target"] for hit in like["hits"]] == db.search_like(["his1", "his2"], unlike=["ubq"]).ids
    assert [hit["target"] for hit in client.get("/search", params={"q": "histone"}).json()["hits"]] == ["his1", "his2"]
    both = client.post("/search", json={"sequence": HISTONE, "text": "again", "k": 1}).json()
    assert (both["hits"][0]["target"], both["hits"][0]["evidence"]) == ("his2", "both")
    oryza = client.get("/proteins/his1/similar", params={"organism": "L'Oryza"}).json()
    assert [hit["target"] for hit in oryza["hits"]] == ["ubq"]
    assert client.get("/search", params={"q": "nothing"}).json()["hits"] == []


@pytest.mark.parametrize(
    ("method", "url", "body", "status", "said"),
    [
        ("GET", "/proteins/his", None, 404, "no protein 'his'"),
        ("GET", "/proteins/nobody/similar", None, 404, "no protein 'nobody'"),
        ("POST", "/search/like", {"like": ["his1", "nobody"]}, 404, "no protein 'nobody'"),
        ("POST", "/search", {"sequence": "MK1V"}, 422, "not a protein sequence"),
        ("POST", "/search", {"sequence": ""}, 422, "empty"),
        ("POST", "/search", {"sequence": HISTONE, "text": '"x'}, 422, "quotation mark"),
        ("POST", "/search/like", {"like": ["his1"], "unlike": ["his1"]}, 422, "to be unlike"),
        ("GET", "/search?q=--", None, 422, "no letter or digit"),
        ("GET", "/search?q=x&k=0", None, 422, "greater than or equal to 1"),
        ("POST", "/search", {"sequence": HISTONE, "k": 101}, 422, "less than or equal to 100"),
    ],
)
def test_errors_are_404_and_422(client: Client, method: str, url: str, body: Any, status: int, said: str) -> None:
    answer = client.request(method, url, json=body)
    assert answer.status_code == status
    assert said in answer.text
    assert "/db" not in answer.text, "where the database is"
    if status == 404:
        assert isinstance(answer.json()["near"], list)


def test_many_clients_at_once(client: Client) -> None:
    urls = ["/proteins/his1/similar", "/search?q=histone", "/proteins/ubq", "/health"] * 8
    serial = [client.get(url).json() for url in urls]
    bodies = [{"sequence": each, "k": 3} for each in (HISTONE, UBIQUITIN, CALMODULIN)] * 6
    alone = [client.post("/search", json=body).json() for body in bodies]
    with ThreadPoolExecutor(8) as pool:
        embedded = pool.map(lambda body: client.post("/search", json=body), bodies)
        assert [answer.json() for answer in pool.map(client.get, urls)] == serial
        assert [answer.json() for answer in embedded] == alone


def test_a_database_that_fails_is_503_and_tells_no_paths(path: Path, client: Client) -> None:
    class Broken:
        async def get(self, id: str) -> None:
            raise DatabaseError(f"{path}: cannot be read any more")

    db, client.app.state.db = client.app.state.db, Broken()
    try:
        answer = client.get("/proteins/his1")
    finally:
        client.app.state.db = db
    assert answer.status_code == 503
    assert str(path) not in answer.text
