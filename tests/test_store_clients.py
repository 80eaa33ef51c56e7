"""A database without protvec: what docs/storage.md promises, run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import store_data as data

from protvec.store import Store

DOCS = Path(__file__).parents[1] / "docs" / "storage.md"


@pytest.fixture
def database(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store.create("plants.lancedb", data.space())
    data.write(store, [data.row("AT1G01010.1", "MKVL", organism="Arabidopsis thaliana", gene="NAC001")])
    data.write(store, data.numbered(0, 5, organism="Oryza sativa"))
    return store


def test_lancedb_reads_it(database):
    import lancedb

    connection = lancedb.connect(database.path)
    assert {"proteins", "residues"} <= set(connection.list_tables().tables)
    table = connection.open_table("proteins")
    assert table.count_rows() == 6
    assert table.schema.names == [*database.columns, "_segments"]
    vector = database.get(["P0003"], columns=["vector"])["vector"][0].as_py()
    hits = table.search(vector).distance_type("cosine").limit(3).to_list()
    ours = database.search(vector, k=3)
    assert [hit["id"] for hit in hits] == ours["id"].to_pylist()
    assert [1 - hit["_distance"] for hit in hits] == pytest.approx(ours["score"].to_pylist(), abs=1e-6)


def test_lancedb_writes_it_and_protvec_sees_it(database):
    import lancedb

    lancedb.connect(database.path).open_table("proteins").delete("id = 'P0000'")
    assert Store.open(database.path).count() == 5


@pytest.mark.parametrize("example", re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL))
def test_the_examples_of_the_documentation(database, example):
    exec(compile(example, str(DOCS), "exec"), {"__name__": "example"})
