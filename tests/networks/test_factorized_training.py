"""Training to one loss: the descent against a plain loop, and what is counted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from widenet.architectures import Dense, FactorizedDense, ReLU
from widenet.errors import InvalidInput
from widenet.kernels import NTK
from widenet.networks import ShallowNetwork
from widenet.networks.factorized_training import TrainingPlan, compare_training, step_size

RNG = np.random.default_rng(0)
X = torch.nn.functional.normalize(torch.from_numpy(RNG.normal(size=(24, 20))))
Y = torch.from_numpy(np.where(RNG.random((24, 1)) < 0.5, -1.0, 1.0))
FREE = {"fan_in_scaling": "none"}
LAYERS = {
    "dense": Dense(**FREE),
    "inner": FactorizedDense(16, **FREE),
    "structured": FactorizedDense(16, frozen="hadamard", **FREE),
    "outer": FactorizedDense(16, "outer", **FREE),
    "both": FactorizedDense(16, "both", **FREE),
}
PLAN = TrainingPlan(width=600, target=0.02, most_steps=200, seed=1)


def _plain_losses(layer: Dense | FactorizedDense, momentum: float, steps: int) -> list[float]:
    """The same descent by a loop over torch's own operations."""
    network = ShallowNetwork(20, 600, layer, 1, 1, torch.float64)
    parameters, moved = list(network.parameters()), [torch.zeros_like(values) for values in network.parameters()]
    start, rate, losses = network(X).detach(), step_size(network, X), []
    for _ in range(steps):
        outputs = network.hidden(X).clamp(min=0) @ network.readout.T / 600**0.5
        loss = (outputs - start - Y).square().sum() / 2
        losses.append(float(loss) / 24)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for values, before, gradient in zip(parameters, moved, gradients, strict=True):
                before.copy_(momentum * before + gradient)
                values.sub_(before, alpha=rate)
    return losses


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_the_descent_is_that_of_a_plain_loop(momentum):
    runs = compare_training(X, Y, LAYERS, replace(PLAN, momentum=momentum))
    assert [run.name for run in runs] == list(LAYERS)
    for run in runs:
        assert run.reached
        assert run.losses[-1] <= 0.02 < run.losses[-2]
        assert run.losses[0] == pytest.approx(0.5, abs=1e-12)  # the residual starts at -y
        assert run.steps == len(run.losses) - 1
        np.testing.assert_allclose(run.losses, _plain_losses(run.layer, momentum, len(run.losses)), rtol=1e-8)
        assert np.isnan(run.test_error)
        assert run.joules is None


def test_the_step_size_is_that_of_the_kernel_of_infinite_width():
    frame = ReLU() >> Dense(trainable=False)
    for layer in (LAYERS["dense"], LAYERS["inner"]):
        largest = np.linalg.eigvalsh(NTK(Dense(**FREE) >> frame)(X.numpy()))[-1]
        assert step_size(ShallowNetwork(20, 50, layer, dtype=torch.float64), X) == pytest.approx(1 / largest, rel=1e-6)
    outer = ShallowNetwork(20, 50, LAYERS["outer"], dtype=torch.float64)
    projected = X.numpy() @ outer.hidden.inner.numpy().T / 4  # R = V / sqrt(16)
    largest = np.linalg.eigvalsh(NTK(Dense(**FREE) >> frame)(projected))[-1]
    assert step_size(outer, X) == pytest.approx(1 / largest, rel=1e-6)


def test_classes_tests_and_meters():
    labels = RNG.integers(0, 3, 24)
    targets = torch.from_numpy((labels[:, None] == np.arange(3)) - 1 / 3)
    joules = iter([10.0, 14.5])
    plan = replace(PLAN, power=lambda: next(joules), target=0.01)
    (run,) = compare_training(X, targets, {"inner": LAYERS["structured"]}, plan, (X, targets))
    assert run.reached
    assert run.test_error == 0.0  # the test points are the training points, fitted to a loss of 0.01
    assert run.joules == 4.5
    assert run.proxy == pytest.approx(run.steps * run.cost.step_energy(plan.energy))
    (halved,) = compare_training(X, Y, {"dense": LAYERS["dense"]}, PLAN, (X, -Y))
    assert halved.test_error == 1.0


def test_what_does_not_come_down_is_told():
    (run,) = compare_training(X, Y, {"dense": LAYERS["dense"]}, replace(PLAN, most_steps=3))
    assert (run.steps, run.reached) == (3, False)
    (run,) = compare_training(X, Y, {"dense": LAYERS["dense"]}, replace(PLAN, step=50.0))
    assert not run.reached
    assert run.losses[-1] > 1e6 * run.losses[0]
    assert run.steps < 200


def test_bad_input_is_refused_before_work():
    with pytest.raises(InvalidInput, match="need targets"):
        compare_training(X, Y[:5], LAYERS)
    with pytest.raises(InvalidInput, match="finite"):
        compare_training(X, Y * float("nan"), LAYERS)
    for options in ({"width": 0}, {"target": 0.0}, {"momentum": 1.0}, {"step": 0.0}, {"seed": -1}):
        with pytest.raises(InvalidInput):
            TrainingPlan(**options)
