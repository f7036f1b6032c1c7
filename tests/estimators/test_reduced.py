"""Ridge regression on fitted features: coefficients, the choice of the ridge, leave-one-out, against plain algebra."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from widenet.estimators import reduced
from widenet.estimators.reduced import Task, fit_reduced, leave_out
from widenet.estimators.scaler import ScaledRows, Scaler
from widenet.features.base import FittedMap


class Monomials(FittedMap):
    """x, x^2, ..., x^size of the first coordinate."""

    def __init__(self, size):
        self.size = size

    def transform(self, X):
        return X[:, :1].astype(np.float64) ** np.arange(1, self.size + 1)


def task(ridge=None, weighted=True, n=60):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(n, 2))
    y = np.c_[np.sin(3 * X[:, 0]), 1e-3 * X[:, 0] ** 2] + [0.1, 1e-4] * rng.normal(size=(n, 2))
    weight = rng.uniform(0.2, 1.0, n) if weighted else np.ones(n)
    rows = ScaledRows(X, Scaler(np.zeros(2), np.ones(2)), np.float64)
    return Task(rows, y - weight @ y / weight.sum(), weight, np.array([1.0, 1e-3]), 0.7, ridge)


@pytest.mark.parametrize("block_bytes", [1, 2**26])
def test_a_given_ridge_is_that_of_scikit_learn(block_bytes, monkeypatch):
    monkeypatch.setattr(reduced, "_BLOCK_BYTES", block_bytes)
    problem, features = task(ridge=0.02), Monomials(5)
    fitted = fit_reduced(features, problem)
    peer = Ridge(0.02 * 0.7, solver="svd").fit(features.transform(problem.X[:]), problem.target, problem.weight)
    np.testing.assert_allclose(fitted.coefficients.T, peer.coef_, rtol=1e-7)
    np.testing.assert_allclose(fitted.offset, peer.intercept_, rtol=1e-7, atol=1e-12)
    assert fitted.ridge == 0.02
    assert fitted.residual < 1e-10


def test_the_ridge_is_that_of_least_generalised_cross_validation():
    problem, features = task(weighted=False), Monomials(8)
    fitted = fit_reduced(features, problem)
    Z = features.transform(problem.X[:])
    Z, y, n = Z - Z.mean(axis=0), problem.target / problem.unit, len(Z)
    scores = []
    for ridge in reduced.RIDGES:
        hat = Z @ np.linalg.solve(Z.T @ Z + ridge * 0.7 * np.eye(8), Z.T) + 1 / n
        scores.append(np.square(y - hat @ y).sum() / n / (1 - np.trace(hat) / n) ** 2)
    best = int(np.argmin(scores))
    assert 0 < best < len(scores) - 1
    assert fitted.ridge == pytest.approx(reduced.RIDGES[best])
    assert fitted.score == pytest.approx(scores[best] / (np.square(y).sum() / n), rel=1e-6)


def test_rows_are_left_out_as_by_refits():
    problem, features = task(ridge=0.01, weighted=False, n=25), Monomials(4)
    left = leave_out(features, problem, fit_reduced(features, problem))
    Z = features.transform(problem.X[:])
    for i, row in enumerate(left.rows):
        rest = np.arange(25) != row
        peer = Ridge(0.01 * 0.7, solver="svd").fit(Z[rest], problem.target[rest])
        np.testing.assert_allclose(left.predictions[i], peer.predict(Z[row : row + 1])[0], rtol=1e-6, atol=1e-10)


def test_a_part_of_many_rows_is_left_out(monkeypatch):
    monkeypatch.setattr(reduced, "CALIBRATION_ROWS", 7)
    problem, features = task(ridge=0.01), Monomials(4)
    left = leave_out(features, problem, fit_reduced(features, problem))
    assert left.predictions.shape == (7, 2)
    assert len(set(left.rows.tolist())) == 7


class Faint(FittedMap):
    """The first coordinate, and a millionth of the second."""

    size = 2

    def transform(self, X):
        return X * [1.0, 1e-6]


def test_ridges_that_ask_for_absurdly_large_functions_are_left_out():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(4000, 2))
    y = (X @ [1.0, 0.05] + 0.3 * rng.normal(size=4000))[:, None]
    rows = ScaledRows(X, Scaler(np.zeros(2), np.ones(2)), np.float64)
    problem = Task(rows, y - y.mean(), np.ones(4000), y.std(axis=0), 1 / 3, None)
    fitted = fit_reduced(Faint(), problem)
    scores = fitted.spectrum.generalized_cross_validation(reduced.RIDGES / 3)[:, 0]
    # The least score of all takes the faint feature in, with a coefficient of 50,000.
    assert reduced.RIDGES[scores.argmin()] == reduced.RIDGES[0]
    assert fitted.ridge >= fitted.score / 100
    assert np.abs(fitted.coefficients).max() < 2
