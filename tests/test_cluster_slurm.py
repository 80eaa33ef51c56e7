"""The scripts for Slurm, as they are, through a stand-in that kills tasks at random."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from proteins import random_sequence, write_fasta
from slurm import Slurm

import protvec
from protvec.store import Store

SCRIPTS = Path(__file__).parent.parent / "examples" / "slurm"


def test_the_scripts_make_what_an_ingest_makes(tmp_path: Path) -> None:
    records = [(f"p{i}", "M" + random_sequence(60 + 9 * (i % 60), seed=i % 55)) for i in range(60)]
    first = write_fasta(tmp_path / "a.fa", records[:40])
    second = write_fasta(tmp_path / "b.fa", [*records[30:], ("bad", "M?")])
    local = protvec.create(tmp_path / "local", model="near", threads=1)
    expected = local.ingest([first, second], dataset="both")

    slurm = Slurm(tmp_path / "slurm", kills=2)
    environment = slurm.environment | {"PROTVEC_SHARD_OPTIONS": "--model near --dataset both"}
    done = subprocess.run(
        ["bash", SCRIPTS / "submit.sh", "db", "shards", "3", first, second],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    slurm.run()

    outputs = "".join(path.read_text() for path in sorted((tmp_path / "slurm").glob("*.out")))
    fates = [what for _, what in slurm.log]
    assert fates.count("node died") + fates.count("time is up") >= 2, slurm.log  # a task may be done before its moment
    assert fates.count("queued again") >= fates.count("node died") >= 1, slurm.log
    assert sorted(name for name, what in slurm.log if what == "ended with 0") == ["100_0", "100_1", "100_2", "101"], (
        slurm.log,
        outputs,
    )
    store = Store.open(tmp_path / "db")
    (entry,) = (entry for entry in store.ledger.entries() if entry.command == "commit")
    assert entry.counts["requested"] == expected.requested == 71
    assert (entry.counts["added"], entry.counts["skipped"]) == (expected.added, 1)
    database = protvec.open(tmp_path / "db")
    assert len(database) == len(local) == 60
    for id in (f"p{i}" for i in range(60)):
        np.testing.assert_array_equal(database.get(id).vector, local.get(id).vector)
        np.testing.assert_array_equal(database.residues(id), local.residues(id))
        assert database.get(id).metadata == local.get(id).metadata
