"""Power series of kernels against closed forms, and the extrapolated sums against known limits."""

from math import exp, factorial

import numpy as np
import pytest
from scipy.special import zeta

from widenet.kernels import ArcCosine, Gaussian, Laplace, Linear, Scaled
from widenet.theory.profile import sphere_profile
from widenet.theory.series import _sum_with_tail, power_series


def _arc_cosine_coefficients(order: int, count: int) -> np.ndarray:
    """Of kappa_0 and kappa_1, from asin u = sum_j c_j u^(2j+1) / (2j+1) with c_j = binom(2j, j) / 4^j."""
    result, c = np.zeros(count), 1.0
    result[0] = (0.5, 1 / np.pi)[order]
    if order == 1:
        result[1] = 0.5
    for j in range((count - 1 - order) // 2 + 1):
        n = 2 * j + 1 + order
        if n < count:
            result[n] = c / np.pi / ((2 * j + 1) if order == 0 else (2 * j + 1) * (2 * j + 2))
        c *= (2 * j + 1) / (2 * j + 2)
    return result


@pytest.mark.parametrize("order", [0, 1])
def test_coefficients_of_arc_cosine_kernels(order):
    series = power_series(sphere_profile(ArcCosine(order), 3), 2048)
    expected = _arc_cosine_coefficients(order, 2048)
    assert np.max(np.abs(series.coefficients - expected) - series.noise) < 1e-14 * expected.max()
    known = expected > 1e-5
    np.testing.assert_allclose(series.coefficients[known], expected[known], rtol=1e-8)


def test_coefficients_of_an_entire_kernel_keep_their_relative_accuracy():
    # exp(-(1 - u) / s^2) = e^(-1/s^2) sum_n u^n / (s^(2n) n!)
    series = power_series(sphere_profile(Gaussian(0.8), 3), 8192)
    expected = np.array([exp(-1 / 0.64) / 0.64**n / factorial(n) for n in range(60)])
    assert expected[-1] < 1e-65
    np.testing.assert_allclose(series.coefficients[:60], expected, rtol=1e-10)


def test_sum_and_scaling_of_entire_kernels():
    profile = sphere_profile(Scaled(3.0, Linear(2.0)) * Linear(1.0), 4)
    np.testing.assert_allclose(power_series(profile, 8192).coefficients[:4], [12.0, 15.0, 3.0, 0.0], atol=1e-13)


@pytest.mark.parametrize(("exponent", "tolerance"), [(1.5, 1e-11), (2.0, 1e-12), (3.25, 1e-13)])
def test_slow_series_are_summed_to_their_limit(exponent, tolerance):
    terms = np.arange(1.0, 8193.0) ** -exponent
    value, error = _sum_with_tail(terms)
    np.testing.assert_allclose(value, zeta(exponent), rtol=tolerance)
    assert abs(value - zeta(exponent)) < 100 * error + 1e-12
    assert abs(terms.sum() / zeta(exponent) - 1) > 100 * tolerance  # the extrapolation does the work


def test_a_fast_series_is_left_alone():
    value, error = _sum_with_tail(0.5 ** np.arange(4000.0))
    assert value == 2.0
    assert error == 0.0


def test_coefficients_of_the_laplace_kernel_are_positive():
    # A kernel that is positive definite on every sphere has no negative coefficient (Schoenberg 1942).
    series = power_series(sphere_profile(Laplace(1.0), 3), 4096)
    assert np.all(series.coefficients > -series.noise)
    np.testing.assert_allclose(series.coefficients[0], exp(-(2**0.5)), rtol=1e-14)
