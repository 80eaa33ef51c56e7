"""A worker or a committer in a process of its own, with an instant model, that may die at a chosen moment."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from _crash import Countdown, Hashing

from protvec import cluster
from protvec.cluster import records
from protvec.ingest import commits
from protvec.store import Store


def main(text: str) -> None:
    task = json.loads(text)
    if task["rows"]:
        commits.COMMIT_ROWS = records.SHARD_ROWS = task["rows"]
    Countdown(task["kill"]).install()
    path, *rest = task["arguments"]
    shards = cluster.Shards.open(path)
    if task["command"] == "embed":
        report = cluster.embed_shard(shards, rest[0], lambda: Hashing(task["pause"]))
    else:
        report = cluster.commit(shards, Store.open(rest[0]), poll=lambda: None)
    sys.stdout.write(json.dumps(report.to_dict()))


if __name__ == "__main__":
    main(sys.argv[1])
