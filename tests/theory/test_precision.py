"""Precision reports against simulated noise and closed forms."""

from math import inf, sqrt

import numpy as np
import pytest

from widenet import Gaussian
from widenet.errors import InvalidInput
from widenet.theory.precision import critical_size, precision_report


def power_law(n, exponent, constant=1.0, seed=0):
    """A Gram matrix with the eigenvalues n C i^-a."""
    Q = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]
    return (Q * (n * constant * np.arange(1, n + 1) ** -exponent)) @ Q.T


def test_the_reference_sizes():
    # The form recalled from the paper has the noise (G + G^T) / 2; independent entries meet at 50.
    assert critical_size(1.0, 1.5, 0.01, "averaged") == pytest.approx(70.71, abs=0.01)
    assert critical_size(1.0, 1.5, 0.01) == pytest.approx(50.0, rel=1e-12)
    assert critical_size(1.0, 0.5, 0.01) == inf


@pytest.mark.parametrize("law", ["entries", "averaged"])
def test_the_edge_is_that_of_simulated_noise(law):
    n, s = 400, 0.01
    G = s * np.random.default_rng(1).normal(size=(n, n))
    noise = np.triu(G) + np.triu(G, 1).T if law == "entries" else (G + G.T) / 2
    report = precision_report(power_law(n, 1.5), noise=s, law=law)
    assert np.abs(np.linalg.eigvalsh(noise)).max() == pytest.approx(report.edge, rel=0.05)


def test_the_smallest_eigenvalue_is_lost_around_the_critical_size():
    # Simulated apart from this library with a spectrum n i^-1.5 and s = 0.01: 0.053, -0.037, -0.147.
    for n, expected in ((64, 0.053), (128, -0.037), (256, -0.147)):
        K, lows = power_law(n, 1.5), []
        for seed in range(4):
            G = 0.01 * np.random.default_rng(seed).normal(size=(n, n))
            lows.append(np.linalg.eigvalsh(K + np.triu(G) + np.triu(G, 1).T)[0])
        assert np.mean(lows) == pytest.approx(expected, abs=0.02)
        report = precision_report(K, noise=0.01)
        assert report.critical_size == pytest.approx(50, rel=1e-6)
        # The order of magnitude: at twice P* the noise has won, at the half of P* it has not.
        assert (report.critical_size < n / 2) <= (np.mean(lows) < 0)


@pytest.mark.parametrize(("exponent", "constant"), [(1.2, 3.0), (2.5, 0.1)])
def test_decay_is_read_off_the_spectrum(exponent, constant):
    report = precision_report(power_law(200, exponent, constant))
    assert report.exponent == pytest.approx(exponent, rel=1e-6)
    assert report.constant == pytest.approx(constant, rel=1e-5)


def test_float32_is_judged_by_what_rounding_does():
    X = np.random.default_rng(0).normal(size=(300, 3))
    K = Gaussian(3.0)(X)
    report = precision_report(K)
    rounded = np.linalg.eigvalsh(K.astype(np.float32).astype(np.float64))[0]
    assert not report.enough
    assert rounded < 0
    assert -report.edge < rounded  # uniform rounding is less than one of its size at every entry
    assert report.smallest + report.smallest_ridge == pytest.approx(report.edge)
    assert "not enough" in str(report)
    steep = precision_report(np.eye(20) + 1.0)
    assert steep.enough
    assert steep.smallest_ridge == 0.0
    assert "is enough" in str(steep)


def test_the_noise_is_a_rounding_of_the_entries():
    for dtype, unit in (("float32", 2.0**-24), ("float64", 2.0**-53)):
        report = precision_report(3 * np.eye(16), dtype)
        assert report.noise == pytest.approx(unit * 3 / sqrt(16), rel=1e-12)
        assert report.critical_size == inf  # a spectrum that does not decay


@pytest.mark.parametrize(
    ("K", "options"),
    [
        (np.eye(3), {}),
        (np.eye(20), {"noise": 0.0}),
        (np.eye(20), {"noise": -1.0}),
        (np.ones((20, 19)), {}),
        (np.full((20, 20), np.nan), {}),
    ],
    ids=["few", "no noise", "negative noise", "no square", "NaN"],
)
def test_what_is_no_gram_matrix_is_refused(K, options):
    with pytest.raises(InvalidInput):
        precision_report(K, **options)
