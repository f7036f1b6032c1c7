"""Coefficients against quadrature over half-lines, and their sums against the closed duals."""

from math import factorial, inf, sqrt

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import eval_hermitenorm
from scipy.stats import norm

from widenet.architectures import GELU, Abs, AbsLinear, Activation, Elementwise, Erf, LeakyReLU, ReLU, ThresholdReLU
from widenet.kernels.hermite_coefficients import hermite_coefficients, slope_coefficients

ACTIVATIONS = [ReLU(), Abs(), LeakyReLU(0.1), AbsLinear(0.3, -0.7), ThresholdReLU(0.0), ThresholdReLU(0.8)]
ACTIVATIONS += [Erf(), GELU(), Elementwise(torch.tanh)]
STDS = torch.tensor([0.4, 1.0, 1.7], dtype=torch.float64)


def _by_quadrature(function, a: float, order: int, kink: float) -> float:
    def integrand(z: float) -> float:
        value = float(function(torch.tensor(a * z, dtype=torch.float64)))
        return value * eval_hermitenorm(order, z) * norm.pdf(z) / sqrt(factorial(order))

    return sum(quad(integrand, *ends, epsabs=1e-12)[0] for ends in ((-12, kink / a), (kink / a, 12)))


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_coefficients_are_gaussian_means(activation: Activation):
    kink = activation.threshold if isinstance(activation, ThresholdReLU) else 0.0
    values = hermite_coefficients(activation, STDS, 5)
    expected = [[_by_quadrature(activation, float(a), order, kink) for a in STDS] for order in range(6)]
    np.testing.assert_allclose(values, expected, atol=2e-10)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_slopes_follow_from_steins_identity(activation: Activation):
    values, slopes = hermite_coefficients(activation, STDS, 6), slope_coefficients(activation, STDS, 5)
    for order in range(6):
        np.testing.assert_allclose(slopes[order], sqrt(order + 1) * values[order + 1] / STDS, atol=1e-12)


def test_high_degrees_sum_to_the_second_moment():
    # E max(z, 0)^2 = 1/2; the tail of the squares falls like l^-5/2, so its sum like degree^-3/2.
    squares = hermite_coefficients(ReLU(), torch.ones(1, dtype=torch.float64), 400).square()[:, 0]
    assert 0 < 0.5 - float(squares.sum()) < 0.03 * 200**-1.5
    squares = hermite_coefficients(ThresholdReLU(1.0), torch.ones(1, dtype=torch.float64), 400).square()[:, 0]
    expected = quad(lambda z: (z - 1) ** 2 * norm.pdf(z), 1, inf)[0]
    assert 0 < expected - float(squares.sum()) < 1e-4


def test_at_zero_a_unit_has_its_value_and_slope_there():
    zero = torch.zeros(2, dtype=torch.float64)
    np.testing.assert_allclose(hermite_coefficients(Erf(offset=0.5), zero, 3)[:, 1], [0.5, 0, 0, 0], atol=1e-12)
    expected = {ReLU(): 0.0, LeakyReLU(0.2): 0.2, Abs(): 0.0, ThresholdReLU(1.0): 0.0, Erf(): 2 / sqrt(np.pi)}
    for activation, slope in expected.items():
        values = slope_coefficients(activation, zero, 2)
        np.testing.assert_allclose(values[:, 0], [slope, 0, 0], atol=1e-12)


def test_shapes_and_low_degrees_are_kept():
    std = torch.rand(3, 2, dtype=torch.float64) + 0.1
    for activation in (ReLU(), GELU(), ThresholdReLU(0.3)):
        assert hermite_coefficients(activation, std, 0).shape == (1, 3, 2)
        assert slope_coefficients(activation, std, 1).shape == (2, 3, 2)
        whole = hermite_coefficients(activation, std, 4)
        np.testing.assert_allclose(hermite_coefficients(activation, std[1], 2), whole[:3, 1], atol=1e-14)
