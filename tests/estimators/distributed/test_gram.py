"""Gram matrices in blocks against the same kernel on all points at once."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from widenet.architectures import fully_connected
from widenet.errors import InvalidInput
from widenet.estimators.distributed.gram import gram_product, kernel_gram
from widenet.kernels import NTK, Gaussian, Laplace

KERNELS = [Laplace(1.5), NTK(fully_connected(2, bias_std=0.1))]


@pytest.fixture(autouse=True)
def _on_this_thread():
    with da.core.config.set(scheduler="synchronous"):
        yield


def points(rows: int, dtype: type = np.float64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 3)).astype(dtype)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_make_the_matrix(kernel, dtype):
    X, Y = points(23, dtype), points(9, dtype, seed=1)
    rows, columns = da.from_array(X, chunks=((10, 0, 4, 9), 3)), da.from_array(Y, chunks=(4, 2))
    tolerance = 1e-6 if dtype is np.float32 else 1e-13
    for blocks, expected in (
        (kernel_gram(kernel, rows), kernel(X)),
        (kernel_gram(kernel, rows, columns), kernel(X, Y)),
    ):
        assert blocks.dtype == expected.dtype == dtype
        np.testing.assert_allclose(blocks.compute(), expected, rtol=0, atol=tolerance * expected.max())


def test_the_symmetric_matrix_is_so_to_the_last_bit_and_its_diagonal_exact():
    X = points(23)
    K = kernel_gram(KERNELS[1], da.from_array(X, chunks=(5, 3))).compute()
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_allclose(K.diagonal(), KERNELS[1].diagonal(X), rtol=1e-15)


def test_a_block_below_the_diagonal_is_no_second_evaluation():
    K = kernel_gram(Gaussian(1.0), da.from_array(points(20), chunks=(5, 3)))
    evaluated = [task for key, task in dict(K.__dask_graph__()).items() if key[0] == K.name and "_block" in str(task)]
    assert len(evaluated) == 4 * 5 // 2


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("shape", [(23,), (23, 2)])
def test_the_product_is_that_of_the_whole_matrix(kernel, shape):
    X, V = points(23), np.random.default_rng(2).normal(size=shape)
    rows = da.from_array(X, chunks=((10, 0, 4, 9), 3))
    for right in (V, da.from_array(V, chunks=(6, *shape[1:]))):
        product = gram_product(kernel, rows, right, block_rows=8)
        assert product.shape == shape
        np.testing.assert_allclose(product.compute(), kernel(X) @ V, rtol=1e-12)


def test_products_in_single_precision_are_summed_in_double():
    X, V = points(40, np.float32), np.random.default_rng(2).normal(size=40).astype(np.float32)
    product = gram_product(Laplace(1.5), da.from_array(X, chunks=(16, 3)), V)
    expected = Laplace(1.5)(X).astype(np.float64) @ V.astype(np.float64)
    assert product.dtype == np.float32
    np.testing.assert_allclose(product.compute(), expected, rtol=0, atol=1e-6 * abs(expected).max())


def test_large_partitions_are_cut():
    K = kernel_gram(Gaussian(1.0), da.from_array(points(20), chunks=((15, 5), 3)), block_rows=6)
    assert K.chunks == ((6, 6, 3, 5), (6, 6, 3, 5))
    np.testing.assert_allclose(K.compute(), Gaussian(1.0)(points(20)), rtol=1e-13)


def test_data_frames_with_known_lengths():
    frame = pd.DataFrame(points(20), columns=["a", "b", "c"])
    table = dd.from_pandas(frame, npartitions=3)
    with pytest.raises(InvalidInput, match=r"3 partitions of unknown sizes. Call X.compute_chunk_sizes"):
        kernel_gram(Gaussian(1.0), table)
    K = kernel_gram(Gaussian(1.0), table.to_dask_array(lengths=True))
    np.testing.assert_allclose(K.compute(), Gaussian(1.0)(frame.to_numpy()), rtol=1e-13)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((points(5),), "X must be a dask array or data frame; got ndarray"),
        ((da.zeros((4, 2)), da.zeros((4, 3))), r"one shape and dtype; got \(2,\) of float64 and \(3,\)"),
        ((da.zeros((4, 2)), da.zeros((4, 2), dtype=np.float32)), "float64 and .* of float32"),
        ((da.zeros(4),), r"\(points, ..., channels\)"),
    ],
)
def test_points_that_do_not_fit(arguments, match):
    with pytest.raises(InvalidInput, match=match):
        kernel_gram(Gaussian(1.0), *arguments)


def test_products_that_do_not_fit():
    X = da.from_array(points(10), chunks=(5, 3))
    with pytest.raises(InvalidInput, match="V must have a row for each of the 10 of X; got 9 rows"):
        gram_product(Gaussian(1.0), X, np.ones(9))
    with pytest.raises(InvalidInput, match="block_rows must be at least 1"):
        gram_product(Gaussian(1.0), X, np.ones(10), block_rows=0)
