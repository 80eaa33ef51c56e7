"""The benchmark of homology search: its arithmetic on hits made by hand, its readers, and a whole run."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from proteins import random_sequence, write_fasta

from protvec.errors import FastaError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import _bench_homology as protocol
import _bench_homology_peers as peers
import bench_homology
from _bench_homology import Domain, Found

if TYPE_CHECKING:
    from collections.abc import Iterable

# The query is q; two of its family, one more of its superfamily, two more of its fold, and two others.
LABELS = {
    "q": "a.1.1.1", "f1": "a.1.1.1", "f2": "a.1.1.1", "s": "a.1.1.2", "o1": "a.1.2.1", "o2": "a.1.3.1",
    "x1": "a.2.1.1", "x2": "b.1.1.1",
}  # fmt: skip
DOMAINS = {name: Domain(name, tuple(label.split(".")), "ACDEF") for name, label in LABELS.items()}
TOTALS = (2, 1, 2)


def judged(*targets: str, evalues: Iterable[float] | None = None) -> protocol.Verdict:
    known = [None] * len(targets) if evalues is None else list(evalues)
    hits = [Found(target, 0.0, evalue) for target, evalue in zip(targets, known, strict=True)]
    return protocol.judge(DOMAINS["q"], hits, DOMAINS, TOTALS)


def test_true_hits_are_counted_by_class() -> None:
    assert protocol.Totals(DOMAINS.values()).of(DOMAINS["q"]) == TOTALS
    kinds = [protocol.kind(DOMAINS["q"], DOMAINS[name]) for name in ("f1", "s", "o1", "o2", "x1", "x2")]
    assert kinds == [0, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("targets", "shares", "top1"),
    [
        (["f1", "s", "x1", "f2", "o1"], (0.5, 1.0, 0.0), True),  # nothing counts after the first false hit
        (["f1", "f2", "s", "o1", "o2"], (1.0, 1.0, 1.0), True),
        (["x2", "f1", "f2"], (0.0, 0.0, 0.0), False),
        (["o1", "f1"], (0.5, 0.0, 0.5), False),  # of the fold: no false hit, but not the best one
        (["q", "f1", "f1", "x1"], (0.5, 0.0, 0.0), True),  # neither itself nor a second alignment counts
        ([], (0.0, 0.0, 0.0), False),
    ],
)
def test_sensitivity_to_the_first_false_hit(targets: list[str], shares: tuple[float, ...], top1: bool) -> None:
    verdict = judged(*targets)
    assert verdict.shares == shares
    assert verdict.top1 is top1


def test_errors_are_false_hits_up_to_an_evalue() -> None:
    assert judged("f1", "x1", "s", "x2", evalues=[1e-9, 0.01, 0.5, 10.0]).errors == (1, 1, 1, 2)
    assert judged("f1", "x1").errors is None
    assert judged().errors == (0, 0, 0, 0)


def test_a_summary_is_an_average_over_queries() -> None:
    one, other = judged("f1", "f2", "x1", evalues=[0, 0, 0.05]), judged("x1", evalues=[5])
    found = protocol.summary([one, other])
    assert found["queries"] == 2
    assert [found[name] for name in ("family", "superfamily", "fold", "top1")] == [0.5, 0, 0, 0.5]
    assert found["errors"] == {"0.01": 0, "0.1": 0.5, "1": 0.5, "10": 1}
    assert protocol.errors_a_query([(1, 1, 1, 1), None]) is None


def test_without_homologues_every_hit_is_false_once() -> None:
    hits = {"q": [Found("f1", 0, 0.005), Found("f1", 0, 3.0), Found("s", 0, 2.0)]}
    assert protocol.assess_null([DOMAINS["q"], DOMAINS["f2"]], hits) == {"0.01": 0.5, "0.1": 0.5, "1": 0.5, "10": 1}


def test_a_task_is_drawn_in_whole_folds() -> None:
    labels = [f"a.{fold}.{i % 3}.{i % 5}" for fold in range(20) for i in range(30)] + [f"b.{i}.1.1" for i in range(9)]
    domains = {f"d{i}": Domain(f"d{i}", tuple(label.split(".")), "ACDEFG") for i, label in enumerate(labels)}
    task = protocol.choose(domains, targets=100, queries=12, orphans=4, seed=3)
    folds = {domain.fold for domain in task.targets.values()}
    assert 100 <= len(task.targets) < 130
    assert len(task.targets) == sum(domain.fold in folds for domain in domains.values())
    assert len(task.queries) == 12
    assert all(all(protocol.Totals(task.targets.values()).of(query)) for query in task.queries)
    assert len(task.orphans) == 4
    assert not folds & {domain.fold for domain in task.orphans}
    assert [domain.sequence for domain in task.reversed] == ["GFEDCA"] * 4
    assert task == protocol.choose(domains, targets=100, queries=12, orphans=4, seed=3)
    assert task != protocol.choose(domains, targets=100, queries=12, orphans=4, seed=4)
    everything = protocol.choose(domains, targets=None, queries=None, orphans=4, seed=3)
    assert len(everything.targets) == len(domains) - 4
    assert len(everything.queries) == 600


# --- Files -------------------------------------------------------------------------------------------------


def test_labels_are_read(tmp_path: Path) -> None:
    file = write_fasta(tmp_path / "some.fa", [("d1dlwa_ a.1.1.1 (A:) Truncated", "ACDEF"), ("d2 b.40.2.11", "MKL")])
    assert protocol.read_labelled(file) == {
        "d1dlwa_": Domain("d1dlwa_", ("a", "1", "1", "1"), "ACDEF"),
        "d2": Domain("d2", ("b", "40", "2", "11"), "MKL"),
    }


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (("d2 b.40.2", "ACDEF"), "some.fa:3: d2 has the label 'b.40.2'"),
        (("d2", "ACDEF"), "some.fa:3: d2 has the label ''"),
        (("d1 a.1.1.1", "ACDEF"), "some.fa:3: a second d1"),
        (("d2 a.1.1.1", "AC*DEF"), "some.fa:3: d2: "),
    ],
)
def test_a_bad_record_is_named(
    tmp_path: Path, record: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_fasta(tmp_path / "some.fa", [("d1 a.1.1.1", "ACDEF"), record])
    with pytest.raises(FastaError) as raised:
        protocol.read_labelled(file)
    assert message in str(raised.value)
    assert bench_homology.main([str(file)]) == 1
    assert capsys.readouterr().err.startswith("bench_homology.py: error: ")


def test_a_file_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_homology.main([str(tmp_path / "none.fa")]) == 1
    assert "none.fa" in capsys.readouterr().err


# --- Peers -------------------------------------------------------------------------------------------------


def test_a_peers_table_is_sorted(tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_text("# target - query\nt1 - q - 0.5 20\nt2 - q - 1e-9 90\nt3 - q - 0.5 25\nt1 - p - 3 9\n")
    assert peers.read_hits(file, (2, 0, 4, 5)) == {
        "q": [Found("t2", 90, 1e-9), Found("t3", 25, 0.5), Found("t1", 20, 0.5)],
        "p": [Found("t1", 9, 3)],
    }


def test_a_peer_that_is_missing_or_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    domains = list(DOMAINS.values())
    with pytest.raises(peers.PeerError, match=r"phmmer: not installed \(Debian: apt-get install hmmer\)"):
        peers.search(peers.PEERS["phmmer"], domains, domains, tmp_path, 1)
    program = tmp_path / "phmmer"
    program.write_text("#!/bin/sh\necho begun\necho 'no such alphabet' >&2\nexit 3\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(peers.PeerError, match="phmmer failed with 3: no such alphabet"):
        peers.search(peers.PEERS["phmmer"], domains, domains, tmp_path, 1)


# --- A whole run -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four folds of two superfamilies of two families of two domains, a lonely domain; members resemble one another."""
    records = [("lonely g.1.1.1", random_sequence(60, seed=999))]
    for fold in range(4):
        common = random_sequence(50, seed=fold)
        for i in range(8):
            label = f"a.{fold}.{i // 4}.{i // 2}"
            records.append(
                (f"d{fold}{i} {label}", common + random_sequence(15, seed=100 * fold + i // 2) + "ACD"[: i % 2])
            )
    return write_fasta(tmp_path_factory.mktemp("labelled") / "domains.fa", records)


def test_a_run_from_end_to_end(labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(labelled), "--methods", "mean", "--json", str(tmp_path / "figures.json"), "--threads", "1"]
    arguments += ["--keep", str(tmp_path / "kept"), "--null-queries", "1"]
    assert bench_homology.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "32 targets, 32 queries, 1 orphans, 1 reversed" in printed
    result = json.loads((tmp_path / "figures.json").read_text())
    (mean,) = result["search"]
    assert mean["method"] == "protvec mean (near)"
    assert mean["family"] > 0.9
    assert mean["top1"] > 0.9
    assert mean["queries"] == 32
    assert len(list((tmp_path / "kept").glob("near-*.lancedb"))) == 1
    assert bench_homology.main([*arguments, "--sections", "null"]) == 0  # the database is used again
    assert "orphans" in capsys.readouterr().out


@pytest.mark.parametrize("argument", ["--methods=psiblast", "--queries=0", "--sections=all"])
def test_a_wrong_argument_is_refused(argument: str, labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench_homology.main([str(labelled), argument])
    assert argument.split("=", maxsplit=1)[0] in capsys.readouterr().err
