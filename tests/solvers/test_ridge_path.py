"""Ridge paths against refits and hat matrices written out."""

import numpy as np
import pytest

from widenet.errors import InvalidInput
from widenet.solvers.ridge_path import best_ridge
from widenet.solvers.streaming import NormalEquations

RIDGES = np.array([1e-2, 2.0, 50.0])


def problem(n, size, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, size)) + 2.0
    return Z, np.c_[np.sin(Z[:, 0]), Z[:, 1] * Z[:, 0]], rng.integers(1, 4, n).astype(float)


def hat(Z, weight, ridge):
    """Matrix from the targets to the predictions, with a free intercept."""
    wide = np.c_[Z, np.ones(len(Z))]
    penalty = np.diag([*np.full(Z.shape[1], ridge), 0.0])
    return wide @ np.linalg.solve(wide.T @ (weight[:, None] * wide) + penalty, wide.T * weight)


@pytest.mark.parametrize(("n", "size"), [(40, 6), (15, 30)])
def test_errors_and_freedom_are_those_of_the_hat_matrix(n, size):
    Z, y, weight = problem(n, size)
    path = NormalEquations(size, 2).add(Z, y, weight).ridge_path(RIDGES, "absolute")
    for row, ridge in enumerate(RIDGES):
        H = hat(Z, weight, ridge)
        error = weight @ np.square(y - H @ y) / weight.sum()
        np.testing.assert_allclose(path.degrees_of_freedom[row], np.trace(H), rtol=1e-8)
        np.testing.assert_allclose(path.squared_errors[row], error, rtol=1e-6)
        np.testing.assert_allclose(path.gcv[row], error / (1 - np.trace(H) / weight.sum()) ** 2, rtol=1e-6)


@pytest.mark.parametrize(("n", "size"), [(30, 6), (12, 30)])
def test_leave_one_out_is_a_refit_without_the_row(n, size):
    Z, y, _ = problem(n, size)
    spectrum = NormalEquations(size, 2).add(Z, y).decompose("absolute")
    predictions = spectrum.leave_one_out(Z[:8], y[:8], RIDGES)
    for row in range(8):
        rest = np.arange(n) != row
        path = NormalEquations(size, 2).add(Z[rest], y[rest]).ridge_path(RIDGES, "absolute")
        expected = np.einsum("s,rst->rt", Z[row], path.coefficients) + path.intercepts
        np.testing.assert_allclose(predictions[:, row], expected, rtol=1e-7)


@pytest.mark.parametrize(("n", "size"), [(30, 6), (12, 30)])
def test_variances_of_the_targets(n, size):
    Z, y, weight = problem(n, size)
    expected = np.average(np.square(y - np.average(y, axis=0, weights=weight)), axis=0, weights=weight)
    spectrum = NormalEquations(size, 2).add(Z, y, weight).decompose()
    np.testing.assert_allclose(spectrum.target_variances, expected, rtol=1e-10)


def test_leave_one_out_takes_one_of_a_weight():
    Z, y, weight = problem(25, 4)
    predictions = NormalEquations(4, 2).add(Z, y, weight).decompose("absolute").leave_one_out(Z, y, RIDGES, weight)
    for row in range(25):
        less = weight - (np.arange(25) == row)
        path = NormalEquations(4, 2).add(Z, y, less).ridge_path(RIDGES, "absolute")
        expected = np.einsum("s,rst->rt", Z[row], path.coefficients) + path.intercepts
        np.testing.assert_allclose(predictions[:, row], expected, rtol=1e-9)


def test_ridge_zero_takes_the_least_coefficients_of_collinear_features():
    Z, y, _ = problem(40, 5)
    twice = np.c_[Z, Z[:, 0]]
    path = NormalEquations(6, 2).add(twice, y).ridge_path([0.0])
    centred = twice - twice.mean(axis=0)
    np.testing.assert_allclose(path.coefficients[0], np.linalg.pinv(centred) @ y, rtol=1e-8, atol=1e-10)
    assert path.degrees_of_freedom[0] == pytest.approx(6)


def test_no_freedom_scores_infinity_and_the_best_ridge_is_found():
    Z, y, _ = problem(12, 40)
    path = NormalEquations(40, 2).add(Z, y).ridge_path([0.0, 1.0])
    assert np.isinf(path.gcv[0]).all()
    assert np.isfinite(path.gcv[1]).all()
    assert path.squared_errors[0].max() < 1e-20


def test_noise_asks_for_the_largest_ridge():
    rng = np.random.default_rng(0)
    Z, noise = rng.normal(size=(300, 10)), rng.normal(size=300)
    ridges = np.logspace(-6, 6, 13)
    scores = NormalEquations(10).add(Z, noise).ridge_path(ridges).gcv[:, 0]
    assert scores.argmin() > 7
    assert NormalEquations(10).add(Z, Z[:, 0]).ridge_path(ridges).gcv[:, 0].argmin() == 0


@pytest.mark.parametrize("ridges", [[-1.0], [np.nan], [np.inf], np.zeros((2, 2))])
def test_ridges_that_are_none_are_refused(ridges):
    Z, y, _ = problem(12, 4)
    with pytest.raises(InvalidInput, match="ridges"):
        NormalEquations(4, 2).add(Z, y).ridge_path(ridges)


def test_the_best_ridge_is_the_least_score_of_functions_of_bounded_size():
    ridges = np.array([1e-8, 1e-4, 1e-2, 1.0])
    assert best_ridge(ridges, np.array([0.5, 0.6, 0.7, 0.8])) == 2  # 0.6 / 1e-4 is 6,000 times the targets' variance
    assert best_ridge(ridges, np.array([1e-9, 0.6, 0.7, 0.8])) == 0
    assert best_ridge(np.array([0.0]), np.array([0.5])) == 0  # a ridge that was given
