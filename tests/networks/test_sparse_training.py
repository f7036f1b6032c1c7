"""Sparse training against plain dense training by autograd: the same losses and patterns at every step."""

import numpy as np
import pytest
import torch

from widenet.architectures import sparse_network
from widenet.errors import InvalidInput
from widenet.kernels import NTK
from widenet.networks.sparse_training import SparseReLUNetwork, SparseTraining

RANDOM = np.random.default_rng(1)
X = RANDOM.standard_normal((30, 5))
X /= np.linalg.norm(X, axis=1, keepdims=True)
Y = RANDOM.choice([-1.0, 1.0], 30)


def kernel_step(threshold: float) -> float:
    """1 / largest eigenvalue of the infinitely wide network's kernel."""
    return float(1 / np.linalg.eigvalsh(NTK(sparse_network(threshold))(X))[-1])


def dense(network: SparseReLUNetwork, training: SparseTraining, points: np.ndarray):
    """Losses and patterns of gradient descent by autograd on every unit and sample; it trains the network."""
    inputs, targets = torch.tensor(points, dtype=network.weight.dtype), torch.tensor(Y, dtype=network.weight.dtype)
    losses, patterns = [], []
    while True:
        h = inputs @ network.weight.T - network.bias
        patterns.append((h > 0).numpy())
        residuals = torch.relu(h) @ network.signs / len(network.signs) ** 0.5 - targets
        losses.append(float((residuals.detach() ** 2).mean() / 2))
        if losses[-1] <= training.target or len(losses) > training.most_steps:
            return losses, patterns
        gradients = torch.autograd.grad((residuals**2).sum() / 2, (network.weight, network.bias))
        with torch.no_grad():
            network.weight -= training.step * gradients[0]
            network.bias -= training.step * gradients[1]


@pytest.mark.parametrize("stretch", [0.3, 1.0, 1.5])
@pytest.mark.parametrize("threshold", [0.0, 0.7, 1.5])
def test_it_takes_the_steps_of_dense_training(threshold: float, stretch: float):
    # Narrow and, at 1.5 / largest eigenvalue, fast: many units change sides.
    training = SparseTraining(stretch * kernel_step(threshold), target=1e-2, most_steps=40)
    plain, network = (SparseReLUNetwork(5, 200, threshold, seed=3) for _ in range(2))
    losses, patterns = dense(plain, training, X)
    run = training.run(network, X, Y)
    np.testing.assert_allclose(run.losses, losses, rtol=1e-9)
    assert run.active == pytest.approx([pattern.mean() for pattern in patterns], abs=1e-12)
    assert run.flipped == pytest.approx(np.mean(patterns[-1] != patterns[0]), abs=1e-12)
    assert run.flipped > 0.01
    assert run.converged == (losses[-1] <= 1e-2)
    assert run.steps == len(losses) - 1
    np.testing.assert_allclose(network.weight.detach(), plain.weight.detach(), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(network.bias.detach(), plain.bias.detach(), rtol=1e-9, atol=1e-10)


def test_points_of_any_norm_are_followed_over_many_small_steps():
    points = X * np.linspace(0.0, 3.0, len(X))[:, None]
    training = SparseTraining(0.01, target=1e-9, most_steps=300)
    plain, network = (SparseReLUNetwork(5, 100, 0.5) for _ in range(2))
    losses, patterns = dense(plain, training, points)
    run = training.run(network, points, Y)
    np.testing.assert_allclose(run.losses, losses, rtol=1e-9)
    assert run.flipped == pytest.approx(np.mean(patterns[-1] != patterns[0]), abs=1e-12)


def test_single_precision_follows_up_to_its_rounding():
    training = SparseTraining(0.3 * kernel_step(1.0), target=1e-9, most_steps=50)
    plain, network = (SparseReLUNetwork(5, 2000, 1.0, dtype=torch.float32) for _ in range(2))
    losses, patterns = dense(plain, training, X)
    run = training.run(network, X, Y)
    assert network.weight.dtype == torch.float32
    np.testing.assert_allclose(run.losses, losses, rtol=1e-3)
    assert run.active == pytest.approx([pattern.mean() for pattern in patterns], abs=1e-3)


def test_the_number_of_threads_changes_nothing():
    points, targets = np.tile(X, (20, 1)), np.tile(Y, 20)  # large enough for several spans of units
    points = points + 0.1 * np.random.default_rng(2).standard_normal(points.shape)
    runs, threads = [], torch.get_num_threads()
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            network = SparseReLUNetwork(5, 1800, 1.0)
            runs.append((SparseTraining(most_steps=15).run(network, points, targets).losses, network.weight.detach()))
    finally:
        torch.set_num_threads(threads)
    assert runs[0][0] == runs[1][0]
    assert torch.equal(runs[0][1], runs[1][1])


def test_the_default_step_is_that_of_the_networks_own_kernel():
    network = SparseReLUNetwork(5, 300, 0.8)
    inputs = torch.tensor(X)
    rows = [torch.autograd.grad(value, (network.weight, network.bias)) for value in _values(network, inputs)]
    jacobian = torch.stack([torch.cat([w.flatten(), b]) for w, b in rows])
    largest = float(torch.linalg.eigvalsh(jacobian @ jacobian.T)[-1])
    run = SparseTraining(most_steps=1).run(network, X, Y)
    assert run.step_size == pytest.approx(1 / largest, rel=1e-3)


def _values(network, inputs):
    return [network(inputs[i : i + 1]).sum() for i in range(len(inputs))]


def test_the_first_step_is_that_of_the_kernel():
    # At the start f = 0 and one step takes f to step H y, up to fluctuations of relative size 1 / sqrt(m Q).
    step = 0.3 * kernel_step(1.0)
    H = NTK(sparse_network(1.0))(X)
    run = SparseTraining(step, most_steps=1, target=1e-9).run(SparseReLUNetwork(5, 40_000, 1.0), X, Y)
    assert run.losses[0] == pytest.approx(0.5)
    expected = np.mean((step * H @ Y - Y) ** 2) / 2
    assert run.losses[1] == pytest.approx(expected, abs=0.03 * (0.5 - expected))


def test_the_share_of_active_units_at_the_start():
    # Q(1 / |x|) of independent units, the first half; 0.15865525 and 0.30853754 are Q(1) and Q(1/2).
    network = SparseReLUNetwork(5, 40_000, 1.0)
    for scale, share in ((1.0, 0.15865525), (2.0, 0.30853754)):
        found = network.active_share(torch.tensor(scale * X[:1]))
        assert abs(found - share) < 4 * np.sqrt(share * (1 - share) / 20_000)


def test_the_work_follows_the_active_pairs():
    done = {}
    for threshold in (0.0, 2.0):
        training = SparseTraining(0.2 * kernel_step(threshold), target=1e-9, most_steps=20)
        run = training.run(SparseReLUNetwork(5, 2000, threshold), X, Y)
        pairs = 2000 * len(X) * 6
        assert run.dense_operations == pairs * (2 * run.steps + 1)
        # All pairs once, then the active ones forward and backward at least.
        assert run.operations >= pairs * (1 + 2 * sum(run.active[:-1])) * 0.99
        done[threshold] = run.operations / run.dense_operations
    assert done[2.0] < 0.2
    assert done[0.0] > 0.45


def test_training_ends_where_no_unit_is_active_any_more():
    # A step that is far too long throws every unit to the side where it is silent, for good.
    run = SparseTraining(100.0, most_steps=2000).run(SparseReLUNetwork(5, 50, 0.0), X, Y)
    assert not run.converged
    assert run.active[-1] == 0 < run.active[0]
    assert run.losses[-1] == 0.5


def test_training_gives_up_after_the_most_steps():
    run = SparseTraining(1e-4, most_steps=7).run(SparseReLUNetwork(5, 50, 0.0), X, Y)
    assert (run.steps, run.converged) == (7, False)


def test_a_network_where_nothing_is_active_has_no_step():
    with pytest.raises(InvalidInput, match="not 0"):
        SparseTraining().run(SparseReLUNetwork(5, 50, 30.0), X, Y)


@pytest.mark.parametrize(
    "values", [{"width": 3}, {"width": 0}, {"fan_in": 0}, {"threshold": np.nan}, {"dtype": torch.float16}], ids=repr
)
def test_networks_that_cannot_be_are_refused(values):
    with pytest.raises(InvalidInput):
        SparseReLUNetwork(**{"fan_in": 2, "threshold": 1.0, "width": 4, **values})


@pytest.mark.parametrize("values", [{"step": 0.0}, {"target": 0.0}, {"most_steps": 0}, {"step": np.inf}], ids=repr)
def test_settings_that_cannot_be_are_refused(values):
    with pytest.raises(InvalidInput):
        SparseTraining(**values)


@pytest.mark.parametrize(("points", "targets"), [(X[:, :3], Y), (X, Y[:4]), (X, np.stack([Y, Y], 1)), (X * np.nan, Y)])
def test_data_that_do_not_fit_are_refused(points, targets):
    with pytest.raises(InvalidInput):
        SparseTraining().run(SparseReLUNetwork(5, 50, 0.0), points, targets)
