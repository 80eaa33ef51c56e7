"""``protvec serve`` as a process of its own, and what it refuses."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest
import uvicorn
from proteins import CALMODULIN, HISTONE
from threadpoolctl import threadpool_info, threadpool_limits

import protvec
from protvec.cli.app import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "0123456789abcdef-ann"


class Process:
    """A server, and the lines of its log."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "protvec", "serve", "--port", "0", *options]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.log: list[dict[str, object]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.url = f"http://127.0.0.1:{self.until('serving')['port']}"

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self.log.append(json.loads(line))  # each is one of JSON

    def until(self, message: str) -> dict[str, object]:
        """The first line of the log with that message."""
        for _ in range(1200):
            if found := [line for line in self.log if str(line["message"]).startswith(message)]:
                return found[0]
            assert self._process.poll() is None, self.log
            time.sleep(0.05)
        raise AssertionError(self.log)

    def end(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(60)
        self._reader.join()
        return code

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:  # the test failed
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reader.join(30)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    (tmp_path / "keys").write_text(f"ann {SECRET}\n")
    return tmp_path / "keys"


def test_a_server_from_its_start_to_its_end(plants: Path, keys: Path) -> None:
    options = ("--api-key-file", str(keys), "--limit", "k=5", "--offline")
    with (
        Process("--db", f"plants={plants}", *options) as server,
        httpx.Client(base_url=server.url, headers={"X-API-Key": SECRET}, timeout=60) as http,
    ):
        server.until("plants: searches answer; model: ready")
        search = "/api/v1/databases/plants/search"
        assert httpx.get(f"{server.url}/api/v1/databases").status_code == 401
        assert http.get("/readyz").json()["ready"]
        assert http.post(search, json={"id": "his1", "k": 6}).status_code == 422
        assert http.post(search, json={"sequence": HISTONE}).json()["hits"][0]["target"] == "his1"
        job = {"kind": "ingest", "database": "plants", "fasta": ">x\nMKV\n"}
        assert http.post("/api/v1/jobs", json=job).status_code == 403
        with ThreadPoolExecutor(1) as pool:
            begun = threading.Event()

            def ask() -> httpx.Response:
                begun.set()
                return http.post(search, json={"sequence": CALMODULIN * 20, "align": True})

            asked = pool.submit(ask)
            begun.wait()
            time.sleep(0.2)
            code = server.end()
            assert asked.result(60).status_code == 200  # what was in work is answered
    assert code in (0, -signal.SIGTERM)
    line = next(line for line in server.log if line.get("status") == 422)
    assert (line["method"], line["path"], line["client"], line["level"]) == ("POST", search, "ann", "INFO")
    assert line["request_id"]
    assert not [line for line in server.log if line["level"] == "ERROR"]
    assert SECRET not in json.dumps(server.log)


def test_heads_that_are_too_long_or_too_slow(plants: Path) -> None:
    with Process("--db", f"plants={plants}", "--no-model") as server:
        port = int(server.url.rpartition(":")[2])
        long = b"X-Long: " + b"a" * (200 << 10)
        many = b"".join(b"X-%d: %b\r\n" % (n, b"a" * 1000) for n in range(200))
        for head in (long, many):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + head)
                assert client.recv(1000).startswith(b"HTTP/1.1 400 ")
        with httpx.Client(base_url=server.url, timeout=60) as http:  # one connection
            for _ in range(300):  # whose heads are not counted together
                assert http.get("/healthz", headers={"X-Long": "a" * 1000}).status_code == 200
            assert http.post("/nowhere", content=b"a" * 300_000).status_code == 404  # and a body is no head


def test_a_slow_head_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from protvec.server import heads

    monkeypatch.setattr(heads, "SECONDS", 0.1)

    async def answer(scope: object, receive: object, send: object) -> None:
        raise AssertionError

    async def ask() -> bytes:
        config = uvicorn.Config(answer, http=heads.LimitedHeads, log_config=None, lifespan="off", port=0)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTT")
        await writer.drain()
        rest = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        server.should_exit = True
        await running
        return rest

    assert asyncio.run(ask()) == b""


def test_several_processes_share_jobs_and_counts(plants: Path, tmp_path: Path) -> None:
    options = ("--workers", "2", "--state", str(tmp_path / "state"), "--no-model")
    with (
        Process("--db", f"plants={plants}", *options) as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
    ):
        while http.get("/readyz").status_code != 200:
            time.sleep(0.1)
        made = http.post("/api/v1/jobs", json={"kind": "search", "database": "plants", "ids": ["his1", "ubq"]}).json()
        for _ in range(600):
            # A connection of its own each time: either process answers.
            found = httpx.get(f"{server.url}/api/v1/jobs/{made['id']}", timeout=60).json()
            if found["state"] == "done":
                break
            time.sleep(0.1)
        assert (found["state"], found["done"]) == ("done", 2)
        counts = [
            float(line.split()[1])
            for line in http.get("/metrics").text.splitlines()
            if line.startswith("protvec_requests_total{") and 'route="/api/v1/jobs"' in line
        ]
        assert counts == [1.0]
        assert server.end() == 0


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = run(["serve", *arguments])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return code, lines[0]


def test_matrices_leave_the_cores_to_requests() -> None:
    from protvec.server.running import limit_blas

    with threadpool_limits(2, user_api="blas"):  # which gives back what there was
        limit_blas()
        assert {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"} == {1}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--host", "0.0.0.0"], 1, "on 0.0.0.0 others reach this server, so it needs keys: --api-key-file FILE"),
        (["--host", "::"], 1, "needs keys"),
        (["--db", "nowhere.lancedb"], 1, "nowhere.lancedb"),
        (["--api-key-file", "nowhere"], 1, "nowhere: cannot be read"),
        (["--cors", "example.org"], 1, "'example.org' is no origin"),
        (["--limit", "kk=1"], 2, "no limit 'kk'"),
        (["--limit", "k=x"], 2, "needs a number"),
        (["--limit", "k=0"], 1, "the limit k is 0"),
        (["--db", "a=x", "--db", "a=y"], 2, "two databases are named 'a'"),
        (["--db", "a b=x"], 1, "cannot name a database"),
    ],
)
def test_what_it_refuses(
    arguments: list[str], code: int, said: str, plants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments if "--db" in arguments else ["--db", f"plants={plants}", *arguments]
    found, message = refused(given, capsys)
    assert found == code
    assert said in message


def test_a_port_that_is_taken(plants: Path, taken: int, capsys: pytest.CaptureFixture[str]) -> None:
    code, message = refused(["--db", f"plants={plants}", "--port", str(taken)], capsys)
    assert code == 1
    assert f"127.0.0.1:{taken} cannot be served on: Address already in use" in message


def test_a_missing_package_is_named(
    plants: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "uvicorn" else find(name, *a))
    code, message = refused(["--db", str(plants)], capsys)
    assert (code, "a server needs uvicorn: pip install 'protvec[server]'" in message) == (1, True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "httpx" else find(name, *a))
    with pytest.raises(protvec.ProtvecError, match="a client needs httpx"):
        protvec.Client("http://x")
