"""The loops of products against NumPy."""

import numpy as np
import pytest

from widenet.linalg import _fused_products


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("vectors", [1, 3])
def test_rows_columns_and_both_add_the_product_of_the_tile(dtype, vectors):
    generator = np.random.default_rng(0)
    A = generator.normal(size=(9, 40)).astype(dtype)
    right, left = generator.normal(size=(vectors, 21)), generator.normal(size=(vectors, 7))
    tile = A[:7, 5:26].astype(np.float64)
    down, across = np.ones((vectors, 7)), np.ones((vectors, 21))
    _fused_products.add_rows(A, (7, 5, 26), right, down)
    _fused_products.add_columns(A, (7, 5, 26), left, across)
    np.testing.assert_allclose(down, 1 + (tile @ right.T).T, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(across, 1 + (tile.T @ left.T).T, rtol=1e-13, atol=1e-13)
    both = np.ones((vectors, 7)), np.ones((vectors, 21))
    _fused_products.add_both(A, (7, 5, 26), (right, left), both)
    np.testing.assert_allclose(both[0], down, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(both[1], across, rtol=1e-13, atol=1e-13)
