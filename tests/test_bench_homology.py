"""The benchmark of homology search: its arithmetic on hits made by hand, its readers, and a whole run."""

from __future__ import annotations

import json
import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from proteins import random_sequence, write_fasta

from protvec.align import Pairing
from protvec.errors import FastaError, TableError
from protvec.fasta import Record

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import _bench_homology as protocol
import _bench_homology_alignments as alignments
import _bench_homology_peers as peers
import _bench_homology_planted as planted
import bench_homology
import fit_pairing
import fit_statistics
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
    queries = [DOMAINS["q"], DOMAINS["f2"]]
    assert protocol.assess_null(queries, hits, DOMAINS) == {"0.01": 0.5, "0.1": 0.5, "1": 0.5, "10": 1}
    others = protocol.assess_null(queries, hits, DOMAINS, protocol.of_another_fold)
    assert others == {"0.01": 0, "0.1": 0, "1": 0, "10": 0}
    found = {"q": [Found("x1", 0, 0.05)]}
    assert protocol.assess_null(queries, found, DOMAINS, protocol.of_another_fold)["0.1"] == 0.5  # type: ignore[index]
    turned = protocol.backwards(DOMAINS["q"])
    found = {turned.id: [Found("q", 0, 0.005), Found("f1", 0, 0.05)]}
    but_itself = protocol.assess_null([turned], found, DOMAINS, protocol.of_others)
    assert but_itself == {"0.01": 0, "0.1": 1, "1": 1, "10": 1}


def test_best_hits_count_where_there_is_another_of_the_kind() -> None:
    labels = {"a1": "a.1.1.1", "a2": "a.1.1.1", "b": "a.1.1.2", "c": "a.2.1.1"}
    domains = {name: Domain(name, tuple(label.split(".")), "ACDEFG") for name, label in labels.items()}
    best = {"a1": "a2", "a2": "b", "b": "c", "c": "a1"}
    assert protocol.share_alike(domains, best) == {"family": 1 / 2, "superfamily": 2 / 3}


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


# --- Reference alignments ----------------------------------------------------------------------------------

# Both ways of path: three pairs, a residue of the one, two of the other.
PATHS = "q\t\tf1\t\t0.6\t2.7\t5\t6\t4\t3P1I1D1I1M\n"


def paths(tmp_path: Path, text: str) -> Path:
    (tmp_path / "tm.tsv").write_text(text)
    return tmp_path / "tm.tsv"


def test_paths_of_tm_align_are_read(tmp_path: Path) -> None:
    (found,) = alignments.read_references(paths(tmp_path, PATHS))
    assert (found.query, found.target, found.lengths) == ("q", "f1", (5, 6))
    assert found.pairs == {(0, 0), (1, 1), (2, 2), (4, 5)}


def test_a_file_whose_i_is_the_querys_is_told_by_its_lengths(tmp_path: Path) -> None:
    (found,) = alignments.read_references(paths(tmp_path, "q\tf1\t6\t5\t4\t3P1I1D1I1M\n"))
    assert found.pairs == {(0, 0), (1, 1), (2, 2), (5, 4)}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q\tf1\t5\t6\t4\t3P2X\n", "'3P2X' is no path"),
        ("q\tf1\t5\t6\t3P\n", "5 cells"),
        ("q\tf1\tx\tsix\t4\t3P\n", "are no lengths"),
        ("q\tf1\t9\t6\t4\t3P1I1D1I1M\n", "ends at residues 5 and 6 of 9 and 6"),
    ],
)
def test_a_bad_path_is_named_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(TableError, match=r"tm\.tsv:2: ") as raised:
        alignments.read_references(paths(tmp_path, PATHS + line))
    assert message in str(raised.value)


def test_ali_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "d1a_d2b.manual.ali").write_text(">d1a\n# by hand\nd1a  acDE-Fgh\nd2b  -MDEKFG-\n\n-KL\nAKl\n")
    (found,) = alignments.read_references(tmp_path)
    assert (found.query, found.target) == ("d1a", "d2b")
    assert found.sequences == ("ACDEFGHKL", "MDEKFGAKL")
    assert found.pairs == {(2, 1), (3, 2), (4, 4), (7, 7)}  # c-M, g-G and L-l are in one column, but not all upper case
    (tmp_path / "small.ali").write_text("acd-\na-de\n")
    assert alignments.read_ali(tmp_path / "small.ali").pairs == {(0, 0), (2, 1)}


@pytest.mark.parametrize(
    ("text", "message"),
    [("AC1\nACD\n", "x.ali:1: 'AC1'"), ("ACD\nAC\n", "x.ali:2: the second row"), ("ACD\n", "1 rows"), ("", "0 rows")],
)
def test_a_bad_ali_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.ali").write_text(text)
    with pytest.raises(TableError) as raised:
        alignments.read_references(tmp_path / "x.ali")
    assert message in str(raised.value)


def test_references_that_are_not_there_are_said(tmp_path: Path, labelled: Path) -> None:
    with pytest.raises(TableError, match=r"no \.ali file"):
        alignments.read_references(tmp_path)
    with pytest.raises(TableError, match="cannot be read"):
        alignments.read_references(tmp_path / "none.tsv")
    with pytest.raises(TableError, match="of one superfamily"):
        alignments.cases(alignments.read_references(paths(tmp_path, PATHS)), {}, tmp_path)


def test_references_are_of_one_superfamily_and_of_these_sequences() -> None:
    def reference(query: str, target: str, lengths: tuple[int, int] = (5, 5)) -> alignments.Reference:
        return alignments.Reference(query, target, frozenset({(0, 0)}), lengths)

    given = [reference("q", "s"), reference("q", "o1"), reference("q", "q"), reference("q", "f1", (5, 6))]
    found, differing = alignments.cases(given, DOMAINS, Path("some.tsv"))
    assert [case.reference.target for case in found] == ["s"]
    assert differing == 1


def test_accuracy_is_of_pairs() -> None:
    true = [frozenset({(0, 0), (1, 1), (2, 2), (3, 3)}), frozenset({(0, 1)})]
    found = alignments.accuracy([{(0, 0), (1, 1), (5, 5)}, set()], true)
    assert found == pytest.approx({"alignments": 2, "precision": 1 / 3, "recall": 1 / 4, "f1": 2 / 7})


def test_smith_waterman_aligns_what_is_alike() -> None:
    assert alignments.smith_waterman("PPPPMKTAYIAKQR", "MKTAYUAKQRGG") == {(i + 4, i) for i in range(10)}
    assert alignments.smith_waterman("WWW", "PPP") == set()


# --- Planted domains ---------------------------------------------------------------------------------------


def test_domains_are_planted_in_proteins() -> None:
    domains = {
        f"d{i}": Domain(f"d{i}", ("a", str(i // 2), "1", "1"), random_sequence(105 + i, seed=i)) for i in range(30)
    }
    proteins = [Record(f"p{i}", "", random_sequence(300 + 100 * i, seed=100 + i)) for i in range(10)]
    planting = planted.plant(domains, proteins, hosts=6, planted=4, seed=1)
    assert len(planting.targets) == 6
    before = {record.id: record.sequence for record in proteins}
    after = {target.id: target.sequence for target in planting.targets}
    assert all(len(after[id]) == len(before[id]) >= 400 for id in after)
    assert sum(after[id] != before[id] for id in after) == 4
    for domain, id in planting.itself.values():
        assert domain.sequence in after[id]
        assert 110 <= len(domain.sequence) <= 130
    assert len({domain.fold for domain, _ in planting.itself.values()}) == 4
    pairs = zip(planting.itself.values(), planting.relatives.values(), strict=True)
    assert all(one[0].label == other[0].label and one[1] == other[1] and one[0] != other[0] for one, other in pairs)
    assert len(planting.queries) == 8


def test_a_share_is_of_queries_whose_target_is_in_the_first_ten() -> None:
    wanted = {name: (DOMAINS[name], target) for name, target in (("q", "t9"), ("f1", "t10"), ("f2", "t0"))}
    hits = [Found(f"t{i}", 1.0) for i in range(11)]
    assert planted.share_found(wanted, {"q": hits, "f1": hits}) == pytest.approx(1 / 3)


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
    arguments = [
        str(labelled),
        "--sections",
        "search",
        "--methods",
        "mean,align",
        "--json",
        str(tmp_path / "figures.json"),
        "--threads",
        "1",
    ]
    arguments += ["--keep", str(tmp_path / "kept"), "--null-queries", "1"]
    assert bench_homology.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "32 targets, 32 queries, 1 orphans, 1 reversed" in printed
    result = json.loads((tmp_path / "figures.json").read_text())
    mean, align = result["search"]
    assert align["family"] > 0.9
    assert mean["method"] == "protvec mean (near)"
    assert mean["family"] > 0.9
    assert mean["top1"] > 0.9
    assert mean["queries"] == 32
    assert len(list((tmp_path / "kept").glob("near-*.lancedb"))) == 1
    assert bench_homology.main([*arguments, "--sections", "null,top"]) == 0  # the database is used again
    assert "in other folds" in capsys.readouterr().out
    assert json.loads((tmp_path / "figures.json").read_text())["top"][0]["family"] > 0.9


def test_priors_and_tails_are_fitted_on_labelled_domains(labelled: Path, tmp_path: Path) -> None:
    figures = tmp_path / "tails.json"
    assert fit_statistics.main([str(labelled), "--quick", "--threads", "1", "--json", str(figures)]) == 0
    result = json.loads(figures.read_text())
    for name, tails in fit_statistics.TAILS.items():
        assert "all" in result[name]["tails"]
        for weights in result[name]["tails"].values():
            assert len(weights) == len(tails)
            assert sum(weights) == pytest.approx(1)
        assert -4 < result[name]["prior"]["log_scale"][0] < -1  # of 256 whitened dimensions: 1/16


def test_pairs_are_learned_from_alignments_and_measured_in_folds_left_out(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    domains = protocol.read_labelled(labelled)
    lines = []
    for fold in range(4):
        one, other = (domains[f"d{fold}{i}"] for i in (0, 2))
        length = len(one.sequence), len(other.sequence)
        path = f"50P{length[0] - 50}D{length[1] - 50}I"
        lines.append(f"{one.id}\t{other.id}\t{length[0]}\t{length[1]}\t50\t{path}\n")
    (tmp_path / "tm.tsv").write_text("".join(lines))
    left_out = fit_pairing.part(domains["d00"])
    expected = sum(fit_pairing.part(domains[f"d{fold}0"]) == left_out for fold in range(4))
    assert 0 < expected < 4
    arguments = [str(labelled), str(tmp_path / "tm.tsv"), "--out", str(tmp_path / "w.npz"), "--steps", "4"]
    arguments += [
        "--held-out",
        str(left_out),
        "--json",
        str(tmp_path / "figures.json"),
        "--keep",
        str(tmp_path / "kept"),
    ]
    assert fit_pairing.main([*arguments, "--checkpoint", str(tmp_path / "half.pt"), "--seconds", "0"]) == 0
    assert json.loads((tmp_path / "figures.json").read_text())["steps"] == 0
    assert fit_pairing.main([*arguments, "--checkpoint", str(tmp_path / "half.pt")]) == 0
    result = json.loads((tmp_path / "figures.json").read_text())
    assert result["steps"] == 4
    assert [each["alignments"] for each in result["accuracy"]] == [expected] * 5
    assert min(each["f1"] for each in result["accuracy"][1:]) > 0.8
    said = re.findall(
        r"relatives of one of a pair, mean: ([0-9.]+), without the other of the pair ([0-9.]+)", capsys.readouterr().out
    )
    assert [float(every) - float(others) for every, others in said[-1:]] == [
        pytest.approx(1)
    ]  # the two find each other
    assert Pairing.read(tmp_path / "w.npz").dimension == 256
    first = Pairing.read(tmp_path / "w.npz").weights
    assert fit_pairing.main([*arguments, "--no-profiles"]) == 0  # in one go: the same
    assert len(json.loads((tmp_path / "figures.json").read_text())["accuracy"]) == 3
    for name, value in Pairing.read(tmp_path / "w.npz").weights.items():
        np.testing.assert_allclose(value, first[name], atol=2e-3)


def test_alignments_and_planted_domains_are_measured(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    domains = protocol.read_labelled(labelled)
    one, other = domains["d00"], domains["d02"]
    length = len(one.sequence), len(other.sequence)
    path = f"50P{length[0] - 50}D{length[1] - 50}I"
    (tmp_path / "tm.tsv").write_text(f"d00\td02\t{length[0]}\t{length[1]}\t50\t{path}\n")
    hosts = [("big", random_sequence(450, seed=5)), ("bigger", random_sequence(500, seed=6))]
    longer = write_fasta(tmp_path / "long.fa", [("d1 a.1.1.1", random_sequence(120, seed=7))])
    files = ["--reference", str(tmp_path / "tm.tsv"), "--hosts", str(write_fasta(tmp_path / "hosts.fa", hosts))]
    common = ["--methods", "mean", "--threads", "1", *files, "--json", str(tmp_path / "figures.json")]
    assert bench_homology.main([str(labelled), "--sections", "alignments", *common]) == 0
    classical, ours, profiles = json.loads((tmp_path / "figures.json").read_text())["alignments"]
    assert classical["recall"] == ours["recall"] == profiles["recall"] == 1
    assert min(ours["f1"], profiles["f1"]) > 0.8
    assert bench_homology.main([str(labelled), "--sections", "alignments", "--no-profiles", *common]) == 0
    assert len(json.loads((tmp_path / "figures.json").read_text())["alignments"]) == 2
    assert bench_homology.main([str(longer), "--sections", "planted", *common]) == 0
    assert json.loads((tmp_path / "figures.json").read_text())["planted"]["methods"][0]["itself"] == 1
    assert bench_homology.main([str(labelled), "--sections", "alignments"]) == 0
    assert "left out: --reference names a file" in capsys.readouterr().out


@pytest.mark.parametrize("argument", ["--methods=psiblast", "--queries=0", "--sections=all"])
def test_a_wrong_argument_is_refused(argument: str, labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench_homology.main([str(labelled), argument])
    assert argument.split("=", maxsplit=1)[0] in capsys.readouterr().err
