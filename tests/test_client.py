"""The clients against a real application: the methods, the results and the errors of an open database."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from proteins import CALMODULIN, HISTONE, UBIQUITIN
from server_client import listening

import protvec
from protvec.align import Scoring
from protvec.client import calls
from protvec.errors import (
    DatabaseNotFoundError,
    FilterError,
    InputError,
    ModelError,
    ProteinNotFoundError,
    QueryError,
    ServerError,
)
from protvec.fasta import Record
from protvec.projection import Chart
from protvec.projection.groups import Group, Groups
from protvec.search import Query
from protvec.server import Key, Limits, answers, create_app
from protvec.store import MapRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "0123456789abcdef-ann"


@pytest.fixture(scope="module")
def db(plants: Path) -> Iterator[protvec.Database]:
    with protvec.open(plants) as opened:
        yield opened


@pytest.fixture(scope="module")
def url(plants: Path) -> Iterator[str]:
    """A server that asks for a key."""
    app = create_app({"plants": plants}, keys=[Key.of("ann", SECRET)], limits=Limits(sequence_length=500))
    with listening(app) as address:
        yield address


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[protvec.Client]:
    with protvec.Client(url, api_key=SECRET) as opened:
        yield opened


def same(one: Any, other: Any) -> None:
    """Whether two results cannot be told apart."""
    assert type(one) is type(other)
    if isinstance(one, protvec.Hits):
        assert one.to_arrow().equals(other.to_arrow(), check_metadata=True)
        assert (one.query, one.index, one.chance, one.alignments) == (
            other.query,
            other.index,
            other.chance,
            other.alignments,
        )
        assert list(one) == list(other)
    elif isinstance(one, protvec.Protein):
        assert (one.id, one.sequence, dict(one.metadata)) == (other.id, other.sequence, dict(other.metadata))
        same(one.vector, other.vector)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for name in one:
            same(one[name], other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for each, its in zip(one, other, strict=True):
            same(each, its)
    else:
        assert one == other


FIRST = np.linspace(-1, 1, 256, dtype=np.float32)
QUESTIONS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("search", (HISTONE,), {"k": 2}),
    ("search", (HISTONE,), {"exclude_self": True, "columns": ["plddt", "go", "secreted", "sequence"]}),
    ("search", (Query("his2", HISTONE),), {"exclude_self": True}),
    ("search", (Record("ubq", "", UBIQUITIN),), {"where": "organism = 'L''Oryza'", "exclude_self": True}),
    ("search", (HISTONE,), {"text": "again", "min_score": 0.1}),
    ("search", (CALMODULIN,), {"align": True, "candidates": 3, "k": 2}),
    ("search_id", ("cam/1|x",), {"exclude_self": True, "scoring": "raw"}),
    ("search_id", ("cam/1|x",), {"segments": False}),
    ("search_id", ("his1",), {"align": True, "evalue": 10.0}),
    ("search_id", ("his1",), {"align": True, "k": 3, "profiles": True}),
    ("search_vector", (FIRST,), {"query": "mine", "k": 3}),
    ("search_like", (["his1"],), {"unlike": ["ubq"]}),
    ("search_text", ("histone",), {"columns": ["gene", "symbols"]}),
    ("search_text", ("nothing at all",), {}),
    ("search_many", ([HISTONE, Query("x", UBIQUITIN)],), {"k": 1}),
    ("search_ids", (["ubq", "cam/1|x"],), {"k": 2}),
    ("search_vectors", ([FIRST, -FIRST],), {"k": 1}),
    ("search_vectors", ([FIRST],), {"names": ["a"], "k": 1}),
    ("get", ("cam/1|x",), {}),
    ("get_many", (["ubq", "his1", "ubq"],), {}),
    ("residues", ("cam/1|x",), {}),
    ("residues_many", (["ubq", "his1"],), {}),
    ("align", ("his1", HISTONE[:90]), {}),
    ("align", ("his1", HISTONE[:90]), {"profiles": False}),
]


@pytest.mark.parametrize(("name", "arguments", "options"), QUESTIONS)
def test_results_are_those_of_the_open_database(
    client: protvec.Client, db: protvec.Database, name: str, arguments: Any, options: Any
) -> None:
    ours, theirs = getattr(client, name)(*arguments, **options), getattr(db, name)(*arguments, **options)
    many = name in ("search_many", "search_ids", "search_vectors")
    same(list(ours) if many else ours, list(theirs) if many else theirs)


def test_a_dot_plot(client: protvec.Client, db: protvec.Database) -> None:
    ours, theirs = client.compare("his1", "ubq", dots=20), db.compare("his1", "ubq", dots=20)
    assert (ours.names, ours.lengths, ours.alignment) == (theirs.names, theirs.lengths, theirs.alignment)
    assert ours.relatives == theirs.relatives != (None, None)
    assert client.compare("his1", "ubq", profiles=False).relatives == (None, None)
    assert ours.dots is not None
    assert theirs.dots is not None
    np.testing.assert_allclose(ours.dots, theirs.dots, atol=0.006)


@pytest.mark.parametrize("color", [None, "organism", "plddt"])
def test_a_map(url: str, client: protvec.Client, db: protvec.Database, color: str | None) -> None:
    async def ask() -> Chart:
        async with protvec.AsyncClient(url, api_key=SECRET) as awaited:
            return await awaited.map(color=color)

    theirs = db.map("pca", color=color, keep=False)
    for ours in (client.map(color=color), asyncio.run(ask())):
        same_chart(ours, theirs)


def same_chart(one: Chart, other: Chart) -> None:
    assert type(one) is type(other)
    assert replace(one.record, made="") == replace(other.record, made="")
    assert (one.ids, one.column, one.groups.groups) == (other.ids, other.column, other.groups.groups)
    for ours, theirs in zip(
        (one.coordinates, one.placed, one.groups.members),
        (other.coordinates, other.placed, other.groups.members),
        strict=True,
    ):
        same(ours, theirs)
    assert one.metadata.equals(other.metadata)


def test_a_map_with_odd_columns_and_proteins_that_came_later() -> None:
    draw = np.random.default_rng(0)
    chart = Chart(
        record=MapRecord(method="umap", parameters={"n": 15}, sequences=3, placed=1, made="2026"),
        ids=["a", "b/1", "ü"],
        coordinates=draw.standard_normal((3, 2)).astype(np.float32),
        placed=np.array([False, True, False]),
        metadata=pa.table({"gene": [None, "g", "h"], "x": [[1], None, []]}),
        column="x",
        groups=Groups([Group("1", "#4477aa", 1), Group("none", "#b8b8b8", 2)], np.array([0, 1, 1])),
    )
    same_chart(calls.map().read(answers.chart_as_arrow(chart)), chart)


def test_it_is_a_collection(client: protvec.Client) -> None:
    assert len(client) == 4
    assert "cam/1|x" in client
    assert "nobody" not in client
    assert 7 not in client
    assert client.info()["model_card"]["model"] == "near"


async def _gathered(answer: Any) -> Any:
    return [each async for each in answer] if hasattr(answer, "__aiter__") else await answer


@pytest.mark.parametrize(("name", "arguments", "options"), QUESTIONS[6:])
def test_the_awaited_client_gives_the_same(
    url: str, client: protvec.Client, name: str, arguments: Any, options: Any
) -> None:
    async def ask() -> Any:
        async with protvec.AsyncClient(url, api_key=SECRET, database="plants") as db:
            assert await db.count() == 4
            assert await db.contains("ubq")
            assert not await db.contains("nobody")
            return await _gathered(getattr(db, name)(*arguments, **options))

    theirs = getattr(client, name)(*arguments, **options)
    same(asyncio.run(ask()), list(theirs) if hasattr(theirs, "__next__") else theirs)


@pytest.mark.parametrize(
    ("ask", "kind", "said"),
    [
        (lambda db: db.get("his"), ProteinNotFoundError, "no protein 'his'"),
        (lambda db: db.search_id("nobody"), ProteinNotFoundError, "no protein 'nobody'"),
        (lambda db: db.search("MK1V"), QueryError, "not a protein sequence"),
        (lambda db: db.search_id("his1", k=0), QueryError, "greater than or equal to 1"),
        (lambda db: db.search_id("his1", where="x = 1"), FilterError, "no column 'x'"),
        (lambda db: db.search("M" * 501), InputError, "500 at most"),
        (lambda db: db.search_vector([float("nan")] * 256), QueryError, "not finite"),
        (lambda db: list(db.search_vectors([FIRST], names=[])), QueryError, "more names than vectors, or fewer"),
    ],
)
def test_errors_are_those_of_the_library(
    client: protvec.Client, ask: Callable[[Any], Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        ask(client)


def test_options_that_are_misspelled_or_not_for_servers(client: protvec.Client) -> None:
    with pytest.raises(TypeError, match="near: where"):
        client.search_id("his1", were="x")  # type: ignore[call-arg]
    with pytest.raises(QueryError, match="align=True"):
        client.search_id("his1", align=Scoring())


def test_similar_ids_come_with_the_error(client: protvec.Client) -> None:
    with pytest.raises(ProteinNotFoundError) as caught:
        client.get("his")
    assert (caught.value.ids, caught.value.near) == (["his"], ["his1", "his2"])


def test_servers_that_give_no_answer(url: str) -> None:
    with (
        protvec.Client(url) as stranger,
        pytest.raises(ServerError, match="answers 401: this server needs a key") as no,
    ):
        stranger.search_text("x")
    assert no.value.status == 401
    with protvec.Client(url, api_key=SECRET, database="x") as other, pytest.raises(DatabaseNotFoundError):
        other.search_text("x")
    with protvec.Client("http://127.0.0.1:9") as nobody, pytest.raises(ServerError, match="cannot be asked"):
        nobody.search_text("x")


def answering(*answers: httpx.Response) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    left, seen = list(answers), []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return left.pop(0)

    return httpx.MockTransport(answer), seen


def busy(seconds: int) -> httpx.Response:
    return httpx.Response(503, json={"code": "queue_full", "detail": "later"}, headers={"Retry-After": str(seconds)})


def test_it_comes_back_to_a_busy_server_until_its_patience_ends() -> None:
    transport, seen = answering(busy(0), httpx.Response(200, json={"proteins": 3}))
    with protvec.Client("http://x", database="a", transport=transport) as db:
        assert len(db) == 3
    assert len(seen) == 2
    transport, seen = answering(busy(30))
    with (
        protvec.Client("http://x", database="a", transport=transport, patience=10) as db,
        pytest.raises(ServerError, match="503: later") as caught,
    ):
        len(db)
    assert (caught.value.status, caught.value.retry_after) == (503, 30.0)
    model = httpx.Response(503, json={"code": "model", "detail": "no model"}, headers={"Retry-After": "1"})
    transport, seen = answering(model)
    with (
        protvec.Client("http://x", database="a", transport=transport) as db,
        pytest.raises(ModelError, match="no model"),
    ):
        len(db)
    transport, seen = answering(httpx.Response(502, text="<html>"))
    with (
        protvec.Client("http://x", database="a", transport=transport) as db,
        pytest.raises(ServerError, match="502: Bad"),
    ):
        len(db)


def test_which_database_is_asked() -> None:
    two = httpx.Response(200, json=[{"name": "a"}, {"name": "b"}])
    transport, _ = answering(two)
    with (
        protvec.Client("http://x", transport=transport) as db,
        pytest.raises(DatabaseNotFoundError, match="serves a, b: say database="),
    ):
        len(db)
    one = httpx.Response(200, json=[{"name": "a"}])
    transport, seen = answering(one, *(httpx.Response(200, json={"proteins": 3}) for _ in range(2)))
    with protvec.Client("http://x/under/", api_key="secret", transport=transport) as db:
        assert [len(db), len(db)] == [3, 3]
        assert "secret" not in repr(db)
    assert [str(each.url) for each in seen] == ["http://x/under/api/v1/databases"] + [
        "http://x/under/api/v1/databases/a"
    ] * 2
    assert seen[0].headers["authorization"] == "Bearer secret"


# What an open database has and a client has not: it says so by not having them.
NOT_THERE = {
    "align": {"scoring", "plot"},
    "compare": {"scoring"},
    "search_vectors": {"exclude"},
    "search_ids": {"against"},
    "map": {"method", "again", "keep"},
}


@pytest.mark.parametrize("name", sorted({name for name, _, _ in QUESTIONS} | {"compare", "map"}))
@pytest.mark.parametrize("kind", [protvec.Client, protvec.AsyncClient])
def test_methods_take_what_those_of_a_database_take(kind: Any, name: str) -> None:
    of_one = {"search_many": "search", "search_ids": "search_id"}  # for each of many, whatever they are called
    theirs = inspect.signature(getattr(protvec.Database, of_one.get(name, name)))
    ours = list(inspect.signature(getattr(kind, name)).parameters.values())
    expected = [each for each in theirs.parameters.values() if each.name not in NOT_THERE.get(name, ())]
    plain = [(each.name, each.kind, each.default) for each in ours if each.name != "self"]
    assert plain == [(each.name, each.kind, each.default) for each in expected if each.name != "self"]
