"""The loop of products against plain NumPy."""

import numpy as np
import pytest

from widenet.features._fused_monomials import write_polynomial, write_products


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_products_are_those_of_a_plain_loop(kind):
    random = np.random.default_rng(0)
    w, weights = random.standard_normal((21, 3)).astype(kind), random.standard_normal((21, 2)).astype(kind)
    monomials = np.array([[0, 1], [1, 1], [2, 2], [0, 0]])  # y, y^2, y^2 z, x
    factors = np.array([1.0, 2.0, 0.5, 3.0], kind)
    features = np.array([[0, 0], [3, 1], [4, 0], [2, 1], [1, 0]])
    out = np.empty((21, 5), kind)
    write_products(w, weights, monomials, factors, features, out)
    x, y, z = w.T
    a, b = weights.T
    np.testing.assert_allclose(out, np.stack([a, b * y**2 * z, 3 * a * x, 2 * b * y**2, a * y], 1), rtol=1e-5)


def test_a_polynomial_is_that_of_numpy():
    x = np.linspace(-2, 2, 12).reshape(3, 4)
    values = x.copy()
    write_polynomial(np.array([1.0, 0.0, -3.0, 0.5]), values)
    np.testing.assert_allclose(values, 1 - 3 * x**2 + 0.5 * x**3, atol=1e-14)
