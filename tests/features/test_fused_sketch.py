"""The loops of sketches against plain ones, for parts of tiles, dense and sparse rows, both precisions."""

import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import hadamard

from widenet.features import _fused_sketch
from widenet.features.hashing import buckets, draw_keys, mixed, signs

N, D, M = 19, 37, 24


def _rows(dtype, density=0.5):
    draws = np.random.default_rng(2)
    return (draws.normal(size=(N, D)) * (draws.random((N, D)) < density)).astype(dtype)


def _arrays(X):
    csr = sparse.csr_array(X)
    return csr.data, csr.indices, csr.indptr


@pytest.mark.parametrize("parts", [1, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hashed_sums_are_those_of_a_plain_loop(parts, dtype):
    X, keys = _rows(dtype), draw_keys("test", 0, parts)
    expected = np.zeros((N, M))
    for part, key in enumerate(keys):
        low, high = part * M // parts, (part + 1) * M // parts
        for k in range(D):
            bits = mixed(key, np.array([k]))
            expected[:, low + buckets(bits, high - low)[0]] += signs(bits)[0] * X[:, k] / np.sqrt(parts)
    for write, rows in ((_fused_sketch.count_dense, X), (_fused_sketch.count_sparse, _arrays(X))):
        out = np.full((N, M), np.nan, dtype)
        write(rows, keys, out, (0, 11))
        assert np.isnan(out[11:]).all()
        write(rows, keys, out, (11, N))
        np.testing.assert_allclose(out, expected, rtol=0, atol=20 * np.finfo(dtype).eps)


def test_walsh_sums_are_rows_of_the_hadamard_matrix():
    X, key = _rows(np.float64), draw_keys("test", 0, 1)[0]
    chosen = np.array([3, 63, 0, 17, 40])
    out = np.full((N, 7), np.nan)
    _fused_sketch.walsh_sums(_arrays(X), key, chosen, out, (0, N))
    padded = np.pad(X * signs(mixed(key, np.arange(D))), ((0, 0), (0, 64 - D)))
    np.testing.assert_allclose(out[:, :5], (padded @ hadamard(64))[:, chosen] / np.sqrt(5), atol=1e-13)
    assert np.isnan(out[:, 5:]).all()


def _leaf(X, key, size):
    bits = mixed(key, np.arange(D))
    places = np.arange(D) if size >= D else buckets(bits, size)
    out = np.zeros((N, size))
    for k, (place, sign) in enumerate(zip(places, signs(bits), strict=True)):
        out[:, place] += sign * X[:, k]
    return out @ hadamard(size)


@pytest.mark.parametrize("leaf_size", [64, 32])
@pytest.mark.parametrize("form", ["dense", "sparse", "pair"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_program_of_products_is_that_of_explicit_matrices(dtype, form, leaf_size):
    draws = np.random.default_rng(4)
    X, Y = _rows(dtype), _rows(dtype)[::-1].copy()
    keys, W = draw_keys("test", 1, 3), 16
    cells = np.stack([draws.integers(0, 16, 70), draws.integers(0, 16, 70)]).astype(np.int32)
    # Node 0 keeps and writes leaf 0 times leaf 1, node 1 writes it times leaf 2, node 2 writes leaf 0 alone.
    none = -(2**30)
    table = np.array([[-1, -2, 0, 14, 0, 20, 3], [0, -3, 20, 0, 0, 33, 23], [-1, none, 53, 0, 0, 5, 56]])
    node_signs, factors = draws.choice([-1.0, 1.0], (6, W)), draws.normal(size=(3, 2))
    other = Y if form == "pair" else X
    leaves = [_leaf(rows.astype(float), key, leaf_size) for rows, key in zip((X, other, X), keys, strict=True)]
    product = leaves[0][:, cells[0, :20]] * leaves[1][:, cells[1, :20]]
    value = np.pad(product[:, :14] * factors[0, 0], ((0, 0), (0, 2))) * node_signs[2]
    second = (value @ hadamard(W))[:, cells[0, 20:53]] * leaves[2][:, cells[1, 20:53]]
    parts = product * factors[0, 1], second * factors[1, 1], leaves[0][:, cells[0, 53:58]] * factors[2, 1]
    expected = np.concatenate(parts, 1)
    data, indices, indptr = _arrays(X)
    nothing = np.empty((0, 0), dtype)
    rows = (X, other if form == "pair" else nothing, data[:0], indices[:0], indptr[:0])
    if form == "sparse":
        rows = nothing, nothing, data, indices, indptr
    out = np.zeros((N, 63), dtype)
    program = table, node_signs.astype(dtype), cells, keys, factors.astype(dtype)
    for bounds in ((0, 1), (1, -(-N * np.dtype(dtype).itemsize // 64))):
        _fused_sketch.products(rows, program, (leaf_size, W, 1, D), out, bounds)
    np.testing.assert_allclose(out[:, 3:61], expected, rtol=0, atol=100 * np.finfo(dtype).eps * np.abs(expected).max())
    assert np.all(out[:, [0, 1, 2, 61, 62]] == 0)
