"""Recurrent kernels against the tangent kernels of wide finite networks."""

from math import sqrt

import numpy as np
import pytest
import torch

from widenet import NTK, recurrent
from widenet.architectures import Erf, Recurrent, ReLU


def _finite_kernel(cells: list[Recurrent], readout: str, width: int, generator: torch.Generator) -> torch.Tensor:
    """Inner products of the gradients of one RNN of finite width at MONTE_CARLO."""

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    series = [torch.from_numpy(part) for part in MONTE_CARLO]
    weights = [
        [draw(width, width), draw(width, 2 if index == 0 else width), draw(width)] for index in range(len(cells))
    ]
    outputs = draw(5 if readout == "stepwise" else 1, width)
    parameters = [tensor.requires_grad_() for tensor in (*[part for layer in weights for part in layer], outputs)]
    gradients = []
    for x in series:
        states = [cell.initial_std * draw(width) for cell in cells]
        total = torch.zeros((), dtype=torch.float64)
        for t, step in enumerate(x):
            below = step
            for index, (cell, (W, U, b)) in enumerate(zip(cells, weights, strict=True)):
                g = cell.hidden_std / sqrt(width) * W @ states[index]
                g = g + cell.input_std / sqrt(len(below)) * U @ below + cell.bias_std * b
                states[index] = below = cell.activation(g)
            if readout == "mean":
                total = total + outputs[0] @ below / (sqrt(width) * len(x))
            elif readout == "stepwise":
                total = total + outputs[t] @ below / sqrt(width * len(x))
            elif t == len(x) - 1:
                total = outputs[0] @ below / sqrt(width)
        parts = torch.autograd.grad(total, parameters)
        gradients.append(torch.cat([part.flatten() for part in parts]))
    stacked = torch.stack(gradients)
    return stacked @ stacked.T


MONTE_CARLO = [np.random.default_rng(7).standard_normal((5, 2)), np.random.default_rng(8).standard_normal((5, 2))]


@pytest.mark.parametrize(
    ("cells", "readout"),
    [
        ([Recurrent(ReLU(), 1.4, 1.0, 0.3, 0.5)], "last"),
        ([Recurrent(Erf(), 1.2, 1.0, 0.2)] * 2, "mean"),
        ([Recurrent(ReLU(), 1.2, 1.1, 0.3)] * 2, "stepwise"),
    ],
)
def test_wide_networks(cells, readout):
    """60 random RNNs: the mean of their tangent kernels is within 5 standard errors."""
    generator = torch.Generator().manual_seed(4)
    seeds = torch.stack([_finite_kernel(cells, readout, 600 // len(cells), generator) for _ in range(60)])
    expected = NTK(recurrent(len(cells), cells[0], readout=readout))(MONTE_CARLO)
    error = seeds.std(0) / sqrt(len(seeds))
    z = (seeds.mean(0).numpy() - expected) / error.numpy()
    assert np.abs(z).max() < 5
    assert (error.numpy() < 0.05 * np.sqrt(np.outer(np.diag(expected), np.diag(expected)))).all()
