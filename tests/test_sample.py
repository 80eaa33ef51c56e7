"""The proteins that ship with protvec: what the demo and the fidelity check rely on."""

from __future__ import annotations

import gzip
from collections import Counter

import pytest

from protvec.data import sample
from protvec.fasta import read

README = sample().with_name("README.md")


@pytest.fixture(scope="module")
def records() -> dict[str, tuple[str, str]]:
    """Title and sequence by id, read without protvec."""
    found = {}
    for block in gzip.decompress(sample().read_bytes()).decode("ascii").split(">")[1:]:
        header, *lines = block.splitlines()
        identifier, _, title = header.partition(" ")
        assert identifier not in found
        found[identifier] = (title, "".join(lines))
    return found


def test_size_is_what_the_readme_says(records: dict[str, tuple[str, str]]) -> None:
    sequences = [sequence for _, sequence in records.values()]
    counts = (len(sequences), len(set(sequences)), sum(map(len, sequences)))
    assert counts == (211, 206, 77_332)
    assert "211 proteins (206 distinct sequences, 77,332 residues)" in README.read_text(encoding="utf-8")


def test_has_the_variety_that_it_promises(records: dict[str, tuple[str, str]]) -> None:
    sequences = [sequence for _, sequence in records.values()]
    lengths = sorted(map(len, sequences))
    assert lengths[:5] == [7, 10, 25, 40, 41]
    assert lengths[-1] == 2481
    assert set("".join(sequences)) == set("ACDEFGHIKLMNPQRSTVWYX")
    titles = Counter(title for title, _ in records.values())
    assert titles["UDP-Glycosyltransferase superfamily protein [Arabidopsis thaliana]"] == 18


def test_isoforms_are_identical_and_different(records: dict[str, tuple[str, str]]) -> None:
    isoforms = [s for title, s in records.values() if title.startswith("ubiquitin-conjugating enzyme 28 ")]
    assert (len(isoforms), len(set(isoforms))) == (5, 3)


def test_gzip_header_holds_no_name_and_no_time() -> None:
    magic, method, flags, time = (sample().read_bytes()[part] for part in map(slice, (0, 2, 3, 4), (2, 3, 4, 8)))
    assert (magic, method, flags, time) == (b"\x1f\x8b", b"\x08", b"\x00", b"\x00" * 4)


def test_protvec_reads_every_record(records: dict[str, tuple[str, str]]) -> None:
    found = [(record.id, record.description, record.sequence) for record in read(sample())]
    assert found == [(identifier, *rest) for identifier, rest in records.items()]
