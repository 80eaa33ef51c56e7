"""An application in this process, asked as a client would, over HTTP or without; and its databases."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn
from proteins import CALMODULIN, HISTONE, UBIQUITIN, write_fasta

import protvec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi import FastAPI

RECORDS = [
    ("his1 histone H3", HISTONE),
    ("his2 histone H3 again", HISTONE[:90]),
    ("cam/1|x calmodulin", CALMODULIN),
    ("ubq ubiquitin", UBIQUITIN),
]


def make_database(folder: Path) -> Path:
    """Four proteins of the offline model, with residues; one of another organism, one with an awkward id."""
    db = protvec.create(folder / "db", model="near")
    db.ingest(write_fasta(folder / "a.fa", RECORDS[:3]), organism="Zea mays")
    db.ingest(write_fasta(folder / "b.fa", RECORDS[3:]), organism="L'Oryza")
    db.annotate({"id": ["his1", "his2"], "plddt": [90.5, None], "secreted": [True, False], "go": [["GO:1"], ["GO:2"]]})
    return folder / "db"


@contextlib.contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """An application on a port of this machine, in a thread; its address, without a slash at the end."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


class Running:
    """Runs an application, whose event loop has a thread of its own, and sends it requests."""

    def __init__(self, app: FastAPI, *, headers: dict[str, str] | None = None) -> None:
        self.app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers, timeout=60)

    def __enter__(self) -> Running:
        self._thread.start()
        self._lifespan = self.app.router.lifespan_context(self.app)
        self.run(self._lifespan.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._lifespan.__aexit__(None, None, None))
        self.run(self.http.aclose())
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait_until_ready(self) -> Running:
        for _ in range(600):
            if self.get("/readyz").status_code == 200:
                return self
            time.sleep(0.05)
        raise AssertionError(self.get("/readyz").text)

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        answer: httpx.Response = self.run(self.http.request(method, url, **options))
        return answer

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        return self.request("POST", url, **options)

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(120)
