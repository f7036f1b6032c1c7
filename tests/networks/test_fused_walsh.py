"""Transforms and transpositions in registers against NumPy and SciPy."""

import numpy as np
import pytest
from numba import njit
from scipy.linalg import hadamard

from widenet.kernels._fused_lanes import lanes, load, memory, store
from widenet.networks._fused_walsh import active, add_transposed, block_product, gated, lane_sum, stages, transpose


@njit
def _registers(x, sums, bits, kept):
    data = memory(x)
    value = load(data, 0)
    bits[0] = active(value)
    sums[0] = lane_sum(value)
    store(memory(kept), 0, gated(value, bits[1]))


@njit
def _products(x, signs, size, start, results):
    transformed, product, total = results
    stages(memory(transformed), size, 1)
    block_product(memory(x), memory(product), size, memory(signs.reshape(-1)), start, signs.shape[1])
    add_transposed(memory(x), memory(total), size, memory(signs.reshape(-1)), start, signs.shape[1])


@njit
def _turned(x, out, count, scale):
    transpose(memory(x), (1, count + 3), memory(out), (2, count), scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_registers(dtype):
    count = lanes(dtype)
    x = np.random.default_rng(0).normal(size=count).astype(dtype)
    x[1] = 0.0
    sums, bits, kept = np.zeros(1, dtype), np.array([0, 0b101], np.int64), np.zeros(count, dtype)
    _registers(x, sums, bits, kept)
    assert bits[0] == sum(1 << lane for lane in range(count) if x[lane] > 0)
    assert sums[0] == pytest.approx(x.sum(), rel=1e-5)
    np.testing.assert_array_equal(kept, x * (np.arange(count) % 2 == 0) * (np.arange(count) < 3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squares_are_turned_over(dtype):
    count = lanes(dtype)
    x = np.random.default_rng(0).normal(size=1 + count * (count + 3)).astype(dtype)
    out = np.zeros(2 + count * count, dtype)
    _turned(x, out, count, dtype(2))
    square = x[1:].reshape(count, count + 3)[:, :count]
    np.testing.assert_array_equal(out[2:].reshape(count, count), 2 * square.T)


# Sizes that take passes of sixteen alone, and with one of four and of two after them.
@pytest.mark.parametrize("size", [16, 32, 64, 128, 256])
def test_products_with_hadamard_matrices(size):
    count, draws = lanes(np.float64), np.random.default_rng(size)
    x, signs = draws.normal(size=(size, count)), draws.choice([-1.0, 1.0], (3, 2 * size))
    H = hadamard(size).astype(float)
    D = [np.diag(row[size:]) for row in signs]
    S = H @ D[0] @ H @ D[1] @ H @ D[2]
    transformed, product, total = x.reshape(-1).copy(), np.zeros(size * count), np.ones(size * count)
    _products(x.reshape(-1).copy(), signs, size, size, (transformed, product, total))
    limit = 1e-14 * np.abs(S).sum(1).max()
    np.testing.assert_allclose(transformed.reshape(size, count), H @ x, rtol=0, atol=1e-12 * size)
    np.testing.assert_allclose(product.reshape(size, count), S @ x, rtol=0, atol=10 * limit)
    np.testing.assert_allclose(total.reshape(size, count), 1 + S.T @ x, rtol=0, atol=10 * limit)
