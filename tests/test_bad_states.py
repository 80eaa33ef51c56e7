"""Databases that are not what they should be: one clear line, exit code 1, and everything left as it was."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import lance
import numpy as np
import pyarrow as pa
import pytest
import store_data as data
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proteins import CALMODULIN, HISTONE, UBIQUITIN, write_fasta

import protvec
from protvec.cli.app import run
from protvec.errors import DatabaseError, DatabaseLocationError
from protvec.store import Store
from protvec.store.location import locate

ROOT = Path(__file__).parent.parent


def fingerprint(folder, *, but=""):
    """Every file with its content, every directory and link by its name; but for what is in one directory."""
    parts = []
    for path in sorted(path for path in folder.rglob("*") if but not in path.parts):
        kind = f"-> {path.readlink()}" if path.is_symlink() else "dir" if path.is_dir() else path.read_bytes()
        parts.append(f"{path.relative_to(folder)}\0{kind!r}")
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


@pytest.fixture
def refused(tmp_path, capfd):
    """Runs a command that must fail in one line and change nothing; gives the line.

    A run that began in earnest and failed is in the ledger (``noted``).
    """

    def call(*words, code=1, noted=False):
        but = "ledger.lance" if noted else ""
        before = fingerprint(tmp_path, but=but)
        capfd.readouterr()
        assert run([str(word) for word in words]) == code
        out, err = capfd.readouterr()
        lines = [line for line in err.splitlines() if not line.startswith(("The model is near", "1 record"))]
        lines = [line for line in lines if not line.startswith("Estimate")]
        assert out == ""
        assert len(lines) == 1, err
        assert lines[0].startswith("protvec: error: ")
        assert "a bug in protvec" not in lines[0]
        assert fingerprint(tmp_path, but=but) == before
        return lines[0].removeprefix("protvec: error: ")

    return call


@pytest.fixture
def fasta(tmp_path_factory):
    return write_fasta(tmp_path_factory.mktemp("in") / "in.fa", [("new1 one", CALMODULIN)])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A database of the model near, not to be changed."""
    path = tmp_path_factory.mktemp("made") / "db.lancedb"
    database = protvec.create(path, model="near")
    for name, sequence in (("his1", HISTONE), ("ubq", UBIQUITIN)):  # two commits, two fragments
        database.ingest(write_fasta(path.parent / f"{name}.fa", [(f"{name} x", sequence)]))
    return path


@pytest.fixture
def db(made, tmp_path):
    shutil.copytree(made, tmp_path / "db.lancedb")
    return tmp_path / "db.lancedb"


def commands(db, fasta):
    """One of each kind: reading, looking, adding, removing."""
    return [
        ("info", "--db", db),
        ("get", "his1", "--db", db),
        ("search", "--id", "his1", "--db", db),
        ("ingest", fasta, "--model", "near", "--db", db),
        ("delete", "--id", "his1", "--yes", "--db", db),
    ]


# -- not a database --------------------------------------------------------------------------------------------


def a_file(path):
    path.write_text("x")
    return "a file, not a database directory"


def a_program(path):
    path.mkdir()
    (path / "setup.py").write_text("x")
    return "not a protvec database (no table proteins)"


def a_lancedb_of_somebody(path):
    lance.write_dataset(pa.table({"id": ["a"]}), str(path / "documents.lance"))
    return "not a protvec database (no table proteins, but documents)"


def proteins_of_somebody(path):
    lance.write_dataset(pa.table({"id": ["a"]}), str(path / "proteins.lance"))
    return "not a protvec database, or damaged (no table residues)"


def both_of_somebody(path):
    for table in ("proteins", "residues"):
        lance.write_dataset(pa.table({"id": ["a"]}), str(path / f"{table}.lance"))
    return "the table proteins was not made by protvec (no metadata)"


@pytest.mark.parametrize("somebody", [a_file, a_program, a_lancedb_of_somebody, proteins_of_somebody, both_of_somebody])
def test_not_a_database(somebody, tmp_path, refused, fasta):
    path = tmp_path / "x.lancedb"
    message = somebody(path)
    for words in commands(path, fasta):
        assert refused(*words) == f"{path}: {message}"
    with pytest.raises(DatabaseError, match="already"):
        protvec.create(path, model="near")


def test_an_empty_directory_may_become_one(tmp_path, refused, fasta):
    path = tmp_path / "x.lancedb"
    path.mkdir()
    assert "empty, or its creation was interrupted" in refused("info", "--db", path)
    assert run(["ingest", str(fasta), "--model", "near", "--db", str(path)]) == 0


def test_a_table_named_as_a_database(db, refused, fasta):
    for words in commands(db / "proteins.lance", fasta):
        assert refused(*words).endswith("one table, not a database: name the directory that it is in")


def test_another_models_database(tmp_path, refused, fasta):
    db = tmp_path / "db"
    data.write(Store.create(db, data.space()), data.numbered(0, 3))
    message = refused("ingest", fasta, "--model", "near", "--db", db)
    assert f"{db} holds vectors of tiny" in message
    assert "not of near" in message


def test_a_newer_schema(tmp_path, refused, fasta):
    from protvec.store.schema import Description, proteins_schema, residues_schema
    from protvec.store.tables import create_table

    path = tmp_path / "x.lancedb"
    path.mkdir()
    newer = Description(data.space(), "float16", None, 99, "7.0")
    create_table(locate(path / "proteins.lance"), proteins_schema(newer))
    create_table(locate(path / "residues.lance"), residues_schema())
    for words in commands(path, fasta):
        assert "written with schema version 99 by protvec 7.0" in refused(*words)


def test_an_empty_name(refused, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert "name of the database is empty" in refused("info", "--db", "")
    assert "name of the database is empty" in refused("info", "--db", "  ")
    monkeypatch.setenv("PROTVEC_DB", "")  # as unset
    assert "protvec.lancedb: no such database" in refused("info")


# -- damaged ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["proteins", "residues"])
def test_a_table_dropped_by_hand(db, table, refused, fasta):
    shutil.rmtree(db / f"{table}.lance")
    for words in commands(db, fasta):
        assert f"no table {table}" in refused(*words)


def oldest_data(db, table):
    handle = lance.dataset(str(db / f"{table}.lance"))
    return db / f"{table}.lance" / "data" / handle.get_fragments()[0].data_files()[0].path


def remove(file):
    file.unlink()
    return "is missing"


def truncate(file):
    size = file.stat().st_size
    os.truncate(file, size // 2)
    return f"has {size // 2:,} bytes of {size:,}"


def empty(file):
    size = file.stat().st_size
    os.truncate(file, 0)
    return f"has 0 bytes of {size:,}"


@pytest.mark.parametrize("harm", [remove, truncate, empty])
@pytest.mark.parametrize("table", ["proteins", "residues"])
def test_a_damaged_data_file_is_named(db, table, harm, refused, fasta):
    file = oldest_data(db, table)
    fault = f"{db}/{table}.lance: damaged: data/{file.name} {harm(file)}; `protvec check --db {db}` says what is lost"
    reading, looking, searching, adding, removing = commands(db, fasta)
    residues = ("get", "his1", "--residues", "-o", db.parent / "out.npy", "--db", db)
    broken = [reading, looking, searching, adding] if table == "proteins" else [("info", "--db", db), adding]
    for words in [*broken, residues, removing]:
        assert refused(*words, noted=words == adding) == fault


def test_a_data_file_with_other_content(db, refused):
    file = oldest_data(db, "proteins")
    file.write_bytes(bytes(reversed(file.read_bytes())))
    message = refused("get", "his1", "--db", db)
    assert message.startswith(f"{db}/proteins.lance: damaged: ")
    assert message.endswith(f"; `protvec check --db {db}` says what is lost")


@pytest.mark.parametrize("harm", [truncate, empty, lambda file: file.write_bytes(b"x" * 400)])
@pytest.mark.parametrize("table", ["proteins", "residues"])
def test_a_damaged_manifest_is_named(db, table, harm, refused, fasta):
    manifest = min((db / f"{table}.lance" / "_versions").glob("*.manifest"))
    harm(manifest)
    for words in commands(db, fasta):
        message = refused(*words)
        assert message.startswith(f"{db}/{table}.lance: damaged: its newest version, _versions/{manifest.name}, cannot")
        assert message.endswith(": restore that file from a copy, or remove it to have the version before")


def test_data_without_manifests_is_not_taken_for_an_unfinished_creation(tmp_path):
    store = Store.create(tmp_path / "db", data.space(), codec="none")
    data.write(store, data.numbered(0, 3))
    for manifest in (tmp_path / "db" / "proteins.lance" / "_versions").iterdir():
        manifest.unlink()
    before = fingerprint(tmp_path)
    with pytest.raises(DatabaseError, match="damaged"):
        Store.open(tmp_path / "db")
    with pytest.raises(DatabaseError, match="something else"):
        Store.create(tmp_path / "db", data.space())
    assert fingerprint(tmp_path) == before


def test_proteins_dropped_where_no_residues_are_kept_is_no_unfinished_creation(tmp_path):
    data.write(Store.create(tmp_path / "db", data.space(), codec="none"), data.numbered(0, 3))
    shutil.rmtree(tmp_path / "db" / "proteins.lance")
    with pytest.raises(DatabaseError, match=r"damaged \(no table proteins\)"):
        Store.open(tmp_path / "db")


def test_removed_under_an_open_handle(tmp_path):
    store = Store.create(tmp_path / "db", data.space())
    data.write(store, data.numbered(0, 3))
    reader = Store.open(store.path, read_consistency_seconds=0)
    shutil.rmtree(store.path)
    for attempt in (
        lambda: store.get(["P0001"]),
        lambda: reader.count(),
        lambda: reader.search(np.ones(data.D)),
        lambda: data.write(store, data.numbered(3, 5)),
        lambda: Store.delete(reader, ids=["P0001"]),
        lambda: store.compact(),
    ):
        with pytest.raises(DatabaseError, match="has been removed by somebody since it was opened"):
            attempt()
    assert list(tmp_path.iterdir()) == []


def test_a_version_that_was_cleaned_up_is_no_damage(tmp_path):
    store = Store.create(tmp_path / "db", data.space())
    for start in range(0, 30, 10):
        data.write(store, data.numbered(start, start + 10))
    sleeper = Store.open(store.path, read_consistency_seconds=3600)
    store.compact(keep_seconds=0)
    with pytest.raises(DatabaseError, match=r"version \d+ was cleaned up while it was read: read again"):
        sleeper.get(["P0001"])


# -- places that cannot be written -----------------------------------------------------------------------------


def run_apart(lines, prefix=(), *options):
    """Command lines in a process of their own, one after the other: what became of each."""
    text = json.dumps([[str(word) for word in words] for words in lines])
    command = [*prefix, sys.executable, str(Path(__file__).with_name("apart.py")), text, *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    if "seccomp" in done.stderr:
        pytest.skip("seccomp is not allowed here")
    assert done.returncode == 0, done.stderr
    return [SimpleNamespace(**each) for each in json.loads(done.stdout)]


def without_powers():
    """What makes root respect permissions, as anybody else does anyway."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root ignores permissions, and there is no setpriv to make it respect them")
    return ["setpriv", "--bounding-set=-all"]


def errors(done):
    return [line.removeprefix("protvec: error: ") for line in done.stderr.splitlines() if "error" in line]


@pytest.fixture
def permissions(tmp_path):
    yield
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_a_read_only_directory_can_be_read(db, permissions, fasta):
    for path in [*db.rglob("*"), db, db.parent]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = fingerprint(db.parent)
    _, looking, searching, adding, removing = commands(db, fasta)
    lines = [looking, searching, adding, removing, (*adding[:-1], db.parent / "x.lancedb")]
    *reading, here, removal, new = run_apart(lines, without_powers())
    for done in reading:
        assert done.returncode == 0, done.stderr
        assert "his1" in done.stdout
    for done, path in ((here, db), (removal, db), (new, "x.lancedb")):
        assert done.returncode == 1
        (message,) = errors(done)
        assert message.endswith(("cannot be written: Permission denied", "cannot be created: Permission denied"))
        assert str(path) in message
    assert fingerprint(db.parent) == before


@pytest.mark.parametrize("place", [".", "proteins.lance", "proteins.lance/_versions", "proteins.lance/data"])
def test_a_locked_directory(db, permissions, place):
    (db / place).chmod(0o000)
    (done,) = run_apart([("get", "his1", "--db", db)], without_powers())
    assert done.returncode == 1
    (message,) = errors(done)
    assert message.startswith(str(db))
    assert "Permission denied" in message


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="hard links can be forbidden on Linux only",
)
def test_a_share_without_hard_links(db, fasta):
    before, deep = fingerprint(db.parent), db.parent / "a" / "b"
    _, looking, _, adding, removing = commands(db, fasta)
    lines = [looking, adding, removing, (*adding[:-1], deep)]
    looked, *refused = run_apart(lines, (), "linkless")
    assert looked.returncode == 0, looked.stderr
    for done, path in zip(refused, (db, db, deep), strict=True):
        assert done.returncode == 1
        (message,) = errors(done)
        assert message.startswith(f"{path}: its file system makes no hard links (Operation not permitted), and every")
    assert fingerprint(db.parent) == before


# -- names -----------------------------------------------------------------------------------------------------

ODD_NAMES = [
    "two words",
    "Ünï-蛋白",
    "it's",
    'say "hi"',
    "a#b",
    "a%20b",
    "50%",
    "a?b=c",
    "a*[b]",
    "$HOME",
    "-x",
    " x ",
    "a\\b",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_of_directories_work(tmp_path, name):
    path = tmp_path / name / f"{name}.lancedb"
    data.write(Store.create(path, data.space()), data.numbered(0, 3))
    assert Store.open(path).count() == 3
    assert Store.open(f"{path}/").info()["bytes"]["proteins"]["total"] > 0
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    with pytest.raises(DatabaseError, match=r"near: "):
        Store.open(f"{path}x")


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.characters(exclude_characters="/", exclude_categories=("Cc", "Cs")), min_size=1, max_size=40))
def test_any_name_works_and_nothing_is_made_beside_it(tmp_path, name):
    shutil.rmtree(tmp_path)
    path = tmp_path / "in" / f"x{name}"  # "x" first: the name cannot be blank, "." or ".."
    Store.create(path, data.space(), codec="none")
    assert Store.open(path).count() == 0
    assert [entry.name for entry in (tmp_path / "in").iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["new\nline", "tab\there", "bell\a", "nul\0", "half \ud83d emoji"])
def test_names_with_control_characters_are_refused(tmp_path, name):
    for act in (Store.open, lambda path: Store.create(path, data.space())):
        with pytest.raises(DatabaseLocationError) as caught:
            act(f"{tmp_path}/{name}")
        assert "control characters" in str(caught.value)
        assert "\n" not in str(caught.value)
        str(caught.value).encode()
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long(refused, tmp_path, fasta):
    for words in (
        ("info", "--db", tmp_path / ("x" * 300)),
        ("ingest", fasta, "--model", "near", "--db", tmp_path / ("x" * 300)),
    ):
        assert "File name too long" in refused(*words)


def test_relative_paths_home_links_and_slashes(db, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "link").symlink_to("db.lancedb")
    (tmp_path / "broken").symlink_to("nowhere")
    for name in (
        "db.lancedb",
        "./db.lancedb/",
        "~/db.lancedb",
        "link",
        "link/",
        "db.lancedb/../db.lancedb//",
        f"{db}/.",
    ):
        store = Store.open(name)
        assert store.count() == 2
        assert store.get(["his1"]).num_rows == 1
    data.write(Store.create("broken-new/db", data.space()), data.numbered(0, 1))
    with pytest.raises(DatabaseError):
        Store.create("broken", data.space())
    with pytest.raises(DatabaseLocationError, match="not a path"):
        Store.open("~nobody-of-this-name/db")
    protvec.open("link").ingest(write_fasta(tmp_path / "in.fa", [("cam x", CALMODULIN)]))
    assert Store.open(db).count() == 3


# -- ids -------------------------------------------------------------------------------------------------------

ODD_IDS = [
    "it's",
    'say"hi"',
    "sp|P69905|HBA",
    "Ünï-蛋白",
    "a;b--c",
    "%_\\",
    "x')OR('1'='1",
    "''",
    "x" * 3000,
    "#1",
    "*",
]


def test_odd_ids_in_every_command(tmp_path, capfd):
    db = str(tmp_path / "db")
    sequences = dict(zip(ODD_IDS, (HISTONE[i:] for i in range(len(ODD_IDS))), strict=True))
    fasta = write_fasta(tmp_path / "in.fa", [(f"{name} x", text) for name, text in sequences.items()])
    assert run(["ingest", str(fasta), "--db", db, "--model", "near"]) == 0
    assert run(["ingest", str(fasta), "--db", db]) == 0
    assert f"0 added, 0 reused, 0 updated, {len(ODD_IDS)} unchanged" in capfd.readouterr().err
    for number, (name, text) in enumerate(sequences.items()):
        assert run(["get", name, "--fasta", "--db", db]) == 0
        assert "".join(capfd.readouterr().out.splitlines()[1:]) == text
        assert run(["search", "--id", name, "-k", "1", "--format", "jsonl", "--db", db]) == 0
        assert json.loads(capfd.readouterr().out)["target"] == name
        where = "id = '" + name.replace("'", "''") + "'"
        assert run(["delete", *(["--where", where] if number % 2 else [f"--id={name}"]), "--yes", "--db", db]) == 0
        assert run(["get", name, "--db", db]) == 1
        assert Store.open(db).count() == len(ODD_IDS) - number - 1
