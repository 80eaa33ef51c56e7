"""The forecast of a large ingest: each of its figures against what it is a forecast of."""

from __future__ import annotations

import json
import sys
from array import array
from pathlib import Path

import numpy as np
import pytest

from protvec.cli.app import run
from protvec.cluster import Rate, Wanted, forecast
from protvec.cluster.forecast import HEADER_BYTES, SPREAD
from protvec.errors import QueryError
from protvec.ingest import Plan
from protvec.ingest.cost import estimate_bytes
from protvec.store import bytes_per_residue, bytes_per_sequence
from protvec.store.searching import SEARCH_MEMORY
from protvec.store.segments import Rule

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from _crash import Hashing


def wanted(**changes: object) -> Wanted:
    return Wanted(**({"proteins": 1_000, "mean_length": 300, "nodes": 2, "cores": 8} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("codec", ["float16", "int8", "int4", "none"])
def test_disk_is_what_an_ingest_of_proteins_of_such_lengths_estimates(codec: str) -> None:
    drawn = np.random.default_rng(5).gamma(1 / SPREAD, SPREAD * 300, 20_000)
    lengths = array("L", np.ceil(drawn * 300 / drawn.mean()).astype(int).tolist())
    count, total = len(lengths), sum(lengths)
    plan = Plan(added=count, lengths=lengths, row_lengths=lengths, text_bytes=total + count * HEADER_BYTES)
    expected = estimate_bytes(
        plan,
        dimension=768,
        residue_bytes=bytes_per_residue(codec, 768),
        sequence_bytes=bytes_per_sequence(codec, 768),
        segments=Rule(),
    )
    size = wanted(egress_price=2.0, proteins=count, mean_length=total / count)
    found = forecast(size, Rate.given(100, mean_length=300, model="ankh-base"))
    assert found.disk[codec] == pytest.approx(expected, rel=0.01)
    assert found.egress[codec] == pytest.approx(found.disk[codec] / 1e9 * 2.0)


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


@pytest.mark.parametrize(
    ("proteins", "index", "each"), [(100_000, "exact", 5 * 768), (2_000_000, "codes", 768), (60_000_000, "ivf_sq", 0)]
)
def test_memory_is_that_of_the_kind_of_search(proteins: int, index: str, each: int) -> None:
    found = forecast(wanted(proteins=proteins), Rate.given(100, mean_length=300, model="ankh-base"))
    assert found.index == index
    assert proteins * each + (300 << 20) <= found.search_memory < SEARCH_MEMORY + (600 << 20)
    assert (found.index_bytes > proteins * 768) if index == "ivf_sq" else found.index_bytes == 0
    assert found.shards >= 2


def test_a_database_of_that_kind_searches_so() -> None:
    """The bounds are those of the store."""
    most = SEARCH_MEMORY // (5 * 768 + 64)
    rate = Rate.given(100, mean_length=300, model="ankh-base")
    assert [forecast(wanted(proteins=n), rate).index for n in (most, most + 1)] == ["exact", "codes"]
    most = SEARCH_MEMORY // (768 + 96)
    assert [forecast(wanted(proteins=n), rate).index for n in (most, most + 1)] == ["codes", "ivf_sq"]


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
