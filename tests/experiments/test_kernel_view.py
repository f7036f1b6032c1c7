import numpy as np
import pandas as pd
import pytest

from widenet.architectures import fully_connected
from widenet.estimators.table_encoder import TableEncoder
from widenet.experiments.comparison import Plan, compare
from widenet.experiments.kernel_view import OnRadius, kernel_in_words, kernel_shares, view_kernel
from widenet.experiments.methods import chosen_methods
from widenet.experiments.tables import split_target
from widenet.kernels import NTK, Gaussian, Laplace


def little_comparison(names=("Laplace", "ridge")):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60), "b": rng.choice(["p", "q"], 60)})
    frame["y"] = frame["a"] + 0.1 * rng.normal(size=60)
    return compare(split_target(frame, "y"), chosen_methods("regression", list(names)), Plan(folds=4))


def test_the_leave_one_out_curve_is_that_of_refits():
    comparison = little_comparison()
    view = view_kernel(comparison)
    table = comparison.table
    X = TableEncoder().fit_transform(table.features)
    K, y = view.kernel(X), table.target - table.target.mean()
    index = 20
    ridge = view.ridges[index] * np.trace(K) / len(K)
    errors = []
    for row in range(len(K)):
        rest = np.arange(len(K)) != row
        a = np.linalg.solve(K[np.ix_(rest, rest)] + ridge * np.eye(len(K) - 1), y[rest])
        errors.append((K[row, rest] @ a - y[row]) ** 2)
    assert view.losses[index] == pytest.approx(np.mean(errors) / np.var(y), rel=1e-6)
    assert view.gram_eigenvalues.sum() == pytest.approx(1.0)


def test_a_kernel_on_a_radius_is_the_kernel_of_longer_rows():
    X = np.random.default_rng(0).normal(size=(5, 3))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    for kernel in (Laplace(2.0), NTK(fully_connected(2, bias_std=0.5))):
        np.testing.assert_allclose(OnRadius(kernel, 3.0)(X), kernel(3 * X), rtol=1e-9)


def test_sums_are_taken_apart_and_written_for_people():
    kernel = 0.25 * Laplace(2**0.5) + 2.0 * (0.25 * Gaussian(1.0))
    assert kernel_shares(kernel) == [(0.5, Gaussian(1.0)), (0.25, Laplace(2**0.5))]
    assert kernel_in_words(Laplace(2**0.5)) == "Laplace(scale=1.41)"


def test_without_a_kernel_method_there_is_nothing_to_view():
    assert view_kernel(little_comparison(["ridge", "mean"])) is None
