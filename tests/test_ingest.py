"""FASTA in, rows out: every record accounted for, nothing computed twice, nothing lost."""

from __future__ import annotations

import gzip
import io
import itertools
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proteins import CALMODULIN, HISTONE, LETTERS, UBIQUITIN, random_sequence, write_fasta

import protvec
from protvec import ingest
from protvec.errors import DatabaseError, FastaError, IngestInterrupted
from protvec.ingest import commits
from protvec.store import digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from protvec import Database

THREE = [
    ("AT1G09200.1 | Symbols: HTR1 | histone 3 | chr1:1-2 FORWARD LENGTH=136", HISTONE),
    ("ubq plain ubiquitin", UBIQUITIN),
    ("cam", CALMODULIN),
]


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return protvec.create(tmp_path / "db.lancedb", model="near")


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "three.fa", THREE)


def counts(report: protvec.Report) -> dict[str, int]:
    names = ("requested", "added", "reused", "updated", "unchanged")
    return {name: getattr(report, name) for name in names if getattr(report, name)} | (
        {"skipped": len(report.skipped)} if report.skipped else {}
    )


def content(db: Database) -> dict[str, tuple[Any, ...]]:
    """Everything stored, by id, vectors and residues to the last bit."""
    ids = sorted(i for batch in db.store.iter_proteins(columns=["id"]) for i in batch["id"].to_pylist())
    return {
        p.id: (p.sequence, p.vector.tobytes(), db.residues(p.id).tobytes(), repr(p.metadata)) for p in db.get_many(ids)
    }


def test_three_proteins_are_stored_as_the_model_gives_them(db: Database, fasta: Path) -> None:
    report = db.ingest(fasta, dataset="test", organism="Arabidopsis thaliana", taxid=3702)

    assert counts(report) == {"requested": 3, "added": 3}
    assert (report.embedded, report.embedded_residues) == (3, sum(len(s) for _, s in THREE))
    (expected,) = db.encoder().encode([CALMODULIN])
    stored = db.get("cam")
    np.testing.assert_allclose(stored.vector, expected.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(db.residues("cam"), expected, atol=np.ptp(expected, axis=0).max() / 255)
    assert stored.sequence == CALMODULIN
    assert stored.metadata["length"] == len(CALMODULIN)
    assert stored.metadata["dataset"] == "test"
    assert stored.metadata["taxid"] == 3702
    assert stored.metadata["digest"] == digest(CALMODULIN)


def test_header_metadata_reaches_the_rows(db: Database, fasta: Path) -> None:
    db.ingest(fasta, organism="somewhere")
    histone = db.get("AT1G09200.1")
    assert histone.metadata["gene"] == "HTR1"
    assert histone.description == "histone 3"
    assert histone.header == "| Symbols: HTR1 | histone 3 | chr1:1-2 FORWARD LENGTH=136"
    assert db.get("ubq").description == "plain ubiquitin"
    assert db.get("ubq").metadata["organism"] == "somewhere"


def test_a_second_run_changes_nothing_and_embeds_nothing(db: Database, fasta: Path) -> None:
    db.ingest(fasta, dataset="test")
    before = content(db)
    db._encoder = None
    report = db.ingest(fasta, dataset="test")
    assert counts(report) == {"requested": 3, "unchanged": 3}
    assert report.embedded == 0
    assert db._encoder is None, "the model was loaded for nothing"
    assert content(db) == before


def test_what_is_not_said_again_is_not_forgotten(db: Database, fasta: Path) -> None:
    db.ingest(fasta, dataset="test", organism="Zea mays")
    report = db.ingest(fasta, update=True)
    assert counts(report) == {"requested": 3, "unchanged": 3}
    assert report.stale == 0
    assert db.get("cam").metadata["dataset"] == "test"


def test_identical_sequences_are_embedded_once_and_both_rows_stay(db: Database, tmp_path: Path) -> None:
    file = write_fasta(tmp_path / "iso.fa", [("iso.1", HISTONE), ("other", UBIQUITIN), ("iso.2", HISTONE)])
    report = db.ingest(file)
    assert counts(report) == {"requested": 3, "added": 2, "reused": 1}
    assert report.embedded == 2
    assert db.get("iso.1").vector.tobytes() == db.get("iso.2").vector.tobytes()
    assert db.info()["sequences"] == 2
    later = db.ingest(write_fasta(tmp_path / "more.fa", [("iso.3", HISTONE)]))
    assert counts(later) == {"requested": 1, "reused": 1}
    assert later.embedded == 0
    assert db.residues("iso.3").tobytes() == db.residues("iso.1").tobytes()


def test_repeats_across_commits_reuse_what_was_embedded(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "COMMIT_ROWS", 2)
    records = [("a", HISTONE), ("b", UBIQUITIN), ("c", CALMODULIN), ("d", HISTONE), ("e", UBIQUITIN)]
    report = db.ingest(write_fasta(tmp_path / "five.fa", records))
    assert counts(report) == {"requested": 5, "added": 3, "reused": 2}
    assert db.get("d").vector.tobytes() == db.get("a").vector.tobytes()


def test_an_identical_pair_is_stored_once(db: Database, tmp_path: Path) -> None:
    report = db.ingest(write_fasta(tmp_path / "pair.fa", [("a", HISTONE), ("b", UBIQUITIN), ("a", HISTONE)]))
    assert counts(report) == {"requested": 3, "added": 2, "unchanged": 1}
    assert report.repeated == 1
    assert len(db) == 2


def test_one_id_with_two_sequences_names_both_lines_and_stores_nothing(db: Database, tmp_path: Path) -> None:
    first = write_fasta(tmp_path / "one.fa", [("a", HISTONE), ("b", UBIQUITIN)])
    second = write_fasta(tmp_path / "two.fa", [("c", CALMODULIN), ("b", HISTONE)])
    with pytest.raises(FastaError, match=r"two\.fa:3: id 'b' .*one\.fa:3"):
        db.ingest([first, second])
    assert len(db) == 0


def test_a_changed_sequence_needs_update(db: Database, tmp_path: Path) -> None:
    db.ingest(write_fasta(tmp_path / "old.fa", [("a", HISTONE), ("b", UBIQUITIN)]))
    changed = write_fasta(tmp_path / "new.fa", [("a", CALMODULIN), ("b", UBIQUITIN)])

    refused = db.ingest(changed)
    assert counts(refused) == {"requested": 2, "unchanged": 1, "skipped": 1}
    assert "--update" in refused.skipped[0].reason
    assert (refused.skipped[0].file, refused.skipped[0].line) == (str(changed), 1)
    assert db.get("a").sequence == HISTONE

    report = db.ingest(changed, update=True)
    assert counts(report) == {"requested": 2, "updated": 1, "unchanged": 1}
    assert db.get("a").sequence == CALMODULIN
    assert db.residues("a").shape == (len(CALMODULIN), 256)
    assert db.info()["sequences"] == 2
    assert db.info()["residue_arrays"] == 2, "the residues of the old sequence are still there"


def test_changed_metadata_is_counted_and_replaced_on_update_without_embedding(db: Database, tmp_path: Path) -> None:
    db.ingest(write_fasta(tmp_path / "old.fa", [("a first", HISTONE)]))
    file = write_fasta(tmp_path / "new.fa", [("a second", HISTONE)])
    assert db.ingest(file).stale == 1
    assert db.get("a").description == "first"
    report = db.ingest(file, update=True)
    assert counts(report) == {"requested": 1, "updated": 1}
    assert report.embedded == 0
    assert db.get("a").description == "second"


def test_unusable_records_are_skipped_by_name_and_the_others_stored(db: Database, tmp_path: Path) -> None:
    file = write_fasta(
        tmp_path / "bad.fa", [("good", HISTONE), ("stop", "MKV*LLA"), ("empty", ""), ("fine", UBIQUITIN)]
    )
    report = db.ingest(file)
    assert counts(report) == {"requested": 4, "added": 2, "skipped": 2}
    assert [(s.id, s.line) for s in report.skipped] == [("stop", 3), ("empty", 5)]
    fixed = db.ingest(file, fix=["stops"])
    assert counts(fixed) == {"requested": 4, "added": 1, "unchanged": 2, "skipped": 1}
    assert db.get("stop").sequence == "MKVXLLA"


def test_cleaning_is_reported_record_by_record(db: Database, tmp_path: Path) -> None:
    report = db.ingest(
        write_fasta(tmp_path / "c.fa", [("low", HISTONE.lower()), ("u", "MU" + HISTONE + "*"), ("ok", UBIQUITIN)])
    )
    assert [(c.id, c.line) for c in report.changed] == [("low", 1), ("u", 3)]
    assert db.get("low").sequence == HISTONE
    assert db.get("u").sequence == "MU" + HISTONE
    assert sum(report.changes.values()) >= 3
    assert report.to_dict()["changed"][0]["id"] == "low"


def test_rare_residues_are_embedded_as_x(db: Database, tmp_path: Path) -> None:
    db.ingest(write_fasta(tmp_path / "u.fa", [("u", "MKUOBZJLL"), ("x", "MKXXXXXLL")]))
    assert db.get("u").sequence == "MKUOBZJLL"
    np.testing.assert_array_equal(db.get("u").vector, db.get("x").vector)


def test_several_files_gzip_and_standard_input(db: Database, tmp_path: Path) -> None:
    plain = write_fasta(tmp_path / "a.fa", [("a", HISTONE)])
    packed = tmp_path / "b.fa.gz"
    packed.write_bytes(gzip.compress(f">b\n{UBIQUITIN}\n".encode()))
    stream = io.BytesIO(f">c\n{CALMODULIN}\n".encode())
    with ingest.open_sources([plain, packed, "-"], stdin=stream) as sources:
        report = db.run(ingest.make_plan(sources, db.store, ingest.Options()))
    assert counts(report) == {"requested": 3, "added": 3}
    assert report.files == [str(plain), str(packed), "<stdin>"]


def test_a_pipe_can_be_read_though_only_once(db: Database, tmp_path: Path) -> None:
    import os
    import threading

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(f">a\n{HISTONE}\n"))
    writer.start()
    assert counts(db.ingest(pipe)) == {"requested": 1, "added": 1}
    writer.join()


def test_missing_and_repeated_files(db: Database, fasta: Path) -> None:
    with pytest.raises(FastaError, match=r"nowhere\.fa: no such file"):
        db.ingest("nowhere.fa")
    with pytest.raises(FastaError, match="named twice"):
        db.ingest([fasta, fasta])


def test_a_file_that_changes_under_way_is_noticed(db: Database, fasta: Path) -> None:
    with ingest.open_sources([fasta]) as sources:
        plan = ingest.make_plan(sources, db.store, ingest.Options())
        write_fasta(fasta, [*THREE, ("more", HISTONE)])
        with pytest.raises(FastaError, match="changed while it was being read"):
            db.run(plan)
    assert len(db) == 0


def test_a_plan_is_what_the_run_then_does(db: Database, tmp_path: Path) -> None:
    db.ingest(write_fasta(tmp_path / "known.fa", [("known", HISTONE), ("old", UBIQUITIN)]))
    records = [
        ("known", HISTONE),
        ("twin", HISTONE),
        ("new", CALMODULIN),
        ("new2", CALMODULIN),
        ("old", "MKV"),
        ("bad", "M*K"),
    ]
    with ingest.open_sources([write_fasta(tmp_path / "mix.fa", records)]) as sources:
        plan = ingest.make_plan(sources, db.store, ingest.Options())
        report = db.run(plan)
    assert plan.balanced
    assert report.balanced
    for name in ("requested", "added", "reused", "updated", "unchanged", "skipped"):
        assert getattr(plan, name) == getattr(report, name), name
    assert list(plan.lengths) == [len(CALMODULIN)]
    assert plan.sample == [CALMODULIN]
    assert report.embedded == plan.distinct == 1


class StopAfter(protvec.Observer):
    def __init__(self, proteins: int) -> None:
        self.left = proteins

    def advanced(self, proteins: int, residues: int) -> None:
        self.left -= proteins

    def should_stop(self) -> bool:
        return self.left <= 0


def test_stopped_and_resumed_is_as_never_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "COMMIT_ROWS", 3)
    records = [(f"p{i}", random_sequence(20 + 7 * (i % 9), seed=i % 11)) for i in range(20)]
    file = write_fasta(tmp_path / "many.fa", records)
    whole = protvec.create(tmp_path / "whole.lancedb", model="near")
    whole.ingest(file)

    parts = protvec.create(tmp_path / "parts.lancedb", model="near")
    with pytest.raises(IngestInterrupted) as stopped:
        parts.ingest(file, observer=StopAfter(7))
    report = stopped.value.report
    assert isinstance(report, protvec.Report)
    assert report.interrupted
    assert report.balanced
    assert len(parts) == 7 == report.requested
    rest = parts.ingest(file)
    assert counts(rest)["unchanged"] == 7
    assert content(parts) == content(whole)


class Breaks:
    """An encoder that fails half-way, as one does that runs out of memory."""

    def __init__(self, real: Any, after: int) -> None:
        self.real, self.after = real, after
        self.dimension, self.precision, self.engine = real.dimension, real.precision, real.engine

    def encode(self, sequences: Any) -> Iterator[Any]:
        yield from itertools.islice(self.real.encode(sequences), self.after)
        raise MemoryError("no more")


def test_what_was_embedded_before_a_failure_is_kept(db: Database, tmp_path: Path) -> None:
    file = write_fasta(tmp_path / "many.fa", [(f"p{i}", random_sequence(30, seed=i)) for i in range(10)])
    with ingest.open_sources([file]) as sources:
        plan = ingest.make_plan(sources, db.store, ingest.Options())
        with pytest.raises(MemoryError):
            ingest.run(plan, db.store, Breaks(db.encoder(), 4))
    assert sorted(db.get_many([f"p{i}" for i in range(4)])[0].id) == ["0", "p"]
    assert len(db) == 4
    assert counts(db.ingest(file)) == {"requested": 10, "added": 6, "unchanged": 4}


class Follows:
    """An encoder that says when it has begun a sequence."""

    def __init__(self, real: Any, begun: dict[int, threading.Event]) -> None:
        self.real, self.begun = real, begun
        self.dimension, self.precision, self.engine = real.dimension, real.precision, real.engine

    def encode(self, sequences: Any) -> Iterator[Any]:
        for number, sequence in enumerate(sequences):
            self.begun[number].set()
            yield from self.real.encode([sequence])


def test_a_commit_is_made_while_the_next_is_embedded(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "COMMIT_ROWS", 2)
    begun, write, seen = {number: threading.Event() for number in range(6)}, db.store.write, []

    def after_the_next(*arguments: Any, **options: Any) -> set[str]:
        last = 2 * len(seen) + 2 == 6  # nothing comes after it
        seen.append(last or begun[2 * len(seen) + 2].wait(60))
        return write(*arguments, **options)

    monkeypatch.setattr(db.store, "write", after_the_next)
    file = write_fasta(tmp_path / "six.fa", [(f"p{i}", random_sequence(30, seed=i)) for i in range(6)])
    with ingest.open_sources([file]) as sources:
        plan = ingest.make_plan(sources, db.store, ingest.Options())
        report = ingest.run(plan, db.store, Follows(db.encoder(), begun))
    assert seen == [True, True, True]
    assert (counts(report), len(db)) == ({"requested": 6, "added": 6}, 6)


def test_a_commit_that_fails_ends_the_run_and_what_was_committed_stays(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "COMMIT_ROWS", 2)
    write, calls = db.store.write, []

    def full_at_last(*arguments: Any, **options: Any) -> set[str]:
        calls.append(1)
        if len(calls) > 1:
            raise DatabaseError("the disk is full")
        return write(*arguments, **options)

    monkeypatch.setattr(db.store, "write", full_at_last)
    # The last two need what the commit that fails would have brought.
    names = [(f"p{i}", random_sequence(30, seed=i % 4)) for i in range(6)]
    file = write_fasta(tmp_path / "six.fa", names)
    with pytest.raises(DatabaseError, match="the disk is full"):
        db.ingest(file)
    assert (len(calls), len(db)) == (2, 2)
    monkeypatch.undo()
    assert counts(db.ingest(file)) == {"requested": 6, "added": 2, "reused": 2, "unchanged": 2}


def test_a_run_without_an_encoder_refuses_what_became_new(db: Database, fasta: Path) -> None:
    db.ingest(fasta)
    with ingest.open_sources([fasta]) as sources:
        plan = ingest.make_plan(sources, db.store, ingest.Options())
        assert plan.distinct == 0
        db.delete(["cam"])
        with pytest.raises(DatabaseError, match="changed since the plan"):
            ingest.run(plan, db.store, None)


sequences = st.text(LETTERS + "XU", min_size=1, max_size=12)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), sequences), min_size=1, max_size=12, unique_by=lambda r: r[0]))
def test_one_record_in_is_one_row_or_one_reason(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[str, str]]
) -> None:
    directory = tmp_path_factory.mktemp("one")
    db = protvec.create(directory / "db", model="near")
    report = db.ingest(write_fasta(directory / "in.fa", records), nucleotides_ok=True)
    assert report.requested == len(records) == len(db)
    assert report.balanced
    stored = {p.id: p.sequence for p in db.get_many([i for i, _ in records])}
    assert stored == dict(records)


def test_estimate_counts_bytes_and_measures_long_inputs(db: Database, tmp_path: Path) -> None:
    records = [(f"p{i}", random_sequence(50 + 10 * i, seed=i)) for i in range(100)]
    with ingest.open_sources([write_fasta(tmp_path / "m.fa", records)]) as sources:
        plan = ingest.make_plan(sources, None, ingest.Options())
        cost = ingest.estimate(plan, db.encoder(), residue_bytes=512, budget=0.5)
    residues = sum(len(s) for _, s in records)
    assert plan.residues_to_embed == residues
    assert residues * 512 < cost.bytes < residues * 512 * 1.1
    assert cost.seconds is not None
    assert cost.residues_per_second == pytest.approx(residues / cost.seconds)
    with ingest.open_sources([write_fasta(tmp_path / "s.fa", records[:2])]) as sources:
        small = ingest.make_plan(sources, None, ingest.Options())
        assert ingest.estimate(small, db.encoder(), residue_bytes=512).seconds is None
