"""The law of chance scores: fitted on simulated scores whose law is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protvec.statistics import (
    EDGES,
    GUMBEL,
    Law,
    Null,
    Prior,
    Tail,
    Usual,
    cosine_prior,
    fit_many,
    fit_prior,
    fit_tails,
    log_chosen,
    log_length,
    segment_prior,
)

LAWS = st.builds(Law, st.sampled_from([1.0, 1.5, 5.0, 30.0, 200.0]))


def drawn(law: Law, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Standard scores of a law without a tail."""
    g = np.random.default_rng(seed).gamma(law.shape, 1.0, shape)
    return math.sqrt(law.shape) * (math.log(law.shape) - np.log(g))


def simulated(
    law: Law, seed: int, *, queries: int = 1, targets: int = 1000, spread: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Scores ``20 + 3 x + 2 exp(spread x) Z``, and the lengths."""
    lengths = np.random.default_rng(seed).integers(40, 1500, targets)
    x = log_length(lengths)
    return 20 + 3 * x + 2 * np.exp(spread * x) * drawn(law, (queries, targets), seed + 1), lengths


def prior_of(law: Law, **changes: object) -> Prior:
    """One that knows the law and nothing else."""
    vague = Prior(law, place=(0.0, 0.0), slope=(0.0, 0.0), log_scale=(0.0, 0.0), weights=(0.001, 0.001, 0.5))
    return replace(vague, **changes)


# The law


def test_gumbel_is_the_law_of_shape_1() -> None:
    z = np.linspace(-3, 30, 50)
    np.testing.assert_allclose(np.exp(GUMBEL.log_survival(z)), -np.expm1(-np.exp(-z)), rtol=1e-9)
    np.testing.assert_allclose(GUMBEL.log_density(z), -z - np.exp(-z), rtol=1e-12)


def test_a_great_shape_is_nearly_normal() -> None:
    z = np.linspace(-1, 4, 20)
    normal = np.array([0.5 * math.erfc(each / math.sqrt(2)) for each in z])
    np.testing.assert_allclose(np.exp(Law(1e4).log_survival(z)), normal, rtol=0.15)


@settings(deadline=None)
@given(LAWS)
def test_density_and_survival_belong_together(law: Law) -> None:
    z = np.linspace(-3, 12, 3001)
    density = np.exp(law.log_density(z))
    step = z[1] - z[0]
    between = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * step)])
    survival = np.exp(law.log_survival(z))
    np.testing.assert_allclose(survival[0] - survival, between, atol=1e-5)


@settings(deadline=None)
@given(LAWS, st.floats(1e-12, 0.99))
def test_a_quantile_has_its_share_above_it(law: Law, share: float) -> None:
    assert float(law.log_survival(law.quantile(share))) == pytest.approx(math.log(share), rel=1e-6, abs=1e-9)


@settings(deadline=None)
@given(
    st.sampled_from([Law(1.0), Law(20.0), Law(20.0, (Tail(1e-4, 2.0, bend=0.1),))]),
    st.floats(-30, 1e4),
    st.floats(0, 100),
)
def test_survival_never_rises_and_is_never_nothing(law: Law, z: float, further: float) -> None:
    here, there = law.log_survival(z), law.log_survival(z + further)
    assert -np.inf < there <= here + 1e-12 <= 1e-12  # sums are rounded


def test_a_tail_is_added_to_the_body() -> None:
    law, z = Law(20.0, (Tail(1e-3, 2.0, 0.75), Tail(1e-2, 3.0, 0.25))), np.array([0.0, 3.0, 9.0])
    body, first, second = np.exp(Law(20.0).log_survival(z)), [1, 1, math.exp(-3)], [1, 1, math.exp(-2)]
    both = body + 0.75 * 1e-3 * np.array(first) + 0.25 * 1e-2 * np.array(second)
    np.testing.assert_allclose(np.exp(law.log_survival(z)), np.minimum(both, 1), rtol=1e-9)
    likely = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    both = body + np.array([1e-3, 1e-2, 1e-2 * math.exp(-2)])
    np.testing.assert_allclose(np.exp(law.log_survival(z, likely)), np.minimum(both, 1), rtol=1e-9)


def test_a_tail_that_bends_falls_faster_and_its_density_is_what_it_falls_by() -> None:
    law = Law(20.0, (Tail(1e-3, 2.0, 0.5), Tail(1e-3, 2.0, 0.5, bend=0.1)))
    tails, z = law.tail_values, np.linspace(3, 12, 2000)
    plain, bent = np.exp(tails.log_survival(z)).T
    np.testing.assert_allclose(bent / plain, np.exp(-0.1 * (z - 3) ** 2), rtol=1e-9)
    middle = (z[1:] + z[:-1]) / 2
    fallen = -np.diff(np.exp(tails.log_survival(z)), axis=0) / np.diff(z)[:, None]
    np.testing.assert_allclose(tails.density(middle), fallen, rtol=1e-4)


@pytest.mark.parametrize("shape", [0.0, -1.0, math.nan, math.inf])
def test_no_law_has_such_a_shape(shape: float) -> None:
    with pytest.raises(ValueError, match="shape of the law"):
        Law(shape)


@pytest.mark.parametrize(
    "values", [(0.0, 1.0), (0.5, 1.0), (0.01, 0.0), (0.01, math.inf), (0.01, 1.0, 1.5), (0.01, 1.0, 1.0, -0.1)]
)
def test_no_tail_is_like_that(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="no tail has"):
        Tail(*values)


def test_weights_of_tails_are_1_together() -> None:
    with pytest.raises(ValueError, match="1 together"):
        Law(20.0, (Tail(1e-3, 1.0, 0.5), Tail(1e-2, 1.0, 0.4)))


def test_a_share_is_between_0_and_1() -> None:
    with pytest.raises(ValueError, match="share of 1"):
        GUMBEL.quantile(1)


def test_looks_count_the_body_and_not_the_tails() -> None:
    z = np.linspace(-3, 12, 40)
    body, both = Law(40.0), Law(40.0, (Tail(1e-3, 1.0),))
    more = np.exp(body.log_survival(z, looks=1.3) - body.log_survival(z))
    np.testing.assert_allclose(more[z > 0], 1.3)
    more = np.exp(both.log_survival(z, looks=1.3) - both.log_survival(z))
    assert more[z > 0][0] == pytest.approx(1.3, abs=0.01)
    assert more[-1] == pytest.approx(1, abs=1e-3)
    assert both.log_survival(-3.0, looks=1.3) == 0
    assert both.log_predicted(4.0, 1e9, looks=1.3) == pytest.approx(both.log_survival(4.0, looks=1.3), abs=1e-4)


@pytest.mark.parametrize("law", [GUMBEL, Law(20.0)])
def test_a_law_known_from_few_scores_is_wider(law: Law) -> None:
    z = np.linspace(-3, 50, 40)
    few, many = law.log_predicted(z, 10), law.log_predicted(z, 1e9)
    np.testing.assert_allclose(many, law.log_survival(z), rtol=1e-4)
    assert (few >= many - 1e-6).all()
    assert few[-1] > many[-1] / 2
    assert (np.diff(few) <= 0).all()


# The fit


@settings(max_examples=15, deadline=None)
@given(LAWS, st.integers(0, 1000), st.sampled_from([-0.1, 0.0, 0.2]))
def test_a_fit_finds_the_parameters_again(law: Law, seed: int, spread: float) -> None:
    scores, lengths = simulated(law, seed, spread=spread)
    null = Null.fit(scores[0], lengths, query_length=200, prior=prior_of(law, spread=spread))
    assert null.place == pytest.approx(20, abs=0.5)
    assert null.slope == pytest.approx(3, abs=0.5)
    assert null.scale == pytest.approx(2, rel=0.15)
    assert null.scores + null.left_out == 1000
    assert null.left_out <= 3


@settings(max_examples=15, deadline=None)
@given(LAWS, st.integers(0, 1000), st.integers(0, 200), st.floats(20, 1000))
def test_a_family_in_the_sample_does_not_move_it(law: Law, seed: int, members: int, away: float) -> None:
    scores, lengths = simulated(law, seed)
    prior = prior_of(law)
    (without,) = fit_many(scores[:, members:], lengths[members:], query_lengths=[200], prior=prior)
    scores[0, :members] = 20 + 3 * log_length(lengths[:members]) + 2 * away
    (null,) = fit_many(scores, lengths, query_lengths=[200], prior=prior)
    assert null.left_out >= members
    assert null.place == pytest.approx(without.place, abs=0.15)
    assert null.scale == pytest.approx(without.scale, rel=0.08)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_the_unit_of_scores_does_not_matter(seed: int, shift: float, unit: float) -> None:
    scores, lengths = simulated(GUMBEL, seed, targets=200)
    first = Null.fit(scores[0], lengths, query_length=200, prior=prior_of(GUMBEL, weights=(1e-9, 1e-9, 1e-9)))
    other = prior_of(GUMBEL, weights=(1e-9, 1e-9, 1e-9), place=(shift, 0.0), log_scale=(math.log(unit), 0.0))
    second = Null.fit(scores[0] * unit + shift, lengths, query_length=200, prior=other)
    a = first.log_p(scores[0] + 5, lengths)
    np.testing.assert_allclose(second.log_p((scores[0] + 5) * unit + shift, lengths), a, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("law", [GUMBEL, Law(20.0)])
def test_e_is_the_number_of_chance_hits(law: Law) -> None:
    scores, lengths = simulated(law, 5, queries=200, targets=5000)
    nulls = fit_many(scores[:, :500], lengths[:500], query_lengths=[200] * 200, prior=prior_of(law))
    for evalue in (1.0, 10.0, 100.0):
        found = [(null.evalue(row, lengths, 5000) <= evalue).sum() for null, row in zip(nulls, scores, strict=True)]
        assert np.mean(found) == pytest.approx(evalue, rel=0.3, abs=0.3)


def test_a_fit_of_many_is_that_of_each() -> None:
    scores, lengths = simulated(Law(20.0), 3, queries=5, targets=300)
    prior = prior_of(Law(20.0))
    together = fit_many(scores, lengths, query_lengths=[100, 200, 300, 400, 500], prior=prior)
    for null, row, length in zip(together, scores, (100, 200, 300, 400, 500), strict=True):
        alone = Null.fit(row, lengths, query_length=length, prior=prior)
        assert alone.place == pytest.approx(null.place, abs=1e-3)
        assert alone.scale == pytest.approx(null.scale, rel=1e-3)


def test_what_is_not_finite_is_left_out() -> None:
    scores, lengths = simulated(GUMBEL, 3, targets=300)
    without = Null.fit(scores[0, 1:], lengths[1:], query_length=200, prior=prior_of(GUMBEL))
    scores[0, 0] = np.nan
    null = Null.fit(scores[0], lengths, query_length=200, prior=prior_of(GUMBEL))
    assert null.scores == without.scores == 299 - null.left_out
    assert null.place == pytest.approx(without.place, abs=1e-3)


@pytest.mark.parametrize("number", [0, 1, 3, 19])
def test_few_scores_stay_near_the_prior(number: int) -> None:
    prior = Prior(GUMBEL, place=(20.0, 1.0), slope=(3.0, 0.0), log_scale=(math.log(2), 0.1), weights=(20.0, 20.0, 20.0))
    scores, lengths = simulated(GUMBEL, 9, targets=number)
    null = Null.fit(scores[0], lengths, query_length=200, prior=prior)
    assert null.scores == number
    assert null.place == pytest.approx(20, abs=0.0 if not number else 1.5)
    assert null.scale == pytest.approx(2, rel=1e-9 if not number else 0.5)


def test_scores_that_are_all_the_same_can_be_fitted() -> None:
    null = Null.fit(np.full(300, 0.5), np.full(300, 100), query_length=100, prior=prior_of(Law(20.0)))
    assert null.scale > 0
    assert np.isfinite(null.log_p(0.5, 100))


# What is read of it


@settings(deadline=None)
@given(st.floats(-5, 200), st.floats(0, 50), st.integers(1, 40_000), st.integers(1, 10**7))
def test_a_better_score_never_has_a_greater_e(score: float, better: float, length: int, n: int) -> None:
    null = Null(Law(1.5, (Tail(1e-5, 1.0),)), place=20.0, slope=3.0, scale=2.0, spread=0.2)
    high, low = null.evalue([score, score + better], length, n)
    assert 0 <= low <= high <= n
    bits = null.bits(score, length)
    assert n * 2.0 ** -float(bits) == pytest.approx(high, rel=1e-9)


# Scores of what was chosen before


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("share", [0.02, 0.3])
def test_what_is_chosen_is_counted_as_simulation_does(correlation: float, share: float) -> None:
    rng = np.random.default_rng(3)
    score, chosen_by = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], 1_000_000).T
    chosen = chosen_by >= np.quantile(chosen_by, 1 - share)
    for z in (-2.0, 0.0, 1.0, 2.0):
        log_p = np.array([math.log(0.5 * math.erfc(z / math.sqrt(2)))])
        expected = (chosen & (score >= z)).mean()
        assert np.exp(log_chosen(log_p, share, correlation))[0] == pytest.approx(expected, rel=0.03, abs=1e-4)


def test_what_all_are_chosen_of_is_as_it_is() -> None:
    log_p = np.array([0.0, -1.0, -1e5])
    np.testing.assert_array_equal(log_chosen(log_p, 1.0, 0.5), log_p)


@settings(deadline=None)
@given(st.floats(1e-6, 0.999), st.floats(0, 0.95), st.floats(-900, 0), st.floats(0, 300))
def test_chosen_scores_keep_their_order(share: float, correlation: float, log_p: float, better: float) -> None:
    first, second = log_chosen(np.array([log_p, log_p - better]), share, correlation)
    assert second <= first + 1e-9
    assert first <= log_p + 1e-9


# The prior


def test_a_prior_of_a_database_has_its_law_and_lines() -> None:
    rng = np.random.default_rng(0)
    query_lengths = rng.integers(50, 800, 150).tolist()
    scores, lengths = simulated(Law(2.0), 1, queries=150, targets=300, spread=0.2)
    scores += 5 * log_length(query_lengths)[:, None]
    scores[:, :2] += 40  # homologues
    found = fit_prior(scores, lengths, query_lengths=query_lengths, start=prior_of(Law(10.0)))
    assert found.queries == 150
    assert 1.5 < found.law.shape < 3.0
    assert found.place == pytest.approx((20, 5), abs=0.5)
    assert found.slope == pytest.approx((3, 0), abs=0.5)
    assert found.log_scale == pytest.approx((math.log(2), 0), abs=0.12)
    assert found.spread == pytest.approx(0.2, abs=0.08)
    assert min(found.weights) > 30  # queries differ by their lengths alone


def test_too_few_queries_leave_the_prior_as_it_is() -> None:
    scores, lengths = simulated(GUMBEL, 1, queries=5, targets=300)
    start = prior_of(GUMBEL)
    assert fit_prior(scores, lengths, query_lengths=[200] * 5, start=start) is start


# Tails

LIGHT, HEAVY = Tail(1e-7, 1.0), Tail(1e-2, 2.0)


def with_relatives(z: np.ndarray, share: np.ndarray, seed: int) -> np.ndarray:
    """These scores, but that such a share of each query's targets is of its family: from 3 to 6 units."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(z.shape) < share[:, None], rng.uniform(3, 6, z.shape), z)


def of_two_kinds(seed: int, *, queries: int = 300, targets: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Standard scores of queries of which a fifth have a heavy tail, and which these are."""
    rng = np.random.default_rng(seed)
    z, heavy = drawn(Law(20.0), (queries, targets), seed), rng.random(queries) < 0.2
    beyond = heavy[:, None] & (rng.random(z.shape) < HEAVY.share)
    return np.where(beyond, 3 + rng.exponential(HEAVY.reach, z.shape), z), heavy


def test_how_many_queries_have_a_tail_is_found() -> None:
    z, heavy = of_two_kinds(4)
    z[0, :5] = np.nan
    law = fit_tails(Law(20.0), z, (LIGHT, HEAVY))
    assert [tail.weight for tail in law.tails] == pytest.approx([1 - heavy.mean(), heavy.mean()], abs=0.01)


def test_each_query_has_the_tail_that_its_sample_shows() -> None:
    z, heavy = of_two_kinds(5)
    law = Law(20.0, (replace(LIGHT, weight=0.8), replace(HEAVY, weight=0.2)))
    shares = np.random.default_rng(6).choice([0.0, 0.01, 0.02, 0.05, 0.1], len(z), p=[0.8, 0.05, 0.05, 0.05, 0.05])
    sample = with_relatives(z[:, :500], shares, 7)
    nulls = fit_many(sample, [200] * 500, query_lengths=[200] * len(z), prior=prior_of(law))
    likely = np.array([null.tails[1] for null in nulls if null.tails])
    assert likely[heavy].mean() > 0.5 > 0.2 > likely[~heavy].mean()
    assert (likely > 0.5)[heavy].mean() > 0.5
    # As sure as it says: of those that have it with a chance of one half and more, so many have it.
    sure = likely > 0.5
    assert heavy[sure].mean() == pytest.approx(likely[sure].mean(), abs=0.1)
    evalues = [np.sort(null.evalue(row, 200, z.shape[1]))[:3] for null, row in zip(nulls, z, strict=True)]
    assert np.mean([(each <= 0.1).sum() for each in evalues]) < 0.3


def test_homologues_show_no_tail() -> None:
    law = Law(20.0, (replace(LIGHT, weight=0.8), replace(HEAVY, weight=0.2)))
    z = drawn(law, (20, 500), 6)
    family = np.concatenate([z, np.full((20, 50), 30.0)], axis=1)
    without, having = (
        np.array(
            [
                null.tails
                for null in fit_many(each, [200] * each.shape[1], query_lengths=[200] * 20, prior=prior_of(law))
            ]
        )
        for each in (z, family)
    )
    np.testing.assert_allclose(having[:, 1], without[:, 1], atol=0.2)
    assert having[:, 1].mean() < 0.2


def test_a_large_family_is_no_tail() -> None:
    """In a small database a tenth of the proteins may be of the query's family, whose distant ones score as a tail."""
    law = Law(20.0, (replace(LIGHT, weight=0.8), replace(HEAVY, weight=0.2)))
    for share in (0.1, 0.15):
        z = with_relatives(drawn(law, (20, 200), 8), np.full(20, share), 9)
        nulls = fit_many(z, [200] * 200, query_lengths=[200] * 20, prior=prior_of(law))
        assert np.mean([null.tails[1] for null in nulls if null.tails]) < 0.5


def test_a_query_without_scores_has_the_usual_tails() -> None:
    law = Law(20.0, (replace(LIGHT, weight=0.8), replace(HEAVY, weight=0.2)))
    (null,) = fit_many(np.zeros((1, 0)), [], query_lengths=[200], prior=prior_of(law))
    assert null.tails == pytest.approx((0.8, 0.2))
    z = np.array([2.0, 5.0, 9.0])
    np.testing.assert_allclose(null.law.log_survival(z, np.array(null.tails)), law.log_survival(z))


def distances(lengths: np.ndarray, seed: int) -> np.ndarray:
    """Of mean vectors: the fewer residues, the farther."""
    rng = np.random.default_rng(seed)
    return np.sqrt(200 + 20_000 / lengths) * np.exp(rng.normal(0, 0.08, len(lengths)))


def test_kinds_are_distances_for_the_length() -> None:
    rng = np.random.default_rng(1)
    lengths = rng.integers(40, 900, 512)
    usual = Usual.fit(distances(lengths, 2), lengths, dimension=256, fitted_on=100_000)
    assert usual is not None
    assert usual.width == pytest.approx(0.08, rel=0.1)
    others = rng.integers(40, 900, 5000)
    far = distances(others, 3)
    kinds = usual.kinds(far, others)
    assert (kinds > 0).mean() == pytest.approx(0.067, abs=0.03)  # beyond 1.5 deviations
    for part in (others < 60, (others > 60) & (others < 120), others > 500):
        assert (kinds[part] > 0).mean() < 0.2
    tiny = rng.integers(4, 40, 500)
    assert (usual.kinds(distances(tiny, 6), tiny) == 0).mean() > 0.8
    assert usual.kinds(far * np.exp(5 * 0.08), others).mean() > len(EDGES) - 0.5
    assert (usual.kinds(np.zeros(1), [200]) == 0).all()


def test_of_few_proteins_nobody_is_unusual() -> None:
    lengths = np.arange(100, 612)
    far = distances(lengths, 4)
    assert Usual.fit(far, lengths, dimension=256, fitted_on=2_000) is None
    assert Usual.fit(far[:50], lengths[:50], dimension=256, fitted_on=9_000) is None
    assert Usual.fit(far, lengths, dimension=256, fitted_on=2_048) is not None


def test_proteins_that_took_no_part_in_the_fit_are_as_far() -> None:
    rng = np.random.default_rng(5)
    fitted_on, others = (rng.standard_normal((n, 40)) for n in (400, 4000))
    factor = np.linalg.cholesky(np.linalg.inv(fitted_on.T @ fitted_on / 400))
    inside, outside = (np.linalg.norm(each @ factor, axis=1) for each in (fitted_on, others))
    usual = Usual.fit(inside, np.full(400, 200), dimension=40, fitted_on=400)
    assert usual is not None
    assert (usual.kinds(outside, np.full(4000, 200)) > 0).mean() == pytest.approx(0.067, abs=0.03)
    naive = (np.log(outside) - np.median(np.log(inside))) / np.log(inside).std() > EDGES[0]
    assert naive.mean() > 0.1


def test_the_kind_of_a_query_is_believed_as_its_sample_is() -> None:
    light, heavy = (0.99, 0.01), (0.05, 0.95)
    law = Law(20.0, (replace(LIGHT, weight=0.8), replace(HEAVY, weight=0.2)))
    prior = replace(prior_of(law), kinds=(light, heavy))
    z = drawn(law, (3, 200), 11)
    nulls = fit_many(z[[0, 0, 0]], [200] * 200, query_lengths=[200] * 3, prior=prior, kinds=np.array([0, -1, 1]))
    tails = [null.tails[1] for null in nulls if null.tails]
    assert tails[0] < tails[1] < tails[2]
    odds = [tail / (1 - tail) for tail in tails]
    assert odds[2] / odds[0] == pytest.approx((0.95 / 0.05) / (0.01 / 0.99), rel=1e-6)  # Bayes' rule
    (unknown,) = fit_many(z[:1], [200] * 200, query_lengths=[200], prior=prior)
    assert unknown.tails == pytest.approx(nulls[1].tails)
    many = fit_many(z[[0] * 150], [200] * 200, query_lengths=[200] * 150, prior=prior, kinds=np.arange(150) % 2)
    assert many[64].tails == pytest.approx(nulls[0].tails)  # whatever is fitted beside it
    assert many[149].tails == pytest.approx(nulls[2].tails)


def test_shipped_weights_are_of_every_kind() -> None:
    for prior in (cosine_prior("whitened", 256), segment_prior("whitened", 256)):
        assert len(prior.kinds) == len(EDGES) + 1
        for weights in prior.kinds:
            assert sum(weights) == pytest.approx(1)
            assert len(weights) == len(prior.law.tails)
        far = np.array([prior.law.log_survival(9.0, np.array(weights)) for weights in prior.kinds])
        assert (np.diff(far) > 0).all()  # the more unusual, the heavier
