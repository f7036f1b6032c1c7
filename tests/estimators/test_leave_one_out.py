"""Closed forms of leave-one-out against refits with one row less."""

import numpy as np
import pytest

from widenet.estimators.leave_one_out import LeaveOneOut, factor_predictions
from widenet.solvers.cholesky import Cholesky


def problem(n=12, outputs=2):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 2))
    K = np.exp(-np.linalg.norm(X[:, None] - X[None], axis=2))
    return K * np.outer(1 + X[:, 0] ** 2, 1 + X[:, 0] ** 2), rng.normal(size=(n, outputs))


def refit(K, y, weight, ridge, row, unit):
    """Prediction of a row after a unit of its weight is taken away, by a solve from scratch."""
    weight = weight.copy()
    weight[row] -= unit
    rows = np.flatnonzero(weight > 1e-12)
    system = K[np.ix_(rows, rows)] + np.diag(ridge / weight[rows])
    return K[row, rows] @ np.linalg.solve(system, y[rows])


@pytest.mark.parametrize("weighted", [False, True])
def test_predictions_are_those_of_refits(weighted):
    K, y = problem()
    weight = np.array([1.0, 2.0, 3.0, 0.5] * 3) if weighted else np.ones(12)
    ridges = np.array([1e-3, 0.1, 2.0])
    decomposed = LeaveOneOut.of(K.copy(), weight)
    assert decomposed.level == pytest.approx(sum(weight * np.diag(K)) / sum(weight))
    predictions = decomposed.predictions(y, ridges)
    for index, ridge in enumerate(ridges * decomposed.level):
        for row in range(12):
            expected = refit(K, y, weight, ridge, row, min(weight[row], 1.0))
            np.testing.assert_allclose(predictions[index, row], expected, rtol=1e-8, atol=1e-10)


def test_a_cholesky_factor_gives_the_same():
    K, y = problem()
    weight = np.array([1.0, 2.0, 3.0, 0.5] * 3)
    factor = Cholesky().factor(K.copy(), 0.05, weight)
    predictions = factor_predictions(factor, factor.solve(y).value, y, weight)
    ridge = 0.05 * sum(weight * np.diag(K)) / sum(weight)
    expected = [refit(K, y, weight, ridge, row, min(weight[row], 1.0)) for row in range(12)]
    np.testing.assert_allclose(predictions, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("ridge", [0.0, 1e-30, 1e-14])
def test_rows_that_say_nothing_of_each_other_are_predicted_by_the_mean(ridge):
    K, y = np.eye(3), np.arange(6.0).reshape(3, 2)
    np.testing.assert_allclose(LeaveOneOut.of(K, np.ones(3)).predictions(y, np.array([ridge]))[0], 0.0, atol=1e-12)
    factor = Cholesky().factor(K, ridge)
    np.testing.assert_allclose(factor_predictions(factor, factor.solve(y).value, y, np.ones(3)), 0.0, atol=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 1e-14])
def test_without_a_ridge_the_others_interpolate(ridge):
    K, y = problem()
    weight = np.array([1.0, 2.0, 3.0, 0.5] * 3)
    expected = [refit(K, y, weight, ridge, row, min(weight[row], 1.0)) for row in range(12)]
    spectral = LeaveOneOut.of(K.copy(), weight).predictions(y, np.array([ridge]))[0]
    np.testing.assert_allclose(spectral, expected, rtol=1e-8, atol=1e-8)
    factor = Cholesky().factor(K.copy(), ridge, weight)
    np.testing.assert_allclose(
        factor_predictions(factor, factor.solve(y).value, y, weight), expected, rtol=1e-8, atol=1e-8
    )
