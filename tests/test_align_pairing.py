"""Learned scores of residue pairs: what they compute, what they change of an alignment and what not, and bad files."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from alignments import RESIDUES, chain

from protvec.align import Chain, Pairing, Scoring, align_many, local_alignment, local_score, profile, scoring_for
from protvec.align.likely import likely_pairs, probabilities
from protvec.align.pairing import inputs
from protvec.errors import QueryError

DIMENSION = 16


def weights(
    *, width: int = 6, out: int = 5, dilations: tuple[int, ...] = (1, 2), seed: int = 3
) -> dict[str, np.ndarray]:
    """Of a small network, at random."""
    chance = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"first.weight": (width, DIMENSION + 20), "first.bias": (width,)}
    for number in range(len(dilations)):
        shapes |= {f"convs.{number}.weight": (width, width, 3), f"convs.{number}.bias": (width,)}
    shapes |= {"last.weight": (out, width), "last.bias": (out,), "side.weight": (1, width), "side.bias": (1,)}
    found = {name: chance.normal(0, 0.4, shape).astype(np.float32) for name, shape in shapes.items()}
    fixed = {"dilations": dilations, "gaps": (2.5, 0.25), "cosine": 3.0, "offset": -0.4, "scale": 0.8}
    return found | {name: np.array(value, np.float32) for name, value in fixed.items()}


def random_chain(length: int, seed: int) -> Chain:
    return chain("".join(np.random.default_rng(seed).choice(list(RESIDUES), length)), seed=seed)


def plainly(of: dict[str, np.ndarray], query: Chain, target: Chain) -> np.ndarray:
    """The scores by their definition, residue by residue."""

    def gelu(values: np.ndarray) -> np.ndarray:
        return values * np.array([(1 + math.erf(v / math.sqrt(2))) / 2 for v in values.ravel()]).reshape(values.shape)

    def described(one: Chain) -> tuple[np.ndarray, np.ndarray]:
        hidden = gelu(inputs(one.sequence, one.unit) @ of["first.weight"].T + of["first.bias"])
        for number, dilation in enumerate(of["dilations"].astype(int)):
            around = np.tile(of[f"convs.{number}.bias"].astype(np.float64), (len(one), 1))
            for place in range(len(one)):
                for step in range(3):
                    other = place + (step - 1) * dilation
                    if 0 <= other < len(one):
                        around[place] += of[f"convs.{number}.weight"][:, :, step] @ hidden[other]
            hidden = hidden + gelu(around)
        learned = hidden @ of["last.weight"].T + of["last.bias"]
        learned = learned / (np.linalg.norm(learned, axis=1, keepdims=True) + 1e-4)
        return learned, hidden @ of["side.weight"][0] + of["side.bias"]

    (a, one), (b, two) = described(query), described(target)
    products = of["cosine"] * query.unit @ target.unit.T + of["scale"] * a @ b.T + of["offset"]
    return products + one[:, None] + two


def test_scores_are_those_of_the_network() -> None:
    pairing, query, target = Pairing(weights()), random_chain(23, 1), random_chain(1, 2)
    for one, other in ((query, target), (target, query), (query, query)):
        found = pairing.scores(pairing.describe(one), pairing.describe(other))
        np.testing.assert_allclose(found, plainly(weights(), one, other), rtol=1e-4, atol=1e-5)
        assert found.dtype == np.float32


def test_the_network_that_is_fitted_is_the_one_that_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "scripts"))
    import torch
    from _fit_pairing import Example, Fit, batch

    chains = {"a": random_chain(30, 1), "b": random_chain(41, 2)}
    examples = [Example("a", "b", np.stack([np.arange(25), np.arange(25) + 9], axis=1))]
    state = Fit.begin(DIMENSION, seed=1)
    likely = [state.take(examples, chains, 30) for _ in range(30)]
    assert np.mean(likely[-5:]) > 1.5 * np.mean(likely[:5])
    np.savez(tmp_path / "weights.npz", **state.weights())
    pairing = Pairing.read(tmp_path / "weights.npz")
    state.network.load_state_dict({name: value.half().float() for name, value in state.mean.items()})
    state.network.eval()
    with torch.no_grad():
        values, mask, places = batch(list(chains.values()))
        vectors, levels = state.network(values, mask)
        of = {name: (chains[name], vectors[at], levels[at]) for name, at in zip(chains, places, strict=True)}
        expected = state.scores(of["a"], of["b"]).numpy()
    found = pairing.scores(*(pairing.describe(each) for each in chains.values()))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_they_choose_the_pairs_that_are_shown_and_nothing_else() -> None:
    query, target = random_chain(80, 1), random_chain(90, 2)
    pairing = Pairing(weights())
    scoring = Scoring(enhance="none", offset=-0.2, blosum=0.5, gap_open=4.0, gap_extend=0.5, temperature=1.5)
    learned = replace(scoring, pairing=pairing)
    plain, shown = (local_alignment(query, target, each) for each in (scoring, learned))
    assert shown.score == plain.score == local_score(query, target, learned)
    assert shown.pairs().tolist() != plain.pairs().tolist()
    wanted = likely_pairs(plainly(weights(), query, target).astype(np.float32), 2.5, 0.25, 1.0)
    assert set(map(tuple, wanted.tolist())) <= set(map(tuple, shown.pairs().tolist()))
    assert align_many(query, [target] * 3, learned, threads=2) == [shown] * 3
    assert local_alignment(query, target, replace(learned, temperature=0.0)) == local_alignment(
        query, target, scoring.of_scores
    )
    assert learned.of_scores == scoring.of_scores


def test_near_has_its_own_and_other_models_none() -> None:
    pairing = scoring_for("near").pairing
    assert pairing is not None
    assert pairing is scoring_for("near").pairing
    assert pairing.dimension == 256
    assert scoring_for("ankh-base").pairing is None


def test_residues_of_another_model_and_bad_files_are_errors(tmp_path: Path) -> None:
    one = random_chain(20, 1)
    with pytest.raises(QueryError, match="residues of 16 dimensions, but pairs are learned of 256"):
        local_alignment(one, one, scoring_for("near"))
    file = tmp_path / "x.npz"
    with pytest.raises(QueryError, match=r"x\.npz: no learned scores"):
        Pairing.read(file)
    for bad in ({"a": np.zeros(3)}, weights() | {"last.weight": np.zeros((5, 7), np.float32)}):
        np.savez(file, **bad)
        with pytest.raises(QueryError, match=r"x\.npz: no learned scores"):
            Pairing.read(file)
    file.write_bytes(b"no archive")
    with pytest.raises(QueryError, match=r"x\.npz: no learned scores"):
        Pairing.read(file)


def test_a_profile_is_the_mean_over_what_is_aligned() -> None:
    pairing = Pairing(weights())
    query, relative, target = random_chain(20, 1), random_chain(25, 2), random_chain(30, 3)
    alone = profile(query, [], pairing)
    own, theirs = pairing.describe(query), pairing.describe(relative)
    np.testing.assert_allclose(alone.described(pairing).vectors, own.vectors, rtol=1e-6)
    likely = probabilities(pairing.scores(own, theirs), *pairing.gaps, 1.0)
    found = profile(query, [relative], pairing)
    described = found.described(pairing)
    total = 1 + likely.sum(axis=1)
    np.testing.assert_allclose(
        described.vectors, (own.vectors + likely @ theirs.vectors) / total[:, None] * 1.3**0.5, rtol=1e-4, atol=1e-6
    )
    levels = (own.levels + likely @ theirs.levels) / total - 0.35
    np.testing.assert_allclose(described.levels, levels, rtol=1e-4, atol=1e-6)
    many = profile(query, [relative, target] * 3, pairing, threads=2).described(pairing)
    np.testing.assert_array_equal(
        many.vectors, profile(query, [relative, target] * 3, pairing, threads=1).described(pairing).vectors
    )
    scoring = Scoring(enhance="none", offset=-0.2, blosum=0.5, gap_open=4.0, gap_extend=0.5, temperature=1.5)
    shown = [local_alignment(each, target, replace(scoring, pairing=pairing)) for each in (query, found)]
    assert shown[0].score == shown[1].score == local_score(query, target, scoring)
    wanted = likely_pairs(pairing.scores(described, pairing.describe(target)), 2.5, 0.25, 1.0)
    assert set(map(tuple, wanted.tolist())) <= set(map(tuple, shown[1].pairs().tolist()))
    twice = [
        local_alignment(target, each, replace(scoring, pairing=pairing)).pairs().tolist() for each in (query, found)
    ]
    assert twice[0] != twice[1]  # the target's profile counts too
