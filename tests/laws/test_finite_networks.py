"""Kernels of structured networks against the mean tangent kernel of finite ones, so wide that their bias is small."""

from math import sqrt

import numpy as np
import pytest
import torch

from widenet.architectures import (
    AvgPool,
    Conv,
    Dense,
    Erf,
    Flatten,
    GlobalAveragePool,
    Layer,
    Recurrent,
    ReLU,
    SumPool,
    densenet,
    recurrent,
    residual,
    sparse_network,
)
from widenet.kernels import NTK
from widenet.networks import network
from widenet.networks.convergence import tangent_kernels

X = torch.tensor([[0.6, 0.8, 0.0, 0.3], [-0.5, 0.9, 0.4, 0.2], [1.1, -0.2, 0.7, -0.6]], dtype=torch.float64)
SEQUENCES = torch.from_numpy(np.random.default_rng(7).standard_normal((2, 5, 2)))
IMAGES = torch.from_numpy(np.random.default_rng(4).standard_normal((2, 5, 4, 2)))
LAST = Dense(0.9, 0.1)
# Windows that reach over the edges, and odd sizes.
STRIDED = Conv(3, 2, bias_std=0.2, weight_std=1.3) >> ReLU() >> Conv(2, weight_std=1.2, bias_std=0.1) >> ReLU()
CIRCULAR = Conv(3, 1, "circular", 1.3, 0.2) >> ReLU() >> AvgPool(2) >> Conv(1, weight_std=1.2, bias_std=0.1) >> ReLU()
SIGNAL = Conv(4, weight_std=1.3, bias_std=0.2) >> ReLU() >> SumPool(3, 1) >> Conv(2, 1, "valid", 0.7, 0.1) >> ReLU()

# Widths at which the kernel's own distance from its limit, of order 1 / width, is below the standard error.
CASES: dict[str, tuple[Layer, torch.Tensor, int]] = {
    "residual": (residual(3), X, 200),
    "relu first": (residual(2, 1, (0.5, 1.5), relu_first=True), X, 250),
    "densenet": (densenet(3, 0.8), X, 250),
    "first layer": (sparse_network(0.5), X, 20_000),
    "all layers": (sparse_network(0.5, depth=2, trained="all"), X, 400),
    "strided": (STRIDED >> Flatten() >> LAST, IMAGES, 192),
    "circular": (CIRCULAR >> GlobalAveragePool() >> LAST, IMAGES, 256),
    "signal": (SIGNAL >> Flatten() >> LAST, IMAGES[:, :, 0], 192),
    "last step": (recurrent(1, Recurrent(ReLU(), 1.4, 1.0, 0.3, 0.5)), SEQUENCES, 400),
    "mean": (recurrent(2, Recurrent(Erf(), 1.2, 1.0, 0.2), readout="mean"), SEQUENCES, 300),
    "stepwise": (recurrent(2, Recurrent(ReLU(), 1.2, 1.1, 0.3), readout="stepwise"), SEQUENCES, 300),
}
DRAWS = 16


@pytest.mark.parametrize("name", CASES)
def test_the_kernel_is_the_mean_over_wide_networks(name: str):
    architecture, points, width = CASES[name]
    shape = tuple(points.shape[1:])
    nets = (network(architecture, shape, width=width, seed=seed, dtype=torch.float64) for seed in range(DRAWS))
    found = torch.cat([tangent_kernels([net], points) for net in nets])
    error, expected = found.std(0) / sqrt(DRAWS), NTK(architecture)(points)
    sizes = expected.diagonal().sqrt()
    assert bool((error < 0.1 * sizes[:, None] * sizes).all())  # a check that sees something
    assert bool(((found.mean(0) - expected).abs() < 5 * error).all())
