"""Lazy training: equal losses of both ensembles, drift that falls with the width, against plain computations."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev

from widenet.architectures import Erf, fully_connected
from widenet.experiments.fluctuations import Estimate
from widenet.experiments.lazy_training import (
    DriftCurve,
    EqualSteps,
    drift_curves,
    drift_figure,
    drift_table,
    equal_steps,
    equal_steps_table,
    largest_step,
    one_hot,
)
from widenet.experiments.training_speed import Classes, standardized_digits
from widenet.kernels import NTK
from widenet.networks import network

DIGITS = standardized_digits()


def _few(count: int) -> Classes:
    return Classes(DIGITS.X[:count], DIGITS.labels[:count])


def test_orthogonal_weights_do_not_speed_up_lazy_training():
    (result,) = equal_steps(_few(48), (3, 400), [(0.1, 30)], range(8))
    assert abs(result.ratio.value - 1) < 0.1  # the specification's bound
    assert result.ratio.error < 0.05
    assert 0.1 < result.gaussian.value < 0.9


def test_the_kernel_moves_less_in_wider_networks_and_less_with_orthogonal_weights():
    curves = drift_curves(_few(24), (32, 128, 512), 20, range(3))
    assert [curve.init for curve in curves] == ["gaussian", "orthogonal"]
    for curve in curves:
        assert -1.2 < curve.slope(3) < -0.6  # published: about -1 at large widths
    gaussian, orthogonal = (curve.changes[-1] for curve in curves)
    assert orthogonal.value < gaussian.value - 2 * (orthogonal.error + gaussian.error)


def test_a_drift_is_that_of_a_plainly_trained_network():
    data = _few(6)
    arch, rate, y = fully_connected(3, Erf()), largest_step(fully_connected(3, Erf()), data), one_hot(data)
    curve = drift_curves(data, (8,), 2, (3, 5))[0]
    changes = []
    for seed in (3, 5):
        net = network(arch, 64, width=8, outputs=data.count, seed=seed)
        kernels = [_kernel(net, data.X)]
        for _ in range(2):
            gradients = torch.autograd.grad((net(data.X) - y).square().sum() / 2, list(net.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(net.parameters(), gradients, strict=True):
                    parameter.sub_(gradient, alpha=rate)
        kernels.append(_kernel(net, data.X))
        changes.append(float((kernels[1] - kernels[0]).norm() / kernels[0].norm()))
    assert curve.changes[0].value == pytest.approx(np.mean(changes), rel=1e-4)
    assert curve.changes[0].error == pytest.approx(abs(changes[0] - changes[1]) / 2, rel=1e-3)


def _kernel(net: nn.Module, X: torch.Tensor) -> torch.Tensor:
    parameters = {name: p.detach() for name, p in net.named_parameters()}
    parts = jacrev(lambda own: functional_call(net, own, (X,)))(parameters)
    return sum(torch.einsum("nap,map->nm", J, J) for J in (part.flatten(2) for part in parts.values()))


def test_the_step_is_the_inverse_of_the_largest_eigenvalue():
    data, arch = _few(5), fully_connected(2)
    eigenvalues = np.linalg.eigvalsh(NTK(arch)(data.X.double().numpy()))
    assert largest_step(arch, data) == pytest.approx(1 / eigenvalues[-1])
    assert one_hot(data).argmax(1).tolist() == data.labels.tolist()
    assert one_hot(data).sum(1).tolist() == [1.0] * 5


def test_errors_of_a_ratio_add_relatively():
    result = EqualSteps(0.1, 5, Estimate(0.5, 0.03), Estimate(0.4, 0.02))
    assert result.ratio.value == pytest.approx(0.8)
    assert result.ratio.error == pytest.approx(0.8 * np.hypot(0.06, 0.05))
    assert equal_steps_table([result], (3, 400)).rows[0][:3] == (0.1, 5, 0.5)


def test_a_power_law_shows_its_exponent():
    changes = tuple(Estimate(3 / n, 0.1 / n) for n in (8, 16, 32, 64))
    curves = [DriftCurve(init, (8, 16, 32, 64), changes) for init in ("gaussian", "orthogonal")]
    assert curves[0].slope(3) == pytest.approx(-1)
    table = drift_table(curves, 7)
    assert table.rows[0][-1] == 1
    assert "-1.00 (gaussian) and -1.00 (orthogonal)" in table.notes[0]
    assert drift_figure(curves).axes[0].get_xlabel() == "width n"
