"""Training on parities, and ridge regression with tangent kernels on the same points."""

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge

from widenet.errors import InvalidInput
from widenet.experiments.parity_training import RIDGES, ParityTraining, sampled, tangent_ridge, uniform
from widenet.networks.two_layer import TwoLayerReLU
from widenet.theory.parity import BiasedParity


# The reference run: n = 30, k = 4, alpha = 0.5, learnt without error by step 500, tangent kernel at an error of 0.4385
# and a squared error of 0.984, with seeds and numbers of points of another program.
def test_the_first_row_of_the_reference_table_is_repeated():
    problem = BiasedParity(30, 4, 0.5)
    run = ParityTraining().run(problem, test_points=1000)
    assert run.learnt
    assert run.steps <= 500
    kernel = tangent_ridge([run.start], problem, points=1000, test_points=2000, seed=0)
    assert kernel.error == pytest.approx(0.4385, abs=0.03)
    assert kernel.squared_error == pytest.approx(0.984, abs=0.02)
    assert kernel.edge == pytest.approx((1 - kernel.squared_error) / 2)
    after = tangent_ridge(run.halves, problem, points=1000, test_points=2000, seed=0)
    assert after.error == 0
    assert after.squared_error < 0.05


# The reference run learnt this without any skew by step 500: four coordinates of thirty are no control.
def test_a_parity_of_few_coordinates_is_learnt_from_uniform_points():
    problem = BiasedParity(30, 4, 0.0)
    run = ParityTraining().run(problem, test_points=500, check_every=50)
    assert run.learnt
    assert run.steps <= 500
    kernel = tangent_ridge([run.start], problem, points=500, test_points=2000, seed=0)
    assert kernel.error == pytest.approx(0.4913, abs=0.035)
    assert kernel.squared_error == pytest.approx(1.001, abs=0.02)


def test_ridge_regression_agrees_with_scikit_learn():
    problem, half = BiasedParity(8, 3, 0.5), TwoLayerReLU(8, 12, seed=3)
    found = tangent_ridge([half], problem, points=60, test_points=100, seed=4)
    X, y = sampled(problem, 60, [4, 2])
    X_test, y_test = sampled(problem, 100, [4, 3])
    K, K_test = half.tangent_kernel(X).double().numpy(), half.tangent_kernel(X_test, X).double().numpy()
    squares, errors = [], []
    for ridge in RIDGES:
        fit = KernelRidge(alpha=ridge * np.mean(np.diag(K)), kernel="precomputed").fit(K, y.double().numpy())
        predicted = fit.predict(K_test)
        squares.append(np.mean((predicted - y_test.numpy()) ** 2))
        errors.append(np.mean(np.sign(predicted) != y_test.numpy()))
    assert found.squared_error == pytest.approx(min(squares), rel=1e-4)
    assert found.error == pytest.approx(min(errors), abs=0.011)


def test_training_stops_where_it_is_told_and_repeats():
    problem = BiasedParity(20, 6, 0.0)
    runs = [ParityTraining(width=16, most_steps=15, seed=seed).run(problem, 100) for seed in (0, 0, 1)]
    assert [run.steps for run in runs] == [15, 15, 15]
    assert not runs[0].learnt
    assert runs[0].squared_error == runs[1].squared_error != runs[2].squared_error
    assert torch.equal(runs[0].start.weight, TwoLayerReLU(20, 8, seed=0).weight)
    assert uniform(BiasedParity(9, 3, 0.7)) == BiasedParity(9, 3, 0.0)


def test_an_offset_moves_the_start():
    problem = BiasedParity(12, 3, 0.5)
    still = ParityTraining(width=8, most_steps=1, learning_rate=1e-9, offset=1.0).run(problem, 500)
    # f = 1 everywhere: (1 - y)^2 is 0 or 4, and every y = -1 an error
    assert still.squared_error == pytest.approx(4 * still.error, rel=1e-5)


@pytest.mark.parametrize(
    "changed", [{"width": 7}, {"most_steps": 0}, {"seed": -1}, {"learning_rate": float("inf")}], ids=repr
)
def test_settings_that_cannot_be_are_refused(changed):
    with pytest.raises(InvalidInput):
        ParityTraining(**changed)
