"""Shards: cut, embedded and committed, they give what an ingest gives, whoever is killed on the way."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import object_store
import pytest
from hypothesis import given
from hypothesis import strategies as st
from proteins import CALMODULIN, HISTONE, UBIQUITIN, random_sequence, write_fasta

import protvec
from protvec import cluster
from protvec.cli.app import run
from protvec.cluster import Shards, balance, cutting
from protvec.cluster.on_ray import _shards_for
from protvec.errors import DatabaseError, FastaError, IngestInterrupted, ShardError, SpaceMismatchError
from protvec.ingest import Observer, Options, open_sources
from protvec.space import Space
from protvec.store import Store, protein_table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from _crash import DIMENSION, KILLED, Hashing, examine, open_database, residues_of

if TYPE_CHECKING:
    from protvec.cluster import Committed

SPACE = Space("hash", "none", None, "ab" * 32, DIMENSION)
CHILD = Path(__file__).with_name("cluster_child.py")


def records(count: int = 60) -> list[tuple[str, str]]:
    """Proteins of many lengths; some sequences occur under several ids."""
    return [(f"p{i} of the test", "M" + random_sequence(5 + i % 50 % 37, seed=i % 50)) for i in range(count)]


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "in.fa", records())


def cut(files: Path | list[Path], where: Path | str, *, shards: int = 3, **options: Any) -> Shards:
    options = {"space": SPACE, "codec": "int8", "options": Options(dataset="test", nucleotides_ok=True)} | options
    with open_sources([files] if isinstance(files, Path) else files) as sources:
        return cluster.cut(sources, where, shards=shards, **options)


def embed(shards: Shards, *numbers: int) -> list[protvec.Report]:
    return [cluster.embed_shard(shards, n, Hashing) for n in numbers or range(shards.count)]


def target(path: Path | str, shards: Shards, **options: Any) -> Store:
    try:
        return Store.open(path, **options)
    except DatabaseError:
        return Store.create(path, shards.manifest.space, codec=shards.manifest.codec, **options)


def counts(report: Any) -> dict[str, int]:
    return {name: count for name, count in report.counts.items() if count and not name.startswith("embedded")}


@pytest.fixture
def local(tmp_path: Path, fasta: Path) -> Path:
    """What an ingest makes of the file."""
    open_database(str(tmp_path / "local")).ingest(fasta, dataset="test", nucleotides_ok=True)
    return tmp_path / "local"


# -- the same as an ingest -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shards", "codec"), [(1, "int8"), (4, "int8"), (2, "float16"), (3, "none")])
def test_rows_vectors_residues_and_report_are_those_of_an_ingest(tmp_path: Path, shards: int, codec: str) -> None:
    """With repeats, identical sequences, what is cleaned and what cannot be stored, over two files."""
    first = write_fasta(
        tmp_path / "a.fa", [*records(40), ("cleaned", "mkvl-LLAA*"), ("bad", "MK?V"), ("ubq plain", UBIQUITIN)]
    )
    second = write_fasta(tmp_path / "b.fa", [*records(8), ("other ubq", UBIQUITIN), ("", "MKV"), ("cam", CALMODULIN)])
    options = Options(dataset="d", organism="o", taxid=7, fix=frozenset({"gaps"}), nucleotides_ok=True)
    store = Store.create(tmp_path / "local", SPACE, codec=codec)
    database = protvec.Database(store, encoder=Hashing())
    expected = database.ingest([first, second], dataset="d", organism="o", taxid=7, fix=["gaps"], nucleotides_ok=True)

    made = cut([first, second], tmp_path / "shards", shards=shards, codec=codec, options=options)
    embedded = embed(made)
    other = target(tmp_path / "db", made)
    report = cluster.commit(made, other)

    assert sum(each.embedded for each in embedded) == expected.embedded == report.embedded
    assert counts(report) == counts(expected)
    assert report.skipped == expected.skipped
    assert sorted(map(str, report.changed)) == sorted(map(str, expected.changed))
    assert report.balanced
    assert other.precision == store.precision == "fp32"
    ids = sorted(i for batch in store.iter_proteins(columns=["id"]) for i in batch["id"].to_pylist())
    assert other.count() == len(ids)
    assert other.get(ids).equals(store.get(ids))
    if codec != "none":
        digests = store.get(ids)["digest"].to_pylist()
        assert other.stored(digests) == store.stored(digests)
    entry = other.ledger.entry(report.run)
    assert (entry.command, entry.state, entry.counts["written"]) == ("commit", "done", len(ids))
    assert entry.counts["requested"] == expected.requested
    assert [file.name for file in entry.files] == [str(first), str(second)]
    assert all(file.sha256 for file in entry.files)


def test_what_the_database_has_is_not_embedded_again(tmp_path: Path, fasta: Path, local: Path) -> None:
    more = write_fasta(tmp_path / "more.fa", [*records(), ("again", records()[3][1]), ("new", HISTONE)])
    store = Store.open(local)
    made = cut(more, tmp_path / "shards", store=store)
    assert made.manifest.sequences == 1
    embed(made)
    report = cluster.commit(made, store)
    assert counts(report) == {"requested": 62, "added": 1, "reused": 1, "unchanged": 60}
    assert store.count() == 62


def test_a_sequence_that_was_to_be_reused_and_is_gone_is_an_error_not_a_gap(
    tmp_path: Path, fasta: Path, local: Path
) -> None:
    store = Store.open(local)
    made = cut(fasta, tmp_path / "shards", store=store)
    store.delete(ids=["p0", "p50"])  # the two that share a sequence
    embed(made)
    with pytest.raises(DatabaseError, match=r"no vector of 1 sequences.*make the shards again"):
        cluster.commit(made, store)
    assert store.count() == 58


def test_update_replaces_and_without_it_a_changed_protein_is_skipped(tmp_path: Path, fasta: Path, local: Path) -> None:
    changed = write_fasta(tmp_path / "changed.fa", [("p1 changed", HISTONE), ("p2 other words", records()[2][1])])
    store = Store.open(local)
    plain = cut(changed, tmp_path / "plain", store=store)
    assert plain.manifest.sequences == 0
    report = cluster.commit(plain, store)
    assert (report.unchanged, report.stale, [s.id for s in report.skipped]) == (1, 1, ["p1"])

    options = Options(dataset="test", update=True, nucleotides_ok=True)
    made = cut(changed, tmp_path / "update", store=store, options=options)
    embed(made)
    assert counts(cluster.commit(made, store)) == {"requested": 2, "updated": 2}
    assert store.get(["p1"])["sequence"].to_pylist() == [HISTONE]
    assert examine(str(local)).faults == []


# -- cutting ---------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 5_000), max_size=200), st.integers(1, 20), st.booleans())
def test_shards_are_even(lengths: list[int], shards: int, quadratic: bool) -> None:
    costs = balance.cost(np.array(lengths, np.int64), quadratic=quadratic)
    chosen = balance.distribute(costs, shards)
    loads = np.bincount(chosen, weights=costs, minlength=shards) if lengths else np.zeros(shards)
    assert loads.sum() == pytest.approx(costs.sum())
    best = max(costs.sum() / shards, costs.max(initial=0))
    assert loads.max() <= best * 4 / 3 + 1e-6 or len(lengths) > shards  # Graham's bound, of the best that can be
    assert loads.max() - loads.min() <= costs.max(initial=0) + 1e-6


def test_long_sequences_come_first_and_their_doubles_with_them(
    tmp_path: Path, fasta: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "_BATCH", 7)
    monkeypatch.setattr(cutting, "_GATHER", 11)
    made = cut(fasta, tmp_path / "shards", shards=4)
    seen: dict[str, int] = {}
    everything = []
    for number in range(5):
        rows = list(made.source(number).read())
        lengths = [len(row.sequence) for row in rows]
        assert lengths == sorted(lengths, reverse=True)
        for row in rows:
            assert seen.setdefault(row.sequence, number) == number, "a sequence in two shards"
        everything += [(f"{row.id} {row.description}", row.sequence) for row in rows]
        part = made.manifest.part(number)
        assert (part.rows, part.sequences if number < 4 else 0) == (len(rows), len({row.sequence for row in rows}))
    assert sorted(everything) == sorted(records())
    residues = [part.residues for part in made.manifest.shards]
    assert max(residues) - min(residues) <= 42


def test_there_may_be_more_shards_than_sequences(tmp_path: Path) -> None:
    made = cut(write_fasta(tmp_path / "in.fa", [("a", "MKV"), ("b", "MKV")]), tmp_path / "shards", shards=4)
    assert [part.sequences for part in made.manifest.shards] == [1, 0, 0, 0]
    assert embed(made)[3].requested == 0
    report = cluster.commit(made, target(tmp_path / "db", made))
    assert (report.added, report.reused, report.committed) == (1, 1, [0, 1, 2, 3])


def test_cutting_again_changes_nothing_and_other_shards_are_refused(tmp_path: Path, fasta: Path) -> None:
    made = cut(fasta, tmp_path / "shards")
    embed(made, 0)
    again = cut(fasta, tmp_path / "shards")
    assert again.manifest == made.manifest
    assert again.progress(0).complete
    with pytest.raises(ShardError, match="there are shards of another input, or cut otherwise, already"):
        cut(fasta, tmp_path / "shards", shards=4)
    fasta.write_text(fasta.read_text() + ">one more\nMKV\n")
    with pytest.raises(ShardError, match="another input"):
        cut(fasta, tmp_path / "shards")


def test_bad_input_is_refused_before_anything_is_written(tmp_path: Path, fasta: Path) -> None:
    twice = write_fasta(tmp_path / "twice.fa", [("a", "MKV"), ("a", "MKVL")])
    with pytest.raises(FastaError, match="occurs again with another sequence"):
        cut(twice, tmp_path / "shards")
    with pytest.raises(ShardError, match="0 shards"):
        cut(fasta, tmp_path / "shards", shards=0)
    assert not (tmp_path / "shards").exists()
    with pytest.raises(ShardError, match="no shards there: `protvec shard"):
        Shards.open(tmp_path / "shards")
    with pytest.raises(ShardError, match="no shards there"):
        Shards.open(tmp_path)


# -- committing ------------------------------------------------------------------------------------------------


def test_nothing_is_committed_while_shards_are_missing_unless_asked(tmp_path: Path, fasta: Path) -> None:
    made = cut(fasta, tmp_path / "shards")
    store = target(tmp_path / "db", made)
    embed(made, 1)
    with pytest.raises(ShardError, match="2 of 3 shards are not embedded: 0, 2"):
        cluster.commit(made, store)
    assert (store.count(), store.ledger.entries()) == (0, [])

    report = cluster.commit(made, store, partial=True)
    assert (report.committed, report.missing, report.balanced) == ([1], [0, 2], True)
    assert store.count() == report.requested == made.manifest.part(1).rows
    embed(made)
    report = cluster.commit(made, store)
    assert (report.committed, report.missing, report.requested) == ([0, 1, 2], [], 60)
    assert report.unchanged == made.manifest.part(1).rows
    assert store.count() == 60


def test_waiting_commits_shards_as_they_come(tmp_path: Path, fasta: Path, local: Path) -> None:
    made = cut(fasta, tmp_path / "shards")
    store = target(tmp_path / "db", made)
    order, seen = iter([2, 0, 1]), []

    def poll() -> None:
        seen.append(store.count())
        embed(made, next(order))

    report = cluster.commit(made, store, wait=True, poll=poll)
    rows = [made.manifest.part(n).rows for n in (2, 0)]
    assert seen == [0, rows[0], sum(rows)]
    assert (report.added + report.reused, report.committed) == (60, [0, 1, 2])
    assert examine(str(tmp_path / "db")).content == examine(str(local)).content


def test_a_shard_is_committed_once_even_if_its_proteins_were_deleted_since(tmp_path: Path, fasta: Path) -> None:
    made = cut(fasta, tmp_path / "shards")
    embed(made)
    store = target(tmp_path / "db", made)
    cluster.commit(made, store)
    store.delete(ids=["p7"])
    assert cluster.commit(made, store).unchanged == 60
    assert store.count() == 59


def test_a_stopped_commit_goes_on(tmp_path: Path, fasta: Path, local: Path) -> None:
    class Stop(Observer):
        def should_stop(self) -> bool:
            return True

    made = cut(fasta, tmp_path / "shards")
    embed(made)
    store = target(tmp_path / "db", made)
    with pytest.raises(IngestInterrupted) as caught:
        cluster.commit(made, store, observer=Stop())
    stopped: Committed = caught.value.report  # type: ignore[assignment]
    assert stopped.committed == [0]
    assert stopped.requested == store.count() == made.manifest.part(0).rows
    assert cluster.commit(made, store).unchanged == stopped.requested
    assert examine(str(tmp_path / "db")).content == examine(str(local)).content


def test_a_database_that_does_not_fit_is_refused(tmp_path: Path, fasta: Path) -> None:
    made = cut(fasta, tmp_path / "shards")
    embed(made)
    other = Space("other", None, None, "cd" * 32, DIMENSION)
    with pytest.raises(SpaceMismatchError, match="holds vectors of other"):
        cluster.commit(made, Store.create(tmp_path / "other", other))
    with pytest.raises(DatabaseError, match=r"keeps residue arrays as int4, .* as int8: cut the files again with --db"):
        cluster.commit(made, Store.create(tmp_path / "int4", SPACE, codec="int4"))


def test_a_shard_that_was_embedded_by_something_else_is_refused(tmp_path: Path, fasta: Path) -> None:
    made = cut(fasta, tmp_path / "shards")
    Store.create(tmp_path / "shards" / "shard-00001.lancedb", SPACE, codec="int4")
    with pytest.raises(ShardError, match=r"shard-00001.lancedb: another model's, or kept as int4"):
        embed(made, 1)
    with pytest.raises(ShardError, match="no shard 3: there are 3, 0 to 2"):
        embed(made, 3)


def test_a_shard_with_a_foreign_protein_is_not_complete(tmp_path: Path, fasta: Path) -> None:
    made = cut(fasta, tmp_path / "shards")
    embed(made)
    shard = made.output(2)
    assert shard is not None
    array = residues_of("MKV")
    row = {"id": "stranger", "digest": "SQ.x", "sequence": "MKV"}
    shard.write(protein_table([row], array.mean(axis=0)[None]), [("SQ.x", array)])
    assert not made.progress(2).complete


# -- killed, and several at once -------------------------------------------------------------------------------


def child(command: str, *arguments: object, kill: int = 0, rows: int = 0, pause: float = 0.0) -> subprocess.Popen[str]:
    text = json.dumps(
        {
            "command": command,
            "arguments": [*map(str, arguments[:1]), *(str(a) if isinstance(a, Path) else a for a in arguments[1:])],
            "kill": kill,
            "rows": rows,
            "pause": pause,
        }
    )
    return subprocess.Popen(
        [sys.executable, str(CHILD), text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str], *, expect: int = 0) -> dict[str, Any]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == expect, err
    return dict(json.loads(out)) if out.strip() else {}


def test_a_committer_that_is_killed_anywhere_loses_and_doubles_nothing(
    tmp_path: Path, fasta: Path, local: Path
) -> None:
    """Killed again and again, further along each time, in one database."""
    made = cut(fasta, tmp_path / "shards", shards=2)
    embed(made)
    db = tmp_path / "db"
    target(db, made)
    for kill in (2, 3, 4, 3, 4, 6):
        process = child("commit", tmp_path / "shards", db, kill=kill, rows=13)
        process.communicate(timeout=120)
        assert examine(str(db)).faults == []
        if process.returncode != KILLED:
            break
    report = cluster.commit(made, Store.open(db))
    assert (report.requested, len(report.skipped), report.committed) == (60, 0, [0, 1])
    found = examine(str(db))
    assert found == examine(str(local))
    assert found.orphans == set()


def test_two_committers_at_once_commit_each_shard_once(tmp_path: Path, fasta: Path, local: Path) -> None:
    made = cut(fasta, tmp_path / "shards", shards=5)
    embed(made)
    db = tmp_path / "db"
    target(db, made)
    reports = [ended(each) for each in [child("commit", tmp_path / "shards", db, rows=4) for _ in range(2)]]
    assert examine(str(db)) == examine(str(local))
    assert sum(report["added"] + report["reused"] for report in reports) == 60
    for report in reports:
        assert (report["requested"], report["skipped"], report["committed"]) == (60, [], list(range(5)))
    entries = Store.open(db).ledger.entries()
    assert sorted(n for entry in entries for n in entry.options["committed"]) == list(range(6)), "5 and the rest"


def test_a_worker_that_is_killed_and_queued_again_embeds_what_is_missing(tmp_path: Path, fasta: Path) -> None:
    made = cut(fasta, tmp_path / "shards", shards=1)
    process = child("embed", tmp_path / "shards", 0, rows=5, pause=0.02)
    while made.progress(0).sequences < 10:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    done = made.progress(0)
    assert 10 <= done.sequences < 50
    assert (done.complete, done.state, done.working) == (False, "begun", ())
    (report,) = embed(made)
    assert report.embedded == 50 - done.sequences
    assert made.progress(0).complete
    assert embed(made)[0].embedded == 0


def test_two_workers_at_one_shard_share_it(tmp_path: Path, fasta: Path, local: Path) -> None:
    made = cut(fasta, tmp_path / "shards", shards=1)
    workers = [child("embed", tmp_path / "shards", 0, rows=5, pause=0.02) for _ in range(2)]
    reports = [ended(each) for each in workers]
    assert sum(report["embedded"] for report in reports) <= 60
    assert made.progress(0).complete
    cluster.commit(made, target(tmp_path / "db", made))
    assert examine(str(tmp_path / "db")) == examine(str(local))


# -- in an object store ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", ["s3", "local"])
def test_shards_in_an_object_store(tmp_path: Path, fasta: Path, local: Path, database: str) -> None:
    where = f"s3://lab/shards-{database}"  # moto keeps buckets for the whole process
    with object_store.s3("lab") as options:
        made = cut(fasta, where, shards=2, storage_options=options)
        assert cut(fasta, where, shards=2, storage_options=options).manifest == made.manifest
        with pytest.raises(ShardError, match="already"):
            cut(fasta, where, shards=3, storage_options=options)
        opened = Shards.open(where, storage_options=options)
        embed(opened)
        given = {"storage_options": options} if database == "s3" else {}
        store = target(f"{where}.lancedb" if database == "s3" else tmp_path / "db", opened, **given)
        report = cluster.commit(opened, store)
        assert (report.added + report.reused, report.committed) == (60, [0, 1])
        assert cluster.commit(opened, store).unchanged == 60
        expected = Store.open(local)
        ids = expected.get([f"p{i}" for i in range(60)])["id"].to_pylist()
        assert store.get(ids).equals(expected.get(ids))
        digests = expected.get(ids)["digest"].to_pylist()
        assert store.stored(digests) == expected.stored(digests)


# -- the command line ------------------------------------------------------------------------------------------


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROTVEC_DB", raising=False)
    fasta = write_fasta(tmp_path / "in.fa", [*records(12), ("h3", HISTONE), ("bad", "M?")])
    shards, db = str(tmp_path / "shards"), str(tmp_path / "db")
    assert run(["ingest", str(fasta), "--db", str(tmp_path / "local"), "--model", "near", "--dataset", "d"]) == 1
    cutting_line = ["shard", str(fasta), "-n", "2", "-o", shards, "--model", "near", "--dataset", "d", "--json"]
    capsys.readouterr()
    assert run(cutting_line) == 1  # a record was skipped
    out, err = capsys.readouterr()
    manifest = json.loads(out)
    assert (len(manifest["shards"]), manifest["requested"], manifest["sequences"]) == (2, 14, 13)
    assert "2 shards of" in err
    assert "in.fa:27: bad" in err
    assert run([*cutting_line, "--skip-invalid"]) == 0

    assert run(["embed", shards, "--shard", "0", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["embedded"] == manifest["shards"][0]["sequences"]
    assert run(["commit", shards, "--db", db]) == 1
    assert "1 of 2 shards are not embedded: 1." in capsys.readouterr().err
    assert not Path(db).exists()
    assert run(["commit", shards, "--db", db, "--dry-run", "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in state["shards"]] == ["complete", "missing"]
    assert run(["commit", shards, "--db", db, "--partial", "--skip-invalid"]) == 0
    assert "not yet: 1" in capsys.readouterr().err
    assert run(["embed", shards, "--shard", "0", "--shard", "1"]) == 0
    assert run(["commit", shards, "--db", db, "--json", "--report", str(tmp_path / "report.json")]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert (report["committed"], report["requested"], len(report["skipped"])) == ([0, 1], 14, 1)
    assert (report["engine"], report["precision"]) == ("openvino", protvec.open(db).store.precision)
    ours, local = protvec.open(db), protvec.open(tmp_path / "local")
    for id in ["h3", *(f"p{i}" for i in range(12))]:
        np.testing.assert_array_equal(ours.get(id).vector, local.get(id).vector)
        np.testing.assert_array_equal(ours.residues(id), local.residues(id))
        assert ours.get(id).metadata == local.get(id).metadata
    assert run(["embed", shards, "--shard", "2"]) == 1
    assert run(["commit", shards, "--db", db, "--partial", "--wait"]) == 1
    assert run(["commit", str(tmp_path), "--db", db]) == 1
    assert "no shards there" in capsys.readouterr().err


def test_every_worker_has_a_shard_and_more_where_they_are_worth_it() -> None:
    of = _shards_for
    assert of(10_000, 4) == 1
    assert of(120_000, 4) == 4  # of 30,000 residues each
    assert of(1_000_000, 4) == 10
    assert of(10**9, 4) == 32
