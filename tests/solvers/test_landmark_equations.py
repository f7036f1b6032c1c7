"""Kernel ridge on landmarks from sums over blocks, against dense formulas and explicit refits in float64."""

import numpy as np
import pytest
import torch

from widenet.architectures import fully_connected
from widenet.errors import InvalidFile, InvalidInput
from widenet.kernels import NTK, Gaussian, Laplace
from widenet.linalg.landmark_basis import choose_landmarks
from widenet.solvers.landmark_equations import LandmarkEquations

KERNEL = NTK(fully_connected(2))
RIDGES = np.array([1e-4, 1e-2, 1.0])


def data(n: int = 200, outputs: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(n, 3))
    y = np.sin(X @ generator.normal(size=(3, outputs))) + 0.1 * generator.normal(size=(n, outputs)) + 5.0
    return X, y, generator.uniform(0.3, 3.0, n)


def dense(K_nm: np.ndarray, K_mm: np.ndarray, y: np.ndarray, w: np.ndarray, ridge: float) -> np.ndarray:
    """Coefficients and intercept, (m + 1, outputs), that minimise the weighted squares plus ridge a^T K_mm a."""
    A = np.hstack([K_nm, np.ones((len(K_nm), 1))])
    penalty = np.zeros((A.shape[1], A.shape[1]))
    penalty[:-1, :-1] = ridge * K_mm
    return np.linalg.solve(A.T @ (w[:, None] * A) + penalty, A.T @ (w[:, None] * y))


@pytest.mark.parametrize("weighted", [False, True])
def test_every_fit_of_the_path_is_the_minimiser(weighted):
    X, y, w = data()
    w = w if weighted else np.ones(200)
    basis = choose_landmarks(KERNEL, X, 25)
    S, mean = basis.landmarks.numpy(), np.average(KERNEL.diagonal(X), weights=w)
    path = LandmarkEquations(basis, 2).add(X, y, w if weighted else None).ridge_path(RIDGES)
    new = np.random.default_rng(1).normal(size=(30, 3))
    for at, ridge in enumerate(RIDGES):
        expected = dense(KERNEL(X, S), KERNEL(S), y, w, ridge * mean)
        fit = path.fit(at)
        assert fit.ridge == pytest.approx(ridge * mean)
        wanted = KERNEL(new, S) @ expected[:-1] + expected[-1]
        np.testing.assert_allclose(fit.predict(new), wanted, rtol=0, atol=1e-6)
        np.testing.assert_allclose(fit.intercepts, expected[-1], rtol=0, atol=1e-6)
        errors = np.average((KERNEL(X, S) @ expected[:-1] + expected[-1] - y) ** 2, axis=0, weights=w)
        np.testing.assert_allclose(path.path.squared_errors[at], errors, rtol=1e-6)


def test_with_all_rows_as_landmarks_it_is_kernel_ridge_with_an_intercept():
    X, y, _ = data(80)
    K = Laplace(2.0)(X)
    path = LandmarkEquations(choose_landmarks(Laplace(2.0), X, 80), 2).add(X, y).ridge_path([0.1], "absolute")
    inverse = np.linalg.inv(K + 0.1 * np.eye(80))
    intercept = inverse.sum(0) @ y / inverse.sum()  # generalised least squares of a constant
    np.testing.assert_allclose(path.fit(0).predict(X), K @ inverse @ (y - intercept) + intercept, rtol=0, atol=1e-9)


def test_blocks_in_any_order_and_place_give_the_same_sums():
    X, y, w = data()
    basis = choose_landmarks(KERNEL, X, 20)
    whole = LandmarkEquations(basis, 2).add(X, y, w).ridge_path(RIDGES)
    parts = LandmarkEquations(basis, 2).add(X[120:], y[120:], w[120:])
    parts = parts + LandmarkEquations(basis, 2).add(X[:50], y[:50], w[:50]).add(X[50:120], y[50:120], w[50:120])
    found = parts.ridge_path(RIDGES)
    np.testing.assert_allclose(found.path.coefficients, whole.path.coefficients, rtol=0, atol=1e-9)
    assert found.relative == pytest.approx(whole.relative, rel=1e-12)
    assert found.best == whole.best


def test_leave_one_out_is_the_prediction_of_explicit_refits():
    X, y, _ = data(40)
    equations = LandmarkEquations(choose_landmarks(KERNEL, X, 12), 2).add(X, y)
    S, mean = equations.basis.landmarks.numpy(), KERNEL.diagonal(X).mean()
    found = equations.leave_one_out((X, y), RIDGES)
    for at, ridge in enumerate(RIDGES):
        for i in (0, 7, 39):
            others = np.arange(40) != i
            a = dense(KERNEL(X[others], S), KERNEL(S), y[others], np.ones(39), ridge * mean)
            np.testing.assert_allclose(found[at, i], KERNEL(X[[i]], S)[0] @ a[:-1] + a[-1], rtol=0, atol=1e-6)


def test_the_best_ridge_is_the_one_that_predicts():
    generator = np.random.default_rng(3)
    X = generator.uniform(-3, 3, size=(400, 1))
    y = np.sin(2 * X[:, 0]) + 0.3 * generator.normal(size=400)
    path = LandmarkEquations(choose_landmarks(Gaussian(0.5), X, 60)).add(X, y).ridge_path(10.0 ** np.arange(-9, 4))
    new = np.linspace(-2.9, 2.9, 200)[:, None]
    errors = [np.mean((path.fit(at).predict(new) - np.sin(2 * new[:, 0])) ** 2) for at in range(13)]
    assert errors[path.best] < 1.5 * min(errors)
    assert errors[path.best] < 0.5 * errors[0]
    assert path.fit().predict(new).shape == (200,)


def test_torch_and_float32_points_are_taken():
    X, y, w = data()
    basis = choose_landmarks(KERNEL, torch.from_numpy(X), 20)
    double = LandmarkEquations(basis, 2).add(torch.from_numpy(X), torch.from_numpy(y), torch.from_numpy(w))
    single = LandmarkEquations(basis, 2).add(X.astype(np.float32), y, w)
    found = [e.ridge_path([1e-3]).fit(0).predict(torch.from_numpy(X)) for e in (double, single)]
    assert all(isinstance(f, torch.Tensor) for f in found)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-3)


def test_sums_of_other_bases_and_shapes_that_do_not_match_are_refused():
    X, y, _ = data()
    first, second = (LandmarkEquations(choose_landmarks(KERNEL, X, 20, seed), 2) for seed in (0, 1))
    with pytest.raises(InvalidInput, match="one basis"):
        _ = first + second
    with pytest.raises(InvalidInput, match="200 rows"):
        first.add(X, y[:5])


def test_sums_come_back_from_their_arrays():
    X, y, w = data()
    basis = choose_landmarks(KERNEL, X, 20)
    equations = LandmarkEquations(basis, 2).add(X, y, w)
    again = LandmarkEquations.from_arrays(basis, equations.arrays())
    wanted, found = equations.ridge_path(RIDGES), again.ridge_path(RIDGES)
    assert found.relative == wanted.relative
    np.testing.assert_allclose(found.path.coefficients, wanted.path.coefficients, rtol=1e-9, atol=1e-12)
    with pytest.raises(InvalidFile, match="10 landmarks"):
        LandmarkEquations.from_arrays(choose_landmarks(KERNEL, X, 10), equations.arrays())
