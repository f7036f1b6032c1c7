"""Bounds and spectra of threshold kernels against reference values."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from widenet.experiments.threshold_spectra import (
    bound_table,
    random_sphere,
    region_bound,
    separation,
    spectrum_figure,
    spectrum_table,
    threshold_spectra,
)


def test_the_bounds_agree_with_an_earlier_computation():
    # Points of NumPy's default generator with seed 0; values of a program written apart from this library.
    X, y = random_sphere(60, 10, 0)
    assert separation(X) == pytest.approx(0.579, abs=5e-4)
    rows = bound_table(X, y, (0.0, 1.0, 2.0, 3.0)).rows
    assert [row[1] for row in rows] == pytest.approx([0.148674, 0.094345, 0.022724, 0.001835], abs=6e-7)
    assert [row[3] for row in rows] == pytest.approx([0.093550, 0.055906, 0.011945, 0.000915], abs=6e-7)
    assert [row[4] for row in rows] == pytest.approx([0.093550, -0.134, -0.0256, -0.00168], rel=4e-3)
    for row in rows:
        assert row[4] <= row[3] * (1 + 1e-12)
        assert 0 < row[5] < 1e-4 * row[1]
        assert row[1] <= row[6] <= row[1] * row[2]
        assert row[7] >= len(y) ** 2 / (row[6] * len(y))  # Jensen: y'H^-1 y >= |y|^4 / y'Hy


def test_the_separation_is_the_least_distance():
    X = random_sphere(12, 3, 2)[0]
    assert separation(X) == pytest.approx(min(np.linalg.norm(X[i] - X[j]) for i in range(12) for j in range(i)))


@pytest.mark.parametrize(("threshold", "delta"), [(0.0, 0.4), (0.3, 0.1), (1.2, 0.5), (2.0, 1.0), (4.0, 1.4)])
def test_the_region_bound_is_below_the_separation_of_two_points(threshold, delta):
    rho = 1 - delta**2 / 2
    joint = multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([-threshold, -threshold])
    bound = region_bound(threshold, delta)
    assert bound <= norm.sf(threshold) - joint + 1e-6
    if threshold == 0:
        assert bound == pytest.approx(np.arccos(rho) / (2 * np.pi), rel=1e-12)


def test_spectra_agree_with_reference_values():
    # Zonal eigenvalues of (u + 1) P_B(u) for d = 3, by quadrature in another program.
    zero, one, two = threshold_spectra((0.0, 1.0, 2.0), (3,), 40)
    assert zero.spectrum.eigenvalues[:5] == pytest.approx([5 / 16, 7 / 48, 7 / 256, 1 / 256, 0.0022786458], abs=1e-10)
    assert one.spectrum.eigenvalues[:5] == pytest.approx(
        [0.058498759, 0.037127948, 0.014421461, 0.0035269512, 0.0011150215], abs=6e-10
    )
    assert two.spectrum.eigenvalues[:5] == pytest.approx(
        [0.0049664421, 0.0037566751, 0.0021381833, 0.00092384096, 0.00033722068], abs=6e-11
    )


def test_the_decay_keeps_its_slope_at_every_threshold():
    # -2.990 was fitted over degrees 100 to 200, even and odd, for d = 3 and B = 2.
    (curve,) = threshold_spectra((2.0,), (3,), 200)
    assert curve.slopes == pytest.approx((-2.990, -2.990), abs=2e-3)


def test_the_table_and_the_figure_hold_every_curve():
    curves = threshold_spectra((0.0, 2.0), (3, 5), 12)
    table = spectrum_table(curves)
    assert [row[:2] for row in table.rows] == [(3, 0.0), (3, 2.0), (5, 0.0), (5, 2.0)]
    assert [row[-1] for row in table.rows] == [-3, -3, -5, -5]
    assert table.rows[1][7] == pytest.approx(0.00033722068 / 0.0049664421, rel=1e-6)
    panels = spectrum_figure(curves).axes
    assert [len(axes.lines) for axes in panels] == [2, 2]
    ratio = curves[0].spectrum.eigenvalues[3] / curves[0].spectrum.eigenvalues[0]
    assert panels[0].lines[0].get_ydata()[2] == pytest.approx(ratio)
