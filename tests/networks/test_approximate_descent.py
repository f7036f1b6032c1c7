"""Gradient descent with an oracle that errs by tau."""

import numpy as np
import pytest
import torch
from torch import nn

from widenet.errors import InvalidInput
from widenet.networks.approximate_descent import ApproximateDescent

X = np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 1.0]])
Y = np.array([1.0, -1.0, 0.5])


def _linear():
    net = nn.Linear(2, 1, bias=False, dtype=torch.float64)
    net.weight.data.zero_()
    return net


def test_an_exact_oracle_is_gradient_descent():
    net, w = _linear(), np.zeros(2)
    run = ApproximateDescent(step=0.1, steps=4).run(net, X, Y)
    losses = []
    for _ in range(5):
        losses.append(np.mean((X @ w - Y) ** 2) / 2)
        gradient = X.T @ (X @ w - Y) / 3
        w = w - 0.1 * gradient
    np.testing.assert_allclose(run.losses, losses, rtol=1e-13)
    assert run.gradient_norms[-1] == pytest.approx(np.linalg.norm(gradient), rel=1e-13)
    assert run.left_start


def test_the_adversarial_oracle_is_silent_up_to_tau_and_short_beyond():
    first = X.T @ -Y / 3
    size = np.linalg.norm(first)
    assert not ApproximateDescent(step=1.0, steps=5, tau=1.001 * size).run(_linear(), X, Y).left_start
    net = _linear()
    assert ApproximateDescent(step=1.0, steps=1, tau=0.25 * size).run(net, X, Y).left_start
    np.testing.assert_allclose(net.weight.detach().numpy()[0], -0.75 * first, rtol=1e-13)


def test_the_random_oracle_errs_by_tau_exactly_and_repeats():
    moved = []
    for seed in (0, 0, 1):
        net = _linear()
        ApproximateDescent(step=1.0, steps=1, tau=0.3, oracle="random", seed=seed).run(net, X, Y)
        moved.append(net.weight.detach().numpy()[0])
    error = -moved[0] - X.T @ -Y / 3
    assert np.linalg.norm(error) == pytest.approx(0.3, rel=1e-12)
    assert np.array_equal(moved[0], moved[1])
    assert not np.array_equal(moved[0], moved[2])


def test_probabilities_weigh_rows():
    counts = np.array([1, 3, 2])
    weighted, repeated = _linear(), _linear()
    first = ApproximateDescent(step=0.1, steps=3).run(weighted, X, Y, counts / 6)
    second = ApproximateDescent(step=0.1, steps=3).run(repeated, X.repeat(counts, 0), Y.repeat(counts))
    np.testing.assert_allclose(first.losses, second.losses, rtol=1e-13)
    torch.testing.assert_close(weighted.weight, repeated.weight)


@pytest.mark.parametrize(
    "changed", [{"step": 0.0}, {"tau": -1.0}, {"steps": -1}, {"seed": -1}, {"step": float("inf")}], ids=repr
)
def test_settings_that_cannot_be_are_refused(changed):
    with pytest.raises(InvalidInput):
        ApproximateDescent(**({"step": 0.1, "steps": 1} | changed))


def test_rows_that_do_not_fit_are_refused():
    descent = ApproximateDescent(step=0.1, steps=1)
    with pytest.raises(InvalidInput, match="add up to 1"):
        descent.run(_linear(), X, Y, [0.5, 0.5, 0.5])
    with pytest.raises(InvalidInput, match="shape"):
        descent.run(_linear(), X, Y[:2])
