"""Reciprocal best hits against an oracle that compares every protein with every one, in plain Python."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import store_data as data
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_cli import Cli, error_line

from protvec import Database
from protvec.errors import FilterError, QueryError, SpaceMismatchError
from protvec.search.reciprocal.best import best_pairs
from protvec.search.reciprocal.side import Side
from protvec.store import Store, protein_table

if TYPE_CHECKING:
    from pathlib import Path

    from protvec import Pairs

Proteins = list[tuple[str, str | None, list[int]]]  # id, locus, vector


def make(path: Path, proteins: Proteins, **columns: Any) -> Database:
    dimension = len(proteins[0][2])
    store = Store.create(path, data.space(dimension=dimension), codec="none")
    rows = [data.row(id, data.sequence(i), locus=locus, **columns) for i, (id, locus, _) in enumerate(proteins)]
    store.write(protein_table(rows, np.array([vector for *_, vector in proteins], np.float32)), [])
    return Database(store)


def cosine(a: list[int], b: list[int]) -> float:
    """From integers, so that what is equal is found equal."""
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return round(dot / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5, 12)


def by_locus(proteins: Proteins, collapse: bool) -> dict[str, Proteins]:
    loci: dict[str, Proteins] = {}
    for protein in sorted(proteins):
        loci.setdefault(protein[1] or protein[0] if collapse else protein[0], []).append(protein)
    return dict(sorted(loci.items()))


def oracle(one: Proteins, two: Proteins, *, collapse: bool = True, ties: str = "first") -> list[dict[str, Any]]:
    ours, theirs = by_locus(one, collapse), by_locus(two, collapse)
    score = {(a, b): max(cosine(p[2], q[2]) for p in ours[a] for q in theirs[b]) for a in ours for b in theirs}
    pairs = []
    for a, b in sorted(score):
        rivals = sorted((-score[a, other], other) for other in theirs if other != b)
        suitors = sorted((-score[other, b], other) for other in ours if other != a)
        best = score[a, b]
        if any(-rival > best for rival, _ in rivals + suitors):
            continue
        query, target = min((p[0], q[0]) for p in ours[a] for q in theirs[b] if cosine(p[2], q[2]) == best)
        pairs.append(
            {
                "query": query,
                "target": target,
                "score": best,
                "query_gap": best + rivals[0][0] if rivals else None,
                "target_gap": best + suitors[0][0] if suitors else None,
                "query_ties": sum(-rival == best for rival, _ in rivals),
                "target_ties": sum(-rival == best for rival, _ in suitors),
                "query_locus": a,
                "target_locus": b,
            }
        )
    if ties == "drop":
        return [pair for pair in pairs if not pair["query_ties"] and not pair["target_ties"]]
    taken: set[tuple[str, str]] = set()
    chosen = []
    for pair in pairs:
        ends = {("q", pair["query_locus"]), ("t", pair["target_locus"])}
        if ties == "all" or not taken & ends:
            chosen.append(pair)
            taken |= ends
    return chosen


def about(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the rows of an answer have to be; the oracle rounds to twelve digits."""
    return [
        {name: pytest.approx(value, abs=1e-9) if isinstance(value, float) else value for name, value in row.items()}
        for row in rows
    ]


def shown(pairs: Pairs) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if name not in ("query_next", "target_next")}
        for row in pairs.to_dicts()
    ]


VECTOR = st.lists(st.integers(-3, 3), min_size=4, max_size=4).filter(any)
LOCUS = st.sampled_from(["L1", "L2", "L3", "L4", None])


def proteome(prefix: str) -> st.SearchStrategy[Proteins]:
    one = st.tuples(LOCUS, VECTOR)
    return st.lists(one, min_size=1, max_size=9).map(
        lambda given: [(f"{prefix}{i}", locus, vector) for i, (locus, vector) in enumerate(given)]
    )


def side(proteins: Proteins, collapse: bool) -> Side:
    loci = by_locus(proteins, collapse)
    flat = [protein for group in loci.values() for protein in group]
    starts = np.cumsum([0, *(len(group) for group in loci.values())])
    return Side([p[0] for p in flat], np.array([p[2] for p in flat], np.float32), list(loci), starts)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=proteome("a"), two=proteome("b"), collapse=st.booleans(), ties=st.sampled_from(["first", "all", "drop"]))
def test_pairs_are_those_of_comparing_all_with_all(
    tmp_path_factory: pytest.TempPathFactory, one: Proteins, two: Proteins, collapse: bool, ties: str
) -> None:
    folder = tmp_path_factory.mktemp("rbh")
    first, second = make(folder / "one", one), make(folder / "two", two)
    pairs = first.rbh(second, collapse=collapse, ties=ties)
    expected = oracle(one, two, collapse=collapse, ties=ties)
    assert shown(pairs) == about(expected)
    ambiguous = {
        p["query_locus"] for p in oracle(one, two, collapse=collapse, ties="all") if p["query_ties"] or p["target_ties"]
    }
    left = ambiguous - {pair.query_locus for pair in pairs}
    assert (pairs.counts.ambiguous, pairs.counts.left_out) == (len(ambiguous), len(left))


@settings(max_examples=60)
@given(one=proteome("a"), two=proteome("b"), collapse=st.booleans(), block=st.sampled_from([1, 60, 200]))
def test_blocks_of_any_size_give_the_same(one: Proteins, two: Proteins, collapse: bool, block: int) -> None:
    ours, theirs = side(one, collapse), side(two, collapse)

    def found(size: int) -> set[tuple[Any, ...]]:
        scores = best_pairs(ours, theirs, block=size)
        rows = zip(scores.query, scores.target, scores.score, map(tuple, scores.pair), strict=True)
        return {tuple(map(str, row)) for row in rows}

    assert found(block) == found(1 << 20)


def test_random_vectors_in_many_blocks(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    vectors = rng.integers(-50, 50, (300, 16)).tolist()
    one: Proteins = [(f"a{i:03d}", f"L{i // 3}" if i % 5 else None, vectors[i]) for i in range(140)]
    two: Proteins = [(f"b{i:03d}", f"M{i // 2}", vectors[i]) for i in range(100, 300)]
    ours, theirs = make(tmp_path / "one", one), make(tmp_path / "two", two)
    assert shown(ours.rbh(theirs)) == about(oracle(one, two))
    done: list[tuple[int, int]] = []
    ours.rbh(theirs, progress=lambda *at: done.append(at))
    assert done[-1] == (140, 140)


ONE: Proteins = [
    ("AT1G01.1", "AT1G01", [9, 1, 0, 0]),
    ("AT1G01.2", "AT1G01", [8, 2, 0, 0]),
    ("AT1G02.1", "AT1G02", [0, 1, 0, 5]),
]
TWO: Proteins = [("x1", None, [8, 2, 0, 0]), ("x2", None, [0, 1, 0, 6]), ("x3", None, [0, 2, 0, 12])]


def test_isoforms_of_a_locus_are_one(tmp_path: Path) -> None:
    pairs = make(tmp_path / "one", ONE).rbh(make(tmp_path / "two", TWO), columns=["dataset", "locus"])
    first, tied = pairs
    assert (first.query, first.target, first.query_locus, first.target_locus) == ("AT1G01.2", "x1", "AT1G01", "x1")
    assert first.metadata == {
        "query.dataset": None,
        "query.locus": "AT1G01",
        "target.dataset": None,
        "target.locus": None,
    }
    assert (tied.target, tied.query_next, tied.query_gap, tied.query_ties) == ("x2", "x3", 0.0, 1)
    assert (pairs.counts.ambiguous, pairs.counts.left_out, pairs.counts.query_loci) == (1, 0, 2)
    assert repr(pairs) == "<Pairs: 2 of 2 and 3 loci>"
    assert pairs[-1] == pairs[1:][0] == tied
    assert pairs.to_pandas()["target"].tolist() == ["x1", "x2"]


def test_genes_stand_for_loci_within_an_organism(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "one", data.space(dimension=4), codec="none")
    names = [("p1", "ABC", "Zea mays"), ("p2", "ABC", "Zea mays"), ("p3", "ABC", "Oryza sativa"), ("p4", None, None)]
    rows = [data.row(id, data.sequence(i), gene=gene, organism=o) for i, (id, gene, o) in enumerate(names)]
    store.write(protein_table(rows, np.eye(4, dtype=np.float32) + 1), [])
    other = make(tmp_path / "two", TWO)
    assert Database(store).rbh(other).counts.query_loci == 3
    assert Database(store).rbh(other, collapse=False).counts.query_loci == 4
    assert Database(store).rbh(other, locus="organism").counts.query_loci == 3


def test_two_datasets_of_one_database(tmp_path: Path) -> None:
    db = make(tmp_path / "db", ONE, dataset="A")
    rows = [data.row(id, data.sequence(50 + i), dataset="B") for i, (id, *_) in enumerate(TWO)]
    db.store.write(protein_table(rows, np.array([v for *_, v in TWO], np.float32)), [])
    pairs = db.rbh(datasets=("A", "B"))
    apart = make(tmp_path / "one", ONE).rbh(make(tmp_path / "two", TWO))
    assert pairs.to_dicts() == apart.to_dicts()
    assert len(db.rbh(datasets=("A", "B"), where="length > 1000 OR id != 'x1'")) == 1
    assert len(db.rbh(datasets=("A", "B"), min_score=0.9999)) == 1
    with pytest.raises(QueryError, match=r"no dataset 'C'.*there are A, B"):
        db.rbh(datasets=("A", "C"))
    with pytest.raises(QueryError, match="with itself"):
        db.rbh(datasets=("A", "A"))
    with pytest.raises(QueryError, match="say what to compare"):
        db.rbh()
    with pytest.raises(QueryError, match=r"6 proteins of .* are on both sides"):
        db.rbh(db)
    assert len(db.rbh(db, where="dataset = 'A'", other_where="dataset = 'B'")) == 2


def test_options_that_cannot_be_used(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one", ONE), make(tmp_path / "two", TWO)
    with pytest.raises(QueryError, match="ties is 'some'"):
        one.rbh(two, ties="some")
    with pytest.raises(QueryError, match="not collapsed"):
        one.rbh(two, locus="gene", collapse=False)
    one.annotate({"id": ["AT1G01.1"], "colour": ["red"]})
    with pytest.raises(FilterError, match=r"no column 'colour' in .*two"):
        one.rbh(two, locus="colour")
    with pytest.raises(FilterError, match="nonsense"):
        one.rbh(two, other_where="nonsense = 1")
    with pytest.raises(QueryError, match="nothing to compare"):
        one.rbh(two, where="length > 1000")
    with pytest.raises(QueryError, match="lowest score"):
        one.rbh(two, min_score=3)
    stranger = Store.create(tmp_path / "stranger", data.space(dimension=4, weights="cd" * 32), codec="none")
    with pytest.raises(SpaceMismatchError):
        one.rbh(Database(stranger))
    with pytest.raises(QueryError, match="datasets"):
        one.rbh(two, datasets=("A", "B"))


# -- protvec rbh -----------------------------------------------------------------------------------------------


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capfd)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("cli-rbh")
    make(folder / "one", ONE, dataset="a,b")
    make(folder / "two", TWO, description="a target")
    db = make(folder / "db", ONE, dataset="a,b")
    rows = [data.row(id, data.sequence(50 + i), dataset="c") for i, (id, *_) in enumerate(TWO)]
    db.store.write(protein_table(rows, np.array([v for *_, v in TWO], np.float32)), [])
    return folder / "one", folder / "two"


def test_two_databases_on_the_command_line(cli: Cli, paths: tuple[Path, Path]) -> None:
    lines = cli("rbh", *paths, "--no-collapse").splitlines()
    assert lines[0].split("\t")[:5] == ["query", "target", "score", "query_gap", "target_gap"]
    assert [line.split("\t")[:2] for line in lines[1:]] == [["AT1G01.2", "x1"], ["AT1G02.1", "x2"]]
    assert lines[1].split("\t")[11] == "a target"
    assert "2 pairs; A: 3 proteins of 3 loci; B: 3 of 3" in cli.err
    assert "warning: 1 locus has several equally good partners (--ties first)\n" in cli.err
    cli("rbh", *paths, "--ties", "drop", "--locus", "locus", "--format", "table")
    assert "1 of them in no pair" in cli.err


def test_pairs_in_files(cli: Cli, paths: tuple[Path, Path], tmp_path: Path) -> None:
    names = "query,target,score,query.dataset"
    rows = json.loads(cli("rbh", *paths, "--format", "json", "--columns", names))
    assert [list(row) for row in rows] == [names.split(",")] * 2
    assert rows[0]["query.dataset"] == "a,b"
    cli("rbh", *paths, "--columns", names, "-o", tmp_path / "pairs.parquet")
    assert pq.read_table(tmp_path / "pairs.parquet").to_pylist() == rows
    cli("rbh", *paths, "-o", tmp_path / "pairs.parquet", code=1)
    assert "--force" in error_line(cli)
    assert cli("rbh", *paths, "--min-score", 1, "--where", "id != 'x1'", "--format", "json", "--ties", "drop") == "[]\n"


def test_two_datasets_whose_names_may_have_commas(cli: Cli, paths: tuple[Path, Path]) -> None:
    db = paths[0].parent / "db"
    assert [row["target"] for row in json.loads(cli("rbh", "--db", db, "--datasets", "a,b,c", "--format", "json"))] == [
        "x1",
        "x2",
    ]
    cli("rbh", "--db", db, "--datasets", "a,x", code=1)
    assert "no dataset 'a': there are a,b, c" in error_line(cli)
    cli("rbh", "--db", db, "--datasets", "c", code=1)
    assert "name two" in error_line(cli)


def test_databases_as_they_were_at_a_snapshot(cli: Cli, paths: tuple[Path, Path]) -> None:
    before = cli("rbh", *paths, "--format", "json")
    for path in paths:
        cli("snapshot", "before", "--db", path)
    cli("delete", "--where", "id = 'x1'", "--db", paths[1], "--yes")
    assert cli("rbh", *paths, "--format", "json") != before
    assert cli("rbh", *paths, "--format", "json", "--at", "before", "--other-at", "before") == before
    cli("rbh", *paths, "--at", "never", code=1)
    assert "never" in error_line(cli)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "give two databases"),
        (["--datasets", "a,b", "--other-at", "x"], 2, "is for a second database"),
        (["one"], 2, "give two databases"),
        (["one", "two", "--datasets", "a,b"], 2, "give two databases"),
        (["one", "two", "--force"], 2, "is for a file"),
        (["one", "two", "--format", "json", "--header"], 2, "has none"),
        (["one", "two", "--columns", "colour"], 1, "no column 'colour'"),
        (["one", "two", "--columns", "query,query"], 1, "named twice"),
        (["one", "two", "--columns", "query.colour"], 1, "no column 'colour'"),
        (["one", "nothing"], 1, "nothing"),
        (["one", "one"], 1, "on both sides"),
    ],
)
def test_command_lines_that_are_wrong(
    cli: Cli, paths: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(paths[0].parent)
    cli("rbh", *arguments, code=code)
    assert said in error_line(cli)
