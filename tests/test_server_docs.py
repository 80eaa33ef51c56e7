"""What docs/server.md shows works against a server that runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from server_client import listening
from test_docs import ROOT, blocks, here  # noqa: F401  # a fixture

import protvec
from protvec.server import Limits, create_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from dataclasses import Field
    from pathlib import Path

PAGE = ROOT / "docs" / "server.md"
SHOWN = "http://127.0.0.1:8000"


@pytest.fixture
def url(here: Path) -> Iterator[str]:  # noqa: F811
    protvec.create(here / "plants.lancedb", model="near").ingest(here / "AtCol-0.fa.gz", dataset="AtCol-0")
    with listening(create_app({"plants": here / "plants.lancedb"})) as address:
        yield address


def test_python(url: str) -> None:
    names: dict[str, object] = {}
    for block in blocks(PAGE, "python"):
        exec(compile(block.replace(SHOWN, url), f"server.md: {block.splitlines()[0]}", "exec"), names)
    client = names["db"]
    assert isinstance(client, protvec.Client)
    client.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl(url: str, here: Path) -> None:  # noqa: F811
    asked = [block for block in blocks(PAGE, "bash") if "curl" in block]
    assert len(asked) == 2
    for block in asked:
        for command in block.replace("\\\n", " ").splitlines():
            done = subprocess.run(
                ["bash", "-c", command.replace(SHOWN, url)], capture_output=True, text=True, cwd=here, check=False
            )
            assert done.returncode == 0, done.stderr
            assert "about:blank" not in done.stdout, done.stdout
            assert done.stdout or "-o residues.npy" in command
    assert (here / "residues.npy").read_bytes().startswith(b"\x93NUMPY")


def _has_httr2() -> bool:
    if shutil.which("Rscript") is None:
        return False
    return subprocess.run(["Rscript", "-e", "library(httr2)"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _has_httr2(), reason="needs R with httr2")
def test_r(url: str) -> None:
    (block,) = blocks(PAGE, "r")
    done = subprocess.run(["Rscript", "-e", block.replace(SHOWN, url)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "AT1G01010.1" in done.stdout


def test_limits_are_described_as_they_are() -> None:
    text = PAGE.read_text(encoding="utf-8")
    limits: dict[str, Field[object]] = Limits.__dataclass_fields__
    for name, field in limits.items():
        assert f"`{name}`" in text, name
        assert f"{field.default:g}" in text or str(field.default) in text, name


def test_every_route_is_described() -> None:
    text = PAGE.read_text(encoding="utf-8").replace("GET /api", "/api")
    app = create_app({"plants": "nowhere"})
    for path in app.openapi()["paths"]:
        assert path.replace("{id:path}", "{id}") in text, path


def test_the_container_starts_what_there_is() -> None:
    """Nothing here can build it; its files and options can be looked at."""
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            assert all((ROOT / name).exists() for name in line.split()[1:-1]), line
            kept = (ROOT / ".containerignore").read_text(encoding="utf-8").splitlines()
            assert all(f"!{name}" in kept for name in line.split()[1:-1]), line
    entry = json.loads(
        next(line for line in text.splitlines() if line.startswith("ENTRYPOINT")).removeprefix("ENTRYPOINT ")
    )
    import typer

    from protvec.cli.app import build

    serve = typer.main.get_command(build()).commands["serve"]  # type: ignore[attr-defined]
    options = {option for parameter in serve.params for option in parameter.opts}
    assert entry[:2] == ["protvec", "serve"]
    assert {word for word in entry[2:] if word.startswith("--")} <= options
    assert (ROOT / ".dockerignore").read_bytes() == (ROOT / ".containerignore").read_bytes()
