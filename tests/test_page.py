"""The page of the server, in a real browser: what a person does with it, and that it asks nobody else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import store_data as data
from browsing import Looker, browser, serving
from proteins import CALMODULIN, HISTONE, UBIQUITIN, write_fasta

import protvec
from protvec.server import Key, create_app
from protvec.store import Store, protein_table

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
MANY = 10_000
NASTY = "<img src=x onerror=alert(1)> & \"quoted\" 'text'"
SECRET = "a-key-for-the-page-of-the-server"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five proteins of the offline model with residues: two alike, one whose description is hostile."""
    folder = tmp_path_factory.mktemp("small")
    db = protvec.create(folder / "db", model="near")
    records = [
        ("his1 histone H3", HISTONE),
        ("his2 histone H3 again", HISTONE[:90]),
        (f"cam/1|x {NASTY}", CALMODULIN),
        ("ubq ubiquitin", UBIQUITIN),
    ]
    db.ingest(write_fasta(folder / "a.fa", records[:3]), organism="Zea mays")
    db.ingest(write_fasta(folder / "b.fa", records[3:]), organism="L'Oryza")
    return folder / "db"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten thousand made-up proteins in twenty families, with a map of them."""
    store = Store.create(tmp_path_factory.mktemp("large") / "db", data.space(), codec="none")
    draw = np.random.default_rng(5)
    middles = 2 * draw.standard_normal((20, data.D))
    family = np.arange(MANY) % 20
    rows = [
        data.row(f"P{i:05d}", f"M{np.base_repr(i + 7**6, 7).translate(str.maketrans('0123456', 'ACDEFGH'))}",
                 description=f"protein {i} of family {family[i]}", dataset=f"family {family[i]:02d}", taxid=i % 300)
        for i in range(MANY)
    ]  # fmt: skip
    vectors = (middles[family] + draw.standard_normal((MANY, data.D))).astype(np.float32)
    store.write(protein_table(rows, vectors), ())
    store.calibrate()
    protvec.open(store.path).map("pca")
    return store.location.path  # type: ignore[return-value]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def address(chromium: Any, small: Path, large: Path) -> Iterator[str]:
    with serving(create_app({"small": small, "large": large}, offline=True)) as where:
        yield where


@pytest.fixture
def look(chromium: Any, address: str) -> Iterator[Looker]:
    """A page that must do nothing wrong."""
    with chromium.new_context(viewport={"width": 1200, "height": 800}) as context:
        looker = Looker(context.new_page(), address)
        yield looker
        assert looker.errors == []


def ask(page: Any, query: str) -> None:
    page.fill("#query", query)
    page.click("#go")


def ids(page: Any) -> list[str]:
    return [row.get_attribute("data-id") for row in page.locator("tr.hit").all()]


def painted(page: Any, canvas: str) -> int:
    """How many different colours a canvas has."""
    return page.eval_on_selector(
        canvas,
        """(canvas) => new Set(new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width,
            canvas.height).data.buffer)).size""",
    )


def test_examples_of_routes_can_be_tried_on_the_first_database(look: Looker) -> None:
    page = look.open("docs#/alignment")
    page.get_by_text("/api/v1/databases/{db}/align").click()
    page.get_by_text("Try it out").click()
    asked = json.loads(page.locator("textarea.body-param__text").input_value())
    assert {asked["query"], asked["target"]} < {"his1", "his2", "cam/1|x", "ubq"}
    assert page.locator(".parameters input").first.input_value() == "small"
    with page.expect_response("**/api/v1/databases/small/align") as answer:
        page.get_by_text("Execute").click()
    assert answer.value.status == 200
    page.locator(".live-responses-table").wait_for()
    assert "AT1G" not in page.locator("#routes").inner_text()


def test_a_sequence_finds_hits_with_alignments_and_the_address_says_so(look: Looker) -> None:
    page = look.open("#db=small")
    page.wait_for_selector(".welcome")
    ask(page, f"{HISTONE[:70]}\n{HISTONE[70:]}")
    page.wait_for_selector("tr.hit td.cover svg")
    assert ids(page)[:2] == ["his1", "his2"]
    assert page.locator("#reading").inner_text() == f"a sequence of {len(HISTONE)} residues"
    second = page.locator("tr.hit").nth(1)
    part = second.locator("rect.part")
    assert (float(part.get_attribute("x")), round(float(part.get_attribute("width")))) == (
        0,
        round(9000 / len(HISTONE)),
    )
    second.locator("td.wide").click()
    page.wait_for_selector(".lines .same")
    assert page.locator(".lines").inner_text().startswith("query")
    assert HISTONE[:40] in page.locator(".lines").inner_text()
    assert painted(page, "figure canvas") > 20
    assert "90 of 90 columns (100%)" in page.locator("tr.detail .facts").inner_text()

    there = page.url
    assert "hit=his2" in there
    page.reload()
    page.wait_for_selector(".lines .same")
    assert ids(page)[:2] == ["his1", "his2"]
    page.go_back()
    page.wait_for_selector("tr.detail", state="detached")
    page.go_back()
    page.wait_for_selector(".welcome")
    assert page.input_value("#query") == ""
    page.goto(there)  # as somebody who was sent it
    page.wait_for_selector(".lines .same")


def test_the_welcome_has_examples_of_this_database_that_find_something(look: Looker) -> None:
    page = look.open("#db=small")
    page.wait_for_selector(".welcome .tries")
    links = page.locator(".tries a")
    assert links.all_inner_texts() == ["cam/1|x", "his1", "his2", "img src", "cam/1|x, length < 120"]
    found = []
    page.focus("#go")
    for number in range(5):
        for _ in range(1 + number):
            page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == links.nth(number).inner_text()
        page.keyboard.press("Enter")
        page.wait_for_selector("tr.hit")
        found.append(ids(page))
        page.go_back()
        page.wait_for_selector(".welcome")
        page.focus("#go")
    assert [each[0] for each in found] == ["cam/1|x", "his1", "his2", "cam/1|x", found[4][0]]
    assert sorted(found[4]) == ["his2", "ubq"]
    page.select_option("#db", "large")
    page.wait_for_selector(".tries a:text-matches('^P[0-9]{5}$')")  # any: a merge leaves rows in any order
    assert links.all_inner_texts()[3] == "protein family"


def test_an_id_finds_hits_and_a_wrong_one_is_said_where_it_was_typed(look: Looker) -> None:
    look.expected = {404}
    page = look.open("#db=small")
    ask(page, "cam/1|x")
    page.wait_for_selector("tr.hit")
    assert ids(page)[0] == "cam/1|x"
    assert page.locator("tr.hit td.wide").first.inner_text() == NASTY, "what a description says is text"
    assert page.locator("main img").count() == 0

    ask(page, "his9")
    page.wait_for_selector("[data-field=query] .problem button")
    said = page.locator("[data-field=query] .problem").inner_text()
    assert "no protein 'his9'; near:" in said
    assert said.count("his1") == 1
    assert page.locator("#query").get_attribute("aria-invalid") == "true"
    page.click("[data-field=query] .problem button")  # what is near
    page.wait_for_selector("tr.hit")
    assert ids(page)[0] in ("his1", "his2")
    assert page.locator(".field .problem:not(:empty)").count() == 0

    ask(page, "histone again")
    page.wait_for_selector("h2:has-text('histone again')")
    assert ids(page)[0] == "his2"
    page.locator("tr.hit td.wide").first.click()
    page.wait_for_selector(".protein")


BAD = [
    ("k", "0", "whole number from 1"),
    ("k", "100000", "at most"),
    ("evalue", "often", "above 0"),
    ("where", "lenght < 9", "lenght"),
    ("where", "length < ", "no SQL expression"),
    ("query", ">a\nMK\n>b\n", "no sequence after its header"),
    ("query", "MKTAYIAKQR1QISFVKSHFSRQ!ERLGL", "!"),
]


def test_bad_input_is_said_beside_its_field(look: Looker) -> None:
    look.expected = {404, 422}
    page = look.open("#db=small")
    for field, value, says in BAD:
        page.fill("#query", HISTONE)
        right = page.input_value(f"#{field}")
        page.fill(f"#{field}", value)
        page.click("#go")
        page.wait_for_selector(f"[data-field={field}] .problem:not(:empty):has-text('{says}')")
        assert page.locator(".field .problem:not(:empty)").count() == 1, value
        assert page.locator("[aria-invalid=true]").evaluate_all("(all) => all.map((each) => each.id)") == [field]
        page.fill(f"#{field}", right)


def test_filters_of_the_search_and_of_the_table_and_sorting(look: Looker) -> None:
    page = look.open("#db=small")
    page.fill("#where", "organism = 'L''Oryza'")
    ask(page, "his1")
    page.wait_for_selector("tr.hit")
    assert ids(page) == ["ubq"]
    page.fill("#where", "length < 5")
    page.click("#go")
    page.wait_for_selector("text=No protein meets the filter")
    page.fill("#where", "")
    page.check("#self")
    page.click("#go")
    page.wait_for_selector("tr.hit >> nth=2")
    assert sorted(ids(page)) == ["cam/1|x", "his2", "ubq"]

    page.click("th >> text=Length")
    lengths = [int(cell.inner_text()) for cell in page.locator("tr.hit td[data-head=Length]").all()]
    assert lengths == sorted(lengths)
    page.click("th >> text=Length")
    assert page.locator("th[aria-sort=descending]").inner_text().strip().startswith("Length")
    assert ids(page)[0] == "cam/1|x"
    assert "sort=length%3Adown" in page.url
    page.reload()
    page.wait_for_selector("tr.hit >> nth=2")
    assert ids(page)[0] == "cam/1|x"
    page.fill(".filter", "ubiq oryza")
    assert ids(page) == ["ubq"]
    assert "1 of 3" in page.locator(".hitlist .bar").inner_text()


def test_columns_of_the_database_are_shown_and_named_in_the_filter(look: Looker) -> None:
    page = look.open("#db=small&q=his1&align=0")
    page.wait_for_selector("tr.hit")
    page.click("summary:has-text('Columns')")
    page.check("#columns input[value=source]")
    page.check("#columns input[value=header]")
    page.wait_for_selector("th:has-text('header')")
    header = page.locator("tr.hit[data-id=his2] td[data-head=header]")
    assert header.inner_text() == "histone H3 again"
    page.click("#columns button:has-text('organism')")
    page.keyboard.type(" = 'Zea mays'")
    page.keyboard.press("Enter")
    page.wait_for_selector("h2:has-text('3 hits')")
    assert sorted(ids(page)) == ["cam/1|x", "his1", "his2"]
    assert "cols=header%2Csource" in page.url
    page.reload()
    page.wait_for_selector("th:has-text('header')")


def test_several_sequences_are_searched_one_after_another(look: Looker) -> None:
    page = look.open("#db=small")
    page.uncheck("#align")
    ask(page, f">one histone\n{HISTONE}\n>two\n{UBIQUITIN}\n>broken\nM!K\n")
    page.wait_for_selector(".queries a:nth-child(3) small:has-text('!')")
    assert ids(page)[0] == "his1"
    page.click(".queries >> text=two")
    page.wait_for_selector("h2:has-text('two')")
    assert ids(page)[0] == "ubq"
    page.click(".queries >> text=broken")
    page.wait_for_selector("#results .problem:has-text('broken')")
    look.expected.add(422)
    look.errors[:] = [each for each in look.errors if "422" not in each]


def test_a_protein_has_a_page_with_its_neighbours(look: Looker) -> None:
    page = look.open("#db=small&v=protein&id=cam%2F1%7Cx")
    page.wait_for_selector(".protein tr.hit")
    assert page.locator(".lead").inner_text() == NASTY
    assert "Zea mays" in page.locator(".protein > .facts").inner_text()
    assert re.sub(r"[\s\d]", "", page.locator("pre.sequence").inner_text()) == CALMODULIN
    assert "cam/1|x" not in ids(page)
    page.locator("tr.hit a.id").first.click()
    page.wait_for_selector(f"h2:has-text('{'his' if 'his1' in page.url or 'his2' in page.url else 'ubq'}')")
    page.keyboard.press("Escape")
    page.wait_for_selector(".welcome")


def test_hits_are_downloaded(look: Looker, tmp_path: Path) -> None:
    page = look.open("#db=small&q=his1")
    page.wait_for_selector("tr.hit")
    files = {}
    for name in ("TSV", "JSON", "FASTA"):
        with page.expect_download() as saved:
            page.click(f".downloads >> text={name}")
        path = tmp_path / saved.value.suggested_filename
        saved.value.save_as(path)
        files[name] = path.read_text(encoding="utf-8")
    lines = [line.split("\t") for line in files["TSV"].splitlines()]
    assert {"query", "target", "score", "evalue", "cigar"} <= set(lines[0])
    assert [line[0] for line in lines[1:]] == ["his1"] * 4
    assert [hit["target"] for hit in json.loads(files["JSON"])["hits"]] == ids(page)
    (tmp_path / "again.fa").write_text(files["FASTA"])
    assert [record.id for record in protvec.fasta.read(tmp_path / "again.fa")] == ids(page)


def test_it_can_be_used_with_the_keyboard_alone(look: Looker) -> None:
    page = look.open("#db=small")
    page.wait_for_selector(".welcome")
    page.keyboard.press("/")
    page.keyboard.type("his1")
    page.keyboard.press("Enter")
    page.wait_for_selector("tr.hit")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    focused = page.evaluate("document.activeElement.dataset.id")
    assert focused == ids(page)[1]
    page.keyboard.press("Enter")
    page.wait_for_selector(".lines .same")
    assert page.locator("tr.hit >> nth=1").locator(".toggle").get_attribute("aria-expanded") == "true"
    assert page.evaluate("document.activeElement.dataset.id") == focused
    page.keyboard.press("Escape")
    page.wait_for_selector("tr.detail", state="detached")


def test_the_map_of_ten_thousand_proteins(look: Looker) -> None:
    page = look.open("#db=large&q=P00040&align=0&k=50")
    page.wait_for_selector("tr.hit >> nth=49")
    assert ids(page)[0] == "P00040"
    family = page.locator("tr.hit td.wide").all_inner_texts()
    assert sum("of family 0" in each for each in family) > 40
    page.click(".tomap")
    page.wait_for_selector(".mapview .dim:has-text('PCA of 10,000 sequences, 50 lit')")
    plain = painted(page, ".plane canvas")
    assert plain > 3
    page.select_option("#color", "dataset")
    page.wait_for_selector(".legend li >> nth=11")
    assert page.locator(".legend li").count() == 12, "eleven families and the others"
    assert painted(page, ".plane canvas") > plain
    assert "color=dataset" in page.url
    page.click(".legend button >> nth=0")
    assert page.locator(".legend button").first.get_attribute("aria-pressed") == "false"
    page.reload()
    page.wait_for_selector(".mapview .dim:has-text('50 lit')")

    page.keyboard.press("/")
    page.keyboard.type("P01234")
    page.keyboard.press("Enter")
    page.wait_for_selector(".card:has-text('protein 1234 of family 14')")
    box = page.locator(".plane canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)  # it is in the middle now
    page.wait_for_selector(".tip:has-text('P01234')")
    page.mouse.wheel(0, -400)
    page.mouse.down()
    page.mouse.move(box["x"] + 50, box["y"] + 50, steps=4)
    page.mouse.up()
    page.click(".card >> text=Open")
    page.wait_for_selector("h2:has-text('P01234')")
    page.go_back()
    page.wait_for_selector(".mapview")


def test_a_sequence_is_put_among_its_hits_on_the_map(look: Looker) -> None:
    page = look.open(f"#db=small&v=map&q={HISTONE}")
    page.wait_for_selector(".mapview .dim:has-text('the cross is the query')")
    assert "PCA of 4 sequences" in page.locator(".mapview .dim").inner_text()


def test_it_fits_a_phone_and_is_dark_where_that_is_wanted(chromium: Any, address: str) -> None:
    size = {"width": 375, "height": 700}
    with chromium.new_context(viewport=size, color_scheme="dark", is_mobile=True, has_touch=True) as context:
        look = Looker(context.new_page(), address)
        page = look.open("#db=small&q=his1&hit=his2")
        page.wait_for_selector(".lines .same")
        for view in ("search", "map", "protein"):
            page.goto(f"{address}#db=small&q=his1&hit=his2&v={view}&id=his1")
            page.wait_for_selector({"search": "tr.detail", "map": ".plane canvas", "protein": ".protein tr.hit"}[view])
            assert page.evaluate("document.documentElement.scrollWidth") <= 375, view
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert max(map(int, re.findall(r"\d+", background)[:3])) < 60
        assert look.errors == []


def test_a_server_with_keys_asks_for_one(chromium: Any, small: Path) -> None:
    app = create_app({"small": small}, keys=(Key.of("lab", SECRET),), models=False)
    with serving(app) as address, chromium.new_context() as context:
        look = Looker(context.new_page(), address, expected={401})
        page = look.open()
        page.wait_for_selector("#key .problem:has-text('key')")
        page.fill("#secret", SECRET)
        page.keyboard.press("Enter")
        page.wait_for_selector("#model:has-text('4 proteins')")
        ask(page, "his1")
        page.wait_for_selector("tr.hit")
        look.expected.add(503)
        ask(page, HISTONE)
        page.wait_for_selector("[data-field=query] .problem:has-text('embeds no sequences')")
        assert look.errors == []


def test_the_file_of_protvec_map_works_alone(chromium: Any, large: Path, tmp_path: Path) -> None:
    protvec.open(large).map(color="dataset", keep=False).write(tmp_path / "map.html")
    with chromium.new_context() as context:
        look = Looker(context.new_page(), (tmp_path / "map.html").as_uri())
        page = look.open()
        page.wait_for_selector("#legend li >> nth=11")
        assert painted(page, "#map") > 12
        page.keyboard.press("/")
        page.keyboard.type("P0077")
        page.keyboard.press("Enter")
        page.wait_for_selector("#status:has-text('10 found')")
        page.fill("#text", "P00777")
        page.keyboard.press("Enter")
        page.wait_for_selector("#status:has-text('protein 777 of family 17')")
        assert look.errors == []


def test_the_benchmark_of_the_map_draws(chromium: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import bench_map

    np.testing.assert_allclose(np.linalg.norm(bench_map.vectors(50), axis=1), 1, atol=1e-5)
    with chromium.new_context() as context:
        page = context.new_page()
        bench_map.prepare(page)
        frames, hovers = page.evaluate(bench_map.DRAW, [500, 0.3])
        assert len(frames) == len(hovers) >= 1
        assert min(frames) > 0
        assert painted(page, "canvas") > 12


def test_the_page_and_its_parts_have_headers_that_keep_others_out(small: Path) -> None:
    import httpx

    with serving(create_app({"small": small}, models=False)) as address, httpx.Client(base_url=address) as client:
        page = client.get("/")
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        names = set(re.findall(r'"assets/([^"]+)"', page.text))
        assert {"main.js", "page.css", "icon.svg"} <= names
        for name in [*names, "scatter.js", "hits.js"]:
            part = client.get(f"/assets/{name}")
            assert part.status_code == 200, name
            names_there = re.findall(r'from "\./([^"]+)"', part.text)
            assert all(client.get(f"/assets/{each}").status_code == 200 for each in names_there)
            again = client.get(f"/assets/{name}", headers={"If-None-Match": part.headers["ETag"]})
            assert (again.status_code, again.content) == (304, b"")
        for name in ("__init__.py", "../__init__.py", "%2e%2e/__init__.py", "absent.js"):
            assert client.get(f"/assets/{name}").status_code == 404
        assert "<script>" not in page.text
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write", client.get("/assets/main.js").text)
        assert client.get("/api/v1/databases/small/map", params={"color": "no such"}).status_code == 422
        found = client.get("/api/v1/databases/small/map", params={"color": "organism"}).json()
        assert found["ids"] == ["cam/1|x", "his1", "his2", "ubq"]
        assert [found["groups"][number]["label"] for number in found["group"]] == ["Zea mays"] * 3 + ["L'Oryza"]
        plain = client.get("/api/v1/databases/small/map", headers={"Accept-Encoding": "identity"}).json()
        assert (plain["x"], plain["column"]) == (found["x"], None)
