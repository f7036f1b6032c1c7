"""Spectra against closed forms, 60-digit quadrature, the circle's FFT, and Gram matrices of random points."""

import json
from itertools import pairwise
from math import comb, pi
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import eval_gegenbauer, eval_legendre, iv, modstruve

from widenet.architectures import GELU, Dense, fully_connected
from widenet.errors import InvalidInput
from widenet.kernels import (
    NTK,
    GammaExponential,
    Gaussian,
    Kernel,
    Laplace,
    Linear,
    Zonal,
)
from widenet.theory import decay_slope, multiplicity, zonal_spectrum

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "zonal_spectrum.json").read_text())


def geifman(depth: int, bias: float) -> Kernel:
    return NTK(fully_connected(depth, bias_std=bias, scaling="geifman"))


KERNELS = {"laplace_1": Laplace(1.0), "ntk_3_0": geifman(3, 0.0), "ntk_3_1": geifman(3, 1.0)}

# Published digits, and their closed forms where there are any.
REFERENCE = [
    (Laplace(1.0), 2, [0.34215154434462, 0.14572552292499, 0.062769227186544, 0.03200770521023, 0.018868424286825,
                       0.012323768834347, 0.0086484730562667]),
    (Laplace(1.0), 3, [0.29699707514508, 0.082682265892902, 0.026733838202368, 0.0108479865124, 0.0052892813035619]),
    (geifman(1, 0.0), 3, [1 / 2, 1 / 3, 5 / 64, 0.0, 1 / 192, 0.0, 0.00140380859375]),
    (geifman(1, 1.0), 3, [2.0, 11 / 24, 5 / 64, 1 / 128, 1 / 192, 1 / 512]),
    (geifman(3, 1.0), 3, [3.7414188183453, 0.6194651520247, 0.19249746889807, 0.058087315918179, 0.025770741247091,
                          0.012799809831594]),
    (geifman(3, 0.0), 10, [1.1326924164881, 0.10007236431784, 0.012867325048842, 0.0014363690303957,
                           0.00028310663846072]),
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "d", "expected"), REFERENCE)
def test_published_eigenvalues(kernel, d, expected):
    found = zonal_spectrum(kernel, d, len(expected) - 1).eigenvalues
    np.testing.assert_allclose(found, expected, rtol=5e-14, atol=1e-16)


def test_published_eigenvalues_in_fifty_dimensions():
    found = zonal_spectrum(Laplace(1.0), 50, 6).eigenvalues[[0, 1, 2, 4, 6]]
    expected = [0.245247633562, 0.00351848671778, 8.40530845708e-5, 1.63874972134e-7, 9.57680296484e-10]
    np.testing.assert_allclose(found, expected, rtol=3e-12)


def test_means_of_the_laplace_kernel_in_closed_form():
    for c in (0.3, 1.0, 2.5):
        circle, sphere = (zonal_spectrum(Laplace(1 / c), d, 0).eigenvalues[0] for d in (2, 3))
        np.testing.assert_allclose(circle, iv(0, 2 * c) - modstruve(0, 2 * c), rtol=1e-12)
        np.testing.assert_allclose(sphere, (1 - (1 + 2 * c) * np.exp(-2 * c)) / (2 * c**2), rtol=1e-14)


@pytest.mark.parametrize("d", [3, 5, 10, 50])
@pytest.mark.parametrize("name", sorted(KERNELS))
@pytest.mark.parametrize("route", ["auto", "quadrature", "series"])
def test_errors_against_sixty_digits_are_within_their_estimates(name, d, route):
    expected = {int(k): float(value) for k, value in GOLDEN[str(d)][name].items()}
    degrees, truth = np.array(list(expected)), np.array(list(expected.values()))
    spectrum = zonal_spectrum(KERNELS[name], d, 150, route=route)
    errors = np.abs(spectrum.eigenvalues[degrees] - truth)
    assert np.all(errors <= 3 * spectrum.errors[degrees])
    if route == "auto":
        assert np.max(errors / truth) < {3: 1e-9, 5: 3e-10, 10: 1e-12, 50: 1e-13}[d]


def test_the_series_reaches_eigenvalues_far_below_rounding():
    spectrum = zonal_spectrum(KERNELS["ntk_3_1"], 50, 150)
    truth = float(GOLDEN["50"]["ntk_3_1"]["150"])
    assert truth < 1e-49 * spectrum.eigenvalues[0]
    assert spectrum.routes[150] == "series"
    np.testing.assert_allclose(spectrum.eigenvalues[150], truth, rtol=1e-13)


@pytest.mark.parametrize("kernel", [Laplace(0.7), geifman(2, 0.5), GammaExponential(1.0, 1.5), Gaussian(0.8)])
def test_the_circle_agrees_with_a_circulant_matrix(kernel):
    # The eigenvalues of K on n equispaced points of the circle, over n, are its Fourier coefficients.
    n, k_max = 2**17, 5
    angle = 2 * pi * np.arange(n) / n
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    row = kernel(points[:1], points)[0]
    found = zonal_spectrum(kernel, 2, k_max).eigenvalues
    np.testing.assert_allclose(found, np.fft.rfft(row).real[: k_max + 1] / n, atol=2e-10)


def test_gram_eigenvalues_of_random_points_on_the_sphere():
    generator = np.random.default_rng(0)
    n, kernel = 1500, geifman(3, 1.0)
    X = generator.standard_normal((n, 3))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    found = np.linalg.eigvalsh(kernel(X))[::-1] / n
    expected = zonal_spectrum(kernel, 3, 3).eigenvalues
    ends = np.cumsum([0, 1, 3, 5, 7])
    means = [found[a:b].mean() for a, b in pairwise(ends)]
    # The mean over the 2k + 1 eigenvalues of a degree varies by about 1 / sqrt(n (2k + 1)).
    for k in range(4):
        assert abs(means[k] / expected[k] - 1) < 3 / np.sqrt(n * (2 * k + 1))


def test_trace_identity():
    # Super-polynomial decay: the first degrees hold the whole trace.
    spectrum = zonal_spectrum(Gaussian(1.0), 4, 40)
    np.testing.assert_allclose(spectrum.trace_share, 1.0, rtol=1e-13)
    share = [zonal_spectrum(Laplace(1.0), 3, k).trace_share for k in (5, 50, 200)]
    assert 0.8 < share[0] < share[1] < share[2] < 1
    # N(3, k) lambda_k falls like k^-2, so the missing part falls like 1 / k.
    np.testing.assert_allclose((1 - share[1]) / (1 - share[2]), 4.0, rtol=0.03)


def test_multiplicities():
    assert [multiplicity(2, k) for k in range(4)] == [1, 2, 2, 2]
    assert [multiplicity(3, k) for k in range(5)] == [1, 3, 5, 7, 9]
    for d in (2, 4, 10, 50):
        for k in (1, 2, 7, 100):
            formula = (2 * k + d - 2) * comb(k + d - 3, d - 2)
            assert multiplicity(d, k) * k == formula
    assert zonal_spectrum(Laplace(1.0), 30, 60).multiplicities[60] == (2 * 60 + 28) * comb(87, 28) // 60


@pytest.mark.parametrize(("d", "k"), [(4, 3), (7, 2)])
def test_one_harmonic_has_one_eigenvalue(d, k):
    # A Gegenbauer polynomial of degree k is the kernel 1/N times the projection on the harmonics of degree k.
    index = (d - 2) / 2

    def polynomial(u: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(eval_gegenbauer(k, index, u.numpy()) / eval_gegenbauer(k, index, 1.0))

    found = zonal_spectrum(Zonal(polynomial), d, 6, route="quadrature")
    expected = np.zeros(7)
    expected[k] = 1 / multiplicity(d, k)
    np.testing.assert_allclose(found.eigenvalues, expected, atol=1e-15)


def test_sums_products_and_scalings():
    a, b = Laplace(0.9), geifman(2, 0.5)
    parts = [zonal_spectrum(kernel, 4, 8).eigenvalues for kernel in (a, b)]
    np.testing.assert_allclose(zonal_spectrum(a + 2.0 * b, 4, 8).eigenvalues, parts[0] + 2 * parts[1], rtol=1e-11)
    product, _ = quad(lambda t: np.exp(-2 * np.sin(t / 2) / 0.9) * np.cos(t) * np.sin(t) ** 2 * np.cos(t), 0, pi)
    found = zonal_spectrum(a * Linear(), 4, 1).eigenvalues[1]  # P_1 = cos in every dimension
    np.testing.assert_allclose(found, product / (pi / 2), rtol=1e-10)


def test_gamma_exponential_against_adaptive_quadrature():
    found = zonal_spectrum(GammaExponential(1.3, 0.5), 3, 4, route="quadrature").eigenvalues

    def integrand(s: float, k: int) -> float:
        # In u with r^2 = 2 (1 - u): r = s^2 removes the singularity.
        return np.exp(-((s * s / 1.3) ** 0.5)) * eval_legendre(k, 1 - s**4 / 2) * s**3

    for k in range(5):
        value, _ = quad(integrand, 0, 2**0.5, args=(k,))
        np.testing.assert_allclose(found[k], value, rtol=1e-11)


@pytest.mark.parametrize(
    ("kernel", "d", "expected", "tolerance"),
    [
        (Laplace(1.0), 3, -2.995, 5e-4),
        (geifman(3, 1.0), 3, -2.995, 5e-4),
        (Laplace(1.0), 5, -4.973, 5e-4),
        (geifman(3, 1.0), 5, -4.973, 5e-4),
        (geifman(6, 1.0), 5, -4.973, 5e-4),
        (geifman(3, 0.0), 5, -4.974, 5e-4),
        (GammaExponential(1.0, 0.5), 3, -2.467, 5e-4),
        (GammaExponential(1.0, 1.5), 3, -3.495, 5e-4),
    ],
)
def test_published_slopes(kernel, d, expected, tolerance):
    assert abs(decay_slope(zonal_spectrum(kernel, d, 400), 200, 400) - expected) <= tolerance


def test_a_shallow_network_without_bias_has_no_odd_degrees():
    spectrum = zonal_spectrum(geifman(1, 0.0), 3, 9)
    assert np.max(np.abs(spectrum.eigenvalues[3::2])) < 1e-15
    assert np.min(spectrum.eigenvalues[2::2]) > 1e-4
    with pytest.raises(InvalidInput, match="at degree 9"):
        decay_slope(spectrum, 2, 9)


def test_an_activation_without_continuation_takes_the_quadrature():
    kernel = NTK(Dense() >> GELU() >> Dense())
    spectrum = zonal_spectrum(kernel, 4, 12)
    assert set(spectrum.routes) == {"quadrature"}
    with pytest.raises(InvalidInput, match=r"GELU.*route='quadrature'"):
        zonal_spectrum(kernel, 4, 12, route="series")


def test_bad_arguments():
    for arguments, words in [
        ({"d": 1, "k_max": 3}, "dimension"),
        ({"d": 3, "k_max": -1}, "k_max"),
        ({"d": 3, "k_max": True}, "k_max"),
    ]:
        with pytest.raises(InvalidInput, match=words):
            zonal_spectrum(Laplace(1.0), **arguments)
    with pytest.raises(InvalidInput, match="k_from < k_to"):
        decay_slope(zonal_spectrum(Laplace(1.0), 3, 5), 2, 6)


def _runge(u: torch.Tensor) -> torch.Tensor:
    return 1 / (1 + 4 * u * u)  # poles at +-i/2, inside the unit disc


def test_auto_takes_no_series_of_a_function_that_is_not_analytic_in_the_disc():
    # |u| on S^2: lambda_0 = int_0^1 u du, lambda_2 = int_0^1 u (3 u^2 - 1) / 2 du.
    found = zonal_spectrum(Zonal(torch.abs), 3, 2)
    np.testing.assert_allclose(found.eigenvalues, [1 / 2, 0, 1 / 8], rtol=1e-4, atol=1e-12)
    expected = [quad(lambda u, k=k: eval_legendre(k, u) / (1 + 4 * u * u) / 2, -1, 1)[0] for k in range(21)]
    found = zonal_spectrum(Zonal(_runge), 3, 20)
    assert set(found.routes) == {"quadrature"}
    np.testing.assert_allclose(found.eigenvalues, expected, rtol=0, atol=1e-13)
    assert np.abs(found.eigenvalues[::2]).min() > 1e-8


@pytest.mark.parametrize("function", [torch.abs, _runge])
def test_the_series_of_a_function_that_is_not_analytic_in_the_disc_is_refused(function):
    with pytest.raises(InvalidInput, match="power series that is off by"):
        zonal_spectrum(Zonal(function), 3, 4, route="series")
