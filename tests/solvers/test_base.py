"""What every solver refuses, and what the ridge means."""

import numpy as np
import pytest
import torch

from widenet.errors import InvalidInput
from widenet.solvers.base import absolute_ridge, read_gram, read_system, read_targets, read_weights

CPU = torch.device("cpu")


def test_the_relative_ridge_is_times_the_mean_diagonal():
    diagonal = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64)
    weights = torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64)
    assert absolute_ridge(0.5, "relative", diagonal) == 1.5
    assert absolute_ridge(0.5, "relative", diagonal, weights) == 0.5 * 15 / 4
    assert absolute_ridge(0.5, "absolute", diagonal, weights) == 0.5


def test_the_noise_is_the_ridge_over_the_weight_and_the_diagonal_is_not_a_view():
    K = np.diag([1.0, 3.0])
    system = read_system(K, 0.1, "relative", np.array([0.5, 2.0]))
    mean = (0.5 * 1 + 2 * 3) / 2.5
    np.testing.assert_allclose(system.noise, [0.1 * mean / 0.5, 0.1 * mean / 2])
    system.K.fill_(7.0)
    assert system.diagonal.tolist() == [1.0, 3.0]


@pytest.mark.parametrize("ridge", [-1.0, float("nan"), float("inf")])
def test_a_ridge_that_is_no_ridge_is_refused(ridge):
    with pytest.raises(InvalidInput, match="ridge must be finite"):
        absolute_ridge(ridge, "relative", torch.ones(2))


@pytest.mark.parametrize(
    ("K", "message"),
    [
        (np.ones((2, 3)), "square"),
        (np.ones(3), "square"),
        (np.ones((0, 0)), "square"),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), "finite"),
        (np.array([[1.0, np.inf], [np.inf, 1.0]]), "finite"),
        (np.array([[1.0, 0.5], [0.1, 1.0]]), "symmetric"),
        (np.array([["a", "b"], ["c", "d"]]), "real numbers"),
        (np.eye(2, dtype=np.float16), "float32 or float64"),
        (np.eye(2, dtype=complex), "real numbers"),
    ],
)
def test_a_matrix_that_is_no_gram_matrix_is_refused(K, message):
    with pytest.raises(InvalidInput, match=message):
        read_gram(K)


def test_large_finite_entries_are_not_taken_for_infinity():
    K = np.full((4, 4), 3e38, dtype=np.float32)
    np.testing.assert_array_equal(read_gram(K), K)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.ones(3), "shape"),
        (np.ones((2, 0)), "shape"),
        (np.ones((2, 1, 1)), "shape"),
        (np.array([1.0, np.nan]), "first in row 1"),
    ],
)
def test_targets_that_do_not_fit_are_refused(y, message):
    with pytest.raises(InvalidInput, match=message):
        read_targets(y, 2, CPU)


@pytest.mark.parametrize("w", [[1.0, 0.0], [1.0, -1.0], [1.0, np.nan], [1.0, np.inf], [1.0], [[1.0, 1.0]]])
def test_weights_that_are_no_weights_are_refused(w):
    with pytest.raises(InvalidInput, match="weights must"):
        read_weights(np.array(w), 2, CPU)
