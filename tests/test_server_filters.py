"""Conditions of clients: what is allowed comes out as text of ours, all else is refused."""

from __future__ import annotations

import pytest
import store_data as data
from hypothesis import given, settings
from hypothesis import strategies as st

from protvec.errors import FilterError
from protvec.server.filters import literal, safe_where, structured
from protvec.store import Store

COLUMNS = ["id", "length", "gene", "organism", "symbols", "plddt", "secreted"]


def where(text: str) -> str:
    return safe_where(text, COLUMNS, longest=4000)


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("length < 500", "(length < 500)"),
        ("LENGTH<=5e2 AND Gene <> 'it''s'", "((length <= 500.0) AND (gene != 'it''s'))"),
        ("gene == 'x'", "(gene = 'x')"),
        ("gene LIKE '%k%' OR NOT organism ILIKE 'zea%'", "((gene LIKE '%k%') OR (NOT (organism ILIKE 'zea%')))"),
        ("length BETWEEN -1 AND 5 and secreted", "((length BETWEEN -1 AND 5) AND secreted)"),
        ("gene NOT IN ('a', 'b')", "(NOT (gene IN ('a', 'b')))"),
        ("gene is not null", "(NOT (gene IS NULL))"),
        ("secreted IS TRUE", "(secreted IS TRUE)"),
        ("array_has(symbols, 'FBX')", "array_has(symbols, 'FBX')"),
        ("lower(gene) = 'fbx' -- a comment", "(lower(gene) = 'fbx')"),
        ("(length = 1 or length = 2) and id >= 'A'", "(((length = 1) OR (length = 2)) AND (id >= 'A'))"),
        ("gene = '\\' OR gene = ' '' or 1=1 --'", "((gene = '\\') OR (gene = ' '' or 1=1 --'))"),
    ],
)
def test_what_is_allowed_is_written_anew(given: str, made: str) -> None:
    assert where(given) == made
    assert where(made) == where(where(made))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no SQL expression"),
        ("length >", "no SQL expression"),
        ("id = 'a'; DROP TABLE proteins", "no SQL expression"),
        ("length > 3 LIMIT 5", "no SQL expression"),
        ("gene = 'x", "no SQL expression"),
        ("(SELECT 1)", "not SUBQUERY"),
        ("length IN (SELECT 1)", "not IN"),
        ("regexp_like(gene, '(a+)+b')", "not REGEXPLIKE"),
        ("length + 1 > 3", "not ADD"),
        ("repeat(gene, 1000000) = 'x'", "not REPEAT"),
        ("sleep(10)", "not ANONYMOUS"),
        ("CAST(length AS int) = 1", "not CAST"),
        ("length::int = 1", "not CAST"),
        ("proteins.gene = 'x'", "not COLUMN"),
        ("vector = 1", "no column 'vector'"),
        ("_rowid = 1", "no column '_rowid'"),
        ('organism = "Zea mays"', "texts stand in single quotation marks"),
        ("length = NULL", "not NULL"),
        ("gene = ?", "not PLACEHOLDER"),
        ("gene = 'a' 'b'", "not CONCAT"),
        ("length > 1e999", "no finite number"),
        ("length > 9223372036854775808", "63 bits"),
        ("case when secreted then 1 else 2 end = 1", "not CASE"),
        ("(" * 60 + "secreted" + ")" * 60, "nested"),
        ("NOT " * 200 + "secreted", "nested"),
        ("gene IN (" + ", ".join(["1"] * 1001) + ")", "1,000 at most"),
        ("length = 1" + " OR length = 1" * 400, "parts|characters"),
        ("x" * 5000, "4,000 at most"),
    ],
)
def test_what_is_not_allowed_is_refused(text: str, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        where(text)


def test_a_long_row_of_conditions_is_no_deep_one() -> None:
    assert where("length = 1" + " OR length = 1" * 200).count("length = 1") == 201


@pytest.mark.parametrize(
    ("filters", "made"),
    [
        ([], None),
        ([{"column": "Length", "op": "ge", "value": 5}], "(length >= 5)"),
        (
            [{"column": "gene", "op": "in", "value": ["a'", "b"]}, {"column": "length", "op": "ne", "value": 1.5}],
            "(gene IN ('a''', 'b')) AND (length != 1.5)",
        ),
        ([{"column": "gene", "op": "not_in", "value": [1]}], "(gene NOT IN (1))"),
        ([{"column": "length", "op": "between", "value": [1, 2]}], "(length BETWEEN 1 AND 2)"),
        ([{"column": "gene", "op": "is_null", "value": None}], "(gene IS NULL)"),
        ([{"column": "gene", "op": "is_null", "value": False}], "(gene IS NOT NULL)"),
        ([{"column": "symbols", "op": "has", "value": "F"}], "(array_has(symbols, 'F'))"),
        ([{"column": "gene", "op": "like", "value": "F%"}], "(gene LIKE 'F%')"),
        ([{"column": "gene", "op": "contains", "value": "Fb'"}], "(contains(lower(gene), 'fb'''))"),
        ([{"column": "secreted", "op": "eq", "value": True}], "(secreted = true)"),
    ],
)
def test_structured_conditions(filters: list[dict[str, object]], made: str | None) -> None:
    assert structured(filters, COLUMNS) == made


@pytest.mark.parametrize(
    "condition",
    [
        {"column": "none", "op": "eq", "value": 1},
        {"column": "gene", "op": "eq", "value": None},
        {"column": "gene", "op": "eq", "value": [1]},
        {"column": "gene", "op": "in", "value": "a"},
        {"column": "gene", "op": "in", "value": []},
        {"column": "gene", "op": "between", "value": [1]},
        {"column": "gene", "op": "like", "value": 1},
        {"column": "gene", "op": "is_null", "value": "no"},
        {"column": "gene", "op": "lt", "value": float("nan")},
    ],
)
def test_structured_conditions_that_cannot_be(condition: dict[str, object]) -> None:
    with pytest.raises(FilterError):
        structured([condition], COLUMNS)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store.create(tmp_path_factory.mktemp("filters") / "db", data.space())
    data.write(made, data.numbered(0, 12, organism="Zea mays"))
    return made


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=40)
@given(TEXTS)
def test_a_text_stays_a_text(store: Store, text: str) -> None:
    """Whatever it is, the database compares with it, and finds what has it."""
    assert store.count(where=safe_where(f"organism = {literal(text)}", store.columns, longest=999)) == 0
    assert store.count(where=safe_where(f"organism != {literal(text)}", store.columns, longest=999)) == 12


@settings(max_examples=300)
@given(st.text("length gene'()=<>-;,%*/\\\"`ANDORSELECT1.\n", max_size=40))
def test_what_comes_out_is_a_condition_or_an_error(store: Store, text: str) -> None:
    try:
        made = safe_where(text, ["length", "gene"], longest=4000)
    except FilterError:
        return
    assert ";" not in made
    said = ""
    try:
        store.count(where=made)
    except FilterError as error:  # of wrong types, perhaps
        said = str(error)
    assert "not a valid SQL" not in said
