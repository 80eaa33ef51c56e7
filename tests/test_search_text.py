"""Search by text, and by vector and text together, against oracles in plain Python."""

from __future__ import annotations

import math
import random
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import store_data as data
from hypothesis import given, settings
from hypothesis import strategies as st

from protvec import Database
from protvec.errors import FilterError, QueryError
from protvec.store import Store, cosines
from protvec.store.text import parse_text

if TYPE_CHECKING:
    from pathlib import Path

VOCABULARY = [
    "F-box",
    "box",
    "protein",
    "auxin",
    "efflux",
    "carrier",
    "NAC",
    "domain",
    "f",
    "Fβ-like",
    "TIR1/AFB",
    "5'-end",
]
draw = random.Random(3)


def described(i: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {"description": " ".join(draw.choices(VOCABULARY, k=draw.randrange(0, 9)))}
    if i % 3 == 0:
        metadata |= {"gene": f"FBX{i}", "symbols": [f"FBX{i}", f"SKP{i}"]}
    if i % 4 == 0:
        metadata |= {"locus": f"AT1G{i:05d}", "organism": "Zea mays"}
    if i % 50 == 7:
        metadata["description"] = None
    return metadata


ROWS = [data.row(f"At1g{i:05d}.{i % 2 + 1}", data.sequence(i % 60), **described(i)) for i in range(150)]


@pytest.fixture(scope="module", params=["the table", "the index"])
def db(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Database:
    """With the index of words in memory, and without the memory for it."""
    store = Store.create(tmp_path_factory.mktemp("text") / "db", data.space(), codec="none")
    data.write(store, ROWS[:100])
    data.write(store, ROWS[100:])
    if request.param == "the table":
        store.search_memory = 0
    return Database(store)


def names_of(row: dict[str, Any]) -> list[str]:
    names = [row["id"], row.get("gene"), *(row.get("symbols") or []), row.get("locus")]
    return [name.lower() for name in names if name]


def oracle(text: str, rows: list[dict[str, Any]] = ROWS) -> list[tuple[str, float]]:
    """What the docs say, a protein at a time."""
    asked = parse_text(text)
    words = [re.findall(r"[^\W_]+", "\n".join([*names_of(row), row.get("description") or ""]).lower()) for row in ROWS]

    def times(term: tuple[str, ...], own: list[str]) -> int:
        return sum(tuple(own[at : at + len(term)]) == term for at in range(len(own)))

    scores = dict.fromkeys((row["id"] for row in ROWS), 0.0)
    for term in asked.terms:
        having = sum(times(term, own) > 0 for own in words)
        rarity = math.log(1 + (len(ROWS) - having + 0.5) / (having + 0.5))
        for row, own in zip(ROWS, words, strict=True):
            count = times(term, own)
            scores[row["id"]] += rarity * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(own) / 12))
    for row in ROWS if asked.name else []:
        name = str(asked.name)
        worth = [
            300 if name == own else 200 if own.startswith(name) else 100 if name in own else 0 for own in names_of(row)
        ]
        scores[row["id"]] += max(worth)
    wanted = {row["id"] for row in rows}
    found = [(id, score) for id, score in scores.items() if score > 0 and id in wanted]
    return sorted(found, key=lambda hit: (-round(hit[1], 9), hit[0]))


PIECES = st.sampled_from(
    [*VOCABULARY, "FBX", "fbx3", "AT1G0", "at1g00012", "AT1G00012.1", "SKP", '"efflux carrier"', '"f box"', "00", "1"]
)


@settings(max_examples=25)
@given(pieces=st.lists(PIECES, min_size=1, max_size=4), k=st.sampled_from([1, 5, 1000]))
def test_hits_and_scores_are_those_of_plain_python(db: Database, pieces: list[str], k: int) -> None:
    text = " ".join(pieces)
    hits = db.search_text(text, k=k)
    expected = oracle(text)[:k]
    assert hits.ids == [id for id, _ in expected]
    np.testing.assert_allclose(hits.scores, [score for _, score in expected], rtol=1e-9)
    assert hits.scores == sorted(hits.scores, reverse=True)


def test_a_filter_leaves_scores_as_they_are(db: Database) -> None:
    hits = db.search_text("F-box protein", k=500, where="organism = 'Zea mays'", columns=["organism"])
    expected = oracle("F-box protein", [row for row in ROWS if row.get("organism")])
    assert hits.ids == [id for id, _ in expected]
    np.testing.assert_allclose(hits.scores, [score for _, score in expected])
    assert {hit.metadata["organism"] for hit in hits} == {"Zea mays"}


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("AT1G00012", "At1g00012.1"),  # it is a locus
        ("at1g00013.2", "At1g00013.2"),  # it is an id
        ("At1g00013", "At1g00013.2"),  # it begins one
        ("fbx12", "At1g00012.1"),
        ("SKP9", "At1g00009.2"),
    ],
)
def test_a_name_comes_first(db: Database, text: str, first: str) -> None:
    assert db.search_text(text)[0].target == first


def test_an_answer_says_how_it_was_found(db: Database) -> None:
    hits = db.search_text("auxin", k=2, columns=[])
    assert hits.query == "auxin"
    assert hits.to_arrow().column_names == ["query", "target", "rank", "score"]
    assert str(hits.index) == "exact: the ids, genes and descriptions of all of 150 proteins were looked through"
    assert len(db.search_text("nothingofthekind")) == 0


steps = st.lists(
    st.tuples(st.sampled_from(["add", "delete", "annotate", "compact"]), st.sets(st.integers(0, 149), min_size=1)),
    max_size=4,
)


@settings(max_examples=12, deadline=None)
@given(steps=steps, pieces=st.lists(PIECES, min_size=1, max_size=3))
def test_the_index_of_words_follows_what_is_written(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, set[int]]], pieces: list[str]
) -> None:
    writer = Database(Store.create(tmp_path_factory.mktemp("words") / "db", data.space(), codec="none"))
    data.write(writer.store, ROWS[:40])
    indexed = Store.open(writer.path, read_consistency_seconds=0)
    plain = Store.open(writer.path, read_consistency_seconds=0, search_memory=0)
    text, where = " ".join(pieces), "length > 8"
    for what, chosen in [("add", {0}), *steps]:
        some = [ROWS[i] for i in sorted(chosen)]
        there = sorted(writer.store.known([row["id"] for row in some]))
        if what == "add":
            data.write(writer.store, [row for row in some if row["id"] not in there] or [ROWS[0]])
        elif what == "delete" and there:
            writer.delete(there)
        elif what == "annotate" and there:
            writer.annotate({"id": there, "mine": [f"F-box {id}" for id in there]}, replace=True)
        elif what == "compact":
            writer.compact()
        for options in ({}, {"where": where}, {"k": 3}):
            ours, theirs = indexed.find_text(text, **options), plain.find_text(text, **options)  # type: ignore[arg-type]
            assert ours.table.to_pylist() == theirs.table.to_pylist()
            assert sorted(ours.matches.ids.to_pylist()) == sorted(theirs.matches.ids.to_pylist())
    assert plain._words._parts == {}
    assert len(indexed._words._parts) > 0 or not indexed.count()


def test_a_text_beside_many_queries_is_looked_for_once(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from protvec.store.text import finding

    looked: list[str] = []
    real = finding.Texts._matches

    def counted(self: Any, handle: Any, asked: Any, where: Any) -> Any:
        looked.append(asked)
        return real(self, handle, asked, where)

    monkeypatch.setattr(finding.Texts, "_matches", counted)
    vectors = np.random.default_rng(1).standard_normal((600, data.D)).astype(np.float32)
    found = list(db.search_vectors(vectors, text="auxin carrier", k=3))
    assert len(found) == 600
    assert len(looked) == 1
    assert found[9].ids == db.search_vector(vectors[9], text="auxin carrier", k=3).ids


def test_a_protein_that_was_just_added_is_found(db: Database, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    reader = Database(Store.open(tmp_path / "db", read_consistency_seconds=0))
    data.write(store, [data.row("b", data.sequence(2), description="Histone H3")])
    assert len(reader.search_text("expansin")) == 0
    data.write(store, [data.row("a", data.sequence(1), description="Expansin A10")])
    assert reader.search_text("expansin").ids == ["a"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the text is empty"),
        (" \t", "the text is empty"),
        ("-- |", "no letter or digit"),
        ('""', "no letter or digit"),
        ("auxin\udcff", "not UTF-8"),
        ('"auxin', "quotation mark that is not closed"),
        (" ".join(f"w{i}" for i in range(65)), "65 words"),
    ],
)
def test_texts_with_nothing_to_look_for(db: Database, text: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        db.search_text(text)
    with pytest.raises(QueryError, match=said):
        db.search_id("At1g00000.1", text=text)


def test_quotes_and_signs_of_sql_are_only_text(db: Database) -> None:
    assert db.search_text("5'-end", k=1000).ids == [id for id, _ in oracle("5'-end")]
    assert len(db.search_text("x' OR 1=1 --", k=1000)) == len(oracle("x' OR 1=1 --"))
    assert len(db.search_text("100%")) == 0
    assert len(db.search_text("a\x00b \\ 🌱")) == 0
    assert len(db.search_text("x" * 10_000)) == 0
    with pytest.raises(QueryError, match="k is 0"):
        db.search_text("auxin", k=0)
    with pytest.raises(FilterError, match="nonsense"):
        db.search_text("auxin", where="nonsense = 1")
    with pytest.raises(FilterError, match="colour"):
        db.search_text("auxin", columns=["colour"])


# -- by both ---------------------------------------------------------------------------------------------------


def ranks(scores: dict[str, float]) -> dict[str, int]:
    return {id: 1 + sum(other > score + 1e-9 for other in scores.values()) for id, score in scores.items()}


def fused(db: Database, query: str, text: str, k: int, *, exclude_self: bool = False) -> list[dict[str, Any]]:
    """Reciprocal rank fusion as it is written: all of this database is within the depth."""
    ids = [row["id"] for row in ROWS if not (exclude_self and row["id"] == query)]
    own = db.get(query).vector
    cosine = dict(zip(ids, cosines(np.stack([p.vector for p in db.get_many(ids)]), own).tolist(), strict=True))
    depth = max(100, 5 * k) + exclude_self
    nearest = sorted(cosine, key=lambda id: (-cosine[id], id))[: depth - exclude_self]
    by_vector = ranks({id: cosine[id] for id in nearest})
    by_text = ranks({id: score for id, score in oracle(text) if id in cosine})
    rows = []
    for id in {*by_vector, *by_text}:
        places = (by_vector.get(id), by_text.get(id))
        score = sum(1 / (60 + place) for place in places if place)
        evidence = "both" if all(places) else "vector" if places[0] else "text"
        rows.append(
            {"target": id, "score": score, "evidence": evidence, "vector_rank": places[0], "text_rank": places[1]}
        )
    return sorted(rows, key=lambda row: (-row["score"], -cosine[row["target"]], row["target"]))[:k]


@pytest.mark.parametrize("text", ["F-box protein", "FBX3", "efflux", "AT1G0"])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_both_are_ranked_by_reciprocal_ranks(db: Database, text: str, exclude_self: bool) -> None:
    query = "At1g00003.2"
    hits = db.search_id(query, text=text, k=20, exclude_self=exclude_self)
    expected = fused(db, query, text, 20, exclude_self=exclude_self)
    assert [{name: row[name] for name in expected[0]} for row in hits.to_dicts()] == [
        {**row, "score": pytest.approx(row["score"])} for row in expected
    ]
    assert [hit.rank for hit in hits] == list(range(1, 21))
    vectors = {protein.id: protein.vector for protein in db.get_many([query, *hits.ids])}
    for hit in hits:
        assert hit.metadata["cosine"] == pytest.approx(float(cosines(vectors[hit.target][None], vectors[query])[0]))


def test_the_depth_grows_with_k(db: Database) -> None:
    hits = db.search_id("At1g00003.2", text="domain", k=150)
    assert {hit.metadata["evidence"] for hit in hits} == {"vector", "both"}  # the ranking by vector has all of them
    few = db.search_id("At1g00003.2", text="domain", k=3)
    assert few.ids == hits.ids[:3]


def test_many_queries_with_a_text_are_answered_as_one_by_one(db: Database) -> None:
    ids = ["At1g00003.2", "At1g00010.1", "At1g00011.2"]
    options: dict[str, Any] = {"text": "auxin", "k": 4, "where": "length > 8", "min_score": 0.1, "columns": ["gene"]}
    vectors = [db.get(id).vector for id in ids]
    many = list(db.search_vectors(vectors, names=ids, exclude=[None, ids[1], None], **options))
    alone = [db.search_id(id, exclude_self=id == ids[1], **options) for id in ids]
    assert [hits.to_dicts() for hits in many] == [hits.to_dicts() for hits in alone]
    assert all(hit.metadata["cosine"] >= 0.1 for hits in many for hit in hits)
    assert many[0].to_arrow().column_names[-2:] == ["cosine", "gene"]


def test_a_text_that_nothing_matches_leaves_the_vectors(db: Database) -> None:
    hits = db.search_id("At1g00003.2", text="nothingofthekind", k=5)
    assert hits.ids == db.search_id("At1g00003.2", k=5).ids
    assert {hit.metadata["evidence"] for hit in hits} == {"vector"}
    assert db.search_id("At1g00003.2", text="auxin", where="length < 0").ids == []
