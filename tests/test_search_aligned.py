"""Searches that rank by alignment: against alignments made one by one, every way of asking, and the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from proteins import CALMODULIN, HISTONE, UBIQUITIN, random_sequence, write_fasta
from test_cli import Cli, error_line

import protvec
from protvec.align import Chain, Scoring, local_alignment, scoring_for
from protvec.errors import QueryError
from protvec.search import read_queries
from protvec.search.aligning import ALIGNED

if TYPE_CHECKING:
    from pathlib import Path

    from protvec import Database

# Ubiquitin inside a long protein of nothing else, which no mean vector finds.
PLANTED = random_sequence(300, seed=1) + UBIQUITIN + random_sequence(200, seed=2)


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capfd)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    folder = tmp_path_factory.mktemp("aligned")
    database = protvec.create(folder / "db.lancedb", model="near", residues="float16")
    known = [("his", HISTONE), ("ubq", UBIQUITIN), ("ubq2", UBIQUITIN), ("cam", CALMODULIN), ("planted", PLANTED)]
    noise = [(f"noise{n:02d}", random_sequence(40 + 7 * n, seed=n)) for n in range(30)]
    database.ingest(write_fasta(folder / "in.fa", known + noise), organism="Zea mays")
    return database


def chain(db: Database, id: str) -> Chain:
    return Chain(db.get(id).sequence, db.residues(id))


def test_hits_are_the_best_of_all_alignments(db: Database) -> None:
    hits = db.search_id("ubq", k=99, align=True)
    scoring = scoring_for("near")
    ids = [id for batch in db.store.iter_proteins(columns=["id"]) for id in batch["id"].to_pylist()]
    alone = {id: local_alignment(chain(db, "ubq"), chain(db, id), scoring) for id in ids}
    assert sorted(hits.scores) == sorted(found.score for found in alone.values() if found.score)
    evalues = hits.to_arrow()["evalue"].to_pylist()
    assert evalues == sorted(evalues)  # the scores but for the lengths
    assert db.search_id("ubq", k=8, align=True).ids == hits.ids[:8]
    assert list(hits.alignments) == [alone[id] for id in hits.ids]
    assert set(hits.ids[:3]) == {"ubq", "ubq2", "planted"}
    planted = hits[hits.ids.index("planted")].metadata
    assert (planted["tstart"], planted["tend"], planted["qstart"], planted["qend"]) == (301, 376, 1, 76)
    cosines = {hit.target: hit.score for hit in db.search_id("ubq", k=99)}
    assert planted["cosine"] == pytest.approx(cosines["planted"])
    assert hits.to_arrow().column_names[:7] == ["query", "target", "rank", "score", "evalue", "bits", "cosine"]
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


def test_only_candidates_are_aligned(db: Database) -> None:
    near = db.search_id("cam", k=3).ids
    found = db.search_id("cam", k=6, align=True, candidates=6).ids
    assert len(set(found) - set(near)) <= 3  # half of them by their letters
    assert len(db.search_id("cam", k=6, align=True, candidates=1)) <= 6  # at least k
    assert db.search_id("cam", k=1, align=True, candidates=1).ids == ["cam"]
    assert db.search_id("cam", k=5, align=True, min_score=0.99999, exclude_self=True).ids == []
    shorter = db.search_id("cam", k=50, align=True, where="length < 100", columns=["length"])
    assert 0 < len(shorter) <= 11
    assert all(hit.metadata["length"] < 100 for hit in shorter)


def test_profiles_choose_the_pairs_that_are_shown_and_nothing_else(cli: Cli, db: Database) -> None:
    plain, found = (db.search_id("ubq", k=4, align=True, profiles=profiles) for profiles in (False, True))
    of_pairs = set(ALIGNED)
    for one, other in zip(plain.to_dicts(), found.to_dicts(), strict=True):
        assert {name: one[name] for name in one if name not in of_pairs} == {
            name: other[name] for name in other if name not in of_pairs
        }
    expected = [db.align("ubq", id) for id in found.ids]
    assert list(found.alignments) == expected
    (limited,) = db.search_ids(["ubq"], k=4, align=True, profiles=True, where="id != 'ubq2'")
    assert limited.alignments[0] == expected[0]  # relatives are of all the database
    ask = ("search", "--id", "ubq", "--db", db.path, "--align", "-k", "4", "--format", "jsonl", "--columns", "cigar")
    rows = [json.loads(line) for line in cli(*ask, "--profiles").splitlines()]
    assert [row["cigar"] for row in rows] == [each.cigar for each in expected]
    with pytest.raises(QueryError, match="profiles are of alignments"):
        db.search_id("ubq", profiles=True)
    with pytest.raises(QueryError, match="no scores of pairs were learned"):
        db.search_id("ubq", align=Scoring(), profiles=True)


def test_a_sequence_is_aligned_like_the_same_one_stored(db: Database, tmp_path: Path) -> None:
    stored = db.search_id("ubq", k=5, align=True)
    asked = db.search(UBIQUITIN, k=5, align=True)
    assert asked.ids == stored.ids
    np.testing.assert_allclose(asked.scores, stored.scores, rtol=2e-3)  # stored residues are rounded to float16
    assert "ubq" not in db.search(UBIQUITIN, k=5, align=True, exclude_self=True).ids
    queries = list(read_queries(write_fasta(tmp_path / "q.fa", [("a", UBIQUITIN), ("b", HISTONE)])))
    many = list(db.search_many(queries, k=5, align=True))
    assert many[0].ids == asked.ids
    assert many[1].ids == db.search(HISTONE, k=5, align=True).ids


def test_every_stored_query_is_answered_as_alone(db: Database) -> None:
    alone = db.search_id("ubq", k=4, align=True)
    (one, _) = db.search_ids(["ubq", "his"], k=4, align=True)
    everything = {hits.query: hits for hits in db.search_all(k=4, align=True, include_self=True)}
    (there,) = db.search_against(db, k=4, align=True, query_where="id = 'ubq'")
    assert len(everything) == len(db)
    for hits in (one, everything["ubq"], there, next(db.search_ids(["ubq"], against=db, k=4, align=True))):
        assert hits.to_arrow() == alone.to_arrow()
        assert hits.alignments == alone.alignments


def test_a_scoring_of_ones_own(db: Database) -> None:
    blast = Scoring(enhance="none", offset=0, blosum=1, gap_open=12, gap_extend=1, cosine=0)
    hits = db.search_id("ubq", k=3, align=blast)
    assert hits.scores == [hits.scores[0]] * 3
    assert hits.scores[0] == int(hits.scores[0])


def test_settings_that_cannot_be(db: Database, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="0 candidates"):
        db.search_id("ubq", align=True, candidates=0)
    with pytest.raises(QueryError, match="choose one"):
        db.search_id("ubq", align=True, text="ubiquitin")
    bare = protvec.create(tmp_path / "bare.lancedb", model="near", residues="none")
    bare.ingest(write_fasta(tmp_path / "in.fa", [("his", HISTONE)]))
    with pytest.raises(QueryError, match="keeps no residue arrays"):
        bare.search(HISTONE, align=True)


def test_the_command_line(cli: Cli, db: Database, tmp_path: Path) -> None:
    ask = ("search", "--id", "ubq", "--db", db.path, "--align", "-k", 3)
    names = "query,target,qstart,qend,tstart,tend,alnlen,fident,nident,cigar,qcov,tcov,cosine"
    rows = [json.loads(line) for line in cli(*ask, "--columns", names, "--format", "jsonl").splitlines()]
    hits = db.search_id("ubq", k=3, align=True)
    assert [row["target"] for row in rows] == hits.ids
    assert [(row["qstart"], row["tend"], row["cigar"]) for row in rows] == [
        (found.query_start, found.target_end, found.cigar) for found in hits.alignments
    ]
    drawn = cli(*ask, "--pairwise")
    for found, target in zip(hits.alignments, hits.ids, strict=True):
        assert found.picture("ubq", target) in drawn
    ten = "query,target,pident,alnlen,mismatch,gapopen,qstart,qend,tstart,tend"
    m8 = cli(*ask, "--format", "m8", "--columns", ten).splitlines()
    itself = next(line.split("\t") for line in m8 if line.startswith("ubq\tubq\t"))
    assert itself[2:] == ["100", "76", "0", "0", "1", "76", "1", "76"]
    first = cli("search", "--all", "--db", db.path, "--align", "-k", 3, "--include-self", "--threads", 1, "--no-header")
    assert cli(*ask, "--no-header") in first
    file = tmp_path / "out.parquet"
    cli(*ask, "-o", file, "--columns", names)
    import pyarrow.parquet as pq

    assert pq.read_table(file).column("alnlen").to_pylist() == [found.length for found in hits.alignments]


def test_columns_of_the_users_own_are_not_hidden_in_silence(cli: Cli, tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "in.fa", [("his", HISTONE), ("cam", CALMODULIN)])
    database = protvec.create(tmp_path / "own.lancedb", model="near")
    database.ingest(fasta)
    database.annotate({"id": ["his"], "qcov": [7]})
    ask = ("search", "--id", "his", "--db", database.path, "--format", "jsonl", "--columns")
    assert json.loads(cli(*ask, "target.qcov", "-k", 1)) == {"target.qcov": 7}
    cli(*ask, "target.qcov", "--align", code=1)
    assert "rename" in error_line(cli)
    assert json.loads(cli(*ask, "qcov", "--align", "-k", 1)) == {"qcov": 1.0}
