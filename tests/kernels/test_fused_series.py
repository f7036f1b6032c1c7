"""The loop of power series against polynomials evaluated by NumPy."""

import numpy as np
import pytest

from widenet.kernels._fused_series import product_series


@pytest.mark.parametrize("terms", [4, 8, 64])
def test_series_against_numpy(terms: int):
    rng = np.random.default_rng(terms)
    of_x, of_y, rho = rng.normal(size=(terms, 5)), rng.normal(size=(terms, 7)), rng.uniform(-1, 1, size=(5, 7))
    rho[0, 0], rho[1, 1], rho[2, 2] = 1.0, -1.0, 0.0
    out = np.full((5, 7), np.nan)
    product_series(of_x, of_y, rho, out)
    expected = np.empty((5, 7))
    for i in range(5):
        for j in range(7):
            expected[i, j] = np.polynomial.polynomial.polyval(rho[i, j], of_x[:, i] * of_y[:, j])
    np.testing.assert_allclose(out, expected, rtol=1e-13, atol=1e-13)
