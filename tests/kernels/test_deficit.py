"""The fall of the NTK below its diagonal, near it to twelve digits."""

from math import pi

import mpmath
import pytest
import torch

from widenet.architectures import Abs, Dense, Erf, Layer, LeakyReLU, ReLU, fully_connected
from widenet.errors import InvalidArchitecture
from widenet.kernels import NTK, tangent_deficit


def _at(network: Layer, theta: float, norm: float = 1.0) -> float:
    return float(tangent_deficit(network, torch.tensor([theta], dtype=torch.float64), norm, 3))


@pytest.mark.parametrize(
    ("theta", "expected"), [(1e-2, 0.0192295944101), (1e-4, 0.000190999175509), (1e-6, 1.90986064163e-6)]
)
def test_published_values_at_depth_3(theta: float, expected: float):
    """4 - K to the twelve digits that are printed."""
    assert _at(fully_connected(3, scaling="geifman"), theta) == pytest.approx(expected, rel=3e-12)


@pytest.mark.parametrize("depth", [1, 3, 10])
@pytest.mark.parametrize("beta", [0.0, 0.5])
@pytest.mark.parametrize("theta", [1e-12, 1e-7, 1e-3, 0.7, 3.0])
def test_against_the_recursion_at_60_digits(depth: int, beta: float, theta: float):
    with mpmath.workdps(60):
        t, bias = mpmath.mpf(theta), mpmath.mpf(beta) ** 2
        cross, tangent = mpmath.cos(t), mpmath.cos(t) + bias
        for _ in range(depth):
            arc = mpmath.pi - mpmath.acos(cross)
            step = arc / mpmath.pi
            cross = (cross * arc + mpmath.sqrt(1 - cross * cross)) / mpmath.pi
            tangent = tangent * step + cross + bias
        expected = float((depth + 1) * (1 + bias) - tangent)
    network = fully_connected(depth, bias_std=beta, scaling="geifman")
    assert _at(network, theta) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    "network",
    [
        fully_connected(2, LeakyReLU(0.2), bias_std=0.4),
        Dense(1.1, 0.3) >> Abs() >> Dense(1.2, trainable=False) >> ReLU() >> Dense(0.9, 0.2),
        0.5 * fully_connected(1, bias_std=0.2),
    ],
    ids=str,
)
def test_it_is_the_difference_where_that_can_be_formed(network: Layer):
    theta, norm = torch.tensor([0.5, 1.5, pi], dtype=torch.float64), 1.3
    points = norm * torch.stack([theta.cos(), theta.sin(), 0 * theta], 1)
    x = torch.tensor([[norm, 0.0, 0.0]], dtype=torch.float64)
    kernel = NTK(network)
    expected = kernel(x) - kernel(x, points)
    torch.testing.assert_close(tangent_deficit(network, theta, norm, 3), expected[0], rtol=1e-13, atol=0)


def test_other_networks_are_refused():
    with pytest.raises(InvalidArchitecture, match=r"needs a chain of Dense layers .*; got .*Erf"):
        _at(fully_connected(1, Erf()), 0.1)
