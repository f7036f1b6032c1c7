"""Drift of the tangent kernel against Jacobians by automatic differentiation, and its decay with the width."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev

from widenet.architectures import Erf, fully_connected
from widenet.errors import InvalidInput
from widenet.networks import Ensemble, GradientDescent, Recorder, network, train
from widenet.networks.drift import KernelDrift

X = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
y = torch.tensor([1.0, -1.0, 0.5, 0.2, -0.4, 0.9], dtype=torch.float64)


def _kernel(module: nn.Module) -> torch.Tensor:
    parameters = {name: p.detach() for name, p in module.named_parameters()}
    parts = jacrev(lambda own: functional_call(module, own, (X,))[:, 0])(parameters)
    J = torch.cat([part.reshape(len(X), -1) for part in parts.values()], dim=1)
    return J @ J.T


def _module(seed: int, width: int = 12) -> nn.Module:
    return network(fully_connected(2, Erf()), 3, width=width, seed=seed, dtype=torch.float64)


def test_records_are_the_relative_change_of_the_kernel():
    module = _module(0)
    kernels = [_kernel(module)]
    drift = KernelDrift(module, X)
    recorder = Recorder(drift, every=2)
    history = train(module, X, y, GradientDescent(0.2, steps=2), recorder)
    kernels.append(_kernel(module))
    expected = float((kernels[1] - kernels[0]).norm() / kernels[0].norm())
    assert [step for step, _ in history.records] == [0, 2]
    assert history.records[0][1] == 0
    assert history.records[1][1] == pytest.approx(expected, rel=1e-9)
    assert expected > 1e-3


def test_members_of_an_ensemble_drift_each_for_itself():
    members = [_module(seed) for seed in range(3)]
    ensemble = Ensemble(members)
    drift = KernelDrift(ensemble, X)
    descent = GradientDescent(0.2, steps=3)
    train(ensemble, X, y, descent)
    alone = []
    for member in members:
        own = KernelDrift(member, X)
        train(member, X, y, descent)
        alone.append(own(3, member))
    np.testing.assert_allclose(drift(3, ensemble), alone, rtol=1e-9)


def test_the_kernel_of_some_parameters_alone_can_be_watched():
    module = _module(1)
    drift = KernelDrift(module, X, parameters=("0",))
    with torch.no_grad():
        next(module.parameters()).mul_(2.0)
    assert drift(0, module) > 0
    last = KernelDrift(module, X, parameters=("4",))
    with torch.no_grad():
        list(module.parameters())[-1].mul_(2.0)  # a linear readout's own kernel does not depend on it
    assert last(0, module) == pytest.approx(0, abs=1e-14)


def test_wide_networks_drift_less():
    changes = []
    for width in (32, 512):
        ensemble = Ensemble.of(lambda seed, width=width: _module(seed, width), range(4))
        drift = KernelDrift(ensemble, X)
        train(ensemble, X, y, GradientDescent(0.1, steps=30))
        changes.append(np.mean(drift(30, ensemble)))
    # Between width^(-1/2) and width^-1 for 16 times the width.
    assert 1 / 25 < changes[1] / changes[0] < 1 / 3


def test_a_kernel_that_is_zero_has_no_relative_change():
    module = nn.Linear(3, 1, bias=False)
    with pytest.raises(InvalidInput, match="not 0"):
        KernelDrift(module, torch.zeros(2, 3))
