"""``protvec snapshot``, ``snapshots``, ``restore`` and ``--at`` as a user types them."""

from __future__ import annotations

import json

import pytest
import store_data as data

from protvec.cli.app import run
from protvec.store import Store


@pytest.fixture
def db(tmp_path):
    store = Store.create(tmp_path / "db", data.space())
    data.write(store, data.numbered(0, 5))
    return store.path


@pytest.fixture
def cli(capsys, db):
    def call(*arguments, code=0):
        capsys.readouterr()
        assert run([*arguments, "--db", db]) == code
        return capsys.readouterr()

    return call


def test_make_change_read_restore_delete(cli):
    assert cli("snapshot", "v1").err == "snapshot v1: 5 proteins\n"
    cli("delete", "--where", "id < 'P0003'", "--yes")
    assert "P0000" in cli("get", "P0000", "--at", "v1").out
    assert cli("search", "--id", "P0000", "--at", "v1", "-k", "9").out.count("\n") == 6
    assert json.loads(cli("info", "--at", "v1", "--json").out)["proteins"] == 5
    cli("get", "P0000", code=1)
    answer = json.loads(cli("restore", "v1", "--yes", "--json").out)
    assert (answer["restored"], answer["proteins"]) == ("v1", 5)
    assert "P0000" in cli("get", "P0000").out
    listed = json.loads(cli("snapshots", "--json").out)
    assert [(each["name"], each["proteins"]) for each in listed] == [("v1", 5), (answer["before"], 2)]
    shown = cli("snapshots")
    lines = shown.out.splitlines()
    assert "2 snapshots, which alone keep " in shown.err
    assert [line.split("\t")[0] for line in lines] == ["name", "v1", answer["before"]]
    assert f"restore {answer['before']}" not in cli("snapshot", "v1", "--delete").err
    assert f"Snapshots           {answer['before']}" in cli("info").out
    assert "1 snapshot, which alone keeps " in cli("snapshots").err
    cli("restore", answer["before"], "--yes")
    assert "already" in cli("restore", answer["before"], "--yes").err
    assert json.loads(cli("info", "--json").out)["proteins"] == 2


def test_what_goes_wrong_is_one_line(cli):
    assert "has no snapshots" in cli("snapshots").err
    cli("snapshot", "tair10")
    for words in (["get", "P0000", "--at", "tair1"], ["restore", "tair1", "-y"], ["snapshot", "tair1", "--delete"]):
        assert "no snapshot 'tair1'; near: tair10" in cli(*words, code=1).err
    assert "already" in cli("snapshot", "tair10", code=1).err
    assert "cannot name a snapshot" in cli("snapshot", "a b", code=1).err
    assert cli("snapshot", code=2).err.count("\n") == 1


def test_a_restore_is_not_made_without_a_yes(cli):
    cli("snapshot", "v1")
    cli("delete", "--id", "P0001", "--yes")
    assert "from 4 proteins to the 5 of snapshot v1; add --yes" in cli("restore", "v1", code=1).err
    assert json.loads(cli("info", "--json").out)["proteins"] == 4
