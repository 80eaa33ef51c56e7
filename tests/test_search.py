"""Search against a plain NumPy oracle, and each way of asking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from proteins import CALMODULIN, HISTONE, UBIQUITIN, random_sequence, write_fasta

import protvec
from protvec import fasta
from protvec.errors import (
    FilterError,
    ModelUnavailableError,
    ProteinNotFoundError,
    QueryError,
    SpaceMismatchError,
)
from protvec.search import Hits, Query, parse_query, read_queries

if TYPE_CHECKING:
    from pathlib import Path

    from protvec import Database

FAMILIES = {"his": HISTONE, "ubq": UBIQUITIN, "cam": CALMODULIN}


def relatives(name: str, sequence: str) -> list[tuple[str, str]]:
    """A family: the sequence and copies with ever more residues changed."""
    family = []
    for copy in range(5):
        letters = list(sequence)
        for place in range(copy, len(letters), 12 - 2 * copy):
            letters[place] = random_sequence(1, seed=100 * copy + place) if copy else letters[place]
        family.append((f"{name}{copy} member {copy} of {name}", "".join(letters)))
    return family


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    directory = tmp_path_factory.mktemp("search")
    database = protvec.create(directory / "db.lancedb", model="near")
    members = [record for name, sequence in FAMILIES.items() for record in relatives(name, sequence)]
    database.ingest(
        write_fasta(directory / "families.fa", members), dataset="families", organism="Arabidopsis thaliana"
    )
    noise = [(f"noise{i}", random_sequence(40 + 3 * i, seed=i)) for i in range(40)]
    database.ingest(write_fasta(directory / "noise.fa", noise), dataset="noise")
    return database


def oracle(db: Database, vector: Any, k: int, scoring: str | None = None) -> list[tuple[str, float]]:
    table = db.store.get([i for batch in db.store.iter_proteins(columns=["id"]) for i in batch["id"].to_pylist()])
    matrix = db.store.project(np.array(table["vector"].to_pylist()), scoring=scoring).astype(np.float64)
    query = db.store.project([vector], scoring=scoring)[0].astype(np.float64)
    cosine = matrix @ query / np.linalg.norm(matrix, axis=1) / np.linalg.norm(query)
    ranked = sorted(zip(table["id"].to_pylist(), cosine.tolist(), strict=True), key=lambda hit: (-hit[1], hit[0]))
    return ranked[:k]


@pytest.mark.parametrize("id", ["his0", "cam3", "noise17"])
@pytest.mark.parametrize("k", [1, 7, 1000])
@pytest.mark.parametrize("scoring", [None, "raw"])
def test_order_and_score_are_those_of_numpy(db: Database, id: str, k: int, scoring: str | None) -> None:
    hits = db.search_id(id, k=k, scoring=scoring, segments=False)
    expected = oracle(db, db.get(id).vector, k, scoring)
    assert hits.ids == [target for target, _ in expected]
    np.testing.assert_allclose(hits.scores, [score for _, score in expected], atol=1e-6)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


def test_a_sequence_finds_itself_first_with_score_one(db: Database) -> None:
    hits = db.search(CALMODULIN, k=5)
    assert hits[0].target == "cam0"
    assert hits[0].score == pytest.approx(1.0, abs=1e-6)
    assert hits[0].query == "query"
    assert {target[:3] for target in hits.ids} == {"cam"}


def test_the_model_is_not_loaded_to_search_by_id_or_vector(db: Database) -> None:
    fresh = protvec.open(db.path)
    fresh.search_id("his1")
    fresh.search_vector(np.ones(256, dtype=np.float32))
    assert fresh._encoder is None


def test_hits_are_a_sequence_and_a_table(db: Database) -> None:
    hits = db.search_id("his0", k=3)
    assert isinstance(hits, Hits)
    assert len(hits) == 3
    assert hits[-1].target == hits.ids[2]
    assert [hit.target for hit in hits[1:]] == hits.ids[1:]
    with pytest.raises(IndexError):
        hits[3]
    assert hits.to_arrow().column_names == [
        "query",
        "target",
        "rank",
        "score",
        "evalue",
        "bits",
        "by",
        "qstart",
        "qend",
        "tstart",
        "tend",
        "length",
        "gene",
        "organism",
        "description",
    ]
    assert list(hits.to_pandas()["target"]) == hits.ids
    first = hits.to_dicts()[0]
    assert first == hits[0].to_dict()
    assert first["description"] == "member 0 of his"
    assert "his0" in repr(hits)


def test_columns_are_chosen_and_checked(db: Database) -> None:
    hits = db.search_id("his0", k=1, columns=["dataset", "sequence"], segments=False)
    assert hits[0].metadata == {"dataset": "families", "sequence": HISTONE}
    assert db.search_id("his0", k=1, columns=[], segments=False)[0].metadata == {}
    whole = {"by": "protein", "qstart": None, "qend": None, "tstart": None, "tend": None}
    assert db.search_id("his0", k=1, columns=[])[0].metadata == whole
    with pytest.raises(FilterError, match=r"no column 'organsim'; there are .*organism"):
        db.search_id("his0", columns=["organsim"])


def test_where_filters_before_ranking(db: Database) -> None:
    hits = db.search_id("his0", k=5, where="dataset = 'noise' AND length > 100")
    assert len(hits) == 5
    assert all(target.startswith("noise") for target in hits.ids)
    assert len(db.search_id("his0", where="length > 100000")) == 0


@pytest.mark.parametrize("where", ["organsim = 'x'", "length >", "length = ", "length + 1", "organism = 'x"])
def test_a_wrong_filter_is_an_error_that_helps(db: Database, where: str) -> None:
    with pytest.raises(FilterError, match="organism") as raised:
        db.search_id("his0", where=where)
    assert "\n" not in str(raised.value)


def test_a_wrong_filter_is_found_before_the_model_is_loaded(db: Database) -> None:
    fresh = protvec.open(db.path)
    with pytest.raises(FilterError):
        fresh.search(HISTONE, where="nonsense = 1")
    assert fresh._encoder is None


def test_exclude_self(db: Database) -> None:
    assert "his0" not in db.search_id("his0", exclude_self=True).ids
    assert "his0" not in db.search(HISTONE, exclude_self=True).ids
    assert len(db.search(HISTONE, k=10, exclude_self=True)) == 10
    named = db.search(Query("his1", HISTONE), exclude_self=True).ids
    assert "his1" not in named
    assert "his0" in named


def test_min_score(db: Database) -> None:
    every = db.search_id("his0", k=50)
    cut = every.scores[4]
    assert db.search_id("his0", k=50, min_score=cut).ids == every.ids[:5]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"k": 0}, "k is 0"), ({"k": -3}, "at least 1"), ({"min_score": 1.5}, "between -1 and 1")],
)
def test_settings_out_of_range(db: Database, options: dict[str, Any], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        db.search_id("his0", **options)


@pytest.mark.parametrize(
    "vector", [np.zeros(256), np.full(256, np.nan), np.ones(255), np.ones((2, 256)), np.full(256, np.inf)]
)
def test_a_vector_without_a_direction_is_an_error(db: Database, vector: Any) -> None:
    with pytest.raises(QueryError):
        db.search_vector(vector)


def test_an_id_that_is_not_there_names_similar_ones(db: Database) -> None:
    with pytest.raises(ProteinNotFoundError, match="noise7") as raised:
        db.search_id("nosie7")
    assert raised.value.ids == ["nosie7"]


def test_many_queries_answer_in_order_and_as_one_by_one(db: Database, tmp_path: Path) -> None:
    file = write_fasta(tmp_path / "q.fa", [("q1", UBIQUITIN), ("q2", HISTONE), ("q3", "MK"), ("q4", CALMODULIN)])
    answers = list(db.search_many(read_queries(file), k=4))
    assert [hits.query for hits in answers] == ["q1", "q2", "q3", "q4"]
    for hits, query in zip(answers, read_queries(file), strict=True):
        assert hits.to_dicts() == db.search(query, k=4).to_dicts()


def test_records_of_a_file_are_queries(db: Database, tmp_path: Path) -> None:
    (record,) = fasta.read(write_fasta(tmp_path / "q.fa", [("mine some text", UBIQUITIN)]))
    assert isinstance(record, fasta.Record)
    assert db.search(record, k=1)[0].query == "mine"


@pytest.mark.parametrize("text", ["", "  ", "MKV*LL", "not a protein!", "M1K", "ACGT" * 20])
def test_what_is_no_protein_is_no_query(text: str) -> None:
    with pytest.raises(QueryError):
        parse_query(text)


def test_a_bad_record_in_a_query_file_is_an_error_not_a_missing_answer(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"q\.fa:3: b: "):
        list(read_queries(write_fasta(tmp_path / "q.fa", [("a", HISTONE), ("b", "M*K")])))


def test_another_model_is_refused_naming_both(db: Database, tiny_t5: Path) -> None:
    other = protvec.open(db.path, model=tiny_t5)
    with pytest.raises(SpaceMismatchError, match=r"near.*tiny-ankh|tiny-ankh.*near"):
        other.search(HISTONE)


def test_missing_weights_name_the_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailableError, match=r"models pull ankh-large.*--model DIR.*near") as raised:
        protvec.create(tmp_path / "db", model="ankh-large", offline=True)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "db").exists()


def test_unknown_settings_are_refused(db: Database) -> None:
    with pytest.raises(TypeError, match="modle"):
        protvec.open(db.path, modle="near")


def test_delete_takes_ids_or_a_condition(tmp_path: Path) -> None:
    database = protvec.create(tmp_path / "db", model="near")
    database.ingest(
        write_fasta(tmp_path / "f.fa", [("a", HISTONE), ("b", HISTONE), ("c", UBIQUITIN), ("d", CALMODULIN)])
    )
    with pytest.raises(QueryError):
        database.delete()
    with pytest.raises(QueryError):
        database.delete(["a"], where="length > 0")
    with pytest.raises(ProteinNotFoundError):
        database.delete(["a", "nowhere"])
    assert len(database) == 4
    assert database.delete(["a"]) == 1
    assert "a" not in database
    assert database.residues("b").shape == (len(HISTONE), 256)
    assert database.delete(where=f"length < {len(HISTONE)}") == 1
    assert [p.id for p in database.get_many(["b", "d"])] == ["b", "d"]


def test_a_protein_prints_as_fasta(db: Database, tmp_path: Path) -> None:
    text = db.get("his0").to_fasta()
    file = tmp_path / "out.fa"
    file.write_text(text)
    (record,) = fasta.read(file)
    assert isinstance(record, fasta.Record)
    assert (record.id, record.description, record.sequence) == ("his0", "member 0 of his", HISTONE)


def test_another_process_s_proteins_are_seen(db: Database, tmp_path: Path) -> None:
    import time

    first = protvec.create(tmp_path / "db", model="near")
    second = protvec.open(first.path)
    assert len(second) == 0
    first.ingest(write_fasta(tmp_path / "f.fa", [("a", HISTONE)]))
    end = time.monotonic() + 10
    while "a" not in second:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert second.search_id("a").ids == ["a"]


def test_the_precision_of_the_first_vectors_is_kept(tmp_path: Path) -> None:
    file = write_fasta(tmp_path / "f.fa", [("a", HISTONE)])
    database = protvec.create(tmp_path / "db", model="near", precision="fp32")
    assert database.store.precision is None
    database.ingest(file)
    assert protvec.open(database.path).info()["precision"] == "fp32"
    assert protvec.open(database.path).encoder().precision == "fp32", "auto follows the database"
    assert len(protvec.open(database.path)) == 1, "the rows are still there"

    said: list[str] = []
    other = protvec.open(database.path, precision="fp32", engine="torch", notify=said.append)
    other.search(HISTONE)
    assert said == []


def test_another_precision_than_the_database_s_is_said(tmp_path: Path, tiny_t5: Path) -> None:
    database = protvec.create(tmp_path / "db", model=tiny_t5, precision="bf16", engine="torch")
    database.ingest(write_fasta(tmp_path / "f.fa", [("a", HISTONE)]))
    said: list[str] = []
    forced = protvec.open(database.path, model=tiny_t5, precision="fp32", engine="torch", notify=said.append)
    assert forced.encoder().precision == "fp32"
    assert said == ["the database's vectors were made in bf16, these are in fp32"]
    assert protvec.open(database.path).store.precision == "bf16"


def test_an_option_that_a_search_has_not_is_said_with_what_is_near(db: Database) -> None:
    with pytest.raises(TypeError, match="no option 'minscore'; near: min_score"):
        db.search_id("his0", minscore=0.5)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="no option 'align'; there are k, where"):
        db.search_vector(db.get("his0").vector, align=True)  # type: ignore[call-arg]
