"""The Cholesky solver against NumPy in float64, mpmath and explicit refits."""

import mpmath
import numpy as np
import pytest
import torch

from widenet.errors import InvalidInput, NotPositiveDefinite
from widenet.solvers import Cholesky

RIDGE = 1e-3


def gram(n: int, dtype=np.float64, scale: float = 3.0) -> np.ndarray:
    X = np.random.default_rng(n).normal(size=(n, 5))
    distance = np.sqrt(((X[:, None] - X[None]) ** 2).sum(-1))
    K = (2 + X[:, :1] ** 2) * np.exp(-distance / scale) * (2 + X[:, 0] ** 2)
    return (np.triu(K) + np.triu(K, 1).T).astype(dtype)


def targets(n: int, outputs: int = 3) -> np.ndarray:
    return np.random.default_rng(n + 1).normal(size=(n, outputs))


def noise(K: np.ndarray, ridge: float) -> np.ndarray:
    return ridge * np.diag(K).astype(np.float64).mean() * np.eye(len(K))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 600, 1300])
def test_the_solution_is_that_of_numpy_in_float64_and_the_residual_is_true(dtype, n):
    K, y = gram(n, dtype), targets(n)
    solution = Cholesky().solve(K, y, RIDGE)
    system = K.astype(np.float64) + noise(K, RIDGE)
    np.testing.assert_allclose(solution.value, np.linalg.solve(system, y), rtol=0, atol=1e-9 * abs(y).max() / RIDGE)
    residual = np.linalg.norm(system @ solution.value - y, axis=0) / np.linalg.norm(y, axis=0)
    assert solution.converged
    assert solution.value.dtype == np.float64
    assert residual.max() <= 1e-10
    assert solution.residual == pytest.approx(residual.max(), rel=0.5, abs=1e-14)


def test_a_float32_solution_agrees_with_mpmath_at_50_digits():
    K, y = gram(12, np.float32), targets(12, 1)[:, 0]
    solution = Cholesky(ridge_scale="absolute").solve(K, y, 1e-4)
    with mpmath.workdps(50):
        exact = mpmath.lu_solve(mpmath.matrix(K.tolist()) + mpmath.mpf(1e-4) * mpmath.eye(12), mpmath.matrix(y))
    np.testing.assert_allclose(solution.value, np.array([float(a) for a in exact]), rtol=1e-9)


def test_refinement_reaches_float64_where_the_float32_factor_alone_is_rough():
    K, y = gram(400, np.float32, scale=300.0), targets(400)
    solution = Cholesky().solve(K, y, 1e-5)
    factor = np.linalg.cholesky(K + noise(K, 1e-5).astype(np.float32))
    rough = np.linalg.solve(factor.T, np.linalg.solve(factor, y.astype(np.float32)))
    system = K.astype(np.float64) + noise(K, 1e-5)
    assert np.linalg.norm(system @ rough - y) / np.linalg.norm(y) > 1e-4
    assert solution.converged
    assert solution.residual <= 1e-10
    assert 3 <= solution.steps <= 30


def test_weights_are_rows_given_more_than_once():
    K, y = gram(40), targets(40)
    count = np.random.default_rng(0).integers(1, 4, 40)
    repeat = np.repeat(np.arange(40), count)
    once = Cholesky().solve(K, y, RIDGE, weights=count.astype(float)).value
    many = Cholesky().solve(K[np.ix_(repeat, repeat)], y[repeat], RIDGE).value
    np.testing.assert_allclose(K @ once, K[:, repeat] @ many, rtol=1e-9)


@pytest.mark.parametrize("n", [300, 1300])
def test_the_factor_stays_in_the_lower_triangle_and_k_above_it(n):
    K = gram(n, np.float32)
    given = K.copy()
    factor = Cholesky(overwrite=True).factor(K, RIDGE)
    L = np.tril(K).astype(np.float64)
    assert np.shares_memory(K, factor.matrix.numpy())
    np.testing.assert_array_equal(np.triu(K, 1), np.triu(given, 1))
    np.testing.assert_allclose(L @ L.T, given.astype(np.float64) + noise(given, RIDGE), rtol=0, atol=2e-5 * given.max())


def test_without_overwrite_k_is_left_alone():
    K = gram(50)
    given = K.copy()
    Cholesky().solve(K, targets(50), RIDGE)
    np.testing.assert_array_equal(K, given)


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_order_and_read_only_arrays_do_not_matter(order):
    K, y = gram(60), targets(60)
    given = np.array(K, order=order)
    given.flags.writeable = False
    np.testing.assert_array_equal(Cholesky().solve(given, y, RIDGE).value, Cholesky().solve(K, y, RIDGE).value)
    np.testing.assert_array_equal(given, K)


@pytest.mark.parametrize("n", [100, 1300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_matrix_that_is_not_positive_definite_is_refused_with_its_pivot_and_left_as_it_came(n, dtype):
    K = gram(n, dtype)
    K[70, 70] = -1.0
    K[71, 70] = K[70, 71] = 0.0
    given = K.copy()
    with pytest.raises(NotPositiveDefinite, match=f"row 70 of {n}.*Try a ridge of"):
        Cholesky(overwrite=True).factor(K, RIDGE)
    np.testing.assert_array_equal(K, given)


def test_the_ridge_that_the_error_names_does():
    X = np.random.default_rng(0).normal(size=(300, 2))
    K = (X @ X.T).astype(np.float32)
    with pytest.raises(NotPositiveDefinite) as error:
        Cholesky().solve(K, targets(300), 0.0)
    named = float(error.value.cure.split("relative ")[1].split(")")[0])
    assert Cholesky().solve(K, targets(300), named).converged


@pytest.mark.parametrize("n", [30, 700])
def test_log_determinant_inverse_diagonal_and_half_solve(n):
    K = gram(n)
    factor, system = Cholesky().factor(K, RIDGE), K + noise(K, RIDGE)
    assert factor.log_determinant() == pytest.approx(np.linalg.slogdet(system)[1], rel=1e-11)
    np.testing.assert_allclose(factor.inverse_diagonal(), np.diag(np.linalg.inv(system)), rtol=1e-9)
    half = factor.half_solve(K[:, :7])
    np.testing.assert_allclose(half.T @ half, K[:7] @ np.linalg.solve(system, K[:, :7]), rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_leave_one_out_is_the_prediction_of_explicit_refits(weighted):
    n = 25
    K, y = gram(n), targets(n)
    w = np.random.default_rng(3).uniform(0.5, 2, n) if weighted else None
    factor = Cholesky(ridge_scale="absolute").factor(K, 0.1, w)
    predicted = factor.leave_one_out(y)
    system = K + 0.1 * np.diag(np.ones(n) if w is None else 1 / w)
    for i in range(n):
        others = np.arange(n) != i
        refit = K[i, others] @ np.linalg.solve(system[np.ix_(others, others)], y[others])
        np.testing.assert_allclose(predicted[i], refit, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(factor.leave_one_out(y[:, 0]), predicted[:, 0], rtol=1e-12)


def test_torch_in_gives_torch_out():
    K, y = gram(20), targets(20)
    solution = Cholesky().solve(torch.from_numpy(K), torch.from_numpy(y), RIDGE)
    assert isinstance(solution.value, torch.Tensor)
    np.testing.assert_array_equal(solution.value.numpy(), Cholesky().solve(K, y, RIDGE).value)


def test_a_column_of_zeros_is_solved_by_zeros():
    y = targets(30)
    y[:, 1] = 0
    solution = Cholesky().solve(gram(30, np.float32), y, RIDGE)
    assert solution.converged
    assert (solution.value[:, 1] == 0).all()
    assert (solution.value[:, 0] != 0).all()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_of_the_targets_does_not_matter(scale):
    K, y = gram(30, np.float32), targets(30)
    np.testing.assert_allclose(
        Cholesky().solve(K, scale * y, RIDGE).value, scale * Cholesky().solve(K, y, RIDGE).value, rtol=1e-9
    )


def test_half_solve_refuses_rows_that_do_not_match():
    with pytest.raises(InvalidInput, match="B must have 5 rows"):
        Cholesky().factor(gram(5), RIDGE).half_solve(np.ones(4))
