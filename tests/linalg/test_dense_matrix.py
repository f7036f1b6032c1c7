"""A matrix in memory in the words of block matrices, against NumPy."""

import numpy as np
import pytest
import torch

from widenet.linalg.dense_matrix import DenseMatrix


@pytest.mark.parametrize("numpy", [True, False])
def test_rows_diagonal_products_and_dense_form(numpy: bool):
    A = np.random.default_rng(0).normal(size=(30, 30))
    A = A + A.T
    K = DenseMatrix(torch.from_numpy(A), numpy=numpy)
    K.layout = type(K.layout)(30, 30, 8, True)
    v = np.arange(30.0)
    assert isinstance(K.diagonal(), np.ndarray) == numpy
    np.testing.assert_allclose(K @ v, A @ v, rtol=1e-12)
    np.testing.assert_array_equal(K.rows([3, -1]), A[[3, -1]])
    np.testing.assert_array_equal(K.diagonal(), A.diagonal())
    np.testing.assert_array_equal(K.dense(), A)


def test_rows_and_diagonal_are_copies():
    A = torch.eye(4)
    K = DenseMatrix(A, numpy=False)
    K.rows([0])[:] = 7.0
    K.diagonal()[:] = 7.0
    assert torch.equal(A, torch.eye(4))
