"""Labels from the nearest labelled proteins: the arithmetic by hand, ontologies, storing, checking, the command."""

from __future__ import annotations

import gzip
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import store_data as data
from hypothesis import given
from hypothesis import strategies as st
from proteins import HISTONE, UBIQUITIN, write_fasta

import protvec
from protvec import Database
from protvec.cli.app import run
from protvec.errors import FilterError, InputError, QueryError
from protvec.store import Store, protein_table
from protvec.transfer.labels import EnzymeNumbers, Labels, Terms, find_labels
from protvec.transfer.ontology import Ontology, read_ontology
from protvec.transfer.vote import Neighbour, similarity, vote

if TYPE_CHECKING:
    from pathlib import Path

# Two directions: a protein at 0 degrees and one at 90 have nothing in common. `aN` and `bN` are labelled.
ANGLES = {"a1": 0, "a2": 10, "b1": 90, "b2": 80, "x": 4, "y": 86, "z": 45, "far": 180}
GO = {"a1": ["GO:0000011"], "a2": ["GO:0000012", "GO:0000002"], "b1": ["GO:0000003"], "b2": ["GO:0000003"], "x": []}
EC = {"a1": "3.1.1.4", "a2": "EC 3.1.3.2; 3.1.1.4", "b1": "2.7.-.-", "b2": "EC:2.7.11.1"}
OBO = """format-version: 1.2

[Term]
id: GO:0000001
name: root

[Term]
id: GO:0000002
is_a: GO:0000001 ! root

[Term]
id: GO:0000003
alt_id: GO:0000099
is_a: GO:0000001 {source="x"} ! root

[Term]
id: GO:0000011
is_a: GO:0000002 ! child
relationship: part_of GO:0000003 ! other
relationship: regulates GO:0000012 ! not followed

[Term]
id: GO:0000012
is_a: GO:0000002

[Term]
id: GO:0000098
is_obsolete: true
replaced_by: GO:0000011

[Typedef]
id: part_of
is_a: nothing
"""


def make(path: Path) -> Database:
    store = Store.create(path, data.space(dimension=2), codec="none")
    rows = [data.row(id, data.sequence(i)) for i, id in enumerate(ANGLES)]
    angles = np.deg2rad(list(ANGLES.values()))
    store.write(protein_table(rows, np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)), [])
    database = Database(store)
    database.annotate({"id": list(GO), "go": list(GO.values())})
    database.annotate({"id": list(EC), "ec": list(EC.values())})
    return database


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return make(tmp_path / "db")


@pytest.fixture
def obo(tmp_path: Path) -> Path:
    file = tmp_path / "small.obo"
    file.write_text(OBO)
    return file


def cos(degrees: float) -> float:
    return math.cos(math.radians(degrees))


def rows(found: Any, query: str) -> dict[str, Any]:
    return {each.label: each for each in found if each.query == query}


# --- The reliability index ---------------------------------------------------------------------------------


def test_reliability_is_the_mean_of_similarities() -> None:
    near = [
        Neighbour("p", frozenset("AB"), 0.9),
        Neighbour("q", frozenset("B"), 0.6),
        Neighbour("r", frozenset("C"), 0.3),
    ]
    found = vote(near, Labels())
    assert {label: its.ri for label, its in found.items()} == pytest.approx({"A": 0.3, "B": 0.5, "C": 0.1})
    assert (found["B"].best.id, found["B"].support, found["B"].direct) == ("p", 2, True)
    assert vote([], Labels()) == {}


def test_similarity_is_the_chance_of_no_chance_hit() -> None:
    assert similarity(0.2, 0.01) == pytest.approx(math.exp(-0.01))
    assert similarity(0.99, 10) < 1e-4
    assert [similarity(score, None) for score in (0.4, -0.4, 1.0000001)] == [0.4, 0, 1]


@given(st.lists(st.tuples(st.sets(st.sampled_from("ABCD"), min_size=1), st.floats(0, 1)), min_size=1, max_size=6))
def test_a_reliability_lies_between_0_and_1(drawn: list[tuple[set[str], float]]) -> None:
    near = [Neighbour(str(i), frozenset(labels), s) for i, (labels, s) in enumerate(drawn)]
    for label, its in vote(near, Labels()).items():
        assert 0 <= its.ri <= 1 + 1e-12
        assert its.ri <= its.best.similarity + 1e-12
        assert label in its.best.labels


# --- Labels ------------------------------------------------------------------------------------------------


def test_labels_are_told_from_their_values() -> None:
    assert type(find_labels("c", ["GO:0005634;GO:0003700", "GO:0005634, GO:0000001"])) is Terms
    assert type(find_labels("c", [["GO:0005634"], ["GO:0003700"]])) is Terms
    assert type(find_labels("c", ["EC 3.1.1.4", "2.7.-.-", "EC:1.1.1.1;3.4.21.n2", "3.1"])) is EnzymeNumbers
    plain = find_labels("c", ["PF00069", "Kinase domain; of plants"])
    assert type(plain) is Labels
    assert plain.of("Kinase domain; of plants") == {"Kinase domain; of plants"}
    assert find_labels("c", ["a"], separator="|").of("a| b|") == {"a", "b"}


def test_enzyme_numbers_imply_their_prefixes() -> None:
    numbers = EnzymeNumbers()
    assert numbers.of("EC 3.1.1.4; EC:3.1;2.7.11.-") == {"3.1.1.4", "3.1.-.-", "2.7.11.-"}
    assert numbers.implied("3.1.1.4") == {"3.-.-.-", "3.1.-.-", "3.1.1.-", "3.1.1.4"}
    assert numbers.implied("2.7.-.-") == {"2.-.-.-", "2.7.-.-"}
    assert numbers.told(["3.-.-.-", "3.1.-.-", "2.-.-.-"]) == ["2.-.-.-", "3.1.-.-"]


# --- Ontologies --------------------------------------------------------------------------------------------


def test_an_ontology_is_read(obo: Path) -> None:
    graph = read_ontology(obo)
    assert len(graph) == 5
    assert graph.closure("GO:0000011") == {"GO:0000011", "GO:0000002", "GO:0000003"}  # is_a and part_of, no root
    assert graph.closure("GO:0000012") == {"GO:0000012", "GO:0000002"}
    assert graph.closure("GO:0000001") == frozenset()
    assert graph.closure("GO:0000099") == {"GO:0000003"}
    assert graph.closure("GO:0000098") == graph.closure("GO:0000011")
    assert graph.closure("GO:0000777") == {"GO:0000777"}
    assert "GO:0000099" in graph
    assert "GO:0000777" not in graph


def test_a_compressed_ontology_is_read(obo: Path) -> None:
    packed = obo.with_suffix(".obo.gz")
    packed.write_bytes(gzip.compress(obo.read_bytes()))
    assert len(read_ontology(packed)) == 5


def test_a_circle_ends() -> None:
    graph = Ontology("circle", {"a": ["b"], "b": ["a", "c"], "c": []})
    assert graph.closure("a") == graph.closure("b") == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id\tgo\nP1\tGO:1\n", r"no \[Term\] in it"),
        ("[Term]\nname: x\n\n[Term]\nid: A\n", r"bad\.obo:1: a \[Term\] without an id"),
        ("[Term]\nid: A\nis_a: B ! missing\n", r"bad\.obo:3: A is below B, which is no term"),
    ],
)
def test_a_bad_ontology_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.obo").write_text(text)
    with pytest.raises(InputError, match=message):
        read_ontology(tmp_path / "bad.obo")


def test_an_ontology_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_ontology(tmp_path / "none.obo")
    (tmp_path / "bad.gz").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(InputError, match="damaged gzip"):
        read_ontology(tmp_path / "bad.gz")


# --- Proteins of the database ------------------------------------------------------------------------------


def test_proteins_without_labels_get_some(db: Database) -> None:
    found = db.transfer("go", k=2)
    assert found.queries == 4  # x has an empty list, y, z and far have nothing
    assert [(row.query, row.label) for row in found] == [("y", "GO:0000003")]
    y = rows(found, "y")["GO:0000003"]
    assert y.ri == pytest.approx((cos(4) + cos(6)) / 2, abs=1e-6)
    assert (y.target, y.support, y.neighbours, y.direct) == ("b1", 2, 2, True)
    assert y.evalue is not None
    assert y.evalue < 1
    assert y.score == pytest.approx(cos(4), abs=1e-6)
    # x is between two proteins that have no label in common, z between the two directions.
    assert set(found.abstained) == {"x", "z", "far"}
    assert found.abstained["x"] == "the best, GO:0000011 of a1, has a reliability of 0.499 only"
    assert len(db.transfer("go", k=2, min_ri=0.4, dry_run=True, query_where="id = 'x'")) == 3


def test_what_is_stored_says_where_it_comes_from(db: Database) -> None:
    found = db.transfer("go", k=1)
    assert found.columns == ("go_transferred", "go_transferred_ri", "go_transferred_from", "go_transferred_evalue")
    x = db.get("x").metadata
    assert x["go"] == []  # what was there stays
    assert x["go_transferred"] == ["GO:0000011"]
    assert x["go_transferred_ri"] == pytest.approx([cos(4)], abs=1e-6)
    assert x["go_transferred_from"] == ["a1"]
    assert 0 < x["go_transferred_evalue"][0] < 10
    assert db.get("a1").metadata["go_transferred"] is None
    assert db.get("far").metadata["go_transferred"] is None
    assert db.store.count("array_has(go_transferred, 'GO:0000003') AND array_max(go_transferred_ri) > 0.9") == 1
    entry = db.store.ledger.entries()[0]
    assert entry.command == "transfer"
    assert entry.options["column"] == "go"


def test_a_second_transfer_asks_for_the_rest_only(db: Database) -> None:
    first = db.transfer("go", k=1)
    before = {id: db.get(id).metadata for id in ANGLES}
    again = db.transfer("go", k=2)
    assert again.queries == len(first.abstained)
    assert {id: db.get(id).metadata for id in set(ANGLES) - set(first.abstained)} == {
        id: before[id] for id in set(ANGLES) - set(first.abstained)
    }
    third = db.transfer("go", k=1, min_ri=1, replace=True)
    assert len(third) == 0
    assert third.queries == 4
    assert all(db.get(id).metadata["go_transferred"] is None for id in ANGLES)


def test_columns_of_others_are_not_touched(db: Database) -> None:
    db.annotate({"id": ["x"], "go_transferred": ["mine"]})
    with pytest.raises(QueryError, match=r"go_transferred that no transfer made.*--into"):
        db.transfer("go")
    assert db.transfer("go", k=1, into="predicted").columns[0] == "predicted"
    assert db.get("x").metadata["go_transferred"] == "mine"
    db.annotate({"id": ["x"], "ec_transferred_ri": [[0.5]]})
    with pytest.raises(QueryError, match="ec_transferred_ri that no transfer made"):
        db.transfer("ec")


def test_a_dry_run_stores_nothing(db: Database) -> None:
    before = db.store.columns
    assert len(db.transfer("go", k=1, dry_run=True)) > 0
    assert db.store.columns == before


def test_conditions_on_both_sides(db: Database) -> None:
    found = db.transfer("go", k=1, where="id != 'a1' AND id != 'a2'", query_where="id = 'x'", min_ri=0, dry_run=True)
    assert [(row.query, row.target, row.label) for row in found] == [("x", "b2", "GO:0000003")]


def test_enzyme_numbers_agree_on_a_prefix(db: Database) -> None:
    found = db.transfer("ec", k=2, query_where="id = 'y'")
    assert [row.label for row in found] == ["2.7.-.-"]
    assert found[0].ri == pytest.approx((cos(4) + cos(6)) / 2, abs=1e-6)
    found = db.transfer("ec", k=2, query_where="id = 'x'")
    assert [row.label for row in found] == ["3.1.1.4"]  # both have it; 3.1.3.2 one of two


def test_a_graph_adds_what_terms_imply(db: Database, obo: Path) -> None:
    found = rows(db.transfer("go", k=2, graph=obo, query_where="id = 'x'", dry_run=True), "x")
    assert found.keys() == {"GO:0000002"}  # which one neighbour has, and the other implies
    assert found["GO:0000002"].ri == pytest.approx((cos(4) + cos(6)) / 2, abs=1e-6)
    assert found["GO:0000002"].direct
    both = rows(db.transfer("go", k=1, where="id = 'a1'", graph=obo, query_where="id = 'x'", dry_run=True), "x")
    assert {label: its.direct for label, its in both.items()} == {
        "GO:0000011": True,
        "GO:0000002": False,
        "GO:0000003": False,
    }


def test_labels_known_are_predicted_from_others(db: Database) -> None:
    quality = db.check_transfer("go", k=1)
    assert [each.min_ri for each in quality] == pytest.approx([i / 10 for i in range(10)])
    # a1 and a2 share nothing, b1 and b2 everything; all at cos 10 degrees.
    assert all((each.coverage, each.precision, each.recall) == (1, 0.5, 0.5) for each in quality)
    assert len(db.check_transfer("go", k=1, sample=2)) == 10


def test_identical_sequences_are_no_evidence_in_a_check(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "same", data.space(dimension=2), codec="none")
    rows = [data.row(id, data.sequence(seed)) for id, seed in (("a", 1), ("a2", 1), ("b", 2))]
    store.write(protein_table(rows, np.array([[1, 0], [1, 0], [0.9, 0.1]], np.float32)), [])
    db = Database(store)
    db.annotate({"id": ["a", "a2", "b"], "kind": ["one", "one", "two"]})
    assert db.check_transfer("kind", k=1)[0].precision == 0


@pytest.mark.parametrize(
    ("column", "options", "error", "message"),
    [
        ("gO_terms", {}, FilterError, "no column 'gO_terms'"),
        ("length", {}, QueryError, "length holds no labels"),
        ("vector", {}, QueryError, "vector holds no labels"),
        ("gene", {}, QueryError, "no protein of .* has a value in gene"),
        ("go", {"min_ri": 2}, QueryError, "between 0 and 1"),
        ("go", {"k": 0}, QueryError, "k is 0"),
        ("go", {"where": "nothing = 1"}, FilterError, "nothing"),
        ("go", {"query_where": "nothing = 1"}, FilterError, "nothing"),
        ("go", {"into": "a b"}, QueryError, "cannot name a column"),
        ("ec", {"graph": "OBO"}, InputError, "no label of ec, such as '2.7.-.-', is a term of"),
    ],
)
def test_bad_options_are_said_and_change_nothing(
    db: Database, obo: Path, column: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    if "graph" in options:
        options = {"graph": obo}
    before = db.store.columns
    with pytest.raises(error, match=message):
        db.transfer(column, **options)
    assert db.store.columns == before


# --- Sequences, and the command ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labelled proteins, embedded by near."""
    folder = tmp_path_factory.mktemp("real")
    db = protvec.create(folder / "db", model="near", threads=1)
    db.ingest(write_fasta(folder / "some.fa", [("H3", HISTONE), ("UBQ", UBIQUITIN), ("new", HISTONE[:-5])]))
    db.annotate({"id": ["H3", "UBQ"], "family": ["histone", "ubiquitin"]})
    return folder / "db"


def test_sequences_are_labelled(real: Path, tmp_path: Path) -> None:
    db = protvec.open(real, threads=1)
    found = db.transfer("family", write_fasta(tmp_path / "q.fa", [("q1", HISTONE[3:]), ("q2", UBIQUITIN)]), k=1)
    assert [(row.query, row.label, row.target) for row in found] == [
        ("q1", "histone", "H3"),
        ("q2", "ubiquitin", "UBQ"),
    ]
    assert found[1].ri == pytest.approx(1, abs=1e-4)
    assert found.columns == ()
    with pytest.raises(QueryError, match="not for sequences"):
        db.transfer("family", [HISTONE], into="x")


def test_neighbours_may_be_those_that_align(real: Path) -> None:
    (found,) = protvec.open(real, threads=1).transfer("family", [HISTONE[:-5]], k=1, align=True, candidates=2)
    assert (found.label, found.target, found.identity) == ("histone", "H3", 100)
    assert found.coverage == 1
    assert found.score > 100  # of the alignment
    assert 0.9 < found.ri <= 1  # of the cosine, as there is no E-value


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert run(["transfer", *arguments, "--db", db.path]) == code
        return capsys.readouterr()

    return call


def test_the_command_stores_or_prints(cli: Any, db: Database) -> None:
    done = cli("--column", "ec", "--missing", "--dry-run", "-k", "1", "--format", "jsonl", "--query-where", "id = 'y'")
    row = json.loads(done.out)
    assert (row["query"], row["ri"]) == ("y", pytest.approx(cos(4), abs=1e-6))
    assert "1 label for 1 of 1 protein" in done.err
    done = cli("--column", "ec", "--missing", "-k", "1", "--json")
    assert json.loads(done.out)["columns"][0] == "ec_transferred"
    assert "stored in ec_transferred, ec_transferred_ri" in done.err
    assert "far: none: the best" in done.err
    assert protvec.open(db.path).get("y").metadata["ec_transferred"] == ["2.7.-.-"]


def test_the_command_checks(cli: Any) -> None:
    lines = cli("--column", "go", "--check", "-k", "1").out.splitlines()
    assert lines[0] == "min_ri\tcoverage\tprecision\trecall"
    assert lines[-1] == "0.9\t1.000\t0.500\t0.500"
    assert json.loads(cli("--column", "go", "--check", "--json").out)[0]["coverage"] == 1


def test_the_command_prints_a_file(real: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fasta = write_fasta(tmp_path / "q.fa", [("q1", HISTONE[3:]), ("q2", UBIQUITIN)])
    arguments = ["transfer", "--column", "family", "--to", str(fasta), "-k", "1", "--db", str(real), "--threads", "1"]
    assert run([*arguments, "--columns", "query,label,target", "-o", str(tmp_path / "out.tsv")]) == 0
    assert (tmp_path / "out.tsv").read_text() == "query\tlabel\ttarget\nq1\thistone\tH3\nq2\tubiquitin\tUBQ\n"
    assert run([*arguments, "--columns", "query,colour"]) == 1
    assert "there is no column 'colour' of labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--column", "go"], "give --to FASTA, --missing or --check"),
        (["--column", "go", "--missing", "--check"], "one of them"),
        (["--column", "go", "--check", "--into", "x"], "--into: is of use with --missing only"),
        (["--column", "go", "--missing", "--sample", "3"], "--sample: is of use with --check only"),
        (["--column", "go", "--missing", "--format", "tsv"], "--format: is of use with --to or --dry-run only"),
        (["--column", "go", "--check", "--candidates", "3"], "--candidates: is of use with --align only"),
        (["--missing"], "Missing option '--column'"),
    ],
)
def test_a_wrong_use_is_refused(cli: Any, arguments: list[str], message: str) -> None:
    assert message in cli(*arguments, code=2).err.replace("Invalid value for ", "")
