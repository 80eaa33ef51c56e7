"""E-values of hits: with and without alignment, in small databases and larger ones, by every kind of search."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from proteins import CALMODULIN, UBIQUITIN, random_sequence, write_fasta
from test_cli import Cli

import protvec
from protvec.align import Scoring, scoring_for
from protvec.engine.base import embed
from protvec.errors import QueryError
from protvec.search.chance import PRIORS

if TYPE_CHECKING:
    from pathlib import Path

    from protvec import Database

NOISE = [(f"noise{n:03d}", random_sequence(40 + n % 160, seed=n)) for n in range(300)]
# Relatives of calmodulin: one residue in ten is another.
FAMILY = [
    (f"cam{n:02d}", "".join("A" if (i + n) % 10 == 0 else letter for i, letter in enumerate(CALMODULIN)))
    for n in range(30)
]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capfd)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    folder = tmp_path_factory.mktemp("chance")
    database = protvec.create(folder / "db.lancedb", model="near", residues="float16")
    others = [("ubq", UBIQUITIN), ("ubq2", UBIQUITIN), ("cam", CALMODULIN)]
    database.ingest(write_fasta(folder / "in.fa", [*NOISE, *FAMILY, *others]), organism="Zea mays")
    return database


def values(hits: Any, name: str) -> np.ndarray:
    return np.array(hits.to_arrow()[name].to_pylist(), dtype=float)


@pytest.mark.parametrize("options", [{}, {"align": True}, {"scoring": "raw"}, {"align": True, "scoring": "raw"}])
def test_unrelated_proteins_are_what_chance_gives(db: Database, options: dict[str, Any]) -> None:
    strangers = [random_sequence(60 + 5 * n, seed=1000 + n) for n in range(0, 30, 2)]
    found = [values(hits, "evalue") for hits in db.search_many(strangers, k=100, **options)]
    at_10 = np.mean([(each <= 10).sum() for each in found])
    assert 1 < at_10 < 40  # E is about 10
    assert np.mean([(each <= 0.01).sum() for each in found]) < 0.1


@pytest.mark.parametrize("options", [{}, {"align": True}])
def test_a_large_family_is_beyond_chance(db: Database, options: dict[str, Any]) -> None:
    hits = db.search_id("cam", k=40, **options)
    evalue = dict(zip(hits.ids, values(hits, "evalue"), strict=True))
    family = [evalue[id] for id, _ in FAMILY if id in evalue]
    assert len(family) == 30
    assert max(family) < 0.01
    assert min(evalue[id] for id in evalue if id.startswith("noise")) > 0.05


def test_alignment_finds_what_is_beyond_chance(db: Database) -> None:
    hits = db.search(random_sequence(200, seed=7700) + UBIQUITIN + random_sequence(200, seed=7800), k=5, align=True)
    assert set(hits.ids[:2]) == {"ubq", "ubq2"}
    assert hits[0].evalue is not None
    assert hits[0].evalue < 1e-3
    assert hits[2].evalue is not None
    assert hits[2].evalue > 0.05


def test_e_is_the_number_of_sequences_times_what_the_bits_say(db: Database) -> None:
    for options in ({}, {"align": True, "candidates": 999}):
        hits = db.search_id("ubq", k=20, **options)
        np.testing.assert_allclose(values(hits, "evalue"), 312 * 2.0 ** -values(hits, "bits"), rtol=1e-6)
    assert "312 distinct sequences" in hits.chance  # ubq and ubq2 are one


def test_a_condition_leaves_less_for_chance(db: Database) -> None:
    everything = dict(zip(*_columns(db.search_id("noise000", k=400), "evalue"), strict=True))
    some = dict(zip(*_columns(db.search_id("noise000", k=400, where="length < 120"), "evalue"), strict=True))
    share = len(some) / len(everything)
    for id, evalue in some.items():
        assert evalue == pytest.approx(everything[id] * share, rel=0.02)


def _columns(hits: Any, name: str) -> tuple[list[str], list[float]]:
    return hits.ids, values(hits, name).tolist()


@pytest.mark.parametrize("options", [{}, {"align": True}, {"text": "noise000"}])
def test_a_highest_e_leaves_out_what_is_above(db: Database, options: dict[str, Any]) -> None:
    everything = db.search_id("cam", k=50, **options)
    evalues = values(everything, "evalue")
    hits = db.search_id("cam", k=50, evalue=0.5, **options)
    assert hits.ids == [id for id, evalue in zip(everything.ids, evalues, strict=True) if evalue <= 0.5]
    assert 0 < len(hits) < len(everything)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


def test_every_kind_of_search_says_the_same(db: Database) -> None:
    ids = ["noise001", "ubq", "cam"]
    by_id = [_columns(db.search_id(id, k=9), "evalue") for id in ids]
    vectors = [db.get(id).vector for id in ids]
    assert [_columns(hits, "evalue") for hits in db.search_vectors(vectors, k=9)] == by_id
    assert [_columns(db.search_vector(vector, k=9), "evalue") for vector in vectors] == by_id
    whole = {hits.query: _columns(hits, "evalue") for hits in db.search_all(k=9, include_self=True)}
    assert [whole[id] for id in ids] == by_id
    assert len(db.search_like(["cam00", "cam01"], k=9, evalue=0.01)) == 9


@pytest.mark.parametrize("evalue", [-1.0, float("nan")])
def test_no_e_is_like_that(db: Database, evalue: float) -> None:
    with pytest.raises(QueryError, match="highest E-value"):
        db.search_id("ubq", evalue=evalue)


def test_texts_have_no_e(db: Database) -> None:
    hits = db.search_text("noise000")
    assert hits[0].evalue is None
    assert hits[0].to_dict()["bits"] is None
    assert hits.chance == ""


@pytest.mark.parametrize("number", [1, 2, 5, 15, 40])
def test_small_databases_are_careful(tmp_path: Path, number: int) -> None:
    database = protvec.create(tmp_path / "db.lancedb", model="near")
    database.ingest(write_fasta(tmp_path / "in.fa", NOISE[:number]))
    for options in ({}, {"align": True}):
        hits = database.search(random_sequence(90, seed=5000), k=5, **options)
        evalues = values(hits, "evalue")
        assert (evalues <= number).all()
        assert (evalues > 0.02).all()
        assert ("prior alone" in hits.chance) is False


def test_a_database_of_the_query_alone_has_a_prior(tmp_path: Path) -> None:
    database = protvec.create(tmp_path / "db.lancedb", model="near")
    database.ingest(write_fasta(tmp_path / "in.fa", [("ubq", UBIQUITIN)]))
    hits = database.search_id("ubq")
    assert "prior alone" in hits.chance
    assert hits[0].evalue is not None
    assert hits[0].evalue <= 1


def test_scores_of_the_models_have_priors() -> None:
    assert {
        scoring_for(model).of_scores for model in ("near", "ankh-base")
    } <= PRIORS.keys()  # else fit one: docs/statistics.md


def test_other_scorings_have_e_values_too(db: Database) -> None:
    hits = db.search_id("cam", k=40, align=Scoring(enhance="rows", offset=2.0, blosum=0.1))
    evalues = dict(zip(hits.ids, values(hits, "evalue"), strict=True))
    assert max(evalues[id] for id, _ in FAMILY) < 0.01
    assert min(evalues[id] for id in evalues if id.startswith("noise")) > 0.05


def test_the_command_prints_and_filters(cli: Cli, db: Database) -> None:
    cli("search", "--id", "cam", "--db", db.path, "-k", "50", "--format", "json", "--evalue", "0.01", "--explain")
    (answer,) = json.loads(cli.out)
    assert len(answer["hits"]) >= 31
    assert all(hit["evalue"] <= 0.01 for hit in answer["hits"])
    assert "E-values: hits expected by chance among 312 distinct sequences" in cli.err
    cli("search", "--id", "cam", "--db", db.path, "-k", "3", "--align", "--format", "m8")
    rows = [line.split("\t") for line in cli.out.splitlines()]
    assert [len(row) for row in rows] == [12, 12, 12]
    assert all(float(row[10]) < 1e-3 < float(row[11]) for row in rows)
    cli("search", "--id", "cam", "--db", db.path, "-k", "1", "--columns", "evalue,bitscore")
    assert cli.out.splitlines()[0] == "evalue\tbitscore"


MEMBRANE = "MK" + "LLVIALLGFVLLAIVLGLLF" * 4 + "KRK"


def test_unusual_queries_need_more_of_a_score(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    vector = next(iter(embed(db.encoder(), [MEMBRANE]))).vector
    plain = protvec.open(db.path).search(MEMBRANE, k=20)
    assert "unusual" not in plain.chance  # of 312 proteins nobody is
    assert _columns(plain, "evalue") == _columns(db.search_vector(vector, k=20), "evalue")
    before = db.search_id("noise003", k=20)
    monkeypatch.setattr("protvec.statistics.kinds._ENOUGH", 1)
    again = protvec.open(db.path)
    unusual = again.search(MEMBRANE, k=20)
    assert unusual.ids == plain.ids
    assert (values(unusual, "evalue") > values(plain, "evalue"))[:3].all()
    assert "queries of unusual composition (kind " in unusual.chance
    usual = again.search_id("noise003", k=20)
    assert "unusual" not in usual.chance
    assert values(usual, "evalue")[0] < values(before, "evalue")[0]  # itself, by the tail
    whole = {hits.query: _columns(hits, "evalue") for hits in again.search_all(k=20, include_self=True)}
    assert whole["noise003"] == _columns(usual, "evalue")
    by_text = again.search(MEMBRANE, k=20, text="noise003")
    assert "unusual" in by_text.chance
    assert "unusual" not in again.search_vector(vector, k=20).chance  # whose length is not known
