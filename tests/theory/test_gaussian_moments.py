"""Moments of activations against closed forms and adaptive quadrature."""

from dataclasses import astuple
from itertools import pairwise
from math import erf

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from widenet.architectures import Abs, Elementwise, Erf, LeakyReLU, Polynomial, ReLU, ThresholdReLU
from widenet.errors import InvalidArchitecture
from widenet.theory.gaussian_moments import unit_moments


def _by_quadrature(s, t, variance: float, kink: float = 0.0) -> tuple[float, ...]:
    """The moments in the order of the fields, integrated adaptively on either side of a kink."""
    std = np.sqrt(variance)

    def mean(f) -> float:
        def weighted(u: float) -> float:
            return f(u) * np.exp(-u * u / 2) / np.sqrt(2 * np.pi)

        edges = sorted({-13.0, kink / std, 13.0})
        return sum(quad(weighted, a, b, epsabs=1e-14, epsrel=1e-13, limit=500)[0] for a, b in pairwise(edges))

    square, slope = mean(lambda u: s(std * u) ** 2), mean(lambda u: t(std * u) ** 2)
    return (
        square,
        slope,
        mean(lambda u: s(std * u) ** 4) / square**2,
        mean(lambda u: t(std * u) ** 4) / slope**2,
        mean(lambda u: s(std * u) ** 2 * (u * u - 1)) / (2 * square),
        mean(lambda u: t(std * u) ** 2 * (u * u - 1)) / (2 * slope),
        mean(lambda u: (s(std * u) * t(std * u)) ** 2) / (square * slope),
        mean(lambda u: u * s(std * u) * t(std * u)) ** 2 / (square * slope),
    )


CASES = {
    "tanh": (Elementwise(torch.tanh), np.tanh, lambda z: 1 / np.cosh(z) ** 2, 0.0),
    "erf": (
        Erf(frequency=2.0),
        lambda z: erf(2 * z),
        lambda z: 4 / np.sqrt(np.pi) * np.exp(-4 * z * z),
        0.0,
    ),
    "threshold": (ThresholdReLU(0.7), lambda z: max(z - 0.7, 0), lambda z: float(z > 0.7), 0.7),
    "leaky": (LeakyReLU(0.3), lambda z: max(z, 0.3 * z), lambda z: 1.0 if z > 0 else 0.3, 0.0),
    "elu": (
        Elementwise(torch.nn.functional.elu),
        lambda z: z if z > 0 else np.expm1(z),
        lambda z: min(1, np.exp(z)),
        0.0,
    ),
    "cubic": (Polynomial((0.5, 1.0, 0.0, 0.2)), lambda z: 0.5 + z + 0.2 * z**3, lambda z: 1 + 0.6 * z * z, 0.0),
}


@pytest.mark.parametrize("variance", [0.01, 1.0, 6.0])
@pytest.mark.parametrize("case", CASES)
def test_moments_agree_with_adaptive_quadrature(case: str, variance: float):
    activation, s, t, kink = CASES[case]
    if case == "threshold" and variance == 0.01:
        variance = 0.04  # below, one unit in 10^12 is active and the quadrature has nothing to hold on to
    expected = _by_quadrature(s, t, variance, kink)
    np.testing.assert_allclose(astuple(unit_moments(activation, variance)), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("variance", [1e-280, 1.0, 1e200])
def test_moments_of_relu_are_those_of_half_a_gaussian(variance: float):
    # <s^2> = K / 2, <s^4> = 3 K^2 / 2, <t^2> = <t^4> = 1 / 2, <s^2 t^2> = K / 2, <u s t> = sqrt(K) / 2.
    expected = (variance / 2, 0.5, 6.0, 2.0, 1.0, 0.0, 2.0, 1.0)
    np.testing.assert_allclose(astuple(unit_moments(ReLU(), variance)), expected, rtol=1e-12, atol=1e-13)


def test_moments_of_the_absolute_value():
    np.testing.assert_allclose(astuple(unit_moments(Abs(), 4.0)), (4.0, 1, 3, 1, 1, 0, 1, 1), rtol=1e-12, atol=1e-13)


def test_a_constant_has_no_slope():
    np.testing.assert_allclose(astuple(unit_moments(Polynomial((2.0,)), 1.0)), (4.0, 0, 1, 0, 0, 0, 0, 0), atol=1e-13)


def test_a_kink_at_zero_of_a_given_function_is_known():
    np.testing.assert_allclose(
        astuple(unit_moments(Elementwise(torch.relu), 2.0)), astuple(unit_moments(ReLU(), 2.0)), rtol=1e-13, atol=1e-15
    )


@pytest.mark.parametrize(
    ("function", "words"), [(torch.nn.functional.hardtanh, "smooth"), (torch.floor, "jumps"), (torch.sign, "jumps")]
)
def test_other_kinks_and_jumps_are_refused(function, words: str):
    with pytest.raises(InvalidArchitecture, match=words):
        unit_moments(Elementwise(function), 2.3)


@pytest.mark.parametrize("activation", [ThresholdReLU(60.0), Polynomial((0.0,))])
def test_a_signal_that_vanishes_is_refused(activation):
    with pytest.raises(InvalidArchitecture, match="vanish"):
        unit_moments(activation, 1.0)
