"""Subsampled transforms: rows of explicit matrices, exact where all rows are taken."""

import numpy as np
import pytest
from scipy import sparse

from widenet.errors import InvalidInput
from widenet.features.subsampled_transforms import SRHT, ComplexSRHT


@pytest.mark.parametrize("sketch", [SRHT(20, 32), SRHT(20, 40), ComplexSRHT(20, 40), ComplexSRHT(20, 50)], ids=repr)
def test_all_rows_keep_all_inner_products(sketch):
    X = np.random.default_rng(0).normal(size=(5, 20))
    for rows in (X, sparse.csr_array(X)):
        Z = sketch.apply(rows)
        assert Z.shape == (5, sketch.size)
        np.testing.assert_allclose(Z @ Z.T, X @ X.T, rtol=1e-12)
    assert sketch.variance(0.7) == 0


def test_some_rows_are_signed_walsh_functions():
    Z = SRHT(20, 9).apply(np.eye(20))
    assert np.allclose(np.abs(Z), 1 / 3)
    functions = Z * Z[0]  # without the signs of the rows of H
    signs = functions * 9
    assert np.allclose(np.abs(signs), 1)
    assert len(np.unique(np.round(signs.T), axis=0)) == 9


def test_complex_rows_have_modulus_one():
    Z = ComplexSRHT(20, 18).apply(np.eye(20))
    np.testing.assert_allclose(Z[:, :9] ** 2 + Z[:, 9:] ** 2, 1 / 9, rtol=1e-12)


def test_empty_sparse_rows_are_zero():
    X = sparse.csr_array((3, 20))
    assert np.all(SRHT(20, 8).apply(X) == 0)
    assert np.all(ComplexSRHT(20, 8).apply(X) == 0)


def test_odd_complex_sizes_are_refused():
    with pytest.raises(InvalidInput, match="even"):
        ComplexSRHT(20, 7)
