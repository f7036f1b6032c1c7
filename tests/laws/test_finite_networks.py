"""Kernels of structured dense networks against the tangent kernels of finite networks, by automatic differentiation."""

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest
import torch
from torch import Tensor

from widenet.architectures import Layer, densenet, residual, sparse_network
from widenet.kernels import NTK

X = torch.tensor([[0.6, 0.8, 0.0, 0.3], [-0.5, 0.9, 0.4, 0.2], [1.1, -0.2, 0.7, -0.6]], dtype=torch.float64)
CHANNELS = X.shape[1]


class Weights:
    """Standard normal weights, drawn when they are first asked for; the tangent kernel of what reads them."""

    def __init__(self, seed: int, width: int) -> None:
        self.generator, self.width, self.drawn = torch.Generator().manual_seed(seed), width, []

    def matrix(self, rows: int, columns: int) -> Tensor:
        weights = torch.randn(rows, columns, dtype=torch.float64, generator=self.generator).requires_grad_()
        self.drawn.append(weights)
        return weights

    def dense(self, z: Tensor, rows: int = 0) -> Tensor:
        """The layer W z / sqrt(fan-in)."""
        return z @ self.matrix(rows or self.width, z.shape[1]).T / sqrt(z.shape[1])

    def level(self, threshold: float, units: int) -> Tensor:
        """Trained biases that start at -threshold."""
        biases = torch.full((units,), -threshold, dtype=torch.float64, requires_grad=True)
        self.drawn.append(biases)
        return biases


def _relu(z: Tensor) -> Tensor:
    return sqrt(2) * torch.relu(z)


def _residual(weights: Weights) -> Tensor:
    z = weights.dense(X)
    for _ in range(3):
        z = z + sqrt(1 / 3) * weights.dense(_relu(weights.dense(z)))
    return weights.dense(z, 1)


def _relu_first(weights: Weights) -> Tensor:
    z = weights.dense(X)
    for alpha in (0.5, 1.5):
        z = z + sqrt(alpha) * weights.dense(_relu(z))
    return weights.dense(z, 1)


def _densenet(weights: Weights) -> Tensor:
    activations = [_relu(weights.dense(X))]
    for _ in range(3):
        # One matrix for all that is read: fan-in l n, variance alpha.
        activations.append(_relu(sqrt(0.8) * weights.dense(torch.cat(activations, 1))))
    return weights.dense(activations[-1], 1)


def _first_layer(weights: Weights) -> Tensor:
    n = weights.width
    units = torch.relu(X @ weights.matrix(n, CHANNELS).T + weights.level(0.5, n))
    signs = torch.randint(0, 2, (n,), generator=weights.generator).double() * 2 - 1
    return (units @ signs / sqrt(n))[:, None]


def _all_layers(weights: Weights) -> Tensor:
    n = weights.width
    units = torch.relu(X @ weights.matrix(n, CHANNELS).T + weights.level(0.5, n))
    # E max(z - 1/2, 0)^2 = 1.25 Q(1/2) - n(1/2) / 2 for z ~ N(0, 1).
    scale = sqrt(1.25 * 0.30853753872598688 - 0.35206532676429952 / 2)
    units = torch.relu(weights.dense(units) / scale + weights.level(0.5, n))
    return weights.dense(units, 1)


# Widths at which the kernel's own distance from its limit, of order 1 / width, is below the standard error.
CASES: dict[str, tuple[Callable[[Weights], Tensor], Layer, int, int]] = {
    "residual": (_residual, residual(3), 300, 24),
    "relu first": (_relu_first, residual(2, 1, (0.5, 1.5), relu_first=True), 400, 24),
    "densenet": (_densenet, densenet(3, 0.8), 400, 24),
    "first layer": (_first_layer, sparse_network(0.5), 20_000, 24),
    "all layers": (_all_layers, sparse_network(0.5, depth=2, trained="all"), 600, 24),
}


def _tangent_kernel(network: Callable[[Weights], Tensor], seed: int, width: int) -> np.ndarray:
    weights = Weights(seed, width)
    outputs = network(weights)[:, 0]
    total = torch.zeros(len(X), len(X), dtype=torch.float64)
    gradients = [torch.autograd.grad(output, weights.drawn, retain_graph=True) for output in outputs]
    for parts in zip(*gradients, strict=True):
        rows = torch.stack([part.reshape(-1) for part in parts])
        total += rows @ rows.T
    return total.numpy()


@pytest.mark.parametrize("name", CASES)
def test_the_kernel_is_the_mean_over_wide_networks(name: str):
    network, architecture, width, draws = CASES[name]
    found = np.stack([_tangent_kernel(network, seed, width) for seed in range(draws)])
    error = found.std(0, ddof=1) / sqrt(draws)
    expected = NTK(architecture)(X.numpy())
    assert np.all(error < 0.05 * np.diagonal(expected).max())  # a check that sees something
    assert np.all(np.abs(found.mean(0) - expected) < 5 * error)
