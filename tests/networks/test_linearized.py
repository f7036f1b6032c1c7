"""Linearised networks: the expansion itself, and that training one is kernel regression with its tangent kernel."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from tangent_reference import full_kernel, gradients, module_and_points
from widenet.errors import InvalidInput
from widenet.networks.empirical import EmpiricalNTK
from widenet.networks.linearized import LinearizedNetwork, linearize

MODULE, X, Z = module_and_points("dense", (4, 3))
TARGETS = torch.randn(4, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def regression(filtered) -> torch.Tensor:
    """f0(z) + Theta(z, X) filtered(Theta(X, X)) (y - f0(X)) from reverse mode and the eigenvectors of Theta."""
    K = full_kernel(MODULE, X, X).permute(0, 2, 1, 3).reshape(12, 12)
    s, V = torch.linalg.eigh(K)
    error = (TARGETS - MODULE(X).detach()).reshape(-1)
    a = V @ (filtered(s) * (V.T @ error))
    return MODULE(Z).detach() + torch.einsum("ijab,jb->ia", full_kernel(MODULE, Z, X), a.reshape(4, 3))


def test_it_is_the_first_order_expansion():
    net = linearize(MODULE)
    assert torch.equal(net(Z), MODULE(Z))
    shift = [0.3 * torch.randn(part.shape, dtype=torch.float64) for part in net.shifts]
    with torch.no_grad():
        for part, value in zip(net.shifts, shift, strict=True):
            part.copy_(value)
    flat = torch.cat([part.reshape(-1) for part in shift])
    expected = MODULE(Z) + gradients(MODULE, Z) @ flat
    np.testing.assert_allclose(net(Z).detach(), expected.detach(), rtol=1e-12)
    assert [p.requires_grad for p in MODULE.parameters()] == [True] * 6
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == len(flat)


def test_its_tangent_kernel_is_that_of_the_module_wherever_it_is_trained_to():
    net = linearize(MODULE).fit(X, TARGETS)
    np.testing.assert_allclose(EmpiricalNTK(net).full(X, Z), full_kernel(MODULE, X, Z), rtol=1e-10)
    np.testing.assert_allclose(net.kernel.full(X, Z), full_kernel(MODULE, X, Z), rtol=1e-10)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_the_fit_is_kernel_regression(ridge):
    net = linearize(MODULE).fit(X.numpy(), TARGETS.numpy(), ridge=ridge, ridge_scale="absolute")
    np.testing.assert_allclose(net(Z).detach(), regression(lambda s: 1 / (s + ridge)), rtol=1e-7)
    if ridge == 0:
        np.testing.assert_allclose(net(X).detach(), TARGETS, rtol=1e-9)
    mean = float(EmpiricalNTK(MODULE).diagonal(X).mean())
    relative = linearize(MODULE).fit(X, TARGETS, ridge=0.3 / mean)
    if ridge == 0.3:
        np.testing.assert_allclose(relative(Z).detach(), net(Z).detach(), rtol=1e-10)


@pytest.mark.parametrize("time", [0.0, 0.02, 1.0, float("inf")])
def test_gradient_flow_in_closed_form(time):
    def learned(s):
        return 1 / s if time == float("inf") else (1 - torch.exp(-s * time)) / s

    net = linearize(MODULE).flow(X, TARGETS, time)
    np.testing.assert_allclose(net(Z).detach(), regression(learned), rtol=1e-7)


def test_gradient_descent_by_products_and_by_an_optimiser():
    # After k steps of size r an eigen-component keeps (1 - r s)^k of its error.
    rate, steps = 2e-3, 25
    expected = regression(lambda s: (1 - (1 - rate * s) ** steps) / s)
    net = linearize(MODULE)
    losses = net.descend(X, TARGETS, steps, rate)
    np.testing.assert_allclose(net(Z).detach(), expected, rtol=1e-9)
    assert len(losses) == steps + 1
    np.testing.assert_allclose(losses[0], 0.5 * float((MODULE(X) - TARGETS).square().sum().detach()), rtol=1e-12)
    np.testing.assert_allclose(losses[-1], 0.5 * float((net(X) - TARGETS).square().sum().detach()), rtol=1e-9)
    other = linearize(MODULE)
    optimiser = torch.optim.SGD(other.parameters(), lr=rate)
    for _ in range(steps):
        optimiser.zero_grad()
        (0.5 * (other(X) - TARGETS).square().sum()).backward()
        optimiser.step()
    np.testing.assert_allclose(other(Z).detach(), expected, rtol=1e-9)


def test_the_rate_is_chosen_so_that_descent_converges():
    net = linearize(MODULE)
    losses = net.descend(X, TARGETS, 40)
    assert all(after <= before for before, after in pairwise(losses))
    assert losses[-1] < 0.3 * losses[0]


def test_some_parameters_alone():
    net = LinearizedNetwork(MODULE, ("4",)).fit(X, TARGETS, ridge=0.1)
    assert net.names == ("4.weight", "4.bias")
    assert len(list(net.parameters())) == 2 + 6
    np.testing.assert_allclose(net.kernel.full(X), EmpiricalNTK(MODULE, ("4",)).full(X), rtol=1e-12)


def test_the_copy_keeps_its_mode_and_its_weights():
    module, points, _ = module_and_points("convolutions")
    net = linearize(module)
    net.train()
    assert net.training
    assert not any(layer.training for layer in net.base.modules())
    before = net(points).detach()
    with torch.no_grad():
        module[0].weight.zero_()
    assert torch.equal(net(points), before)
    again = linearize(module)
    again.load_state_dict(net.state_dict())
    assert torch.equal(again(points), before)


def test_bad_arguments_are_refused():
    net = linearize(MODULE)
    for call, words in [
        (lambda: net.fit(X, TARGETS[:, :2]), r"\(4, 3\)"),
        (lambda: net.fit(X, TARGETS, ridge=-1.0), "ridge"),
        (lambda: net.flow(X, TARGETS, -1.0), "time"),
        (lambda: net.descend(X, TARGETS, 3, 0.0), "rate"),
        (lambda: net.fit(X, torch.full((4, 3), torch.nan)), "finite"),
        (lambda: linearize(nn.Sequential(nn.Linear(2, 2), nn.Dropout())), "training mode"),
    ]:
        with pytest.raises(InvalidInput, match=words):
            call()
