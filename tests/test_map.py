"""The map of a database: coordinates, what is kept of them, and the files that are drawn."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import lance
import numpy as np
import pyarrow as pa
import pytest
import store_data as data

import protvec
from protvec import Database
from protvec.cli.app import run
from protvec.errors import DatabaseError, FilterError, InputError, QueryError
from protvec.projection import Chart, methods
from protvec.projection.groups import COLORS, group
from protvec.projection.nearest import neighbours, place
from protvec.store import Store, protein_table
from protvec.store.check import check, repair

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FAMILIES, EACH = 4, 20
KINDS = ("kinase", "histone", "<script>alert(1)</script>", "F-box")


def unit(count: int, dimension: int, seed: int = 0) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def put(store: Store, family: int, members: range, *, text: str = "") -> None:
    """Proteins of a family, which has a direction of its own."""
    rows = [
        data.row(f"F{family}_{i:03d}", f"M{'ACDEFGHIKLMNPQRSTVWY'[i % 20]}{'G' * (i + 1)}{'KRHE'[family] * 3}{text}",
                 description=f"{KINDS[family]} {i}", dataset=KINDS[family], taxid=100 * family + i)
        for i in members
    ]  # fmt: skip
    centre = unit(FAMILIES, data.D, seed=1)[family]
    noise = np.stack([unit(1, data.D, seed=1000 * family + i + 7 * len(text))[0] for i in members])
    store.write(protein_table(rows, (3 * centre + noise).astype(np.float32)), ())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    for family in range(FAMILIES):
        put(store, family, range(EACH))
    return store


@pytest.fixture
def db(store: Store) -> Database:
    return Database(store)


def spread(chart: Chart) -> float:
    """How far families are apart, in units of how far members are from the middle of theirs."""
    family = np.array([int(id[1]) for id in chart.ids])
    middles = np.stack([chart.coordinates[family == each].mean(axis=0) for each in range(FAMILIES)])
    within = np.linalg.norm(chart.coordinates - middles[family], axis=1).mean()
    apart = [np.linalg.norm(a - b) for i, a in enumerate(middles) for b in middles[:i]]
    return float(min(apart) / within)


def test_pca_is_that_of_the_singular_values() -> None:
    vectors = unit(60, 7) * np.linspace(3, 0.1, 7, dtype=np.float32)
    found, about = methods.pca(vectors)
    centred = vectors - vectors.mean(axis=0)
    left, values, _ = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    expected = left[:, :2] * values[:2]
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found, expected * signs, atol=1e-4)
    np.testing.assert_allclose(about["variance"], (values**2 / (values**2).sum())[:2], atol=1e-4)


def test_neighbours_are_those_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, vectors = unit(23, 5, 1), unit(40, 5, 2)
    monkeypatch.setattr("protvec.projection.nearest._PAIRS_AT_ONCE", 200)  # in several blocks
    places, cosines = neighbours(queries, vectors, 6)
    expected = np.argsort(-(queries @ vectors.T), axis=1)[:, :6]
    assert (places == expected).all()
    np.testing.assert_allclose(cosines, np.take_along_axis(queries @ vectors.T, expected, axis=1), atol=1e-6)
    everything, _ = neighbours(queries, vectors, 40)
    assert (np.sort(everything, axis=1) == np.arange(40)).all()


def test_a_vector_that_is_on_the_map_is_placed_where_it_is() -> None:
    vectors = unit(30, 6)
    coordinates = np.random.default_rng(3).standard_normal((30, 2)).astype(np.float32)
    np.testing.assert_allclose(place(vectors[:4], vectors, coordinates), coordinates[:4], atol=1e-3)


def test_umap_keeps_families_together_and_repeats_itself(db: Database) -> None:
    chart = db.map()
    assert chart.record.method == "umap"
    assert chart.record.parameters == {"n_neighbors": 15, "min_dist": 0.1, "seed": 42}
    assert (chart.record.sequences, chart.record.proteins) == (80, 80)
    assert "umap-learn" in chart.record.software
    assert spread(chart) > 3
    again = db.map("umap", again=True)
    assert again.ids == chart.ids == sorted(chart.ids)
    np.testing.assert_array_equal(again.coordinates, chart.coordinates)


def test_a_map_is_kept_and_taken_as_it_is(db: Database) -> None:
    chart = db.map("pca")
    assert spread(chart) > 1
    version = lance.dataset(f"{db.path}/map.lance").version
    later = protvec.open(db.path).map()
    assert later.record == chart.record, "also its moment: nothing was computed again"
    np.testing.assert_array_equal(later.coordinates, chart.coordinates)
    assert lance.dataset(f"{db.path}/map.lance").version == version
    assert later.to_arrow().schema.names == ["id", "x", "y", "placed", "description", "gene"]


def test_the_order_of_the_proteins_is_nothing_to_the_map(db: Database, tmp_path: Path) -> None:
    other = Store.create(tmp_path / "other", data.space(), codec="none")
    for family in reversed(range(FAMILIES)):
        put(other, family, range(EACH - 1, -1, -1))
    other.calibrate()
    db.calibrate()
    ours, theirs = db.map("pca"), Database(other).map("pca")
    assert ours.ids == theirs.ids
    np.testing.assert_allclose(ours.coordinates, theirs.coordinates, atol=1e-3)


def test_proteins_that_come_later_are_placed_among_their_nearest(db: Database, store: Store) -> None:
    before = db.map("pca")
    put(store, 1, range(EACH, EACH + 5))
    notes: list[str] = []
    db.settings = type(db.settings)(notify=notes.append)
    after = db.map()
    assert notes == ["5 sequences came after the map: each is placed among its nearest (--again makes it anew)"]
    assert after.record.placed == 5
    assert [id for id, placed in zip(after.ids, after.placed, strict=True) if placed] == [
        f"F1_{i:03d}" for i in range(EACH, EACH + 5)
    ]
    kept = [after.ids.index(id) for id in before.ids]
    np.testing.assert_array_equal(after.coordinates[kept], before.coordinates)
    assert spread(after) > 1
    assert db.map("pca", again=True).record.placed == 0


def test_a_map_of_which_most_came_later_is_made_again(db: Database, store: Store) -> None:
    first = db.map("pca")
    put(store, 2, range(EACH, EACH + 60))
    assert db.map().record.sequences == 140 > first.record.sequences
    assert db.map().record.method == "pca", "as before"


def test_another_method_makes_another_map(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    db.map("pca")
    monkeypatch.setattr(methods, "has_umap", lambda: False)
    with pytest.raises(InputError, match=r"pip install 'protvec\[map\]'"):
        db.map("umap")
    assert db.map().record.method == "pca"


def test_without_umap_it_is_pca_and_said(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protvec.projection.run.has_umap", lambda: False)
    notes: list[str] = []
    db.settings = type(db.settings)(notify=notes.append)
    assert db.map().record.method == "pca"
    assert "umap-learn is not installed" in notes[0]


def test_what_is_not_kept_is_not_written(db: Database) -> None:
    assert db.map("pca", keep=False).record.method == "pca"
    assert db.store.map_record is None


def test_identical_sequences_share_a_place(db: Database, store: Store) -> None:
    rows = [data.row("TWIN", store.get(["F0_003"], columns=["sequence"])["sequence"][0].as_py())]
    vector = store.get(["F0_003"], columns=["vector"])["vector"].to_pylist()
    store.write(protein_table(rows, np.array(vector, np.float32)), ())
    chart = db.map("pca")
    assert (chart.record.sequences, chart.record.proteins, len(chart)) == (80, 81, 81)
    one, other = (chart.coordinates[chart.ids.index(id)] for id in ("F0_003", "TWIN"))
    np.testing.assert_array_equal(one, other)


def test_deleting_replacing_and_restoring_leave_it_sound(db: Database, store: Store) -> None:
    before = db.map("pca")
    db.snapshot("whole")
    db.delete(["F0_000"])
    put(store, 0, range(1, 2), text="W")  # F0_001 with another sequence
    assert check(store).ok
    assert {finding.code for finding in check(store).findings} == {"map-behind"}
    after = db.map()
    assert "F0_000" not in after.ids
    assert after.placed[after.ids.index("F0_001")]
    db.restore("whole")
    restored = db.map()
    assert restored.ids == before.ids
    assert restored.record.placed == 2, "those that had been given up"
    same = [id for id in before.ids if id not in ("F0_000", "F0_001")]
    one, other = ([chart.coordinates[chart.ids.index(id)] for id in same] for chart in (before, restored))
    np.testing.assert_array_equal(one, other)
    assert protvec.open(db.path, at="whole").map(keep=False).ids == before.ids


def test_a_snapshot_keeps_nothing_new(db: Database) -> None:
    db.snapshot("now")
    with pytest.raises(DatabaseError, match="only reads"):
        protvec.open(db.path, at="now").map("pca")


def test_a_complete_map_is_drawn_where_nothing_can_be_written(db: Database) -> None:
    db.map("pca")
    db.snapshot("now")
    at = protvec.open(db.path, at="now")
    assert len(at.map()) == 80
    with pytest.raises(DatabaseError, match="only reads"):
        at.map(again=True)


def test_a_column_of_the_user_may_be_called_x(db: Database) -> None:
    db.annotate({"id": ["F0_000", "F0_001"], "x": [7, 8]})
    rows = db.map("pca", color="x").to_arrow()
    assert rows.column_names == ["id", "x", "y", "placed", "description", "gene", "x_"]
    assert rows["x_"].to_pylist()[:3] == [7, 8, None]


def test_merging_takes_no_map_along(db: Database, tmp_path: Path) -> None:
    db.map("pca")
    merged = protvec.merge([db.path], tmp_path / "merged")
    assert merged is not None
    assert Store.open(tmp_path / "merged").map_record is None


def test_a_damaged_map_is_found_and_given_up(db: Database, store: Store) -> None:
    db.map("pca")
    rows = lance.dataset(f"{store.path}/map.lance").to_table()
    bad = rows.set_column(1, rows.schema.field("x"), pa.array([float("nan")] * rows.num_rows, pa.float32()))
    lance.write_dataset(bad, f"{store.path}/map.lance", mode="overwrite")
    with pytest.raises(DatabaseError, match="map --again"):
        db.map()
    assert [finding.code for finding in check(store).findings] == ["map-damaged"]
    assert not check(store).ok
    assert repair(store).ok
    assert store.map_record is None
    assert db.map("pca").record.sequences == 80


def test_again_takes_the_place_of_a_damaged_map(db: Database, store: Store) -> None:
    db.map("pca")
    lance.dataset(f"{store.path}/map.lance").drop_columns(["y"])
    with pytest.raises(DatabaseError, match="columns are missing"):
        db.map()
    assert db.map("pca", again=True).record.sequences == 80


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda db: db.map("tsne"), QueryError, "choose auto, umap, pca"),
        (lambda db: db.map("pca", color="colour"), FilterError, "colour"),
        (lambda db: db.map("pca", color="vector"), QueryError, "another column"),
    ],
)
def test_what_cannot_be_is_said(db: Database, call, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call(db)
    assert db.store.map_record is None


def test_too_few_proteins_are_no_map(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "few", data.space(), codec="none")
    with pytest.raises(QueryError, match="holds 0 distinct sequences"):
        Database(store).map()
    put(store, 0, range(4))
    assert Database(store).map().record.method == "pca"
    with pytest.raises(QueryError, match="at least 50"):
        Database(store).map("umap")


def test_groups_of_labels_have_the_most_frequent_first() -> None:
    values = [f"v{i}" for i in range(20) for _ in range(20 - i)] + [None, ""]
    groups = group(pa.chunked_array([values]), len(values))
    assert [each.label for each in groups.groups[:2]] == ["v0", "v1"]
    assert groups.groups[len(COLORS)].label == "9 others"
    assert groups.groups[-1].label == "none"
    counted = np.bincount(groups.members, minlength=len(groups.groups))
    assert counted.tolist() == [each.count for each in groups.groups]
    assert groups.groups[groups.members[-1]].label == "none"


def test_groups_of_numbers_have_about_as_many_each() -> None:
    values = [*range(1000), None]
    groups = group(pa.chunked_array([pa.array(values, pa.int64())]), len(values))
    assert [each.count for each in groups.groups[:-1]] == [125] * 8
    assert groups.groups[0].label == "0 to 124"
    assert groups.groups[-1].label == "none"
    counted = np.bincount(groups.members, minlength=len(groups.groups))
    assert counted.tolist() == [each.count for each in groups.groups]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (pa.array([True, False, True]), ["true", "false"]),
        (pa.array([["GO:1", "GO:2"], [], None, ["GO:1"]]), ["GO:1", "none"]),
        (pa.array([3, 1, 3], pa.int32()), ["3", "1"]),
        (pa.array([0.5] * 20 + [float("nan")] + list(np.arange(13.0))), None),
    ],
)
def test_groups_of_other_kinds(values: pa.Array, labels: list[str] | None) -> None:
    groups = group(pa.chunked_array([values]), len(values))
    assert sum(each.count for each in groups.groups) == len(values)
    assert groups.members.max() < len(groups.groups)
    if labels is not None:
        assert [each.label for each in groups.groups] == labels


def embedded(text: str) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found[1])


def test_files_as_a_user_asks_for_them(db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def cli(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert run(["map", "--db", db.path, *arguments]) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    assert json.loads(cli("--method", "pca", "--json"))["method"] == "pca"
    out = tmp_path / "map.html"
    assert "80 proteins; PCA of 80 distinct sequences" in cli("-o", str(out), "--color", "dataset")
    text = out.read_text(encoding="utf-8")
    assert text.count("<script") == 2, "a description with a script in it is data"
    assert "http" not in re.sub(r"http-equiv", "", text), "nothing comes from elsewhere"
    points = embedded(text)
    assert points["ids"] == sorted(points["ids"])
    assert {each["label"] for each in points["groups"]} == set(KINDS)
    assert [points["groups"][number]["label"] for number in points["group"]][:2] == [KINDS[0]] * 2
    assert "--force" in cli("-o", str(out), code=1)
    assert "no directory" in cli("-o", str(tmp_path / "nowhere" / "map.html"), "--again", code=1)
    cli("-o", str(out), "--force")
    assert len(embedded(out.read_text(encoding="utf-8"))["groups"]) == 1

    for name, begins in (("map.png", b"\x89PNG"), ("map.svg", b"<?xml")):
        cli("-o", str(tmp_path / name), "--color", "taxid")
        assert (tmp_path / name).read_bytes().startswith(begins)
    first = (tmp_path / "map.svg").read_bytes()
    cli("-o", str(tmp_path / "map.svg"), "--color", "taxid", "--force")
    assert (tmp_path / "map.svg").read_bytes() == first

    cli("-o", str(tmp_path / "map.tsv"))
    lines = (tmp_path / "map.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["id", "x", "y", "placed", "description", "gene"]
    assert len(lines) == 81
    assert ".html" in cli("-o", str(tmp_path / "map.gif"), code=1)
    assert "-o" in cli("--color", "dataset", code=2)
    assert "--force" in cli("--force", code=2)
    db.map().write(tmp_path / "python.html")
    assert embedded((tmp_path / "python.html").read_text(encoding="utf-8"))["column"] is None
