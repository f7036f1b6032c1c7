"""Gaussian expectations by trapezoidal sums and Hermite series."""

from math import exp, factorial

import pytest
import torch

from widenet.errors import InvalidArchitecture
from widenet.kernels.hermite import gaussian_grid, series_values


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("step", [1 / 16, 1 / 100])
def test_the_grid_integrates_moments_and_waves(step: float):
    z, weight = gaussian_grid(tensor(1.0), step)
    for power, expected in ((0, 1), (1, 0), (2, 1), (4, 3), (8, 105)):
        assert float((weight * z**power).sum()) == pytest.approx(expected, abs=1e-13 * max(1, expected))
    assert float((weight * torch.cos(3 * z)).sum()) == pytest.approx(exp(-4.5), abs=1e-14)


def test_an_exponential_against_its_closed_form():
    x, y = tensor(0.5, 1.0)[:, None], tensor(0.2, 0.7, 1.1)[None, :]
    cross = tensor(0.3, -0.2, 0.0, 0.1, -0.4, 0.9).reshape(2, 3)
    value, slope = series_values(torch.exp, x, y, cross)
    expected = torch.exp((x + y) / 2 + cross)
    torch.testing.assert_close(value, expected, rtol=1e-13, atol=0)
    torch.testing.assert_close(slope, expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("degree", [0, 1, 2, 5])
def test_a_power_against_its_moments(degree: int):
    """E[u^p v^p] = sum over pairings: for equal unit sizes sum_k (p! / k!)^2 c^k / (2^j j!)^2 with p = k + 2j."""
    c = 0.6
    expected = sum(
        factorial(degree) ** 2 * c**k / factorial(k) / (2 ** ((degree - k) // 2) * factorial((degree - k) // 2)) ** 2
        for k in range(degree % 2, degree + 1, 2)
    )
    value, _ = series_values(lambda z: z**degree, tensor(1.0), tensor(1.0), tensor(c), degree)
    assert float(value) == pytest.approx(expected, rel=1e-13)


def test_a_zero_variance_is_a_constant():
    value, slope = series_values(torch.cos, tensor(0.0), tensor(1.0), tensor(0.0))
    assert float(value) == pytest.approx(exp(-0.5), abs=1e-15)
    assert float(slope) == pytest.approx(0.0, abs=1e-15)


def test_a_long_series_reaches_its_digits():
    frequency = 6.0
    value, _ = series_values(lambda z: torch.sin(frequency * z), tensor(1.2), tensor(0.8), tensor(0.95))
    expected = exp(-(frequency**2) * (2.0 / 2 - 0.95)) / 2 - exp(-(frequency**2) * (2.0 / 2 + 0.95)) / 2
    assert float(value) == pytest.approx(expected, rel=1e-11)


def test_too_rough_a_function_is_refused_with_its_scale():
    with pytest.raises(InvalidArchitecture, match=r"at standard deviation 3\. Standardise the columns"):
        series_values(torch.sign, tensor(9.0), tensor(1.0), tensor(0.5))


def test_series_are_differentiable_in_the_moments():
    x, y, cross = (tensor(v).requires_grad_() for v in (1.3, 0.7, 0.4))
    value, slope = series_values(torch.tanh, x, y, cross)
    (by_cross,) = torch.autograd.grad(value.sum(), cross)
    # Price's theorem; the gradient runs through the series, the slope through phi'.
    assert float(by_cross) == pytest.approx(float(slope.detach()), rel=1e-12)
