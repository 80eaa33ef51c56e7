"""Segments of long proteins: where they are cut, how they are kept in step, and what searches find by them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import lance
import numpy as np
import pyarrow as pa
import pytest
import store_data as data

from protvec import Database
from protvec.cli.app import run
from protvec.errors import ProteinNotFoundError, QueryError
from protvec.exchange import merge_into
from protvec.search.nearest import check
from protvec.search.proteome import search_ids, search_proteome
from protvec.store import Cut, Store, protein_table
from protvec.store.check import check as look
from protvec.store.check import repair
from protvec.store.memory import segment_scan
from protvec.store.segments import Rule
from protvec.store.segments.vectors import means_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from protvec.search import Hits

RULE = Rule()
SEGMENTS = "_segments"


def text(length: int, seed: int) -> str:
    return "M" + "".join(np.random.default_rng(seed).choice(data.LETTERS, length - 1))


def rows_of(count: int = 60, seed: int = 0) -> list[dict[str, Any]]:
    """Every other one is long."""
    return [data.row(f"P{i:03d}", text(60 + (i % 2) * (100 + 17 * i), seed + i), taxid=i % 3) for i in range(count)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.create(tmp_path / "db", data.space())
    data.write(store, rows_of())
    store.calibrate()
    return store


def column(store: Store, name: str = SEGMENTS) -> dict[str, bytes | None]:
    table = lance.dataset(f"{store.path}/proteins.lance").to_table(columns=["id", name])
    return dict(zip(table["id"].to_pylist(), table[name].to_pylist(), strict=True))


def in_step(store: Store) -> None:
    """Every protein has the segments of its own residues, as searches compare them too."""
    means, codes = column(store), column(store, str(store.scoring.codes))
    proteins = store.get(sorted(means), columns=["id", "digest", "sequence", "vector"]).to_pylist()
    transform = store.transform(str(store.scoring.segments_key))
    for row in proteins:
        expected = data.residues(row["sequence"])
        cut = means_of(means[row["id"]] or b"", data.D)
        assert len(cut) == RULE.count(len(expected))
        own = cut if len(cut) else np.float32([row["vector"]])
        for mean, start in zip(cut, RULE.starts(len(expected)) if len(cut) else [], strict=True):
            np.testing.assert_allclose(mean, expected[start : start + RULE.window].mean(axis=0), atol=0.01)
        rounded = np.frombuffer(codes[row["id"]] or b"", np.int8).reshape(-1, data.D).astype(np.float64)
        rounded /= np.linalg.norm(rounded, axis=1, keepdims=True)
        assert ((rounded * transform.apply(own)).sum(axis=1) > 0.999).all()
    assert not [finding for finding in look(store, full=True).findings if "segment" in finding.code]


# -- the rule ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [RULE, Rule(7, 3), Rule(10, 10)])
def test_every_residue_is_in_a_segment(rule: Rule) -> None:
    lengths = np.arange(1, 12 * rule.window)
    assert rule.counts(lengths).tolist() == [rule.count(length) for length in lengths.tolist()]
    for length in lengths[rule.longest :].tolist():
        starts = rule.starts(length)
        assert starts[0] == 0
        assert starts[-1] + rule.window == length
        assert all(0 < b - a <= rule.step for a, b in pairwise(starts))
        assert len(starts) == rule.count(length)
        assert rule.place(length, len(starts) - 1) == (length - rule.window + 1, length)
    assert rule.count(rule.longest) == 0
    assert rule.place(rule.longest, 0) == (1, rule.longest)


def test_a_segment_is_the_mean_of_its_residues() -> None:
    array = data.residues(text(451, 3))
    cut = RULE.cut(array)
    assert cut.dtype == np.float16
    expected = [array[start : start + RULE.window].mean(axis=0) for start in RULE.starts(451)]
    np.testing.assert_allclose(cut, expected, rtol=1e-3, atol=1e-3)
    assert np.isfinite(RULE.cut(np.full((200, 4), 1e6, np.float32))).all()


# -- kept in step ------------------------------------------------------------------------------------------


def test_written_with_the_proteins_and_gone_with_them(store: Store) -> None:
    in_step(store)
    rows = rows_of()
    data.write(store, [data.row("P001", text(333, 99)), data.row("P003", text(40, 98))])  # replaced
    data.write(store, [data.row("again", rows[5]["sequence"]), *rows_of(4, seed=500)[2:]])  # a known sequence
    in_step(store)
    assert column(store)["again"] == column(store)["P005"]
    store.delete(ids=["P005", "P007"])
    store.compact()
    in_step(store)
    assert column(store)["again"]  # its residues have stayed too


@pytest.mark.parametrize("codec", ["int8", "none"])
def test_given_by_an_ingest_that_has_the_residues_at_hand(tmp_path: Path, codec: str) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec=codec)
    rows = rows_of(30)
    arrays = {row["digest"]: data.residues(row["sequence"]) for row in rows}
    vectors = np.stack([arrays[row["digest"]].mean(axis=0) for row in rows])
    given = {key: RULE.cut(array) for key, array in arrays.items() if RULE.count(len(array))}
    assert len(given) == sum(len(row["sequence"]) > RULE.longest for row in rows)
    store.write(protein_table(rows, vectors), arrays.items(), segments=given)
    store.write(protein_table([rows[9] | {"id": "again"}], vectors[9:10]), ())  # by what its other row has
    store.calibrate()
    in_step(store)
    if codec == "int8":
        store.recode("none")
        in_step(store)


def test_merged_databases_have_theirs(store: Store, tmp_path: Path) -> None:
    other = Store.create(tmp_path / "other", data.space())
    data.write(other, rows_of(20, seed=900)[4:])
    into = Store.create(tmp_path / "into", data.space())
    merge_into(into, [store, other], None, prefer="first")
    into.calibrate()
    in_step(into)


def test_a_snapshot_has_its_own_and_brings_them_back(store: Store) -> None:
    query = by_id(store, "P031")
    before = found(store, query)
    store.snapshot("before")
    data.write(store, rows_of(20, seed=700))
    store.calibrate(segments=False)
    assert Store.open(store.path).segment_rule is None
    assert found(Store.open(store.path, at="before"), query) == before
    store.restore("before")
    assert found(store, query) == before
    in_step(store)


def test_a_database_without_is_searched_as_before_and_can_be_given_some(store: Store, tmp_path: Path) -> None:
    plain = Store.create(tmp_path / "plain", data.space(), segments=False)
    data.write(plain, rows_of())
    plain.calibrate()
    assert plain.segment_rule is None
    assert "protvec calibrate --segments" in str(plain.no_segments)
    assert plain.info()["segments"] is None
    with pytest.raises(QueryError, match="calibrate --segments"):
        plain.project_segments(np.ones((1, data.D)))
    hits = hits_of(plain, "P031")
    assert "by" not in hits.to_arrow().column_names
    plain.calibrate(segments=True)
    in_step(plain)
    assert column(plain) == column(store)
    assert found(plain, by_id(plain, "P031")) == found(store, by_id(store, "P031"))
    plain.calibrate(segments=False)
    assert not [name for name in lance.dataset(f"{plain.path}/proteins.lance").schema.names if SEGMENTS in name]


def test_none_can_be_made_without_residues(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space(), codec="none", segments=False)
    data.write(store, rows_of(25))
    with pytest.raises(QueryError, match="no residue arrays"):
        store.calibrate(segments=True)


def test_check_finds_what_is_not_in_step_and_repair_mends_it(store: Store) -> None:
    table = lance.dataset(f"{store.path}/proteins.lance")
    codes = str(store.scoring.codes)
    rows = table.to_table(filter="id IN ('P011', 'P013', 'P015', 'P016', 'P017')").sort_by("id").to_pylist()
    rows[0][SEGMENTS] = None
    rows[1][SEGMENTS] = rows[1][SEGMENTS][: -2 * data.D]
    rows[2][SEGMENTS] = RULE.cut(data.residues(text(60 + 100 + 17 * 15, 4321))).tobytes()  # of another protein
    rows[3][SEGMENTS] = rows[1][SEGMENTS]  # of a short one
    rows[4][codes] = bytes(len(rows[4][codes]) - 1) + b"\1"
    table.merge_insert("id").when_matched_update_all().execute(pa.Table.from_pylist(rows, schema=table.schema))
    findings = {finding.code: finding for finding in look(store, full=True).findings}
    assert findings["no-segments"].ids == ("P011", "P013", "P016")
    assert findings["no-segments"].level == "leftover"
    assert findings["wrong-segments"].ids == ("P015",)
    assert "P017" in findings["wrong-search-segments"].ids
    assert not repair(store, full=True).findings
    in_step(store)


def test_rows_of_another_client_are_found_as_wholes_until_they_have_segments(store: Store) -> None:
    table = lance.dataset(f"{store.path}/proteins.lance")
    row = table.to_table(columns=["id", "digest", "sequence", "length", "vector"], filter="id = 'P031'").to_pylist()[0]
    schema = pa.schema([table.schema.field(name) for name in row])
    lance.write_dataset(pa.Table.from_pylist([row | {"id": "foreign"}], schema=schema), table, mode="append")
    store.refresh()
    hits = hits_of(store, "P031")
    assert hits.ids[:2] == ["P031", "foreign"]
    store.calibrate()
    in_step(store)


# -- what is found -----------------------------------------------------------------------------------------


def hits_of(store: Store, id: str, **options: Any) -> Hits:
    (hits,) = search_ids(store, store, [id], check(store, **options))
    return hits


def by_id(store: Store, id: str) -> Cut:
    vectors, pieces = store.queries([id])
    means = vectors if pieces[0] is None else pieces[0].means
    return Cut(store.project_segments(means), np.array([len(means)]))


def found(store: Store, cut: Cut, **options: Any) -> list[tuple[object, ...]]:
    table = store.find_segments(cut, columns=[], **{"k": 10, **options}).table
    return [tuple(row.values()) for row in table.to_pylist()]


def oracle(
    store: Store, cut: Cut, k: int, keep: Callable[[int], bool] = lambda _: True
) -> list[list[tuple[str, float]]]:
    """For each query the k best, computed one pair after the other."""
    codes = column(store, str(store.scoring.codes))
    taxids = {row["id"]: row["taxid"] for row in store.get(sorted(codes), columns=["id", "taxid"]).to_pylist()}
    answers, start = [], 0
    for count in cut.counts.tolist():
        pieces = cut.vectors[start : start + count].astype(np.float64)
        pieces /= np.linalg.norm(pieces, axis=1, keepdims=True)
        start += count
        scores = []
        for id, value in codes.items():
            vectors = np.frombuffer(value or b"", np.int8).reshape(-1, data.D).astype(np.float64)
            if len(vectors) and keep(taxids[id]):
                vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
                scores.append((id, float((vectors @ pieces.T).max())))
        answers.append(sorted(scores, key=lambda pair: (-round(pair[1], 12), pair[0]))[:k])
    return answers


@pytest.mark.parametrize("limits", [{}, {"_TILE": 16, "_PIECES": 9, "_THREADED": 0}, {"_TILE": 16, "_PACKED": 0}])
def test_find_segments_equals_the_oracle(store: Store, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]) -> None:
    """Whatever the shares of threads, and whether queries or proteins are brought into order for products."""
    for name, value in limits.items():
        monkeypatch.setattr(segment_scan, name, value)
    monkeypatch.setattr(segment_scan, "_FEW", 4)
    ids = ["P031", "P002", "P057", "P033"]
    cuts = [by_id(store, id) for id in ids]
    every = Cut(np.concatenate([cut.vectors for cut in cuts]), np.concatenate([cut.counts for cut in cuts]))
    for options, keep in (({}, lambda _: True), ({"where": "taxid = 1"}, lambda taxid: taxid == 1)):
        expected = oracle(store, every, 7, keep)
        for cut, wanted in zip(cuts, expected, strict=True):
            one = found(store, cut, k=7, **options)
            assert [row[0] for row in one] == [id for id, _ in wanted]
            np.testing.assert_allclose([row[1] for row in one], [score for _, score in wanted], atol=1e-12)
        many = store.find_segments(every, k=7, columns=[], **options)
        alone = [row for cut in cuts for row in found(store, cut, k=7, **options)]
        assert [tuple(row.values()) for row in many.table.to_pylist()] == alone


def test_searches_follow_what_is_written(store: Store) -> None:
    cut = by_id(store, "P031")
    assert found(store, cut)[0][0] == "P031"
    data.write(store, [rows_of()[31] | {"id": "twin"}])
    store.refresh()
    assert [row[0] for row in found(store, cut)[:2]] == ["P031", "twin"]
    store.delete(ids=["P031"])
    store.refresh()
    assert [row[0] for row in found(store, cut)] == [id for id, _ in oracle(store, cut, 10)[0]]
    assert found(store, cut)[0][0] == "twin"


def test_a_query_by_id_is_the_row_of_now(store: Store) -> None:
    """Found among the ids in memory, where a removed row may have the same."""
    rows = rows_of()
    found(store, by_id(store, "P031"))
    for _ in range(2):
        next(store.search_many(store.queries(["P002", "P004"])[0]))  # now they are in memory
    data.write(store, [data.row("P031", text(500, 77)), data.row("new", rows[9]["sequence"])])
    store.refresh()
    next(store.search_many(store.queries(["P002", "P004"])[0]))
    for id in ("P031", "new", "P009"):
        vectors, pieces = store.queries([id])
        expected = store.get([id], columns=["vector", "length"])
        assert vectors[0].tolist() == expected["vector"].to_pylist()[0]
        assert pieces[0] is not None
        assert pieces[0].length == expected["length"].to_pylist()[0]
    vectors, _ = store.queries(["new", "P009"])
    assert vectors[0].tolist() == vectors[1].tolist()
    with pytest.raises(ProteinNotFoundError, match="P03"):
        store.queries(["P03"])
    store.delete(ids=["P009"])
    store.refresh()
    with pytest.raises(ProteinNotFoundError):
        store.queries(["P009"])


def _many_domains(array: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Residues of which every 110 have something of their own."""
    own = np.random.default_rng(seed).standard_normal((-(-len(array) // 110), data.D)) * 0.7
    return (array + np.repeat(own, 110, axis=0)[: len(array)]).astype(np.float32)


class Planted:
    """A database of unrelated proteins, of which one long one has a domain of a short one, and a long one too."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.store = Store.create(path, data.space(), **options)
        rows = rows_of(120)
        arrays = {row["digest"]: _many_domains(data.residues(row["sequence"]), at) for at, row in enumerate(rows)}
        domain = (
            np.repeat(np.random.default_rng(12_345).standard_normal((1, data.D)), 110, axis=0).astype(np.float32) * 1.5
        )
        self.at = {"P020": None, "P101": 700, "P119": 1200}
        for id, start in self.at.items():
            array = arrays[rows[int(id[1:])]["digest"]]
            place = slice(None) if start is None else slice(start, start + len(domain))
            array[place] += domain[: len(array[place])]
        vectors = np.stack([arrays[row["digest"]].mean(axis=0) for row in rows])
        self.store.write(protein_table(rows, vectors), arrays.items())
        self.store.calibrate()


def test_a_domain_is_found_by_its_segment_and_by_that_of_a_long_query(tmp_path: Path) -> None:
    planted = Planted(tmp_path / "db")
    store = planted.store
    for query, targets in (("P020", ["P101", "P119"]), ("P101", ["P020", "P119"])):
        hits = hits_of(store, query, k=3)
        assert hits.ids[0] == query
        assert sorted(hits.ids[1:]) == targets
        assert hits[0].metadata["by"] == "protein"
        for hit in hits[1:]:
            assert hit.metadata["by"] == "segment"
            assert hit.evalue is not None
            for side, id in (("q", query), ("t", hit.target)):
                begin, end = hit.metadata[f"{side}start"], hit.metadata[f"{side}end"]
                start = planted.at[id]
                if start is None:
                    assert (begin, end) == ((None, None) if side == "q" else (1, 60))
                else:
                    assert end - begin + 1 == RULE.window
                    assert min(end, start + 110) - max(begin - 1, start) > RULE.window // 3
        alone = hits_of(store, query, k=3, segments=False)
        assert set(alone.ids) != set(hits.ids)
        assert "by" not in alone.to_arrow().column_names
        assert "segments" not in str(alone.index)
        assert f"and with all of {hits.index.segments:,} segments" in str(hits.index)


def test_all_at_once_and_with_an_alignment(tmp_path: Path) -> None:
    store = Planted(tmp_path / "db").store
    together = {hits.query: hits for hits in search_proteome(store, store, check(store, k=4))}
    assert len(together) == 120
    for id in ("P000", "P020", "P055", "P101"):
        one = hits_of(store, id, k=4)
        assert one.ids == together[id].ids
        assert one.scores == together[id].scores
        assert one.to_arrow().select(["by", "tstart", "qstart"]) == together[id].to_arrow().select(
            ["by", "tstart", "qstart"]
        )
    candidates = hits_of(store, "P020", k=3, align=True, candidates=3)
    assert "P119" in candidates.ids
    assert "P119" not in hits_of(store, "P020", k=3, align=True, candidates=3, segments=False).ids


def test_what_does_not_fit_the_memory_is_left_out_and_said(tmp_path: Path) -> None:
    Planted(tmp_path / "db")
    needed = 120 * (5 * data.D + 64)
    for memory, fits in ((needed + 1000, False), (needed + 100_000, True)):
        store = Store.open(tmp_path / "db", search_memory=memory)
        hits = hits_of(store, "P020", k=3)
        assert (hits.index.segments is not None) is fits
        assert ("segments left out: with them searches need" in str(hits.index)) is not fits


def test_raw_scores_texts_and_directions_are_of_whole_proteins(tmp_path: Path) -> None:
    db = Database(Planted(tmp_path / "db").store)
    for hits in (
        db.search_id("P020", scoring="raw"),
        db.search_id("P020", text="P020"),
        db.search_like(["P020", "P101"]),
    ):
        assert "by" not in hits.to_arrow().column_names
        assert hits.index.segments is None
    vector = db.store.queries(["P020"])[0][0]
    assert db.search_vector(vector, k=3).ids == db.search_id("P020", k=3).ids  # a mean vector is one segment


def test_errors_of_unrelated_queries_are_as_many_as_evalues_say(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "db", data.space())
    rows = [data.row(f"T{i:04d}", text(80 + (7 * i) % 900, 10_000 + i)) for i in range(400)]
    data.write(store, rows)
    store.calibrate()
    queries = Store.create(tmp_path / "queries", data.space())
    data.write(queries, [data.row(f"Q{i:04d}", text(80 + (11 * i) % 600, 90_000 + i)) for i in range(60)])
    evalues = [hits.to_arrow()["evalue"].to_numpy() for hits in search_proteome(queries, store, check(store, k=60))]
    for limit in (1.0, 10.0):
        errors = sum(int((each <= limit).sum()) for each in evalues) / len(evalues)
        assert errors < 2 * limit, (limit, errors)
    assert errors > 1  # cosines in 16 dimensions have less of a tail than the prior says


# -- the command line --------------------------------------------------------------------------------------


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "db")
    Planted(tmp_path / "db")
    assert run(["search", "--db", path, "--id", "P020", "-k", "3", "--columns", "target,by,qstart,tstart,tend"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["target", "by", "qstart", "tstart", "tend"]
    assert lines[1] == ["P020", "protein", "", "", ""]
    assert {line[1] for line in lines[2:]} == {"segment"}
    assert run(["search", "--db", path, "--id", "P020", "--no-segments", "--columns", "target,by"]) == 1
    assert "'by' is of searches with segments" in capsys.readouterr().err
    assert run(["search", "--db", path, "--id", "P020", "--explain"]) == 0
    assert "compared with all of 120 vectors; and with all of" in capsys.readouterr().err
    assert run(["info", "--db", path]) == 0
    assert f"of 59 proteins longer than {RULE.longest}" in capsys.readouterr().out
    assert run(["calibrate", "--db", path, "--no-segments"]) == 0
    assert run(["info", "--db", path]) == 0
    assert "protvec calibrate --segments" in capsys.readouterr().out
    assert run(["calibrate", "--db", path, "--segments"]) == 0
    in_words = capsys.readouterr()
    assert "making vectors of segments" in in_words.err


def test_ingest_keeps_them_or_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fasta = tmp_path / "p.fa"
    fasta.write_text("".join(f">L{i}\n{text(170 + 40 * i, i)}\n" for i in range(4)))
    for option, keeps in (("--segments", True), ("--no-segments", False)):
        path = str(tmp_path / f"db{option}")
        assert run(["ingest", str(fasta), "--db", path, "--model", "near", option]) == 0
        store = Store.open(path)
        assert (store.segment_rule is not None) is keeps
        if keeps:
            assert [len(value or b"") for value in column(store).values()] == [
                RULE.count(170 + 40 * i) * 2 * 256 for i in range(4)
            ]
            assert not look(store, full=True).findings
        other = "--no-segments" if keeps else "--segments"
        assert run(["ingest", str(fasta), "--db", path, other]) == 1
        assert f"protvec calibrate {other}" in capsys.readouterr().err


def test_what_another_database_has_can_be_taken_over(store: Store, tmp_path: Path) -> None:
    """As the shards of a cluster do, also where no residues are kept."""
    rows = rows_of()
    keys = [row["digest"] for row in rows]
    vectors = store.vectors(keys)
    into = Store.create(tmp_path / "into", data.space(), codec="none")
    table = protein_table(rows, np.stack([vectors[key] for key in keys]))
    into.write(table, (), segments=store.segment_means(keys))
    assert column(into) == column(store)


def test_searches_one_after_another_keep_what_they_have_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = hits_of(store, "P031")
    for _ in range(5):  # the columns of hits are in memory after some
        again = hits_of(store, "P031")
        assert again.ids == first.ids
        assert again.to_arrow().equals(first.to_arrow())
    monkeypatch.setattr("protvec.store.memory.segments._read", None)  # nothing is read again
    monkeypatch.setattr("protvec.store.memory.rows._read", None)
    monkeypatch.setattr("protvec.store.searching.scanned", None)
    assert hits_of(store, "P031").ids == first.ids
