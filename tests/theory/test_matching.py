"""Fits of the Laplace kernel: published values, and a kernel that it fits exactly."""

import numpy as np
import pytest

from widenet.architectures import fully_connected
from widenet.kernels import NTK, Gaussian, Laplace, Linear
from widenet.theory import LaplaceMatch, match_laplace


def fit(depth: int, bias: float) -> LaplaceMatch:
    return match_laplace(NTK(fully_connected(depth, bias_std=bias, scaling="geifman")))


def test_published_fit_of_depth_six():
    found = fit(6, 1.0)
    np.testing.assert_allclose([found.rate, found.a0, found.a1], [1.40955, 0.28935, 0.71719], atol=5e-6)
    np.testing.assert_allclose([found.rmse, found.max_error, found.gaussian_rmse], [2.5e-3, 6.5e-3, 2.5e-2], rtol=0.02)
    np.testing.assert_allclose(found.scale, 1 / 1.40955, rtol=1e-5)
    assert not found.at_bound
    without = fit(6, 0.0)
    np.testing.assert_allclose([without.rate, without.rmse], [1.36264, 5.4e-3], rtol=0.01)
    assert abs(without.rate - 1.36264) < 5e-6


@pytest.mark.parametrize(
    ("depth", "bias", "laplace", "gaussian"),
    [
        (1, 0.0, 0.049, 0.025),
        (2, 0.0, 0.0281, 0.0131),
        (2, 1.0, 0.0127, 0.0125),
        (3, 0.0, 0.0183, 0.0172),
        (3, 1.0, 0.0092, 0.0173),
        (4, 0.0, 0.0124, 0.0213),
    ],
)
def test_published_errors(depth, bias, laplace, gaussian):
    found = fit(depth, bias)
    unit = 5e-4 if depth == 1 else 5.1e-5
    assert abs(found.rmse - laplace) < unit
    assert abs(found.gaussian_rmse - gaussian) < unit


def test_the_shallow_network_with_bias_runs_into_the_bound():
    found = fit(1, 1.0)
    assert found.at_bound
    assert found.rate < 1.01e-3


def test_an_affine_laplace_kernel_is_found_again():
    # 0.6 exp(-r / 0.4) + 0.4, where the constant is a linear kernel's square of order zero.
    constant = 0.4 * Gaussian(1e8)
    found = match_laplace(0.6 * Laplace(0.4) + constant)
    np.testing.assert_allclose([found.rate, found.a0, found.a1], [2.5, 0.4, 0.6], rtol=1e-6)
    assert found.max_error < 1e-8


def test_the_scale_of_the_kernel_does_not_matter():
    kernel = Linear() + 2.0 * Laplace(1.0)
    a, b = match_laplace(kernel), match_laplace(7.0 * kernel)
    np.testing.assert_allclose([a.rate, a.a0, a.rmse], [b.rate, b.a0, b.rmse], rtol=1e-6)
