"""The search space: fits, their limits, and that the same goes in and comes out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from protvec.errors import QueryError
from protvec.products import eigh, single_products
from protvec.transform import ENOUGH, KINDS, LEAST_SHRINKAGE, Moments, Transform, fit, fitted, raw, shrinkage_for

D = 12


def vectors(n: int, seed: int = 0, d: int = D) -> np.ndarray:
    """Alike, and unlike mostly in a few directions, as those of a language model are."""
    rng = np.random.default_rng(seed)
    spread = np.geomspace(1, 0.01, d)
    return (5 + rng.standard_normal((n, d)) * spread).astype(np.float32)


def oracle(rows: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Whitening by the textbook, in float64."""
    wide = of.astype(np.float64)
    centred = wide - wide.mean(axis=0)
    covariance = centred.T @ centred / len(of)
    s = shrinkage_for(*of.shape)
    shrunk = (1 - s) * covariance + s * np.trace(covariance) / of.shape[1] * np.eye(of.shape[1])
    turned = (rows.astype(np.float64) - wide.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(shrunk)).T
    unit: np.ndarray = turned / np.linalg.norm(turned, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize("n", [ENOUGH, 100, 3000])
def test_whitened_cosines_are_those_of_the_textbook(n: int) -> None:
    of, rows = vectors(n), vectors(30, seed=1)
    got = fitted([of], D).apply(rows)
    want = oracle(rows, of)
    assert np.allclose(got @ got.T, want @ want.T, atol=2e-5)


@settings(max_examples=30)
@given(st.integers(1, 60), st.lists(st.integers(0, 60), max_size=5), st.integers(0, 99))
def test_moments_do_not_depend_on_how_vectors_arrive(n: int, cuts: list[int], seed: int) -> None:
    of = vectors(n, seed)
    moments = Moments(D)
    for part in np.split(of, sorted(min(c, n) for c in cuts)):
        moments.add(part)
    assert moments.count == n
    assert np.allclose(moments.mean, of.mean(axis=0, dtype=np.float64), atol=1e-12)
    assert np.allclose(moments.covariance, np.cov(of.T.astype(np.float64), bias=True), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_distances_are_the_lengths_that_are_taken_away(kind: str) -> None:
    of = vectors(300)
    transform = fitted([of], D, kind)
    distances = transform.distances(of)
    matrix = np.eye(D) if transform.matrix is None else transform.matrix
    np.testing.assert_allclose(
        transform.apply(of) * distances[:, None], (of - transform.mean) @ matrix, rtol=1e-4, atol=1e-4
    )
    assert transform.distances(of[:0]).shape == (0,)


@settings(max_examples=20)
@given(st.sampled_from(KINDS), st.integers(2, 200), st.integers(0, 99))
def test_what_is_applied_has_length_one_and_knows_no_company(kind: str, n: int, seed: int) -> None:
    of = vectors(n, seed)
    transform = fitted([of], D, kind)
    every = transform.apply(of)
    assert every.dtype == np.float32
    assert np.allclose(np.linalg.norm(every, axis=1), 1, atol=1e-6)
    one_by_one = np.concatenate([transform.apply(row[None]) for row in of])
    assert np.abs(one_by_one - every).max() <= 1e-7


@settings(max_examples=20)
@given(st.sampled_from(KINDS), st.integers(2, 50))
def test_bytes_bring_the_same_back(kind: str, n: int) -> None:
    transform = fitted([vectors(n)], D, kind)
    back = Transform.from_bytes(transform.to_bytes())
    assert (back.kind, back.proteins, back.shrinkage, back.key) == (
        kind,
        transform.proteins,
        transform.shrinkage,
        transform.key,
    )
    rows = vectors(9, seed=3)
    assert np.array_equal(back.apply(rows), transform.apply(rows))


def test_the_same_vectors_give_the_same_fit_and_others_another() -> None:
    assert fitted([vectors(50)], D).key == fitted([vectors(50)], D).key
    assert fitted([vectors(50)], D).key != fitted([vectors(51)], D).key


def test_few_proteins_are_compared_raw_and_more_are_whitened() -> None:
    assert fitted([vectors(ENOUGH - 1)], D).kind == "raw"
    assert fitted([vectors(ENOUGH)], D).kind == "whitened"


def test_raw_scores_are_plain_cosines() -> None:
    rows = vectors(5)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.allclose(raw(D).apply(rows), unit, atol=1e-7)


def test_shrinkage_goes_down_as_proteins_come_in() -> None:
    amounts = [shrinkage_for(n, 768) for n in (20, 200, 2000, 20_000, 1_000_000)]
    assert amounts == sorted(amounts, reverse=True)
    assert amounts[0] < 1
    assert amounts[-1] == LEAST_SHRINKAGE


def test_whitening_makes_small_differences_count() -> None:
    """Two kinds of proteins differ in a direction that varies little, beneath large differences that mean nothing."""
    rng = np.random.default_rng(0)
    of = vectors(2000)
    sign = np.where(rng.random(2000) < 0.5, 1, -1)
    of[:, -1] = 5 + 0.02 * sign
    found = {}
    for kind in ("raw", "whitened"):
        unit = fitted([of], D, kind).apply(of)
        scores = unit[:200] @ unit.T
        scores[np.arange(200), np.arange(200)] = -2
        found[kind] = (sign[scores.argmax(axis=1)] == sign[:200]).mean()
    assert found["raw"] < 0.6 < 0.7 < found["whitened"]


def test_vectors_without_spread_and_the_mean_itself_have_a_direction() -> None:
    same = np.ones((30, D), np.float32)
    for kind in KINDS:
        got = fitted([same], D, kind).apply(same)
        assert np.isfinite(got).all()
        assert np.allclose(np.linalg.norm(got, axis=1), 1, atol=1e-6)


def test_wrong_asks_are_said() -> None:
    with pytest.raises(QueryError, match="no scoring 'whitend'"):
        fitted([vectors(30)], D, "whitend")
    with pytest.raises(QueryError, match="there are 1: use raw"):
        fitted([vectors(1)], D, "centred")
    with pytest.raises(ValueError, match=r"not \(N, 12\)"):
        Moments(D).add(vectors(2, d=5))


def test_damage_and_newer_versions_are_said() -> None:
    data = fit_bytes = fitted([vectors(30)], D).to_bytes()
    for damaged in (b"", data[:100], fit_bytes[:-30], b"not a file of arrays"):
        with pytest.raises(QueryError, match="damaged"):
            Transform.from_bytes(damaged)


def test_an_empty_database_is_raw() -> None:
    assert fit(Moments(D)).kind == "raw"


def test_products_take_one_thread_until_the_last_who_wants_that_is_done() -> None:
    def threads() -> dict[str, int]:
        return {each["filepath"]: each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    before = threads()
    assert before  # numpy has its own
    with single_products():
        with single_products():
            assert set(threads().values()) == {1}
        assert set(threads().values()) == {1}
    assert threads() == before
    symmetric = np.array([[2.0, 1.0], [1.0, 2.0]])
    values, vectors = eigh(symmetric)
    np.testing.assert_allclose(vectors @ np.diag(values) @ vectors.T, symmetric)
    assert threads() == before
