"""Activations: their values, and what is refused."""

from math import erf, pi, sqrt

import numpy as np
import pytest
import torch
from scipy.special import eval_hermitenorm, factorial

from widenet.architectures import (
    GELU,
    RBF,
    Abs,
    AbsLinear,
    Cosine,
    Elementwise,
    Erf,
    GaussianBump,
    LeakyReLU,
    Polynomial,
    ReLU,
    Sine,
    sigmoid_like,
)
from widenet.errors import InvalidArchitecture

Z = np.linspace(-3, 3, 13)
EXPECTED = [
    (ReLU(), np.maximum(Z, 0)),
    (LeakyReLU(0.1), np.where(Z > 0, Z, 0.1 * Z)),
    (Abs(), np.abs(Z)),
    (AbsLinear(0.3, -2.0), 0.3 * Z - 2 * np.abs(Z)),
    (Erf(1.3, 0.7, 0.2), [1.3 * erf(0.7 * z) + 0.2 for z in Z]),
    (GELU(), [z * (1 + erf(z / sqrt(2))) / 2 for z in Z]),
    (Sine(1.3, 0.7, 0.2), 1.3 * np.sin(0.7 * Z + 0.2)),
    (Cosine(1.3, 0.7, 0.2), 1.3 * np.cos(0.7 * Z + 0.2)),
    (RBF(0.4), np.sin(sqrt(0.8) * Z) + np.cos(sqrt(0.8) * Z)),
    (GaussianBump(0.8), np.exp(-(Z**2) / (2 * 0.64))),
    (Polynomial((1.0, -2.0, 0.0, 0.5)), 1 - 2 * Z + 0.5 * Z**3),
    (
        Polynomial((0.5, 0.0, -1.0, 2.0, 0.3), "hermite"),
        sum(c * eval_hermitenorm(k, Z) / sqrt(factorial(k)) for k, c in enumerate((0.5, 0.0, -1.0, 2.0, 0.3))),
    ),
    (Elementwise(torch.tanh), np.tanh(Z)),
]


@pytest.mark.parametrize(("activation", "expected"), EXPECTED, ids=lambda value: type(value).__name__)
def test_values(activation, expected):
    np.testing.assert_allclose(activation(torch.from_numpy(Z)).numpy(), expected, rtol=1e-13, atol=1e-14)


def test_the_default_leaky_slope_is_that_of_torch():
    z = torch.from_numpy(Z)
    assert torch.allclose(LeakyReLU()(z), torch.nn.functional.leaky_relu(z), rtol=0, atol=1e-15)


def test_the_sigmoid_by_the_error_function_is_close_to_the_sigmoid():
    z = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    gap = (sigmoid_like()(z) - torch.sigmoid(z)).abs()
    assert 0.015 < gap.max() < 0.02
    at_zero = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(sigmoid_like()(at_zero), at_zero)
    assert float(slope) == pytest.approx(0.25, rel=1e-14)


@pytest.mark.parametrize(
    ("function", "printed"),
    [
        (torch.tanh, "Elementwise(torch.tanh)"),
        (torch.nn.functional.softplus, "Elementwise(torch.nn.functional.softplus)"),
        (torch.special.erfcx, "Elementwise(torch.special.erfcx)"),
    ],
)
def test_an_elementwise_function_of_torch_prints_by_its_public_name(function, printed: str):
    assert repr(Elementwise(function)) == printed
    assert eval(printed, {"Elementwise": Elementwise, "torch": torch}) == Elementwise(function)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AbsLinear(float("inf"), 0.0), "AbsLinear.linear must be a finite number; got inf"),
        (lambda: LeakyReLU(float("nan")), "LeakyReLU.slope must be a finite number; got nan"),
        (lambda: Erf(offset=float("nan")), "Erf.offset must be a finite number; got nan"),
        (lambda: Sine(phase=float("inf")), "Sine.phase must be a finite number; got inf"),
        (lambda: Cosine(frequency=float("inf")), "Cosine.frequency must be a finite number; got inf"),
        (lambda: RBF(-pi), "RBF.gamma must be a finite number of at least 0"),
        (lambda: RBF(0.0), "RBF.gamma must be positive; got 0"),
        (lambda: GaussianBump(0.0), "GaussianBump.scale must be positive; got 0"),
        (lambda: GaussianBump(-1.0), "GaussianBump.scale must be a finite number of at least 0; got -1"),
        (lambda: Polynomial(()), "Polynomial needs at least one coefficient; got none"),
        (lambda: Polynomial((1.0, float("nan"))), "a coefficient of Polynomial must be a finite number; got nan"),
    ],
)
def test_a_bad_value_is_refused(make, message: str):
    with pytest.raises(InvalidArchitecture, match=message):
        make()
