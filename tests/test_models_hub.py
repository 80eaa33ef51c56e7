"""Fetching, against a small hub on this machine, each in a process of its own."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from protvec.models import MODELS
from protvec.models.hub import licence_line, needed_files

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass
class Hub:
    """A small hub on this machine: one repository, and a list of what was asked for."""

    url: str
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def hub(ankh3: Path) -> Iterator[Hub]:
    repository = MODELS["ankh3-large"].repository
    files = {path.name: path for path in ankh3.iterdir()} | dict.fromkeys(
        ("README.md", "tf_model.h5", "pytorch_model.bin"), ankh3 / "config.json"
    )

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            name = self.path.rsplit("/", 1)[-1]
            if self.path.startswith(f"/api/models/{repository}"):
                siblings = [{"rfilename": n, "size": p.stat().st_size} for n, p in files.items()]
                body = json.dumps({"id": repository, "sha": COMMIT, "siblings": siblings}).encode()
                self.answer(200, body, {"Content-Type": "application/json"})
            elif self.path == f"/{repository}/resolve/{COMMIT}/{name}" and name in files:
                etag = f'"{sha256(files[name])}"'
                self.answer(200, files[name].read_bytes(), {"ETag": etag, "X-Repo-Commit": COMMIT})
            else:
                self.answer(404, b"", {})

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub = Hub(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield hub
        server.shutdown()


def run_with_hub(url: str, home: Path, code: str) -> tuple[dict[str, object], float]:
    """Run code that prints a JSON object, in a process of its own: the hub's client reads settings once."""
    start = time.monotonic()
    head = "import json, time\nfrom protvec.errors import *\nfrom protvec.models import *\n"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_") and "proxy" not in k.lower()}
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", head + code],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "HF_ENDPOINT": url, "HF_HOME": str(home), "PYTHONPATH": root},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout), time.monotonic() - start


def test_a_model_is_fetched_with_notice_and_progress(hub: Hub, tmp_path: Path, ankh3: Path) -> None:
    code = """
notes, steps = [], []
checkpoint = obtain("ankh3-large", notify=notes.append, progress=lambda *step: steps.append(step))
again = obtain("ankh3-large", notify=notes.append)
answer = {"notes": notes, "last": steps[-1], "same": again == checkpoint}
print(json.dumps({**answer, **checkpoint.space.to_dict()}))
"""
    answer, _ = run_with_hub(hub.url, tmp_path, code)
    assert answer["notes"] == [licence_line(MODELS["ankh3-large"])]
    assert "CC-BY-NC-SA-4.0 (non-commercial use only)" in answer["notes"][0]
    needed = [path for path in ankh3.iterdir() if path.name in ("config.json", "model.safetensors", "spiece.model")]
    total = sum(path.stat().st_size for path in needed)
    assert answer["last"] == [total, total]
    assert answer["same"]
    assert (answer["revision"], answer["weights"]) == (COMMIT, sha256(ankh3 / "model.safetensors"))
    fetched = {r.rsplit("/", 1)[-1] for r in hub.requests if r.startswith("GET") and "/resolve/" in r}
    assert fetched == {path.name for path in needed}


REFUSED = """
start = time.monotonic()
try:
    {call}
except ModelUnavailableError as error:
    print(json.dumps({{"message": str(error), "seconds": time.monotonic() - start}}))
"""


def test_offline_asks_nobody(hub: Hub, tmp_path: Path) -> None:
    code = REFUSED.format(call='obtain("ankh3-large", offline=True, notify=print)')
    answer, _ = run_with_hub(hub.url, tmp_path, code)
    assert "offline" in str(answer["message"])
    assert hub.requests == []


@pytest.mark.parametrize("kind", ["refusing", "silent", "no such host"])
def test_without_network_it_fails_in_time(tmp_path: Path, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts, and never answers
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        if kind == "refusing":
            server.close()
        elif kind == "no such host":
            url = "http://hub.invalid"
        answer, _ = run_with_hub(url, tmp_path, REFUSED.format(call='obtain("ankh-base", notify=print)'))
    assert float(str(answer["seconds"])) < 5
    assert "the hub does not answer" in str(answer["message"])
    for way in ("`protvec models pull ankh-base`", "`--model DIR`", "`--model near`"):
        assert way in str(answer["message"])


def test_a_fetch_that_fails_says_why(hub: Hub, tmp_path: Path) -> None:
    answer, _ = run_with_hub(hub.url, tmp_path, REFUSED.format(call='pull("prot-t5")'))
    assert "the fetch failed: 404" in str(answer["message"])
    assert "\n" not in str(answer["message"])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["pytorch_model.bin", "tf_model.h5", "config.json", "tokenizer.json", "README.md"],
            ["config.json", "pytorch_model.bin", "tokenizer.json"],
        ),
        (["pytorch_model.bin", "model.safetensors"], ["model.safetensors"]),
        (
            ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00001.bin", "flax_model.msgpack"],
            ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00001.bin"],
        ),
        (["model.onnx"], []),
    ],
)
def test_only_what_is_needed_is_fetched(names: list[str], expected: list[str]) -> None:
    assert needed_files(names) == expected
