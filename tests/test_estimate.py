"""What an ingest is said to take, of the disk and of time, and what it takes."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from proteins import write_fasta

from protvec import ingest
from protvec.data import sample
from protvec.database import Database
from protvec.ingest import commits, cost
from protvec.models import find
from protvec.store import Store, bytes_per_residue, bytes_per_sequence
from protvec.store.segments import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from protvec.ingest import Plan

D = 256


class Noise:
    """An encoder whose residues are random numbers, which do not compress, and which takes no time by itself."""

    dimension, precision, engine = D, "fp32", "torch"

    def __init__(self) -> None:
        self._numbers = np.random.default_rng(0).standard_normal((12_000, D), dtype=np.float32)

    def encode(self, sequences: Iterable[str]) -> Iterator[NDArray[np.float32]]:
        for number, sequence in enumerate(sequences):
            start = number * 37 % 2_000
            yield self._numbers[start : start + len(sequence)]


@pytest.fixture(scope="module")
def proteome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample of real proteins, each turned round a little twice, and 100 of them again under other names."""
    with gzip.open(sample(), "rt") as file:
        records = [part.split("\n", 1) for part in file.read().split(">")[1:]]
    turned: list[tuple[str, str]] = []
    for header, lines in records:
        name, _, description = header.partition(" ")
        text = lines.replace("\n", "")
        turned += [(f"{name}-{turn} {description}", text[turn:] + text[:turn]) for turn in (0, 1, 2)]
    turned += [(f"again-{name}", text) for name, text in turned[:100]]
    return write_fasta(tmp_path_factory.mktemp("estimate") / "in.fa", turned)


def planned(fasta: Path) -> Plan:
    with ingest.open_sources([fasta]) as sources:
        return ingest.make_plan(sources, None, ingest.Options())


@pytest.mark.parametrize("codec", ["float16", "int8", "int4"])
def test_the_directory_is_as_large_as_was_said(
    proteome: Path, tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As many commits however busy the machine is: what they replace is kept for a while, for those who read it.
    monkeypatch.setattr(commits, "FIRST_SECONDS", commits.COMMIT_SECONDS)
    encoder = Noise()
    said = cost.estimate_bytes(
        planned(proteome),
        dimension=D,
        residue_bytes=bytes_per_residue(codec, D),
        sequence_bytes=bytes_per_sequence(codec, D),
        segments=Rule(),
    )
    db = Database(Store.create(tmp_path / "db", find("near").space, codec=codec), encoder=encoder)
    report = db.ingest(proteome)
    assert (report.added, report.reused) == (618, 115)
    taken = sum(file.stat().st_size for file in Path(tmp_path, "db").rglob("*") if file.is_file())
    assert taken == pytest.approx(said, rel=0.1)


class Clock:
    """A clock that an encoder moves on by what its work is to take."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


class Timed(Noise):
    """Takes so many seconds a residue, and a squared residue; the first call as much again as many others."""

    def __init__(self, clock: Clock, linear: float, quadratic: float, *, noise: float = 0.0) -> None:
        super().__init__()
        self._clock, self._linear, self._quadratic, self._noise = clock, linear, quadratic, noise
        self._draw = random.Random(1)
        self._warm = False

    def seconds(self, lengths: Iterable[int]) -> float:
        return sum(self._linear * length + self._quadratic * length**2 for length in lengths)

    def encode(self, sequences: Iterable[str]) -> Iterator[NDArray[np.float32]]:
        self._clock.now += 0.0 if self._warm else 30.0
        self._warm = True
        factor = 1 + self._draw.uniform(-self._noise, self._noise)
        for sequence, array in zip(given := list(sequences), super().encode(given), strict=True):
            self._clock.now += self.seconds([len(sequence)]) * factor
            yield array


# Seconds a residue, and a squared residue: of a model that grows with the length alone, by way of Ankh's, to attention.
SPEEDS = [(5e-5, 0.0), (2e-3, 4e-7), (2e-4, 2e-6), (0.0, 1e-6)]


@pytest.mark.parametrize(("linear", "quadratic"), SPEEDS)
@pytest.mark.parametrize(("noise", "within"), [(0.0, 0.01), (0.2, 0.25)])
def test_the_time_is_what_the_lengths_ask_for(
    proteome: Path, monkeypatch: pytest.MonkeyPatch, linear: float, quadratic: float, noise: float, within: float
) -> None:
    clock = Clock()
    monkeypatch.setattr(cost, "time", clock)
    encoder = Timed(clock, linear, quadratic, noise=noise)
    plan = planned(proteome)
    found = cost.estimate(plan, encoder, residue_bytes=D)
    assert found.seconds == pytest.approx(encoder.seconds(plan.lengths), rel=within)
    assert found.residues_per_second == pytest.approx(plan.residues_to_embed / found.seconds)
    assert clock.now < 100 + 30 + 2 * 4 + encoder.seconds(sorted(plan.lengths)[-4:]), "no longer than its budget"


@given(
    st.floats(1e-6, 1e-2),
    st.floats(0, 1e-5),
    st.lists(st.lists(st.integers(20, 3_000), min_size=1, max_size=8), min_size=2, max_size=9),
)
def test_what_exact_measurements_say_is_found_again(linear: float, quadratic: float, runs: list[list[int]]) -> None:
    measured = []
    for lengths in [*runs, [50], [2_000]]:
        one, two = float(sum(lengths)), float(sum(length**2 for length in lengths))
        measured.append((one, two, linear * one + quadratic * two))
    a, b = cost._fit(measured)
    assert a >= 0
    assert b >= 0
    for one, two, seconds in measured:
        assert a * one + b * two == pytest.approx(seconds, rel=1e-6)


def test_a_time_that_falls_with_length_is_no_negative_one() -> None:
    """As where the machine was slow for a while: longer sequences are never said to take less."""
    a, b = cost._fit([(1_000.0, 1e5, 4.0), (2_000.0, 2e6, 5.0)])
    assert (a, b) == (pytest.approx(9 / 3_000), 0.0)
    a, b = cost._fit([(1_000.0, 1e5, 0.05), (2_000.0, 2e6, 2.0)])
    assert (a, b) == (0.0, pytest.approx(2.05 / 2.1e6))
