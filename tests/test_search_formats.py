"""What a search writes reads back as the same hits, in every format, whatever the ids and texts are."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from answers import FACTS, METADATA, answer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from protvec.cli.fields import ALIGNMENT, BY_NAME, FIELDS, M8, PLACE, SIGNIFICANCE
from protvec.cli.formats import (
    HEADERS,
    Batches,
    Commas,
    Format,
    Json,
    JsonLines,
    Pretty,
    Tabs,
    Writer,
    convert,
    format_for,
)
from protvec.cli.layout import Answer, check_m8, layout
from protvec.errors import FilterError, QueryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# As FASTA has ids: anything but ASCII white space and control characters.
IDS = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=0x21, exclude_characters="\x7f"), min_size=1)
TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))  # csv of 3.10 reads none
NUMBERS = st.none() | st.floats(width=64)
HITS = st.fixed_dictionaries(
    {
        "target": IDS,
        "score": st.floats(-1, 1),
        "length": st.integers(1, 40_000),
        "description": TEXTS,
        "header": TEXTS,
        "symbols": st.none() | st.lists(IDS, max_size=3),
        "plddt": NUMBERS,
        "secreted": st.none() | st.booleans(),
    }
)
ANSWERS = st.lists(
    st.builds(answer, IDS, st.lists(HITS, max_size=4), length=st.integers(1, 9), header=TEXTS, gene=st.none() | IDS),
    min_size=1,
    max_size=6,
)
COLUMNS = layout(
    ["query", "target", "rank", "score", "qlen", "qheader", "query.gene", "tlen", "theader", *METADATA[1:]],
    METADATA,
    list(FACTS),
)
MANY = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def write(make: Callable[[bool], Writer], answers: list[Answer], stops: int = 0) -> bytes:
    """All of it, by a writer that is made anew after each answer whose bit is set in ``stops``."""
    writer, data = make(False), b""
    for place, each in enumerate(answers):
        data += writer.add(each)
        if stops >> place & 1:
            data += writer.flush()
            writer = make(True)
    return data + writer.end()


def rows(answers: list[Answer]) -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS.names, row, strict=True)) for each in answers for row in COLUMNS.rows(each)]


def parquet(answers: list[Answer], stops: int) -> bytes:
    stream, target = (
        io.BytesIO(write(lambda begun: Batches(COLUMNS, types=FACTS, begun=begun), answers, stops)),
        io.BytesIO(),
    )
    convert(stream, target)
    return target.getvalue()


def flat(value: object) -> str:
    """A cell of text, as docs/search.md has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = ",".join(value) if isinstance(value, list) else str(value)
    return text.replace("\r\n", " ").replace("\n", " ").replace("\r", " ").replace("\t", " ")


def finite(value: object) -> object:
    return None if isinstance(value, float) and value - value != 0 else value


@MANY
@given(ANSWERS, st.integers(0, 63))
@example([answer('"q', [{"target": "a\u2028b\x85c", "score": 0.5, "length": 3, "description": 'say "x", y'}])], 1)
def test_text_reads_back(answers: list[Answer], stops: int) -> None:
    wanted = [[flat(value) for value in row.values()] for row in rows(answers)]
    tabs = write(lambda begun: Tabs(COLUMNS, header=True, begun=begun), answers, stops).decode()
    assert tabs.endswith("\n")
    assert [line.split("\t") for line in tabs.split("\n")[:-1]] == [COLUMNS.names, *wanted]
    commas = write(lambda begun: Commas(COLUMNS, header=True, begun=begun), answers, stops).decode()
    assert commas.count("\n") == len(wanted) + 1
    assert list(csv.reader(io.StringIO(commas, newline=""))) == [COLUMNS.names, *wanted]
    bare = write(lambda begun: Tabs(COLUMNS, begun=begun), answers, stops).decode()
    assert tabs == "\t".join(COLUMNS.names) + "\n" + bare


@MANY
@given(ANSWERS, st.integers(0, 63))
def test_json_and_parquet_read_back_with_their_types(answers: list[Answer], stops: int) -> None:
    wanted = [{name: finite(value) for name, value in row.items()} for row in rows(answers)]
    lines = write(lambda begun: JsonLines(COLUMNS, begun=begun), answers, stops).decode()
    assert [json.loads(line) for line in lines.split("\n")[:-1]] == wanted
    nested = json.loads(write(lambda begun: Json(COLUMNS, begun=begun), answers, stops))
    assert [query["query"] for query in nested] == [each.hits.query for each in answers]
    assert [hit for query in nested for hit in query["hits"]] == wanted
    data = parquet(answers, stops)
    table = pq.read_table(io.BytesIO(data))
    assert repr(table.to_pylist()) == repr(rows(answers))  # by repr, as NaN is not itself
    assert table.schema.field("qlen").type == pa.int32()
    assert table.schema.field("plddt").type == pa.float64()
    assert data == parquet(answers, 0)


def test_parquet_has_the_same_row_groups_however_it_was_written() -> None:
    columns = layout(["query", "target", "length"], METADATA, [])
    hit = {"target": "t", "score": 0.5, "length": 3}
    answers = [answer(f"q{number}", [{**hit, "length": number}] * 700) for number in range(200)]

    def whole(stops: int) -> bytes:
        target = io.BytesIO()
        convert(io.BytesIO(write(lambda begun: Batches(columns, types={}, begun=begun), answers, stops)), target)
        return target.getvalue()

    once = whole(0)
    assert whole((1 << 200) - 1) == whole(0b1011 << 150) == once
    read = pq.ParquetFile(io.BytesIO(once))
    assert [read.metadata.row_group(group).num_rows for group in range(read.num_row_groups)] == [65536, 65536, 8928]


@pytest.mark.parametrize("bad", ["a\tb", "a\nb", "a\rb"])
@pytest.mark.parametrize("kind", [Tabs, Commas])
def test_an_id_that_a_line_cannot_hold_is_refused(kind: Any, bad: str) -> None:
    hit = {"target": "t", "score": 1.0, "length": 1}
    for each in (answer(bad, []), answer("q", [{**hit, "target": bad}])):
        with pytest.raises(QueryError, match="jsonl, json or parquet"):
            kind(COLUMNS).add(each)


def test_a_table_has_a_title_and_never_cuts_an_id() -> None:
    name = "A" * 70
    columns = layout(["query", "target", "score", "description"], METADATA, [])
    hit = {"target": name, "score": 0.25, "length": 3, "description": "long " * 40}
    text = Pretty(columns, width=90).add(answer("[q]", [hit])).decode()
    assert text.splitlines()[0].rstrip() == "[q]: 1 hit"
    assert f"{name}  0.2500" in text
    assert "…" in text
    assert "\x1b" not in text


def test_a_table_is_in_the_order_of_e_values_and_cuts_no_number() -> None:
    columns = layout(["target", "score", "evalue", "description"], METADATA, [], sides=[SIGNIFICANCE])
    found = [("itself", 1.0, 6.7e-38), ("short", 0.31, 1.4968), ("long", 0.30, 1.2282)]
    hits = [{"target": t, "score": s, "length": 3, "evalue": e, "description": "some words"} for t, s, e in found]
    for width in (20, 90):
        lines = Pretty(columns, width=width).add(answer("q", hits)).decode().splitlines()
        rows = [line.split()[:3] for line in lines if line.startswith(("itself", "short", "long"))]
        assert rows == [["itself", "1.0000", "6.7e-38"], ["long", "0.3000", "1.2282"], ["short", "0.3100", "1.4968"]]
    by_rank = layout(["rank", "target", "score", "evalue"], METADATA, [], sides=[SIGNIFICANCE])
    text = Pretty(by_rank, width=90).add(answer("q", hits)).decode()
    assert text.index("itself") < text.index("short") < text.index("long")


# -- columns -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["tlenn"], "no column 'tlenn' \\(near: tlen"),
        (["descripton"], "near: description"),
        (["id"], "near: target"),
        (["target", "target"], "'target' is named twice"),
        (["query", "evalue"], "'evalue' needs a vector to search with"),
        (["pident", "bitscore"], "pident, bitscore need a vector"),
        (["pident", "qcov"], "pident, qcov need an alignment: add --align"),
        (["query.nothing"], "of these queries gene, header, length are known"),
        (["target.nothing"], "no column 'target.nothing'"),
        (["qseq"], "of these queries"),
        ([""], "no column ''"),
    ],
)
def test_columns_that_cannot_be_had(names: list[str], message: str) -> None:
    with pytest.raises(FilterError, match=message):
        layout(names, METADATA, list(FACTS))


def test_names_of_blast_are_other_names() -> None:
    one = answer("q", [{"target": "t", "score": 0.5, "length": 3, "header": None}], length=9)
    chosen = layout(["qseqid", "sseqid", "qlen", "slen", "stitle", "qheader"], METADATA, list(FACTS))
    assert chosen.names == ["qseqid", "sseqid", "qlen", "slen", "stitle", "qheader"]
    assert chosen.rows(one) == [("q", "t", 9, 3, "t", "q of a query")]


def test_a_column_of_ones_own_stays_reachable_beside_a_field() -> None:
    own = [*METADATA, "evalue"]
    with pytest.raises(FilterError, match=r"own column is target\.evalue"):
        layout(["evalue"], own, [])
    assert layout(["target.evalue"], own, []).of_target == ["evalue"]


@pytest.mark.parametrize("name", ["score", "rank", "target"])
def test_a_column_that_another_program_named_as_a_hit_has_it_is_an_error(name: str) -> None:
    with pytest.raises(FilterError, match=f"{name} is what a search says of a hit.*rename"):
        layout([f"target.{name}"], [*METADATA, name], [])
    assert layout([name], [*METADATA, name], []).of_target == []  # the hit's own


def test_m8_waits_for_what_it_needs_and_says_what_works() -> None:
    with pytest.raises(QueryError, match=r"--align.*--columns query,target,score") as error:
        check_m8(None, aligned=False)
    assert "pident" in str(error.value)
    check_m8(None, aligned=True)
    check_m8(["query", "target"], aligned=False)
    assert len(M8) == 12
    assert {BY_NAME[name].side for name in M8} == {"hit", ALIGNMENT, PLACE, SIGNIFICANCE}
    assert M8[-2:] == ("evalue", "bits")
    assert {Format.tsv: True, Format.csv: True, Format.m8: False} == HEADERS


def test_fields_have_each_name_once() -> None:
    assert len(BY_NAME) == sum(1 + len(each.also) for each in FIELDS)


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.TSV", "tsv"),
        ("a.csv", "csv"),
        ("a.parquet", "parquet"),
        ("a.ndjson", "jsonl"),
        ("a.txt", "tsv"),
        ("a", "tsv"),
    ],
)
def test_the_name_of_the_file_says_the_format(name: str, format: str, tmp_path: Path) -> None:
    assert format_for(tmp_path / name, terminal=True).value == format
    assert format_for(None, terminal=True) is Format.table
    assert format_for(None, terminal=False) is Format.tsv
    with pytest.raises(QueryError, match="compress"):
        format_for(tmp_path / f"{name}.gz", terminal=False)
