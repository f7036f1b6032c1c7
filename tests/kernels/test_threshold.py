"""The dual of thresholded units: published values, quadrature in other variables, and its ends."""

from itertools import pairwise
from math import acos, pi, sqrt

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import erfcx, ndtr
from torch import Tensor

from widenet.architectures import Dense, ReLU, ThresholdReLU, sparse_network
from widenet.kernels import NNGP, NTK, orthant_probability, rectified_product
from widenet.kernels.duals import dual
from widenet.kernels.moments import Moments
from widenet.kernels.threshold import rectified_square
from widenet.theory import zonal_spectrum

RNG = np.random.default_rng(8)


def _tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _probability(h: float, k: float, theta: float) -> float:
    return float(orthant_probability(_tensor(h), _tensor(k), _tensor(theta)))


def _product(h: float, k: float, theta: float) -> float:
    return float(rectified_product(_tensor(h), _tensor(k), _tensor(theta)))


# spec bias_ntk (f), computed there in high precision.
@pytest.mark.parametrize(
    ("threshold", "rho", "expected"),
    [
        (0.5, 0.9, 0.245325889930209),
        (1, 0, 0.0251714896000551),
        (1, 0.5, 0.0625140947096638),
        (1, -0.9, 1.45298438541464e-7),
        (2, 0.5, 0.00405294623516298),
        (2, -0.5, 3.24397101671172e-6),
        (3, 0.5, 8.18896618321921e-5),
        (3, -0.5, 7.14750218127079e-11),
        (5, 0, 8.21691236608127e-14),
        (5, 0.99, 2.04425158467012e-7),
        (2, -0.9, 3.73865048064808e-21),
    ],
)
def test_orthant_probabilities_of_the_specification(threshold: float, rho: float, expected: float):
    np.testing.assert_allclose(_probability(threshold, threshold, acos(rho)), expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("h", "k", "rho", "expected"),
    [
        (0.5, 2, 0.7, 0.0213864146818),
        (2, 0.5, -0.4, 0.00133604170823),
        (0.2, 3, 0.95, 0.00134989803163),
        (3, 1, -0.6, 1.70204587506e-7),
    ],
)
def test_unequal_thresholds_of_the_specification(h: float, k: float, rho: float, expected: float):
    np.testing.assert_allclose(_probability(h, k, acos(rho)), expected, rtol=4e-12)


@pytest.mark.parametrize(
    ("h", "k", "rho", "expected"),
    [
        (1, 1, 0.3, 0.0173962297317),
        (0.5, 2, 0.7, 0.0117706795099),
        (2, 0.5, -0.4, 0.000148396075403),
        (1, 1, -0.5, 0.000397138667221),
        (2, 2, 0.5, 0.00101278858966),
        (3, 3, -0.5, 1.668371654e-12),
        (5, 5, 0.5, 5.900719675e-11),
    ],
)
def test_products_of_the_specification(h: float, k: float, rho: float, expected: float):
    digits = 1e-12 if expected > 1e-10 else 1e-10
    np.testing.assert_allclose(_product(h, k, acos(rho)), expected, rtol=5 * digits)


def _by_rows(h: float, k: float, theta: float) -> tuple[float, float]:
    """P and J as integrals over u of what is left of v given u, times exp(h^2/2); erfcx keeps their digits."""
    rho, s = np.cos(theta), np.sin(theta)

    def integrand(u: float, which: int) -> float:
        t = (k - rho * u) / s
        density = np.exp(-(u * u - h * h + max(t, 0.0) ** 2) / 2) / sqrt(2 * pi)
        mills = sqrt(pi / 2) * erfcx(t / sqrt(2)) if t > 0 else ndtr(-t) * sqrt(2 * pi)
        part = mills if which == 0 else (u - h) * s * ((1 if t > 0 else np.exp(-t * t / 2)) - t * mills)
        return density * part / sqrt(2 * pi)

    peak = max(h, k / rho) if rho > 0 else h
    ends = [h, *(p for p in (peak, peak + s, peak + 9 * s) if p > h), peak + 12]
    parts = [
        sum(
            quad(integrand, a, b, args=(which,), epsabs=0, epsrel=1e-13, limit=400)[0]
            for a, b in pairwise(ends)
            if b > a
        )
        for which in (0, 1)
    ]
    return parts[0] * np.exp(-h * h / 2), parts[1] * np.exp(-h * h / 2)


@pytest.mark.parametrize(
    ("h", "k", "theta"),
    [
        (0.1, 0.1, 3.0),
        (0.02, 0.9, 2.9),
        (0.5, 0.5, 0.14),
        (1.0, 1.0, 0.0447),
        (1.0, 1.0001, 1e-3),
        (3.0, 0.1, 0.3176),
        (0.1, 3.0, 0.3176),
        (1.9, 1.9, 1.6),
        (2.5, 0.7, 1.0),
        (4.0, 4.0, 1.5),
        (4.0, 3.0, 0.2),
        (6.0, 6.0, 0.3),
        (1.2, 4.5, 2.5),
    ],
)
def test_both_by_quadrature_in_other_variables(h: float, k: float, theta: float):
    probability, product = _by_rows(h, k, theta)
    np.testing.assert_allclose(_probability(h, k, theta), probability, rtol=2e-12)
    np.testing.assert_allclose(_product(h, k, theta), product, rtol=1e-11 if max(h, k) < 4 else 1e-10)


def test_both_are_symmetric_and_monotone():
    theta = torch.linspace(0, pi, 400, dtype=torch.float64)
    for h, k in ((0.3, 0.3), (0.5, 2.0), (3.0, 2.9), (5.0, 5.0)):
        level, other = torch.full_like(theta, h), torch.full_like(theta, k)
        for function in (orthant_probability, rectified_product):
            values = function(level, other, theta)
            torch.testing.assert_close(values, function(other, level, theta), rtol=1e-11, atol=1e-300)
            assert (values.diff() <= 1e-14 * values[0]).all()
            assert (values >= 0).all()
            higher = function(level + 0.01, other + 0.01, theta)
            assert ((higher < values) | (values < 1e-290)).all()


def test_parallel_and_opposite_points():
    upper = ndtr(-2.0)
    np.testing.assert_allclose(_probability(0.5, 2.0, 0.0), upper, rtol=1e-15)
    np.testing.assert_allclose(_probability(2.0, 2.0, 0.0), upper, rtol=1e-15)
    assert _probability(0.5, 2.0, pi) < 1e-300
    assert _product(1.0, 1.0, pi) < 1e-300
    # E (u - h)+ (u - k)+ from the larger threshold on.
    square = quad(lambda u: (u - 0.5) * (u - 2) * np.exp(-u * u / 2) / sqrt(2 * pi), 2, 12, epsabs=1e-15)[0]
    np.testing.assert_allclose(_product(0.5, 2.0, 0.0), square, rtol=1e-13)


@pytest.mark.parametrize("h", [1e-3, 0.7, 1.999, 2.001, 5.0, 12.0])
def test_the_second_moment(h: float):
    scaled = quad(lambda v: v * v * np.exp(-h * v - v * v / 2), 0, 10, epsabs=0, epsrel=1e-13)[0]
    expected = scaled * np.exp(-h * h / 2) / sqrt(2 * pi)
    np.testing.assert_allclose(float(rectified_square(_tensor(h))), expected, rtol=2e-13)
    np.testing.assert_allclose(_product(h, h, 0.0), expected, rtol=1e-12 if h < 4 else 1e-11)


def test_gradients_by_finite_differences():
    h, k, theta = (_tensor(*values).requires_grad_() for values in ((0.5, 2.0, 3.5), (1.0, 1.9, 3.5), (1.0, 0.3, 0.9)))
    for function in (orthant_probability, rectified_product):
        assert torch.autograd.gradcheck(function, (h, k, theta), rtol=1e-6, atol=1e-10)


# The kernels.

POINTS = np.array([[0.6, 0.8, 0.0], [0.0, 0.6, 0.8], [1.2, -0.5, 0.3]])


def test_the_kernel_of_the_specification():
    pairs = 0.23714323010227464, 0.18682041617666667, 0.09713228830761081
    own = 0.6170750774519738, 0.6170750774519738, 0.9838901192024055
    found = NTK(sparse_network(0.5))(POINTS)
    np.testing.assert_allclose(np.diagonal(found), own, rtol=1e-13)
    np.testing.assert_allclose(found[np.triu_indices(3, 1)], pairs, rtol=1e-13)


def test_a_threshold_of_zero_is_the_relu():
    first = Dense(bias_std=1.0, bias_init="zero", fan_in_scaling="none")
    for kernel in (NTK, NNGP):
        found = kernel(first >> ThresholdReLU(0.0) >> Dense())(POINTS)
        np.testing.assert_allclose(found, kernel(first >> ReLU() >> Dense())(POINTS), rtol=1e-14)
        nearly = kernel(first >> ThresholdReLU(1e-9) >> Dense())(POINTS)
        np.testing.assert_allclose(nearly, found, rtol=2e-8)


def test_near_duplicates_keep_their_digits():
    # K(x, x) - K(x, z) at angle e, from P(e) = Q(B) - exp(-B^2/2) e / (2 pi) + O(e^3) and the cosine.
    kernel, tail = NTK(sparse_network(1.0)), ndtr(-1.0)
    for e in (1e-3, 1e-6, 1e-9):
        points = np.array([[1.0, 0.0], [np.cos(e), np.sin(e)]])
        drop = np.diagonal(kernel(points)).mean() - kernel(points)[0, 1]
        expected = 2 * np.exp(-0.5) * e / (2 * pi) + tail * e**2 / 2
        np.testing.assert_allclose(drop, expected, rtol=3e-6 if e > 1e-6 else 3e-7 / e * 1e-9 + 1e-6, atol=3e-16)


def test_the_angle_of_deeper_near_duplicates():
    # One layer turns a small angle e into e sqrt(r^2 Q / J): E(phi(u) - phi(v))^2 is e^2 Q for unit variance.
    tail, square = ndtr(-1.0), float(rectified_square(_tensor(1.0)))
    drop_rate = np.exp(-0.5) / (2 * pi)
    deep = NTK(sparse_network(1.0, depth=2))
    for e in (1e-5, 1e-7):
        points = torch.tensor([[1.0, 0.0], [np.cos(e), np.sin(e)]], dtype=torch.float64)
        found = deep._cross(points, points, same=True).numpy()
        # T1 = 2 Q - 2 e drop; T2 = P2 (T1 w^2 + c2 + 1), P2 falls by drop times the angle of the first layer's units.
        first, angle = 2 * tail, e * sqrt(tail / square)
        inner = first / square + 2
        drop = drop_rate * angle * inner + tail * 2 * drop_rate * e / square
        np.testing.assert_allclose(found[0, 0], tail * inner, rtol=1e-13)
        np.testing.assert_allclose((found[0, 0] - found[0, 1]) / drop, 1, rtol=30 * e + 1e-15 / e)


def test_points_at_zero_and_on_one_ray():
    points = np.array([[0.0, 0.0], [0.6, 0.8], [1.8, 2.4]])
    found = NTK(sparse_network(0.9))(points)
    np.testing.assert_array_equal(found[0], 0)
    np.testing.assert_allclose(found[1, 2], 4 * ndtr(-0.9), rtol=1e-14)
    np.testing.assert_allclose(found[2, 2], 10 * ndtr(-0.3), rtol=1e-14)


def test_a_threshold_for_long_points():
    points = 30 * POINTS[:2]
    np.testing.assert_allclose(NTK(sparse_network(30.0)).diagonal(points), 901 * ndtr(-1.0), rtol=1e-13)


@pytest.mark.parametrize("threshold", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_profile_on_the_sphere_is_the_kernel(threshold: float, dtype: type):
    points = RNG.normal(size=(150, 5))
    points[1] = points[0] + 1e-7
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(dtype)
    kernel = NTK(sparse_network(threshold))
    rows = torch.from_numpy(points).double()
    expected = kernel._cross(rows, rows, same=True).numpy()
    tolerance = (1e-6 if dtype == np.float32 else 3e-12) * expected.max()
    np.testing.assert_allclose(kernel(points), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (0.0, (5 / 16, 7 / 48, 7 / 256, 1 / 256, 0.0022786458)),
        (1.0, (0.058498759, 0.037127948, 0.014421461, 0.0035269512, 0.0011150215)),
        (2.0, (0.0049664421, 0.0037566751, 0.0021381833, 0.00092384096, 0.00033722068)),
    ],
)
def test_eigenvalues_on_the_sphere(threshold: float, expected: tuple[float, ...]):
    spectrum = zonal_spectrum(NTK(sparse_network(threshold)), d=3, k_max=4)
    np.testing.assert_allclose(spectrum.eigenvalues, expected, rtol=3e-8)


@pytest.mark.parametrize(("d", "slope"), [(3, -2.990), (5, -4.948)])
def test_eigenvalues_decay_by_the_dimension(d: int, slope: float):
    spectrum = zonal_spectrum(NTK(sparse_network(2.0)), d=d, k_max=200)
    degrees = np.arange(100, 201)
    for parity in (0, 1):
        chosen = degrees[degrees % 2 == parity]
        fit = np.polyfit(np.log(chosen), np.log(spectrum.eigenvalues[chosen]), 1)[0]
        np.testing.assert_allclose(fit, slope, atol=2e-3)


@pytest.mark.parametrize("theta", [0.02, 0.13, 0.19])
@pytest.mark.parametrize("apart", [1e-6, 1e-4, 1e-3, 0.01, 0.1])
def test_nearly_parallel_points_of_unequal_sizes(theta: float, apart: float):
    """E phi(u) phi(v) by the part of v over the threshold given u, which turns within sin(theta) of one u."""
    b, size = 0.7, 1 + apart
    sine = np.sin(theta)

    def integrand(u: float) -> float:
        level = (b / size - np.cos(theta) * u) / sine
        above = size * sine * (np.exp(-level * level / 2) / sqrt(2 * pi) - level * ndtr(-level))
        return (u - b) * above * np.exp(-u * u / 2) / sqrt(2 * pi)

    ends = [b, *(b + sine * np.arange(1, 9)), b + 12]
    expected = sum(quad(integrand, *pair, epsabs=1e-16, epsrel=1e-13)[0] for pair in pairwise(ends))
    numbers = 1.0, size**2, 4 * size * np.sin(theta / 2) ** 2, 4 * size * np.cos(theta / 2) ** 2
    found = dual(ThresholdReLU(b), Moments(*map(_tensor, numbers)))
    assert float(found.together - found.apart) / 4 == pytest.approx(expected, rel=1e-12)
