"""Closed forms of parity problems against reference values, enumeration, and samples."""

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from widenet.errors import InvalidInput
from widenet.theory.parity import BiasedParity, LeakyParity, recover_support

BIASED = [BiasedParity(8, 3, 0.3), BiasedParity(7, 2, 1.0, -0.4), BiasedParity(5, 5, 0.6, 0.9), BiasedParity(6, 4, 0.0)]
LEAKY = [LeakyParity(8, 3, 0.3), LeakyParity(7, 2, 0.9, -0.4), LeakyParity(5, 5, 0.6, 0.9), LeakyParity(6, 4, 0.0)]


# Values of two independent programs, from the same definitions.
@pytest.mark.parametrize(
    ("sizes", "inside", "outside", "linear", "affine"),
    [
        ((128, 7, 0.5), 0.0078125, 0.001953125, 1.49423104745e-4, 1.49579115317e-4),
        ((128, 7, 0.1), 0.0015625, 0.000390625, 7.82970567279e-6, 7.8335453457e-6),
        ((50, 3, 0.1), 0.025, 0.00625, 1.11954407952e-3, 1.12894917582e-3),
        ((30, 5, 0.25), 0.015625, 0.00390625, 4.8828125e-4, 4.8828125e-4),
        ((8, 3, 0.3), 0.075, 0.01875, 0.007370818564466, 0.007392243544660),
    ],
)
def test_closed_forms_of_the_biased_parity_agree_with_reference_values(sizes, inside, outside, linear, affine):
    problem = BiasedParity(*sizes)
    k = sizes[1]
    assert problem.label_correlations[:k] == pytest.approx(inside, rel=1e-14)
    assert problem.label_correlations[k:] == pytest.approx(outside, rel=1e-14)
    assert problem.linear_edge == pytest.approx(linear, rel=3e-12)
    assert problem.affine_edge == pytest.approx(affine, rel=3e-12)


@pytest.mark.parametrize("problem", BIASED + LEAKY, ids=repr)
def test_closed_forms_agree_with_enumeration(problem):
    law = problem.enumerate()
    X, p, mean = law.X, law.probability, law.label_mean
    assert p.sum() == pytest.approx(1, rel=1e-13)
    assert p.min() >= 0
    assert problem.label_mean == pytest.approx(p @ mean, abs=1e-15)
    np.testing.assert_allclose(problem.means, p @ X, atol=1e-14)
    np.testing.assert_allclose(problem.second_moments, X.T @ (p[:, None] * X), atol=1e-14)
    np.testing.assert_allclose(problem.label_correlations, (p * mean) @ X, atol=1e-14)
    assert problem.linear_edge == pytest.approx(law.best_edge(X), rel=1e-11, abs=1e-28)
    with_one = np.column_stack([X, np.ones(len(X))])
    assert problem.affine_edge == pytest.approx(law.best_edge(with_one), rel=1e-11, abs=1e-28)
    assert problem.bayes_edge == pytest.approx(law.edge(mean), rel=1e-12)
    wrong = p @ (1 - np.abs(mean)) / 2
    assert problem.bayes_error == pytest.approx(wrong, abs=1e-15)


@pytest.mark.parametrize("problem", [BiasedParity(8, 3, 0.3), LeakyParity(8, 3, 0.3), LeakyParity(5, 4, 1.0)], ids=repr)
def test_samples_follow_the_enumerated_law(problem):
    law, count = problem.enumerate(), 40_000
    X, y = problem.sample(count, 7)
    point = ((X + 1) / 2) @ 2.0 ** np.arange(problem.n)[::-1]
    joint = np.bincount((2 * point + (y + 1) / 2).astype(int), minlength=2 * len(law.X))
    expected = count * np.stack([law.probability * (1 - law.label_mean), law.probability * (1 + law.label_mean)], 1) / 2
    possible = expected.ravel() > 1e-9
    assert joint[~possible].sum() == 0
    statistic = np.sum((joint[possible] - expected.ravel()[possible]) ** 2 / expected.ravel()[possible])
    assert 1e-4 < stats.chi2.sf(statistic, possible.sum() - 1) < 1 - 1e-4


def test_a_leaky_parity_hides_from_every_product_of_less_coordinates():
    problem = LeakyParity(7, 4, 0.6)
    law = problem.enumerate()
    weighted = law.probability * law.label_mean
    for support in ([0, 1, 2], [1, 3, 5], [0, 4], [6], []):
        assert weighted @ np.prod(law.X[:, support], axis=1) == pytest.approx(0, abs=1e-15)
    assert weighted @ np.prod(law.X[:, :4], axis=1) == pytest.approx(0.4, rel=1e-13)


def test_the_sample_size_of_one_step_recovery_agrees_with_the_reference_value():
    problem = BiasedParity(40, 4, 0.5)
    assert problem.recovery_gap == pytest.approx(0.046875, rel=1e-14)
    assert problem.recovery_threshold == pytest.approx(0.0390625, rel=1e-14)
    assert problem.recovery_samples(4) == 29128


# Shares of exact recoveries of another program's runs: 0.07, 0.73, 1.00. Predictions within 0.04 of them leave room
# for the standard error of some 100 runs.
@pytest.mark.parametrize(("count", "share"), [(3_000, 0.07), (10_000, 0.73), (30_000, 1.0)])
def test_the_probability_of_recovery_agrees_with_reference_runs(count, share):
    assert BiasedParity(40, 4, 0.5).recovery_probability(count) == pytest.approx(share, abs=0.04)


@pytest.mark.parametrize("mu", [0.5, -0.5])
def test_the_probability_of_recovery_agrees_with_runs(mu):
    problem, count, runs = BiasedParity(12, 2, 0.6, mu), 120, 1500
    random = np.random.default_rng(0)
    hits = [recover_support(*problem.sample(count, random), problem.recovery_threshold) == (0, 1) for _ in range(runs)]
    predicted = problem.recovery_probability(count)
    assert 0.2 < predicted < 0.8
    # The normal law and the neglected products of means are good to 0.03 at this size.
    assert np.mean(hits) == pytest.approx(predicted, abs=0.03 + 3 * sqrt(0.25 / runs))


def test_recovery_counts_means_beyond_the_threshold_on_its_side():
    X = np.array([[1.0, -1.0, 1.0], [1.0, -1.0, -1.0]])
    assert recover_support(X, np.ones(2), 0.5) == (0,)
    assert recover_support(X, np.ones(2), -0.5) == (1,)


def test_what_recovery_cannot_do_is_told():
    with pytest.raises(InvalidInput, match="must not be 0"):
        BiasedParity(9, 3, 0.0).recovery_samples()
    with pytest.raises(InvalidInput, match="positive"):
        BiasedParity(9, 3, 0.5).recovery_samples(0)
    with pytest.raises(InvalidInput, match="1 point"):
        BiasedParity(9, 3, 0.5).recovery_probability(0)
    with pytest.raises(InvalidInput, match="not 0"):
        recover_support(np.ones((2, 3)), np.ones(2), 0.0)
    with pytest.raises(InvalidInput, match="3 labels for 2 points"):
        recover_support(np.ones((2, 3)), np.ones(3), 0.5)
