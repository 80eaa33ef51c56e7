"""Several servers on one database in an object store, while somebody else writes to it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import object_store
import pytest
from proteins import CALMODULIN, write_fasta
from server_client import RECORDS, Running

import protvec
from protvec.server import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "served"
URL = f"s3://{BUCKET}/plants.lancedb"
DB = "/api/v1/databases/plants"


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with object_store.s3(BUCKET) as given:
        yield given


def answers(server: Running) -> list[Any]:
    """What a server says to searches by id, by condition and by vector, and of one protein."""
    vector = [0.0] * 255 + [1.0]
    asked = [{"id": "his1", "k": 3}, {"id": "ubq", "k": 9, "where": "length > 80"}, {"vector": vector, "k": 4}]
    found = [server.post(f"{DB}/search", json=each).raise_for_status().json()["hits"] for each in asked]
    return [*found, server.get(f"{DB}/proteins/his1").raise_for_status().json()]


def test_two_servers_answer_the_same_and_see_what_somebody_else_writes(options: dict[str, str], tmp_path: Path) -> None:
    db = protvec.create(URL, model="near", storage_options=options)
    db.ingest(write_fasta(tmp_path / "a.fa", RECORDS))
    apps = [create_app({"plants": URL}, models=False, storage_options=options) for _ in range(2)]
    with Running(apps[0]) as one, Running(apps[1]) as two:
        servers = [server.wait_until_ready() for server in (one, two)]
        first = answers(one)
        assert first == answers(two)
        assert [hit["target"] for hit in first[0]] == db.search_id("his1", k=3).ids
        assert [hit["target"] for hit in first[1]] == db.search_id("ubq", k=9, where="length > 80").ids
        job = {"kind": "ingest", "database": "plants", "fasta": ">x\nMKV\n"}
        assert [server.post("/api/v1/jobs", json=job).status_code for server in servers] == [403, 403]
        db.ingest(write_fasta(tmp_path / "b.fa", [("new calmodulin", CALMODULIN[5:])]))
        assert all(seen(server, "new") for server in servers)
        assert (then := answers(one)) == answers(two)
        assert [hit["target"] for hit in then[1]] == db.search_id("ubq", k=9, where="length > 80").ids
        assert len(then[1]) == len(first[1]) + 1


def seen(server: Running, id: str) -> bool:
    """Whether a protein is found there, before long."""
    for _ in range(100):
        if server.get(f"{DB}/proteins/{id}").status_code == 200:
            return True
        time.sleep(0.1)
    return False
