"""The spectral solver against NumPy, scikit-learn, explicit refits, expm and an ODE solver."""

import re

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.integrate import solve_ivp
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.kernel_ridge import KernelRidge

from widenet.errors import InvalidInput, NotPositiveDefinite
from widenet.solvers import Spectral

N = 30
RIDGES = np.array([1e-3, 0.1, 2.0])
TIMES = np.array([0.0, 0.3, 5.0, 200.0])
ABSOLUTE = Spectral(ridge_scale="absolute")


def points(n: int = N, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3))


def laplace(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    return np.exp(-np.sqrt(((X[:, None] - Y[None]) ** 2).sum(-1)))


def rbf(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    return np.exp(-((X[:, None] - Y[None]) ** 2).sum(-1) / 2)


K = laplace(points(), points())
Y = np.random.default_rng(1).normal(size=(N, 2))
WEIGHTS = np.random.default_rng(2).uniform(0.3, 3, N)
weighted = pytest.mark.parametrize("w", [None, WEIGHTS], ids=["unweighted", "weighted"])


def noise(ridge: float, w: np.ndarray | None) -> np.ndarray:
    return ridge * np.diag(np.ones(N) if w is None else 1 / w)


@weighted
def test_coefficients_solve_the_system_of_every_ridge(w):
    value = ABSOLUTE.decompose(K, w).coefficients(Y, RIDGES)
    for a, ridge in zip(value, RIDGES, strict=True):
        np.testing.assert_allclose(a, np.linalg.solve(K + noise(ridge, w), Y), rtol=1e-10)


@weighted
def test_leave_one_out_is_the_prediction_of_explicit_refits(w):
    spectrum = ABSOLUTE.decompose(K, w)
    predicted, errors = spectrum.leave_one_out(Y, RIDGES), spectrum.leave_one_out_errors(Y, RIDGES)
    refits = np.empty_like(predicted)
    for r, ridge in enumerate(RIDGES):
        for i in range(N):
            others = np.arange(N) != i
            system = (K + noise(ridge, w))[np.ix_(others, others)]
            refits[r, i] = K[i, others] @ np.linalg.solve(system, Y[others])
    np.testing.assert_allclose(predicted, refits, rtol=1e-9, atol=1e-11)
    for r in range(len(RIDGES)):
        expected = np.average((Y - refits[r]) ** 2, axis=0, weights=w)
        np.testing.assert_allclose(errors[r], expected, rtol=1e-10)


def test_a_relative_ridge_is_times_the_mean_diagonal():
    scaled = 7.0 * K
    np.testing.assert_allclose(
        Spectral().decompose(scaled).leave_one_out(Y, RIDGES), ABSOLUTE.decompose(K).leave_one_out(Y, RIDGES), rtol=1e-9
    )


def test_predictions_agree_with_kernel_ridge_of_scikit_learn():
    X, new, w = points(), points(8, seed=5), WEIGHTS
    peer = KernelRidge(alpha=0.1, kernel="rbf", gamma=0.5).fit(X, Y, sample_weight=w).predict(new)
    value = ABSOLUTE.decompose(rbf(X, X), w).coefficients(Y, [0.1])[0]
    np.testing.assert_allclose(rbf(new, X) @ value, peer, rtol=1e-10)


def test_log_marginal_likelihood_agrees_with_scikit_learn():
    X = points()
    found = ABSOLUTE.decompose(rbf(X, X)).log_marginal_likelihood(Y, RIDGES)
    for r, ridge in enumerate(RIDGES):
        kernel = RBF(1.0, "fixed") + WhiteKernel(ridge, "fixed")
        for j in range(2):
            peer = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None).fit(X, Y[:, j])
            assert found[r, j] == pytest.approx(peer.log_marginal_likelihood_value_, rel=1e-10)


def test_log_marginal_likelihood_with_weights_is_that_of_unequal_noise():
    X = points()
    found = ABSOLUTE.decompose(rbf(X, X), WEIGHTS).log_marginal_likelihood(Y[:, 0], [0.1])
    peer = GaussianProcessRegressor(RBF(1.0, "fixed"), alpha=0.1 / WEIGHTS, optimizer=None).fit(X, Y[:, 0])
    assert found[0] == pytest.approx(peer.log_marginal_likelihood_value_, rel=1e-10)


@weighted
def test_degrees_of_freedom_and_gcv_are_those_of_the_smoother(w):
    spectrum = ABSOLUTE.decompose(K, w)
    freedom, score = spectrum.degrees_of_freedom(RIDGES), spectrum.generalized_cross_validation(Y, RIDGES)
    for r, ridge in enumerate(RIDGES):
        smoother = K @ np.linalg.inv(K + noise(ridge, w))
        assert freedom[r] == pytest.approx(np.trace(smoother), rel=1e-10)
        mean = np.average((Y - smoother @ Y) ** 2, axis=0, weights=w)
        np.testing.assert_allclose(score[r], mean / (1 - np.trace(smoother) / N) ** 2, rtol=1e-9)


@weighted
def test_gradient_flow_is_the_matrix_exponential(w):
    W = np.eye(N) if w is None else np.diag(w)
    cross = laplace(points(6, seed=4), points())
    spectrum = ABSOLUTE.decompose(K, w)
    train, test = spectrum.gradient_flow(Y, TIMES), spectrum.gradient_flow(Y, TIMES, cross)
    for t, time in enumerate(TIMES):
        learned = Y - scipy.linalg.expm(-K @ W * time) @ Y
        np.testing.assert_allclose(train[t], learned, rtol=0, atol=1e-11)
        np.testing.assert_allclose(test[t], cross @ np.linalg.solve(K, learned), rtol=0, atol=1e-10)


def test_gradient_flow_from_another_start_follows_the_differential_equation():
    y, start = Y[:, 0], np.cos(points()[:, 0])
    path = solve_ivp(lambda _, f: K @ (y - f), (0, 2), start, method="DOP853", rtol=1e-11, atol=1e-12)
    found = start + ABSOLUTE.decompose(K).gradient_flow(y - start, [2.0])[0]
    np.testing.assert_allclose(found, path.y[:, -1], rtol=0, atol=1e-8)


def test_gradient_flow_at_infinity_interpolates_and_needs_no_full_rank():
    X = points()
    low = X @ X.T  # rank 3: the flow ends in the least squares of least norm
    spectrum = ABSOLUTE.decompose(low)
    new = points(4, seed=6)
    expected = new @ np.linalg.lstsq(X, Y, rcond=None)[0]
    np.testing.assert_allclose(spectrum.gradient_flow(Y, [np.inf], new @ X.T)[0], expected, rtol=1e-9)
    fitted = X @ np.linalg.lstsq(X, Y, rcond=None)[0]
    np.testing.assert_allclose(spectrum.gradient_flow(Y, [np.inf])[0], fitted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ABSOLUTE.decompose(K).gradient_flow(Y, [np.inf])[0], Y, rtol=1e-12)


def test_float32_is_close_to_float64():
    ridges = np.array([1e-2, 1.0])
    single, double = Spectral().decompose(K.astype(np.float32)), Spectral().decompose(K)
    np.testing.assert_allclose(single.leave_one_out(Y, ridges), double.leave_one_out(Y, ridges), rtol=0, atol=2e-4)
    found, expected = single.gradient_flow(Y, TIMES), double.gradient_flow(Y, TIMES)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_solve_is_refined_to_the_tolerance(dtype):
    given = K.astype(dtype)
    solution = Spectral().solve(given, Y, 1e-3)
    assert solution.converged
    assert solution.residual <= 1e-10
    np.testing.assert_allclose(
        solution.value, np.linalg.solve(given.astype(np.float64) + noise(1e-3, None), Y), rtol=1e-7
    )


def test_one_output_has_no_axis_of_outputs_and_torch_gives_torch():
    spectrum = Spectral().decompose(torch.from_numpy(K))
    one, two = spectrum.leave_one_out(Y[:, 1], RIDGES), spectrum.leave_one_out(Y, RIDGES)
    assert isinstance(one, torch.Tensor)
    assert one.shape == (3, N)
    np.testing.assert_allclose(one, two[:, :, 1], rtol=1e-12)
    shapes = [
        spectrum.gradient_flow(Y[:, 1], TIMES).shape,
        spectrum.log_marginal_likelihood(Y[:, 1], RIDGES).shape,
        spectrum.generalized_cross_validation(Y, RIDGES).shape,
        spectrum.leave_one_out_errors(Y[:, 1], RIDGES).shape,
        spectrum.eigenvalues.shape,
    ]
    assert [tuple(shape) for shape in shapes] == [(4, N), (3,), (3, 2), (3,), (N,)]


def test_a_singular_matrix_without_ridge_is_refused():
    X = points()
    with pytest.raises(NotPositiveDefinite, match="smallest eigenvalue"):
        Spectral().decompose(X @ X.T - 1e-9 * np.eye(N)).leave_one_out(Y, [0.1, 0.0])
    with pytest.raises(NotPositiveDefinite, match=r"A ridge of .* should do"):
        Spectral().solve(X @ X.T - 1e-9 * np.eye(N), Y, 0.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_ridge_below_the_rounding_of_a_singular_matrix_is_refused_with_one_that_works(dtype):
    X = points()
    spectrum = Spectral().decompose((50 * X @ X.T).astype(dtype))
    tiny = np.finfo(dtype).eps * 0.1
    for ask in (spectrum.leave_one_out, spectrum.log_marginal_likelihood):
        with pytest.raises(NotPositiveDefinite, match="beyond the rounding"):
            ask(Y, [0.1, tiny])
    with pytest.raises(NotPositiveDefinite) as error:
        spectrum.degrees_of_freedom([tiny])
    enough = float(re.search(r"\(relative (\S+)\)", str(error.value))[1])
    assert spectrum.degrees_of_freedom([1.5 * enough])[0] == pytest.approx(3, rel=0.2)


def test_the_cure_of_solve_names_the_ridge_as_it_is_given():
    low = 50 * points() @ points().T - 1e-6 * np.eye(N)
    with pytest.raises(NotPositiveDefinite, match=r"\(relative ") as error:
        Spectral().solve(low, Y, 0.0)
    cure = float(re.search(r"\(relative (\S+)\)", str(error.value))[1])
    assert np.isfinite(Spectral().solve(low, Y, cure).value).all()


def test_times_and_cross_matrices_that_do_not_fit_are_refused():
    spectrum = Spectral().decompose(K)
    with pytest.raises(InvalidInput, match="times must be at least 0"):
        spectrum.gradient_flow(Y, [-1.0])
    with pytest.raises(InvalidInput, match="times must be at least 0"):
        spectrum.gradient_flow(Y, [np.nan])
    with pytest.raises(InvalidInput, match=f"K_cross must have {N} columns"):
        spectrum.gradient_flow(Y, TIMES, np.ones((4, N + 1)))
