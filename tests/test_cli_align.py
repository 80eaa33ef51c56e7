"""``protvec align`` and ``Database.align``: ids, sequences and files, with a database and without, and the plot."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from alignments import chain
from proteins import CALMODULIN, HISTONE, UBIQUITIN, write_fasta
from test_cli import Cli, error_line

import protvec
from protvec.align import Chain, Scoring, local_alignment, scoring_for, similarity
from protvec.align.plot import thumbnail
from protvec.errors import QueryError
from protvec.search.related import Profiles
from protvec.store.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from protvec import Database

ODD = UBIQUITIN[:30] + "GG" + UBIQUITIN[33:]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capfd)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    folder = tmp_path_factory.mktemp("align")
    database = protvec.create(folder / "db.lancedb", model="near", residues="float16")
    database.ingest(write_fasta(folder / "in.fa", [("ubq a header", UBIQUITIN), ("odd", ODD), ("his", HISTONE)]))
    return database


def test_ids_are_read_and_sequences_embedded(db: Database) -> None:
    (one, two) = db.parties(["ubq", "odd"])
    found = db.align("ubq", "odd")
    assert found == local_alignment(one.chain, two.chain, scoring_for("near"))
    assert (found.query_start, found.query_end, found.target_end) == (1, 76, 75)
    again = db.align("ubq", ODD)
    assert again.cigar == found.cigar
    assert again.score == pytest.approx(found.score, rel=2e-3)
    other = db.align("ubq", "odd", scoring=Scoring(enhance="none", offset=0, gap_open=12, blosum=1, cosine=0))
    assert other.score != found.score
    with pytest.raises(QueryError, match="not a protein sequence"):
        db.align("ubq", "P1")


def test_a_pair_is_drawn_for_a_person_and_told_to_a_program(cli: Cli, db: Database) -> None:
    found = db.align("ubq", "odd")
    assert found.picture("ubq", "odd") in cli("align", "ubq", "odd", "--db", db.path)
    (row,) = map(json.loads, cli("align", "ubq", "odd", "--db", db.path, "--format", "jsonl").splitlines())
    assert (row["query"], row["target"], row["qstart"], row["tend"]) == ("ubq", "odd", 1, 75)
    assert row["score"] == found.score
    columns = ("--columns", "qlen,tlen,qheader,theader,qseq,nident,cigar", "--format", "jsonl")
    (row,) = map(json.loads, cli("align", "ubq", "odd", "--db", db.path, *columns).splitlines())
    assert row == {
        "qlen": 76,
        "tlen": 75,
        "qheader": "ubq a header",
        "theader": "odd",
        "qseq": UBIQUITIN,
        "nident": found.identical,
        "cigar": found.cigar,
    }


def test_files_are_aligned_all_with_all_without_a_database(cli: Cli, tmp_path: Path) -> None:
    one = write_fasta(tmp_path / "a.fa", [("u", UBIQUITIN), ("c", CALMODULIN)])
    two = write_fasta(tmp_path / "b.fa", [("o", ODD), ("u2", UBIQUITIN), ("c2", CALMODULIN)])
    rows = [json.loads(line) for line in cli("align", one, two, "--model", "near", "--format", "jsonl").splitlines()]
    assert [row["query"] for row in rows] == ["u"] * 3 + ["c"] * 3
    best = [row for row in rows if row["pident"] == 100]
    assert [(row["query"], row["target"]) for row in best] == [("u", "u2"), ("c", "c2")]
    scores = [row["score"] for row in rows[:3]]
    assert scores == sorted(scores, reverse=True)
    (row,) = map(json.loads, cli("align", UBIQUITIN, ODD, "--model", "near", "--format", "jsonl").splitlines())
    assert (row["query"], row["target"]) == ("A", "B")


def test_the_plot(cli: Cli, db: Database, tmp_path: Path) -> None:
    png, svg = tmp_path / "dot.png", tmp_path / "dot.svg"
    cli("align", "ubq", "odd", "--db", db.path, "--plot", png)
    assert png.read_bytes().startswith(b"\x89PNG")
    cli("align", "ubq", "odd", "--db", db.path, "--plot", svg)
    first = svg.read_bytes()
    assert b"<svg" in first
    db.align("ubq", "odd", plot=svg)
    assert svg.read_bytes() == first
    cli("align", "ubq", "odd", "--db", db.path, "--plot", "dot.gif", code=1)
    assert "a plot is .png or .svg" in error_line(cli)


def test_a_thumbnail_has_the_highest_scores() -> None:
    a, b = chain("ACDEFGHIKL" * 7, seed=1), chain("LKIHGFEDCA" * 5, seed=2)
    whole = similarity(a, b, Scoring())
    np.testing.assert_array_equal(thumbnail(a, b, Scoring()), whole)
    small = thumbnail(a, b, Scoring(), dots=20)
    assert small.shape == (18, 17)  # of 4 rows and 3 columns each
    assert small[0, 0] == whole[:4, :3].max()
    assert small[-1, -1] == whole[68:, 48:].max()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ubq", "ubq1"], 1, "near: ubq"),
        (["ubq", "ACDEFGH"], 0, "is no id of"),
        (["ubq"], 2, "Missing argument 'B'"),
        (["ubq", "odd", "--format", "m8"], 2, "take tsv"),
        (["ubq", "odd", "--columns", "tagret"], 1, "near: target"),
        (["ubq", "ACGTTGCA" * 20], 1, "nucleotides"),
        (["GGGGGGG", "WWWWWWW", "--format", "tsv"], 0, "no residues are alike"),
    ],
)
def test_mistakes_are_said(cli: Cli, db: Database, arguments: list[str], code: int, message: str) -> None:
    cli("align", *arguments, "--db", db.path, code=code)
    assert message in cli.err


def test_many_pairs_are_no_plot(cli: Cli, db: Database, tmp_path: Path) -> None:
    file = write_fasta(tmp_path / "a.fa", [("u", UBIQUITIN), ("c", CALMODULIN)])
    cli("align", "ubq", file, "--db", db.path, "--plot", tmp_path / "x.png", code=1)
    assert "of one pair, not of 1 with 2" in error_line(cli)
    assert not (tmp_path / "x.png").exists()


def test_profiles_have_what_relatives_say(cli: Cli, db: Database) -> None:
    parties = db.parties(["ubq", "his", ODD])
    pairing = scoring_for("near").pairing
    assert pairing is not None
    found = list(db.profiled(parties))
    differing = [
        not np.allclose(a.chain.described(pairing).vectors, b.chain.described(pairing).vectors, atol=1e-5)
        for a, b in zip(parties, found, strict=True)
    ]
    assert differing == [True, False, True]  # "his" has no relative there, and nothing is one of itself
    assert [each.relatives for each in found] == [1, 0, 1]
    aligned = db.align("ubq", "odd")  # with them, unless told not to
    one, two = db.profiled(db.parties(["ubq", "odd"]))
    assert (
        aligned == local_alignment(one.chain, two.chain, scoring_for("near")) == db.align("ubq", "odd", profiles=True)
    )
    assert aligned.score == db.align("ubq", "odd", profiles=False).score
    cli("align", ODD, UBIQUITIN, "--model", "near", "--profiles", code=2)
    assert "give --db" in cli.err


def test_profiles_are_said_and_can_be_left_out(cli: Cli, db: Database, tmp_path: Path) -> None:
    (plain,) = map(
        json.loads, cli("align", "ubq", "odd", "--db", db.path, "--no-profiles", "--format", "jsonl").splitlines()
    )
    assert "relatives" not in cli.err
    one, two = db.parties(["ubq", "odd"])
    assert plain["qstart"] == local_alignment(one.chain, two.chain, scoring_for("near")).query_start
    cli("align", "ubq", "his", "--db", db.path)
    assert "relatives in the database: ubq 1, his 0" in cli.err
    file = write_fasta(tmp_path / "a.fa", [(f"u{n}", UBIQUITIN) for n in range(4)])
    cli("align", file, "his", "--db", db.path)
    assert "4 of 5 proteins have relatives in the database" in cli.err


def test_one_profile_is_made_of_a_protein_that_comes_again(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three, other = db.parties(["ubq", "odd", "ubq", UBIQUITIN])
    asked: list[Chain] = []
    of = Profiles.of
    monkeypatch.setattr(Profiles, "of", lambda self, each: asked.append(each) or of(self, each))
    found = list(db.profiled([one, two, three, replace(one, name="again"), other]))
    assert asked == [
        one.chain,
        two.chain,
        other.chain,
    ]  # what is embedded differs in its last digits from what is stored
    assert [each.name for each in found] == ["ubq", "odd", "ubq", "again", other.name]
    assert found[0].chain is found[2].chain is found[3].chain


def test_relatives_are_other_sequences_once_each(db: Database, tmp_path: Path) -> None:
    database = protvec.create(tmp_path / "db.lancedb", model="near", residues="float16")
    same = [(f"same{n}", ODD) for n in range(3)]
    database.ingest(write_fasta(tmp_path / "in.fa", [("ubq", UBIQUITIN), *same, ("his", HISTONE)]))
    profiles = Profiles.by(database.store, scoring_for("near"), threads=1)
    (party,) = database.parties(["ubq"])
    found = profiles.relatives(party.chain)
    assert [each.sequence for each in found] == [ODD]


def test_letters_are_kept_for_the_next_alignment_until_it_is_closed(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protvec.search.aligning.RELATIVES_AMONG", 2)  # of more, so that letters choose among them
    opened = protvec.open(db.path)
    reads: list[object] = []
    read = Reader.iter_proteins
    monkeypatch.setattr(Reader, "iter_proteins", lambda self, **how: reads.append(how) or read(self, **how))
    first = opened.align("ubq", "odd")
    assert reads
    reads.clear()
    assert opened.align("ubq", "odd") == first
    assert not reads
    opened.close()
    assert "_library" not in vars(opened)


def test_where_there_are_no_profiles_alignments_are_without(db: Database, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="no scores of pairs were learned"):
        db.align("ubq", "odd", profiles=True, scoring=Scoring())
    assert db.compare("ubq", "odd", scoring=Scoring()).relatives == (None, None)
    best = replace(scoring_for("near"), temperature=0.0)
    with pytest.raises(QueryError, match="without a temperature"):
        db.align("ubq", "odd", profiles=True, scoring=best)
    bare = protvec.create(tmp_path / "bare.lancedb", model="near", residues="none")
    bare.ingest(write_fasta(tmp_path / "in.fa", [("ubq", UBIQUITIN)]))
    with pytest.raises(QueryError, match="keeps no residue arrays"):
        bare.align(UBIQUITIN, ODD, profiles=True)
    assert bare.compare(UBIQUITIN, ODD).relatives == (None, None)
