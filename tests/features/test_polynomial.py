"""Fits of angle profiles against tables that were computed apart from this library."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from widenet.architectures import fully_connected
from widenet.errors import InvalidInput
from widenet.features.polynomial import fit_angle, require_degree, taylor
from widenet.kernels import NTK, Gaussian, Zonal
from widenet.theory.continuation import NotContinued

DEPTHS = {depth: NTK(fully_connected(depth, scaling="geifman")) for depth in (1, 2, 3)}

# Largest error on [-1, 1] and for |a| < 0.9, of K_L with K_L(1) = L + 1, by degree 2 to 32: figures of two readers.
TABLE = {
    (1, "taylor"): [(0.204, 0.075), (0.138, 0.032), (0.094, 0.010), (0.065, 0.002), (0.046, 1.5e-4)],
    (1, "nnls"): [(0.109, 0.019), (0.062, 0.009), (0.041, 0.003), (0.029, 0.0013), (0.020, 6e-4)],
    (1, "nnls with exact diagonal"): [(0.089, 0.089), (0.050, 0.040), (0.036, 0.016), (0.024, 0.004), (0.017, 0.002)],
    (3, "taylor"): [(1.36, 0.56), (0.871, 0.22), (0.578, 0.067), (0.395, 0.013), (0.274, 1e-3)],
    (3, "nnls"): [(0.804, 0.14), (0.416, 0.059), (0.260, 0.024), (0.179, 0.0085), (0.124, 0.004)],
    (3, "nnls with exact diagonal"): [(0.580, 0.58), (0.295, 0.26), (0.198, 0.084), (0.137, 0.030), (0.096, 0.017)],
}
# Coefficients of degrees 0 to 6 in 40-digit arithmetic.
SERIES = {
    1: [0.31830989, 1, 0.47746483, 0, 0.06631456, 0, 0.02785212],
    2: [0.68570864, 0.95811306, 0.61555687, 0.18399293, 0.11464627, 0.04868154, 0.04956812],
    3: [1.06038811, 0.91257308, 0.66509093, 0.30182709, 0.18942125, 0.10464111, 0.08422738],
}
MASS = {1: [1.79577, 1.86209, 1.90593, 1.93492, 1.95453], 2: [2.25938, 2.55802, 2.70949, 2.80211, 2.86270]}


def function(kernel):
    return kernel._angular(5, None)[0].function


def fitted(depth, degree, fit):
    return taylor(DEPTHS[depth], 5, degree) if fit == "taylor" else fit_angle(function(DEPTHS[depth]), degree, fit)


@pytest.mark.parametrize(("depth", "fit"), TABLE)
def test_errors_are_those_of_the_table(depth, fit):
    for degree, (error, inner) in zip((2, 4, 8, 16, 32), TABLE[depth, fit], strict=True):
        polynomial = fitted(depth, degree, fit)
        assert polynomial.error == pytest.approx(error, rel=0.03)
        assert polynomial.inner_error == pytest.approx(inner, rel=0.13)
        assert min(polynomial.coefficients) >= 0


@pytest.mark.parametrize("depth", SERIES)
def test_the_power_series_is_that_of_forty_digits(depth):
    np.testing.assert_allclose(taylor(DEPTHS[depth], 5, 6).coefficients, SERIES[depth], atol=6e-9)


@pytest.mark.parametrize("depth", MASS)
def test_the_nugget_is_what_the_diagonal_lacks(depth):
    for degree, mass in zip((2, 4, 8, 16, 32), MASS[depth], strict=True):
        assert taylor(DEPTHS[depth], 5, degree).nugget == pytest.approx(depth + 1 - mass, abs=6e-6)


def test_the_minimax_fit_of_degree_two_is_the_second_readers():
    polynomial = fitted(2, 2, "minimax")
    np.testing.assert_allclose(polynomial.coefficients, [0.5442, 1.1816, 1.1091], atol=3e-4)
    assert polynomial.error == pytest.approx(0.165, abs=5e-4)
    assert fitted(2, 2, "nnls").error == pytest.approx(0.42, abs=5e-3)
    assert fitted(2, 2, "nnls with exact diagonal").error == pytest.approx(0.30, abs=5e-3)


def test_an_exact_diagonal_is_exact():
    polynomial = fitted(3, 8, "nnls with exact diagonal")
    assert polynomial.diagonal_error == pytest.approx(0, abs=1e-6)
    assert fitted(3, 8, "minimax").nugget > 0.01


def test_it_evaluates_itself():
    polynomial = taylor(Gaussian(1.0), 3, 25)  # exp(u - 1)
    u = np.linspace(-1, 1, 9)
    np.testing.assert_allclose(polynomial(u), np.exp(u - 1), atol=1e-13)
    assert polynomial.error < 1e-13


def test_what_has_no_series_is_refused():
    with pytest.raises(InvalidInput, match="at least 0"):
        taylor(Zonal(torch.cos), 3, 4)
    with pytest.raises(NotContinued):
        taylor(Zonal(torch.abs), 3, 4)
    with pytest.raises(InvalidInput, match="finite"):
        fit_angle(lambda theta: 1 / theta, 4, "minimax")


@pytest.mark.parametrize("degree", [-1, 2.5, True, "4"])
def test_a_degree_is_a_whole_number(degree):
    with pytest.raises(InvalidInput, match="degree"):
        require_degree(degree)


@pytest.mark.parametrize("fit", ["taylor", "least squares", None])
def test_another_name_of_a_fit_is_refused(fit):
    with pytest.raises((InvalidInput, TypeCheckError), match=r"a fit of values|Type-check error"):
        fit_angle(torch.cos, 2, fit)
