"""Sums of products over tiles against the dense product."""

import numpy as np
import pytest
import torch

from widenet.architectures import fully_connected
from widenet.kernels import NTK, Gaussian
from widenet.kernels.blocks import run_tiles
from widenet.linalg import KernelMatrix
from widenet.linalg.products import TileSums, add_block, add_transposed_block


def matrix(n: int, m: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, m)).astype(np.float32))


@pytest.mark.parametrize("vectors", [1, 2, 5])
def test_blocks_add_up_to_the_product_and_to_the_transposed_product(vectors):
    A = matrix(600, 700)
    exact, v = A.to(torch.float64), matrix(700, vectors, 1).to(torch.float64)
    forward, backward = TileSums(v, 600), TileSums(v[:600], 700)
    for rows in (slice(0, 500), slice(500, 600)):
        for columns in (slice(0, 650), slice(650, 700)):
            add_block(forward, A[rows, columns], rows, columns, mirror=False)
            add_transposed_block(backward, A[rows, columns], rows, columns)
    torch.testing.assert_close(forward.result, exact @ v, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(backward.result, exact.T @ v[:600], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("vectors", [1, 5])
def test_mirrored_tiles_from_several_threads_make_the_symmetric_product(vectors):
    A = matrix(512, 512)
    A = A + A.T
    sums = TileSums(matrix(512, vectors, 2).to(torch.float64), 512)

    def add(corner: tuple[int, int]) -> None:
        rows, columns = slice(corner[0], corner[0] + 128), slice(corner[1], corner[1] + 128)
        whole = np.ascontiguousarray(A[rows].numpy())
        sums.add(whole, rows, columns, mirror=rows != columns, first=corner[1])

    run_tiles(add, [(i, j) for i in range(0, 512, 128) for j in range(i, 512, 128)], threads=2)
    torch.testing.assert_close(sums.result, A.to(torch.float64) @ sums.right, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("kernel", [NTK(fully_connected(3)), NTK(fully_connected(2, bias_std=0.1)), Gaussian(3.0)])
@pytest.mark.parametrize("other", [None, 300])
@pytest.mark.parametrize("vectors", [1, 4])
def test_the_product_of_a_kernel_matrix_is_that_of_the_dense_one(kernel, other, vectors):
    generator = np.random.default_rng(3)
    X = generator.normal(size=(700, 5)).astype(np.float32)
    Y = None if other is None else generator.normal(size=(other, 5)).astype(np.float32)
    K = KernelMatrix(kernel, X, Y)
    v = generator.normal(size=(K.shape[1], vectors))
    np.testing.assert_allclose(K @ v, K.dense().astype(np.float64) @ v, rtol=0, atol=1e-4)
    K.layout = type(K.layout)(*K.shape, 272, Y is None)  # no multiple of the tile
    np.testing.assert_allclose(K @ v, K.dense().astype(np.float64) @ v, rtol=0, atol=1e-4)


def test_zero_rows_and_duplicates_are_right_in_products():
    X = np.random.default_rng(4).normal(size=(300, 5))
    X[7], X[20] = 0.0, X[21]
    kernel = NTK(fully_connected(2))
    v = np.random.default_rng(5).normal(size=300)
    np.testing.assert_allclose(KernelMatrix(kernel, X) @ v, kernel(X) @ v, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(KernelMatrix(kernel, X[8:]) @ v[8:], kernel(X[8:]) @ v[8:], rtol=1e-12, atol=1e-12)
