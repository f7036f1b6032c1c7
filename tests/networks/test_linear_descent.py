"""Gradient descent on linear models against plain loops."""

import numpy as np
import pytest
import torch

from widenet.errors import InvalidInput
from widenet.networks.linear_descent import descent_change, largest_eigenvalue, predicted_steps

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.standard_normal((8, 12))
K = FEATURES @ FEATURES.T
Y = RANDOM.standard_normal(8)
STEP = 1 / np.linalg.eigvalsh(K)[-1]


def test_the_largest_eigenvalue_without_a_matrix():
    matrix = torch.tensor(K)
    found = largest_eigenvalue(lambda vector: matrix @ vector, torch.zeros(8, dtype=torch.float64))
    assert found == pytest.approx(np.linalg.eigvalsh(K)[-1], rel=1e-7)
    # Of a map on matrices: the same on both columns.
    found = largest_eigenvalue(lambda vector: matrix @ vector, torch.zeros(8, 2, dtype=torch.float64))
    assert found == pytest.approx(np.linalg.eigvalsh(K)[-1], rel=1e-7)


def test_no_largest_eigenvalue_of_nothing():
    for factor in (0.0, float("nan"), float("inf")):
        with pytest.raises(InvalidInput, match="finite and not 0"):
            largest_eigenvalue(lambda vector, factor=factor: factor * vector, torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("step", [None, 0.3 * STEP, 1.7 * STEP])
@pytest.mark.parametrize("ratio", [0.5, 1e-2, 1e-6])
def test_steps_are_those_of_a_plain_loop(ratio: float, step: float | None):
    for start in (Y, np.stack([Y, -2 * Y[::-1]], 1)):
        residuals, steps = start, 0
        while np.sum(residuals**2) > ratio * np.sum(start**2):
            residuals, steps = residuals - (STEP if step is None else step) * K @ residuals, steps + 1
        assert predicted_steps(K, ratio, start, step) == steps > 0


def test_the_worst_residuals_lie_in_the_direction_of_the_smallest_eigenvalue():
    values, vectors = np.linalg.eigh(K)
    bound = np.log(1e6) / (2 * np.log(1 / (1 - values[0] / values[-1])))
    assert predicted_steps(K, 1e-6) == predicted_steps(K, 1e-6, vectors[:, 0]) == np.ceil(bound)


def test_a_loss_out_of_reach_is_told_and_one_that_is_there_takes_no_step():
    with pytest.raises(InvalidInput, match="within reach"):
        predicted_steps(np.ones((2, 2)), 1e-3, np.array([1.0, -1.0]))
    assert predicted_steps(np.ones((2, 2)), 1e-3, np.array([1.0, 1.0])) == 1
    assert predicted_steps(K, 1.0, Y) == 0


@pytest.mark.parametrize("steps", [0, 1, 7, 400])
@pytest.mark.parametrize("stretch", [0.4, 1.0, 1.6])
def test_changes_are_those_of_a_plain_loop(steps: int, stretch: float):
    others = RANDOM.standard_normal((5, 12))
    weights = np.zeros(12)
    for _ in range(steps):
        weights -= stretch * STEP * FEATURES.T @ (FEATURES @ weights - Y)
    found = descent_change(K, others @ FEATURES.T, Y, stretch * STEP, steps)
    np.testing.assert_allclose(found, others @ weights, rtol=1e-9, atol=1e-12)


def test_changes_with_a_singular_kernel():
    low = FEATURES[:, :3]
    weights = np.zeros(3)
    for _ in range(50):
        weights -= 0.01 * low.T @ (low @ weights - Y)
    np.testing.assert_allclose(descent_change(low @ low.T, low @ low.T, Y, 0.01, 50), low @ weights, rtol=1e-10)


@pytest.mark.parametrize("step", [0.0, -1.0, float("inf")])
def test_steps_that_cannot_be_are_refused(step: float):
    with pytest.raises(InvalidInput, match="positive"):
        descent_change(K, K, Y, step, 3)
