"""The forecast of a large ingest: each of its figures against what it is a forecast of."""

from __future__ import annotations

import json
import sys
from array import array
from pathlib import Path

import pytest

from protvec.cli.app import run
from protvec.cluster import Rate, Wanted, forecast
from protvec.cluster.forecast import HEADER_BYTES
from protvec.errors import QueryError
from protvec.ingest import Plan
from protvec.ingest.cost import estimate_bytes
from protvec.store import bytes_per_residue, bytes_per_sequence

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from _crash import Hashing


def wanted(**changes: object) -> Wanted:
    return Wanted(**({"proteins": 1_000, "mean_length": 300, "nodes": 2, "cores": 8} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("codec", ["float16", "int8", "int4", "none"])
def test_disk_is_what_an_ingest_estimates(codec: str) -> None:
    plan = Plan(added=1_000, lengths=array("L", [300] * 1_000), text_bytes=1_000 * (300 + HEADER_BYTES))
    expected = estimate_bytes(
        plan,
        dimension=768,
        residue_bytes=bytes_per_residue(codec, 768),
        sequence_bytes=bytes_per_sequence(codec, 768),
    )
    found = forecast(wanted(egress_price=2.0), Rate.given(100, mean_length=300, model="ankh-base"))
    assert found.disk[codec] == expected
    assert found.egress[codec] == pytest.approx(expected / 1e9 * 2.0)


@pytest.mark.parametrize("model", ["ankh-base", "near"])
def test_time_is_that_of_the_rate_given_at_the_length_it_was_given_for(model: str) -> None:
    rate = Rate.given(100, mean_length=300, model=model)
    found = forecast(wanted(model=model), rate)
    assert found.embed_seconds == pytest.approx(1_000 * 300 / 100 / 16)
    assert found.residues_per_second == pytest.approx(1_600)
    longer = forecast(wanted(model=model, mean_length=3_000), rate)
    assert (
        longer.residues_per_second == pytest.approx(1_600)
        if model == "near"
        else 800 < longer.residues_per_second < 1_200
    )


def test_a_measured_rate_is_of_one_core() -> None:
    rate = Rate.measured(Hashing(), cores=2, budget=0.1)
    assert rate.precision == "fp32"
    assert rate.linear >= 0
    assert rate.quadratic >= 0
    assert rate.seconds(1, 300) > 0


def test_the_index_is_that_of_the_memory_for_searches() -> None:
    rate = Rate.given(100, mean_length=300, model="ankh-base")
    small, large = forecast(wanted(proteins=500_000), rate), forecast(wanted(proteins=60_000_000), rate)
    assert (small.index, large.index) == ("exact", "ivf_sq")
    assert large.search_memory > 60_000_000 * 768
    assert large.shards > small.shards >= 2


def test_numbers_that_cannot_be() -> None:
    with pytest.raises(QueryError, match="above 0"):
        wanted(proteins=0)
    with pytest.raises(QueryError, match="no model 'ankh'"):
        wanted(model="ankh")
    with pytest.raises(QueryError, match="a rate of 0 residues"):
        Rate.given(0, mean_length=300, model="near")


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "plan",
        "--proteins",
        "60000000",
        "--mean-length",
        "280",
        "--nodes",
        "20",
        "--cores",
        "64",
        "--rate",
        "250",
    ]
    assert run([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["residues"] == 16_800_000_000
    assert found["embed_seconds"] == pytest.approx(52_500)
    assert run(words) == 0
    text = capsys.readouterr().out
    assert "14 h 35 min on 20 x 64 cores" in text
    assert "ivf_sq" in text
    assert run([*words, "--model", "ankh"]) == 1
