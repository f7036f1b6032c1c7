"""Training of surrogate networks: against autograd, the closed formula, and the claims on drift and steps."""

import warnings

import numpy as np
import pytest
import torch

from widenet.errors import InvalidInput
from widenet.networks.linear_descent import descent_change, predicted_steps
from widenet.networks.relu_stack import relu_stack
from widenet.networks.surrogate import SurrogateNetwork
from widenet.networks.surrogate_training import SurrogateTraining


def data(n: int = 20, d: int = 5, seed: int = 0):
    generator = torch.Generator().manual_seed(100 + seed)
    X = torch.randn(n, d, dtype=torch.float64, generator=generator)
    X = X / torch.linalg.vector_norm(X, dim=1, keepdim=True)
    return X, torch.randn(n, dtype=torch.float64, generator=generator)


def new(depth: int, width: int, d: int = 5, **options) -> SurrogateNetwork:
    return SurrogateNetwork(relu_stack((d,) + (width,) * (depth + 1) + (1,)), **options)


def quiet(training: SurrogateTraining, network: SurrogateNetwork, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return training.run(network, X, y)


@pytest.mark.parametrize("kind", ["surrogate", "relu"])
@pytest.mark.parametrize("train_input", [False, True])
def test_its_steps_are_those_of_autograd(kind: str, train_input: bool):
    X, y = data()
    network, plain = (new(2, 32, train_input=train_input) for _ in range(2))
    training = SurrogateTraining(step=1e-3, most_steps=20, fall_back=False)
    run = (training.run if kind == "surrogate" else training.run_relu)(network, X, y)
    losses = []
    for _ in range(21):
        stack = plain.on(X) if kind == "surrogate" else plain.relu_on(X)
        loss = (stack.forward(list(plain.value)).prediction[:, 0] - y).square().sum() / 2
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, list(plain.value))
        if len(losses) <= 20:
            with torch.no_grad():
                for parameter, gradient in zip(plain.value, gradients, strict=True):
                    parameter.sub_(gradient, alpha=1e-3)
    np.testing.assert_allclose(run.losses, losses, rtol=1e-10)
    for ours, theirs in zip(network.value, plain.value, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert run.step_size == 1e-3
    assert not run.converged


def test_with_one_layer_training_is_kernel_gradient_descent():
    (X, y), (fresh, _) = data(), data(30, seed=1)
    network = new(1, 128)
    weights = [weight.detach().clone() for weight in network.value]
    stack, others = network.on(X), network.on(fresh)
    passed = stack.forward(weights)
    K = stack.tangent_kernel(weights, passed).detach().numpy()
    cross = stack.tangent_kernel(weights, others.forward(weights), passed).detach().numpy()
    before = network(fresh).detach().numpy()[:, 0]
    residuals = y.numpy() - passed.prediction.detach().numpy()[:, 0]
    run = quiet(SurrogateTraining(ratio=1e-3, monitor_every=50), network, X, y)
    expected = before + descent_change(K, cross, residuals, run.step_size, run.steps)
    # Measured 6e-15 of a trajectory; its values are of order 1.
    np.testing.assert_allclose(network(fresh).detach().numpy()[:, 0], expected, atol=1e-11)
    assert run.steps == predicted_steps(K, 1e-3, residuals, run.step_size)
    assert run.step_size == pytest.approx(1 / np.linalg.eigvalsh(K)[-1], rel=1e-6)
    assert all(record.drift < 1e-14 for record in run.records)


def test_gates_never_change_and_the_conversion_is_exact_after_training():
    X, y = data()
    for depth in (1, 3):
        network = new(depth, 64)
        before = network.on(X).gates
        run = quiet(SurrogateTraining(), network, X, y)
        after = network.on(X).gates
        assert run.converged
        assert run.movement > 0.01
        assert before is not None
        assert after is not None
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        # The ReLU network with these weights is another function: some of its patterns have changed.
        assert float((network.relu_network()(X) - network(X)).detach().abs().max()) > 1e-3
        assert network.to_relu(X).certificate.largest_difference <= 1e-10


def test_it_needs_fewer_steps_than_relu_from_the_same_start():
    X, y = data()
    for depth, width in ((1, 64), (1, 256), (3, 64), (3, 256)):
        training = SurrogateTraining(monitor_every=10_000, fall_back=False)
        surrogate, relu = quiet(training, new(depth, width), X, y), training.run_relu(new(depth, width), X, y)
        assert surrogate.converged
        assert surrogate.steps < relu.steps
        assert surrogate.records[-1].drift < relu.records[-1].drift / 2
        assert surrogate.step_size == relu.step_size


def test_the_drift_falls_with_the_width():
    # About as 1 / m: by 3.5 or more for four times the width, so by 3.5^1.5 = 6.5 for eight times, over six starts.
    X, y = data(10)
    drifts = []
    for width in (64, 512):
        runs = []
        for seed in range(6):
            network = SurrogateNetwork(relu_stack((5, width, width, width, 1), seed=seed))
            runs.append(quiet(SurrogateTraining(ratio=1e-4, monitor_every=10_000), network, X, y).records[-1].drift)
        drifts.append(np.exp(np.mean(np.log(runs))))
    assert 6.5 < drifts[0] / drifts[1] < 12


def test_the_monitor_sees_eigenvalues_drift_and_flips():
    X, y = data()
    network = new(2, 48)
    first = [parameter.detach().clone() for parameter in network.value]
    run = quiet(SurrogateTraining(ratio=1e-3, monitor_every=30), network, X, y)
    assert [record.step for record in run.records] == [*range(0, run.steps, 30), run.steps]
    J = torch.autograd.functional.jacobian(
        lambda *weights: network.on(X).forward(weights).prediction[:, 0], tuple(p.detach() for p in network.value)
    )
    start = torch.autograd.functional.jacobian(
        lambda *weights: network.on(X).forward(weights).prediction[:, 0], tuple(first)
    )
    K, K0 = (sum(part.flatten(1) @ part.flatten(1).T for part in parts) for parts in (J, start))
    values, last = torch.linalg.eigvalsh(K), run.records[-1]
    assert (last.smallest, last.largest) == pytest.approx((float(values[0]), float(values[-1])), rel=1e-9)
    assert last.drift == pytest.approx(float(torch.linalg.norm(K - K0) / torch.linalg.norm(K0)), rel=1e-9)
    assert last.loss == run.losses[-1]
    signal = X @ network.gate_weights[0].T
    gates, own = [], []
    for weights, signs in ((first, gates), (list(network.value), own)):
        q = torch.relu(signal)
        for W in weights:
            signs.append(q @ W.detach().T > 0)
            q = torch.relu(q @ W.detach().T)
    flips = np.mean([float((a != b).double().mean()) for a, b in zip(gates, own, strict=True)])
    assert last.flips == pytest.approx(flips)
    assert flips > 0.001
    assert run.records[0].flips == run.records[0].drift == 0
    bound = np.log(1e3) / (2 * np.log(1 / (1 - run.records[0].smallest / run.records[0].largest)))
    assert run.records[0].steps_to(1e-3) == pytest.approx(bound)
    assert run.steps < bound


def test_several_outputs_are_trained_together():
    X, y = data()
    network = SurrogateNetwork(relu_stack((5, 128, 128, 2)))
    run = quiet(SurrogateTraining(ratio=1e-4, monitor_every=1000), network, X, torch.stack([y, -y], 1))
    assert run.converged
    torch.testing.assert_close(network(X)[:, 1], -y, atol=0.2, rtol=0)
    assert run.step_size == pytest.approx(1 / run.records[0].largest, rel=1e-5)


def test_small_outputs_leave_the_kernel_regime_and_fall_back_to_smaller_steps():
    # Deep and with outputs of scale 1 / sqrt(m): the step of the start diverges.
    X, y = data()
    start = relu_stack((5, 64, 64, 64, 64, 1), output_scale=1 / 8)
    diverged = quiet(SurrogateTraining(fall_back=False, most_steps=300), SurrogateNetwork(start), X, 3 * y)
    assert not diverged.converged
    network = SurrogateNetwork(start)
    with pytest.warns(UserWarning, match="larger output_scale"):
        run = SurrogateTraining(ratio=1e-4).run(network, X, 3 * y)
    assert run.converged
    assert run.halvings > 0
    assert all(after <= before for before, after in zip(run.losses, run.losses[1:], strict=False))


def test_training_gives_up_and_leaves_the_last_weights():
    X, y = data()
    network = new(1, 64)
    run = SurrogateTraining(most_steps=5).run(network, X, y)
    assert (run.steps, run.converged) == (5, False)
    assert float((network(X)[:, 0] - y).square().sum() / 2) == pytest.approx(run.losses[-1], rel=1e-12)


@pytest.mark.parametrize(
    "values", [{"ratio": 0.0}, {"ratio": 1.0}, {"step": 0.0}, {"most_steps": 0}, {"monitor_every": -1}], ids=repr
)
def test_settings_that_cannot_be_are_refused(values):
    with pytest.raises(InvalidInput):
        SurrogateTraining(**values)


def test_data_that_do_not_fit_are_refused():
    X, y = data()
    for points, targets in ((X[:, :2], y), (X, y[:3]), (X, torch.stack([y, y], 1)), (X * np.nan, y)):
        with pytest.raises(InvalidInput):
            SurrogateTraining().run(new(1, 8), points, targets)
