"""Spectral tables against closed forms, limits of theory, and reference fits computed apart."""

import numpy as np
import pytest

from widenet.experiments.spectra import (
    eigenvalue_table,
    match_figure,
    match_table,
    matched_kernels,
    slope_table,
    spectral_curves,
    spectrum_figure,
)


@pytest.fixture(scope="module")
def curves():
    return spectral_curves(3, 400)


def test_slopes_between_degrees_200_and_400(curves):
    """Reference: an independent quadrature gave -2.995, -2.467 and -3.495 on the sphere in three dimensions."""
    slopes = {curve.name: curve.slope for curve in curves}
    assert slopes["NTK, depth 3"] == pytest.approx(-2.995, abs=1e-3)
    assert slopes["Laplace"] == pytest.approx(-2.995, abs=1e-3)
    assert slopes["gamma = 0.5"] == pytest.approx(-2.467, abs=1e-3)
    assert slopes["gamma = 1.5"] == pytest.approx(-3.495, abs=1e-3)
    assert slopes["Gaussian"] is None


def test_slopes_are_near_the_limits_of_theory(curves):
    for curve in curves:
        assert (curve.limit is None) == (curve.slope is None)
        if curve.slope is not None:
            assert curve.slope == pytest.approx(curve.limit, abs=0.04)


def test_tables_hold_the_closed_forms_in_three_dimensions(curves):
    """Laplace: lambda_0 = (1 - 3 exp(-2)) / 2. Gaussian, exp(u - 1): lambda_0 = exp(-1) sinh(1)."""
    rows = {row[1]: row for row in slope_table(curves).rows}
    assert rows["Laplace"][2] == pytest.approx((1 - 3 * np.exp(-2)) / 2, rel=1e-13)
    assert rows["Gaussian"][2] == pytest.approx(np.exp(-1) * np.sinh(1), rel=1e-13)
    assert rows["NTK, depth 3"][2] == pytest.approx(3.7414188183453, rel=1e-12)
    assert "k = 200 and k = 400" in slope_table(curves).notes[0]


def test_eigenvalue_table_lists_every_degree(curves):
    table = eigenvalue_table(curves)
    assert len(table.rows) == 5 * 401
    laplace = [row for row in table.rows if row[1] == "Laplace"]
    assert [row[2] for row in laplace] == list(range(401))
    assert [row[3] for row in laplace] == [2 * k + 1 for k in range(401)]
    # The trace: what is left out beyond degree 400 falls like 1 / k.
    assert sum(row[3] * row[4] for row in laplace) == pytest.approx(1.0, abs=5e-3)


def test_spectrum_figure_has_a_panel_a_dimension(curves):
    figure = spectrum_figure([*curves, *spectral_curves(5, 16)])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["d = 3", "d = 5"]
    laplace = figure.axes[0].lines[1]
    expected = curves[1].spectrum.eigenvalues
    np.testing.assert_allclose(np.asarray(laplace.get_ydata()), expected[1:] / expected[0], rtol=1e-15)


def test_matches_agree_with_fits_computed_apart():
    """Reference values: depth 6 with bias c 1.40955, a0 .28935, a1 .71719; without bias c 1.36264, rmse 5.4e-3."""
    matches = {(match.depth, match.bias_std): match for match in matched_kernels((1, 6))}
    rows = {row[:2]: row for row in match_table(list(matches.values())).rows}
    assert rows[6, 1.0][2:5] == pytest.approx((1.40955, 0.28935, 0.71719), abs=1e-5)
    assert rows[6, 0.0][2] == pytest.approx(1.36264, abs=1e-5)
    assert rows[6, 0.0][5] == pytest.approx(5.4e-3, abs=5e-5)
    assert [rows[key][8] for key in ((1, 0.0), (6, 0.0), (6, 1.0))] == ["Gaussian", "Laplace", "Laplace"]
    # Depth 1 with bias runs into the bound: no parameters are told, and a note says why.
    assert rows[1, 1.0][2:5] == (None, None, None)
    assert "no rate is best" in match_table(list(matches.values())).notes[-1]


def test_match_figure_draws_the_kernels_and_what_fits_leave():
    matches = matched_kernels((6,))
    figure = match_figure(matches)
    shapes, rest = figure.axes
    theta = np.linspace(0, np.pi, 401)
    for i, match in enumerate(matches):
        truth, fitted = shapes.lines[2 * i].get_ydata(), shapes.lines[2 * i + 1].get_ydata()
        points = np.stack([np.cos(theta), np.sin(theta), 0 * theta], axis=1)
        np.testing.assert_allclose(
            truth, match.kernel(points[:1], points)[0] / match.kernel.diagonal(points[:1]), rtol=1e-9
        )
        np.testing.assert_allclose(rest.lines[i].get_ydata(), np.subtract(truth, fitted), atol=1e-15)
        assert np.abs(np.subtract(truth, fitted)).max() == pytest.approx(match.fit.max_error, rel=1e-2)
