"""Databases in an object store: moto's S3 server on this machine takes the place of a real one."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import re
import shlex
import socket
import time
from pathlib import Path

import lance
import numpy as np
import object_store
import pytest
import store_data as data
from proteins import HISTONE, UBIQUITIN, write_fasta
from test_cluster_index import Here
from test_store_index import matrix, put

import protvec
from protvec.cli.app import run
from protvec.errors import DatabaseExistsError, DatabaseFormatError, DatabaseLocationError, DatabaseNotFoundError
from protvec.store import Store
from protvec.store.check import check, repair
from protvec.store.index import vectors
from protvec.store.location import locate

BUCKET = "proteomes"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """Nothing of the surroundings, and no question to a cloud's own address for credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")


@pytest.fixture(scope="module")
def options():
    with object_store.s3(BUCKET) as given:
        yield given


@pytest.fixture
def url(request):
    return f"s3://{BUCKET}/{request.node.name.partition('[')[0]}/plants of spring.lancedb"


def contents(store):
    """All that is in a database: ids, vectors and residue arrays."""
    ids = sorted(i for batch in store.iter_proteins(columns=["id"]) for i in batch["id"].to_pylist())
    vectors = store.get(ids, columns=["vector"])["vector"].to_pylist()
    return ids, vectors, store.residues(ids)


def test_an_index_in_parts(url, options, monkeypatch):
    """As workers of a Ray cluster build it."""
    monkeypatch.setattr(vectors, "_SAMPLE", 10)
    store = Store.create(url, data.space(), codec="none", storage_options=options)
    for start in (0, 150):
        put(store, start, start + 150)
    store.index("ivf_flat", workers=Here())
    (index,) = [each for each in store.index("ivf_sq", workers=Here()) if each.column == "vector"]
    assert (index.kind, index.indexed, index.pending) == ("ivf_sq", 300, 0)
    assert len([part for each in store.handles()[0].describe_indices() for part in each.segments]) == 2
    found = protvec.open(url, search_memory=0, storage_options=options).search_vector(matrix(1, 5)[0], k=5)
    assert not found.index.exact
    assert found.ids == protvec.Database(store).search_vector(matrix(1, 5)[0], k=5).ids


def test_snapshots_and_columns(url, options):
    store = Store.create(url, data.space(), storage_options=options)
    data.write(store, data.numbered(0, 6))
    store.snapshot("v1")
    before = contents(store)
    db = protvec.Database(store)
    db.annotate({"id": ["P0001", "P0002"], "depth": [1, 2]})
    db.annotate({"id": ["P0001", "P0003"], "depth": [5, 3], "word": ["a", "b"]}, replace=True)
    assert store.get(["P0001", "P0002", "P0003"], columns=["depth", "word"]).to_pylist() == [
        {"depth": 5, "word": "a"},
        {"depth": 2, "word": None},
        {"depth": 3, "word": "b"},
    ]
    store.delete(where="depth = 5")
    store.compact(keep_seconds=0)
    then = contents(Store.open(url, at="v1", storage_options=options))
    back = store.restore("v1")
    for found in (then, contents(store)):
        assert found[:2] == before[:2]
        assert all(np.array_equal(found[2][name], array) for name, array in before[2].items())
    assert store.info()["snapshots"] == ["v1", back]
    store.delete_snapshot("v1")
    assert store.info()["columns"] == {}


# -- what works on a disk works there --------------------------------------------------------------------------


def test_the_same_as_on_a_disk(url, options, tmp_path):
    rows = data.numbered(0, 20)
    local, remote = (
        Store.create(tmp_path / "db", data.space()),
        Store.create(url, data.space(), storage_options=options),
    )
    for store in (local, remote):
        data.write(store, rows[:12])
        data.write(store, rows[8:])
        store.note_precision("int8")
        assert store.delete(ids=["P0003"]) == 1
        assert store.delete(where="length < 6") > 0
        store.compact(keep_seconds=0)
    opened = Store.open(url + "/", storage_options=options)
    assert opened.path == url
    there, here = contents(opened), contents(local)
    assert there[:2] == here[:2]
    for name, array in here[2].items():
        np.testing.assert_array_equal(there[2][name], array)
    query = np.ones(data.D)
    assert opened.search(query, k=5, where="length > 7").equals(local.search(query, k=5, where="length > 7"))
    facts, expected = opened.info(), local.info()
    assert facts["path"] == url
    assert {name: facts[name] for name in facts if name not in ("path", "bytes")} == {
        name: expected[name] for name in expected if name not in ("path", "bytes")
    }
    for table in ("proteins", "residues"):
        assert facts["bytes"][table]["total"] == pytest.approx(expected["bytes"][table]["total"], rel=0.02)
        assert facts["bytes"][table]["old"] < facts["bytes"][table]["total"]


@pytest.mark.parametrize("name", ["all.parquet", "all.h5"])
def test_import_there(url, options, tmp_path, name):
    """A file of residues becomes a database in the store, and a second import changes nothing."""
    import protvec
    from protvec.exchange import export

    url += name  # the cases would share it
    local = Store.create(tmp_path / "db", data.space(), codec="float16")
    data.write(local, data.numbered(0, 12))
    export(local, tmp_path / name, level="residue")

    def imported():
        return protvec.import_file(tmp_path / name, url, model="tiny", residues="float16", storage_options=options)

    first, second = imported(), imported()
    assert (first.requested, first.added + first.reused, len(first.skipped)) == (12, 12, 0)
    assert (second.requested, second.unchanged) == (12, 12)
    there = Store.open(url, storage_options=options)
    ids = [f"P{i:04d}" for i in range(12)]
    here = local.residues(ids)
    for id, array in there.residues(ids).items():
        np.testing.assert_array_equal(array, here[id])
    assert [finding for finding in check(there, full=True).findings if finding.level == "damage"] == []


def test_check_and_repair_there(url, options):
    """A data file is taken away from both tables."""
    store = Store.create(url, data.space(), storage_options=options)
    for start in range(0, 15, 5):
        data.write(store, data.numbered(start, start + 5))
    assert check(store, full=True).findings == []
    for name in ("proteins", "residues"):
        table = lance.dataset(f"{url}/{name}.lance", storage_options=options)
        file = table.get_fragments()[0 if name == "proteins" else 2].data_files()[0].path
        object_store.remove(options, BUCKET, f"{url}/{name}.lance/data/{file}".removeprefix(f"s3://{BUCKET}/"))
    opened = Store.open(url, storage_options=options)
    found = check(opened)
    assert {(each.code, each.table, each.count) for each in found.findings} >= {
        ("file-damaged", "proteins", 5),
        ("file-damaged", "residues", 5),
    }

    def embedder(sequences):
        return ((array.mean(axis=0), array) for array in map(data.residues, sequences))

    assert repair(opened, embedder=embedder).findings == []
    ids, _, residues = contents(Store.open(url, storage_options=options))
    assert ids == [f"P{i:04d}" for i in range(5, 15)]
    assert len(residues) == 10


def test_snapshots_there(url, options):
    store = Store.create(url, data.space(), storage_options=options)
    data.write(store, data.numbered(0, 5))
    store.snapshot("five")
    data.write(store, data.numbered(5, 8))
    assert Store.open(url, at="five", storage_options=options).count() == 5
    store.restore("five")
    assert (store.count(), len(store.snapshots())) == (5, 2)


def test_another_process_sees_a_commit_within_the_interval(url, options):
    writer = Store.create(url, data.space(), storage_options=options)
    reader = Store.open(url, read_consistency_seconds=0, storage_options=options)
    data.write(writer, data.numbered(0, 3))
    assert reader.count() == 3


def _write_in_steps(url, options, start, stop, barrier):
    store = Store.open(url, storage_options=options)
    barrier.wait()
    for first in range(start, stop, 10):
        data.write(store, data.numbered(first, min(first + 10, stop)))


@pytest.mark.parametrize("spans", [[(0, 30), (0, 30)], [(0, 20), (10, 30), (20, 40), (30, 50)]], ids=["two", "four"])
def test_processes_that_write_at_once_lose_and_double_nothing(url, options, spans):
    url = f"{url}-{len(spans)}"
    Store.create(url, data.space(), storage_options=options)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(spans))
    workers = [context.Process(target=_write_in_steps, args=(url, options, *span, barrier)) for span in spans]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
    assert [worker.exitcode for worker in workers] == [0] * len(spans)
    rows = data.numbered(0, max(stop for _, stop in spans))
    ids, _, residues = contents(Store.open(url, storage_options=options))
    assert ids == [row["id"] for row in rows]
    assert len(residues) == len(rows)
    stored = lance.dataset(f"{url}/residues.lance", storage_options=options).to_table(columns=["digest"])
    assert sorted(stored["digest"].to_pylist()) == sorted({row["digest"] for row in rows})


def test_the_commands_with_the_usual_environment_variables(url, options, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("AWS_ENDPOINT_URL", options["aws_endpoint"])
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", object_store.SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("PROTVEC_DB", url)
    fasta = write_fasta(tmp_path / "in.fa", [("his1 one", HISTONE), ("ubq two", UBIQUITIN)])
    report = tmp_path / "report.json"
    assert run(["ingest", str(fasta), "--model", "near", "--report", str(report)]) == 0
    assert "in the object store" in capfd.readouterr().err
    assert json.loads(report.read_text())["database"] == url
    assert run(["search", "--id", "his1", "-k", "2", "--format", "tsv"]) == 0
    assert [line.split("\t")[1] for line in capfd.readouterr().out.splitlines()[1:]] == ["his1", "ubq"]
    assert run(["get", "ubq", "--residues", "-o", str(tmp_path / "r.npy")]) == 0
    assert np.load(tmp_path / "r.npy").shape == (len(UBIQUITIN), 256)
    assert run(["delete", "--id", "ubq", "--yes"]) == 0
    assert run(["ingest", str(fasta)]) == 0
    assert "1 added, 0 reused, 0 updated, 1 unchanged" in capfd.readouterr().err
    for words in (["compact"], ["recode", "int4"], ["log"], ["check", "--full"]):
        assert run(words) == 0
    capfd.readouterr()
    assert run(["info", "--json"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert (facts["proteins"], facts["codec"]) == (2, "int4")
    assert run(["info", "--db", url.replace("spring", "sprnig")]) == 1
    assert "no such database; near: plants of spring.lancedb" in capfd.readouterr().err


def test_the_page_about_it(options, monkeypatch, tmp_path, capfd):
    """The examples of docs/object_stores.md run, in a bucket of that name."""
    page = (Path(__file__).parents[1] / "docs" / "object_stores.md").read_text(encoding="utf-8")
    shell = "".join(re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    commands = re.findall(r"^protvec (.*)", shell, re.MULTILINE)
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for name, value in (
        ("AWS_ENDPOINT_URL", options["aws_endpoint"]),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "AKIATEST"),
        ("AWS_SECRET_ACCESS_KEY", object_store.SECRET),
        ("AWS_REGION", "eu-central-1"),
        ("PROTVEC_DB", "s3://my-lab/plants.lancedb"),
    ):
        assert name == "AWS_ALLOW_HTTP" or name in page
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "AtCol-0.fa.gz").write_bytes(gzip.compress(f">AT1G01010.1 NAC\n{HISTONE}\n".encode()))
    object_store.make_bucket(options["aws_endpoint"], "my-lab")
    assert len(commands) == 4
    for command in commands:
        assert run(shlex.split(command)) == 0, command
    exec(code, {})
    assert capfd.readouterr().out.endswith("1 NAC\n")


def test_storage_options_of_the_command_line_and_of_python(url, options, tmp_path, capfd):
    given = [word for key, value in options.items() for word in ("--storage-option", f"{key.upper()}={value}")]
    fasta = write_fasta(tmp_path / "in.fa", [("his1 one", HISTONE)])
    assert run(["ingest", str(fasta), "--db", url, "--model", "near", *given]) == 0
    database = protvec.open(url, storage_options=options)
    assert database.get("his1").sequence == HISTONE
    assert object_store.SECRET not in repr(database) + repr(database.store) + repr(database.store.location)
    with pytest.raises(DatabaseExistsError, match="a database already"):
        protvec.create(url, model="near", storage_options=options)
    shown = capfd.readouterr()
    assert object_store.SECRET not in shown.out + shown.err
    elsewhere = ["--storage-option", "aws_endpoint=http://127.0.0.1:1", "--storage-option", "aws_region=us-east-1"]
    assert run(["info", "--db", url, *elsewhere]) == 1  # the options of one command are not those of the next
    assert "no credentials: set AWS_ACCESS_KEY_ID" in capfd.readouterr().err


def test_check_and_annotate_and_merge_there(url, options, tmp_path, capfd):
    given = [word for key, value in options.items() for word in ("--storage-option", f"{key}={value}")]
    fasta = write_fasta(tmp_path / "in.fa", [("his1 one", HISTONE), ("ubq two", UBIQUITIN)])
    assert run(["ingest", str(fasta), "--db", str(tmp_path / "local"), "--model", "near"]) == 0
    assert run(["merge", str(tmp_path / "local"), "--into", url, *given]) == 0
    (tmp_path / "own.tsv").write_text("id\tmine\nhis1\t1.5\n")
    assert run(["annotate", "--table", str(tmp_path / "own.tsv"), "--db", url, *given]) == 0
    assert run(["check", "--full", "--db", url, *given]) == 0
    assert "nothing is damaged (2 proteins" in "".join(capfd.readouterr())
    assert run(["export", "-o", str(tmp_path / "out.parquet"), "--db", url, *given]) == 0
    assert run(["merge", url, "--into", str(tmp_path / "back"), *given]) == 0
    assert contents(Store.open(tmp_path / "back"))[:2] == contents(Store.open(tmp_path / "local"))[:2]


def test_an_object_that_is_gone_is_named(url, options, capfd):
    store = Store.create(url, data.space(), storage_options=options)
    data.write(store, data.numbered(0, 5))
    name = store._newest()[0].get_fragments()[0].data_files()[0].path
    object_store.remove(options, BUCKET, f"{url.removeprefix(f's3://{BUCKET}/')}/proteins.lance/data/{name}")
    with pytest.raises(DatabaseFormatError) as caught:
        Store.open(url, storage_options=options).get(["P0001"])
    assert str(caught.value).startswith(f"{url}/proteins.lance: damaged: data/{name} is missing; `protvec check --db ")


def test_other_things_in_the_bucket_are_no_database(url, options):
    Store.create(url, data.space(), storage_options=options)
    with pytest.raises(DatabaseFormatError, match="not a protvec database"):
        Store.open(url.rpartition("/")[0], storage_options=options)
    with pytest.raises(DatabaseExistsError, match="something else"):
        Store.create(url.rpartition("/")[0], data.space(), storage_options=options)
    with pytest.raises(DatabaseFormatError, match="one table, not a database"):
        Store.open(f"{url}/proteins.lance", storage_options=options)
    with pytest.raises(DatabaseNotFoundError, match="no such database"):
        Store.open(f"s3://{BUCKET}/nothing/at/all", storage_options=options)


# -- what cannot be reached ------------------------------------------------------------------------------------


def unreachable(url, options, within=10.0):
    """The one line that it takes to say so, within seconds and without the secret."""
    start = time.monotonic()
    with pytest.raises(DatabaseLocationError) as caught:
        Store.open(url, storage_options=options)
    assert time.monotonic() - start < within
    message = str(caught.value)
    assert message.startswith(f"{url}: cannot be reached: ")
    assert "\n" not in message
    assert len(message) < 300
    assert object_store.SECRET not in message
    with pytest.raises(DatabaseLocationError):
        Store.create(url, data.space(), storage_options=options)
    return message


def test_no_such_bucket(options):
    assert "there is no such bucket" in unreachable("s3://proteoms/x.lancedb", options)


def test_wrong_credentials():
    with object_store.Refusing() as server:
        message = unreachable("s3://b/x.lancedb", object_store.options(server.endpoint))
        assert message.endswith("access denied (InvalidAccessKeyId): check the credentials and what they may do")
        assert len(server.requests) == 2  # it is not asked again and again
        assert "Credential=AKIATEST/" in server.signers[0]


def test_no_credentials():
    options = {"aws_endpoint": "http://127.0.0.1:1", "allow_http": "true", "aws_region": "us-east-1"}
    assert "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in unreachable("s3://b/x", options)


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert f"no answer from http://127.0.0.1:{port} (check" in unreachable(
        "s3://b/x", object_store.options(f"http://127.0.0.1:{port}")
    )


def test_a_server_that_never_answers_and_own_patience():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = object_store.options(f"http://127.0.0.1:{silent.getsockname()[1]}")
        impatient = {"timeout": "300ms", "client_max_retries": "0"}
        assert "no answer from" in unreachable("s3://b/x", options | impatient, within=4)


def test_plain_http_must_be_allowed():
    options = object_store.options("http://127.0.0.1:1") | {"allow_http": "false"}
    assert "plain http is off: give --storage-option allow_http=true" in unreachable("s3://b/x", options)


def test_a_setting_that_cannot_be():
    options = object_store.options("http://127.0.0.1:1") | {"timeout": "soon"}
    assert 'failed to parse "soon" as Duration' in unreachable("s3://b/x", options)


def test_google_and_azure_get_their_options():
    """Their protocols cannot be tried here: that the requests go where the options say, and signed, can."""
    with object_store.Refusing() as server:
        google = {"google_base_url": server.endpoint, "google_skip_signature": "true", "allow_http": "true"}
        assert "access denied" in unreachable("gs://b/x/z.lancedb", google)
        assert server.requests[-1].startswith("/b?")
        assert "prefix=x%2Fz.lancedb%2F" in server.requests[-1]
        azure = {"azure_storage_endpoint": server.endpoint, "allow_http": "true", "azure_storage_account_name": "lab"}
        assert "access denied" in unreachable("az://c/z.lancedb", azure | {"azure_storage_account_key": "c2VjcmV0"})
        assert server.requests[-1].startswith("/c?restype=container&comp=list&prefix=z.lancedb%2F")
        assert server.signers[-1].startswith("SharedKey lab:")
        signature = {"azure_storage_sas_key": f"sv=2021&sig={object_store.SECRET}"}
        unreachable("az://c/z.lancedb", azure | signature)
        assert server.requests[-1].endswith(f"sig={object_store.SECRET}")  # sent, and not shown


def test_google_and_azure_without_credentials():
    assert "no credentials: set GOOGLE_APPLICATION_CREDENTIALS" in unreachable("gs://b/x", {})
    assert "no credentials: set AZURE_STORAGE_ACCOUNT_NAME" in unreachable("az://b/x", {})


# -- names -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("s3:/b/x.lancedb", "s3://b/x.lancedb"),
        ("s3:b/x.lancedb", "s3://b/x.lancedb"),
        ("s3:///b/x.lancedb", "s3://b/x.lancedb"),
        ("S3://b/x.lancedb/", "s3://b/x.lancedb"),
        ("s3a://b/x", "s3://b/x"),
        ("gcs://b/x", "gs://b/x"),
        ("abfss://c/x", "az://c/x"),
        ("s3://b", "s3://b/PATH"),
        ("gs://", "gs://BUCKET/PATH"),
    ],
)
def test_a_mistyped_url_names_the_right_one(given, meant, capfd):
    with pytest.raises(DatabaseLocationError) as caught:
        locate(given)
    assert str(caught.value) == f"{given}: not the URL of a database: did you mean {meant}"
    assert run(["info", "--db", given]) == 1
    assert capfd.readouterr().err == f"protvec: error: {caught.value}\n"


@pytest.mark.parametrize(
    "given", ["s3://b/a?b", "s3://b/a#b", "s3://b/a%20b", "s3://b//a", "s3://b/a/../c", "s3://b/./a"]
)
def test_names_that_a_url_cannot_have(given):
    with pytest.raises(DatabaseLocationError, match="has no"):
        locate(given)


@pytest.mark.parametrize(
    "given", ["http://x/y", "https://x/y", "file:///tmp/x", "file:/tmp/x", "hdfs://n/x", "foo://b/x"]
)
def test_other_urls_are_refused(given):
    with pytest.raises(DatabaseLocationError, match="no database can be at"):
        locate(given)


def test_what_is_no_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate("./s3:b").path == str(tmp_path / "s3:b")
    assert locate("notes:today").path == str(tmp_path / "notes:today")
    with pytest.raises(DatabaseLocationError, match="storage options are for object stores"):
        locate("plants.lancedb", {"aws_region": "us-east-1"})


def test_storage_options_are_pairs(capfd):
    for given in (["nonsense"], ["=x"], ["a=1", "a=2"]):
        words = [word for pair in given for word in ("--storage-option", pair)]
        assert run(["info", "--db", "s3://b/x", *words]) == 2
        assert "needs KEY=VALUE, each key once" in capfd.readouterr().err
    assert run(["info", "--db", "plants.lancedb", "--storage-option", "a=1"]) == 2
    assert "is for a database in an object store" in capfd.readouterr().err


def test_every_command_of_a_database_takes_storage_options():
    import typer

    from protvec.cli.app import build

    commands = typer.main.get_command(build()).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        options = {option for parameter in command.params for option in parameter.opts}
        places = {"--db", "--into", "SHARDS"} & (options | {parameter.metavar for parameter in command.params})
        assert bool(places) == ("--storage-option" in options), name  # merge names several
