"""The sparse trainer against a plain dense one: the same losses and patterns at every step, and its count of work."""

import numpy as np
import pytest
import torch

from widenet.architectures import sparse_network
from widenet.errors import InvalidInput
from widenet.experiments.sparse_training import Training, steps_at_infinite_width
from widenet.kernels.neural import NTK
from widenet.theory.sparsity import eigen_report

RANDOM = np.random.default_rng(1)
X = RANDOM.standard_normal((30, 5))
X /= np.linalg.norm(X, axis=1, keepdims=True)
Y = RANDOM.choice([-1.0, 1.0], 30)


def _dense(training, points, y):
    """Losses and patterns of gradient descent by autograd on every unit and sample."""
    random, half = np.random.default_rng(training.seed), training.width // 2
    weights = random.standard_normal((half, points.shape[1]))
    signs = random.choice([-1.0, 1.0], half)
    w = torch.tensor(np.concatenate([weights, weights]), requires_grad=True)
    b = torch.full((training.width,), float(training.threshold), dtype=torch.float64, requires_grad=True)
    a = torch.tensor(np.concatenate([signs, -signs]))
    inputs, targets = torch.tensor(points), torch.tensor(y)
    losses, patterns = [], []
    while True:
        h = inputs @ w.T - b
        patterns.append((h >= 0).numpy())
        residuals = torch.relu(h) @ a / training.width**0.5 - targets
        losses.append(float((residuals.detach() ** 2).mean() / 2))
        if losses[-1] <= training.target or len(losses) > training.most_steps:
            return losses, patterns
        gradients = torch.autograd.grad((residuals**2).sum() / 2, (w, b))
        with torch.no_grad():
            w -= training.step * gradients[0]
            b -= training.step * gradients[1]


@pytest.mark.parametrize("margin", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("threshold", [0.0, 0.7, 1.5])
def test_it_takes_the_steps_of_a_dense_trainer(threshold, margin):
    step = 1.5 * eigen_report(X, Y, threshold).step_size  # narrow and fast: many units change sides
    training = Training(threshold, 200, step, target=1e-2, margin=margin, most_steps=40, seed=3)
    losses, patterns = _dense(training, X, Y)
    run = training.run(X, Y)
    np.testing.assert_allclose(run.losses, losses, rtol=1e-9)
    assert run.active == pytest.approx([pattern.mean() for pattern in patterns], abs=1e-12)
    assert run.flipped == pytest.approx(np.mean(patterns[-1] != patterns[0]), abs=1e-12)
    assert run.flipped > 0.02
    assert run.converged == (losses[-1] <= 1e-2)
    assert run.steps == len(losses) - 1


def test_points_of_any_norm_are_followed():
    points = X * np.linspace(0.2, 3.0, len(X))[:, None]
    training = Training(0.5, 100, 0.02, margin=0.05, most_steps=30, seed=0)
    losses, patterns = _dense(training, points, Y)
    run = training.run(points, Y)
    np.testing.assert_allclose(run.losses, losses, rtol=1e-9)
    assert run.flipped == pytest.approx(np.mean(patterns[-1] != patterns[0]), abs=1e-12)


def test_the_work_follows_the_active_pairs():
    done = {}
    for threshold in (0.0, 2.0):
        training = Training(threshold, 2000, eigen_report(X, Y, threshold).step_size, most_steps=10, target=1e-9)
        run = training.run(X, Y)
        pairs = 2000 * len(X) * 6
        assert run.dense_operations == pairs * (2 * run.steps + 1)
        # All pairs once, the active ones forward and backward, every parameter once a step, then close pairs.
        least = pairs + 2000 * 6 * run.steps + pairs * (2 * sum(run.active) - run.active[-1])
        assert run.operations >= least - 1e-3
        assert run.operations < least + 0.3 * pairs * run.steps
        done[threshold] = run.operations / run.dense_operations
    assert done[2.0] < 0.3
    assert done[0.0] > 0.5


def test_the_first_step_is_that_of_the_kernel_and_more_units_come_closer():
    # At the start f = 0 and one step takes f to step H y, up to fluctuations of relative size 1 / sqrt(m Q).
    step = 0.3 * eigen_report(X, Y, 1.0).step_size
    H = NTK(sparse_network(1.0))(X)
    run = Training(1.0, 40_000, step, most_steps=1, target=1e-9).run(X, Y)
    assert run.losses[0] == pytest.approx(0.5)
    expected = np.mean((step * H @ Y - Y) ** 2) / 2
    assert run.losses[1] == pytest.approx(expected, abs=0.03 * (0.5 - expected))


def test_steps_at_infinite_width_are_those_of_the_linear_iteration():
    H = NTK(sparse_network(0.5))(X)
    for step, target in ((0.05, 0.1), (0.1, 1e-2), (0.1, 0.49), (0.1, 0.6)):
        residuals, steps = -Y, 0
        while np.mean(residuals**2) / 2 > target:
            residuals, steps = residuals - step * H @ residuals, steps + 1
        assert steps_at_infinite_width(H, Y, step, target) == steps


def test_labels_that_a_kernel_cannot_reach_are_told():
    with pytest.raises(InvalidInput, match="within reach"):
        steps_at_infinite_width(np.ones((2, 2)), np.array([1.0, -1.0]), 0.1, 1e-3)


def test_training_ends_where_no_unit_is_active_any_more():
    # A step that is far too long throws every unit to the side where it is silent, for good.
    run = Training(0.0, 50, 100.0, most_steps=2000).run(X, Y)
    assert not run.converged
    assert run.active[-1] == 0 < run.active[0]
    assert run.steps < 20
    assert run.losses[-1] == 0.5


def test_training_gives_up_after_the_most_steps():
    run = Training(0.0, 50, 1e-4, most_steps=7).run(X, Y)
    assert (run.steps, run.converged) == (7, False)


@pytest.mark.parametrize("values", [{"width": 3}, {"width": 0}, {"step": 0.0}, {"target": 0.0}, {"margin": 0.0}])
def test_values_that_cannot_be_are_refused(values):
    with pytest.raises(InvalidInput):
        Training(**{"threshold": 1.0, "width": 4, "step": 0.1, **values})
