"""Convergence of the tangent kernel: the slope of data with a known one, and kernels by plain gradients."""

import numpy as np
import pytest
import torch

from widenet.architectures import Dense, ReLU
from widenet.errors import InvalidInput
from widenet.kernels import NTK
from widenet.networks import network
from widenet.networks.convergence import Convergence, kernel_convergence, tangent_kernels

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_slope_of_a_power_law():
    widths, errors = (10, 20, 40), np.array([0.1, 0.2, 0.1])
    found = Convergence(widths, 3 * np.array(widths) ** -0.7, errors, np.zeros(3))
    assert found.slope == pytest.approx(-0.7)
    # Weights 100, 25, 100 at -log 2, 0, log 2.
    assert found.slope_error == pytest.approx((200 * np.log(2) ** 2) ** -0.5)


def test_tangent_kernels_are_products_of_gradients():
    nets = [
        network(Dense(1.2, 0.3) >> ReLU() >> Dense(trainable=False), 4, width=5, seed=seed, dtype=torch.float64)
        for seed in range(2)
    ]
    for net, found in zip(nets, tangent_kernels(nets, X), strict=True):
        W, v = net[0].weight.detach(), net[2].weight.detach()[0]
        open_ = ((1.2 / 2 * X @ W.T + 0.3 * net[0].bias.detach()) > 0).double()
        delta = open_ * v / 5**0.5
        expected = (delta @ delta.T) * (1.2**2 * X @ X.T / 4 + 0.3**2)
        torch.testing.assert_close(found, expected)


def test_distances_are_means_over_the_seeds():
    arch = Dense() >> ReLU() >> Dense()
    found = kernel_convergence(arch, X, (8, 16), seeds=3)
    nets = [network(arch, 4, width=16, seed=seed, dtype=torch.float64) for seed in (3, 4, 5)]
    gaps, limit = tangent_kernels(nets, X) - NTK(arch)(X), float(NTK(arch)(X).norm())
    each = np.array([float(gap.norm()) / limit for gap in gaps])
    assert found.distances[1] == pytest.approx(each.mean(), rel=1e-12)
    assert found.errors[1] == pytest.approx(each.std(ddof=1) / each.mean() / 3**0.5, rel=1e-12)
    assert found.of_means[1] == pytest.approx(float(gaps.mean(0).norm()) / limit, rel=1e-12)


def test_errors():
    arch = Dense() >> ReLU() >> Dense()
    with pytest.raises(InvalidInput, match="two widths and two seeds"):
        kernel_convergence(arch, X, (16, 16))
    with pytest.raises(InvalidInput, match="double precision"):
        kernel_convergence(arch, X.float(), (16, 32))
