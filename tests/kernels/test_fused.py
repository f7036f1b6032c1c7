"""The Numba loops against plain NumPy and Python loops."""

import math

import numpy as np
import pytest

from widenet.kernels import _fused

DTYPES = [np.float32, np.float64]


SCALES = [(np.float32, 1e-18), (np.float32, 1e18), (np.float64, 1e-290), (np.float64, 1.0), (np.float64, 1e290)]


@pytest.mark.parametrize(("dtype", "scale"), SCALES)
def test_unit_rows_survive_large_and_small_norms(dtype, scale):
    X = (np.random.default_rng(0).normal(size=(5, 7)) * scale).astype(dtype)
    X[2] = 0
    units, norms = np.full_like(X, np.nan), np.full(5, np.nan)
    _fused.unit_rows(X, units, norms)
    expected = np.linalg.norm(X.astype(np.longdouble), axis=1)
    np.testing.assert_allclose(norms, expected.astype(float), rtol=1e-15)
    assert norms[2] == 0
    assert not units[2].any()
    kept = [0, 1, 3, 4]
    np.testing.assert_allclose(units[kept], X[kept] / expected[kept, None].astype(float), rtol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_signed_sines_and_their_count(dtype):
    rng = np.random.default_rng(1)
    theta = rng.uniform(0, math.pi, (9, 21))
    tile = np.full((9, 32), 7, dtype)
    tile[:, :21] = np.cos(theta)
    close = _fused.signed_sines(tile, (9, 21), (0.2, 0.3))
    expected = np.where(theta < math.pi / 2, np.sin(theta / 2), -np.cos(theta / 2))
    np.testing.assert_allclose(tile[:, :21], expected, atol=3 * math.sqrt(np.finfo(dtype).eps))
    assert close == np.sum((expected > -0.3) & (expected < 0.2))
    assert (tile[:, 21:] == 7).all()


def test_an_exact_antipode_keeps_its_sign():
    tile = np.array([[1.0, -1.0, 1.0000001, -1.0000001]], np.float32)
    _fused.signed_sines(tile, (1, 4), (0.1, 0.1))
    assert tile[0, 0] == 0
    assert tile[0, 2] == 0
    assert -1e-36 < tile[0, 1] < 0
    assert -1e-36 < tile[0, 3] < 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_repair_takes_sines_from_differences(dtype):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(6, 11)).astype(dtype)
    Y = np.concatenate([X[:2], 3 * X[2:3], -X[3:4], X[4:5] * dtype(1 + 1e-5), X[5:6], rng.normal(size=(4, 11))])
    Y = Y.astype(dtype)
    Y[5, 0] += dtype(1e-3)
    x_norms, y_norms = (np.linalg.norm(Z.astype(float), axis=1) for Z in (X, Y))
    x_units, y_units = X / x_norms[:, None], Y / y_norms[:, None]
    tile = np.zeros((6, 16), dtype)
    tile[:, :10] = x_units @ y_units.T
    cosines = tile[:, :10].copy()
    _fused.signed_sines(tile, (6, 10), (0.1, 0.1))
    _fused.repair_sines(tile, X, Y, (x_norms, y_norms), (0.1, 0.1), False)
    near = np.linalg.norm(x_units[:, None] - y_units, axis=2) / 2
    far = np.linalg.norm(x_units[:, None] + y_units, axis=2) / 2
    expected = np.where(cosines < 0, -far, near)
    close = np.abs(expected) < 0.1
    assert close.sum() >= 6
    np.testing.assert_allclose(
        tile[:, :10][close], expected[close], rtol=2e-7 if dtype == np.float32 else 1e-12, atol=1e-16
    )
    assert (np.diagonal(tile)[:2] == 0).all()
    assert tile[3, 3] < 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("roots", [0, 1])
def test_evaluate_tile_against_plain_loops(dtype, same, roots):
    rng = np.random.default_rng(3)
    n, m, counts = 13, 13 if same else 21, 9
    sigma = rng.uniform(-0.7, 0.7, (n, m)).astype(dtype)
    sigma[1, 3] = sigma[2, 2] = 0
    coefficients = rng.normal(size=(2, 2, counts)).astype(dtype)
    maps = np.array([[[1.5, -0.5], [2.8, 2.8], [0, 0]], [[0.3, 0.2], [3.8, 2.8], [1, 0]]], dtype)
    at_duplicates = np.array([1.25, 0.75])
    weights = rng.uniform(0.5, 2, (2, n)), rng.uniform(0.5, 2, (2, m))
    tile = np.full((n, m + 3), 5, dtype)
    tile[:, :m] = sigma
    _fused.evaluate_tile(tile, (coefficients, maps, np.array([0, roots]), at_duplicates), *weights, same)
    for i in range(n):
        for j in range(i if same else 0, m):
            expected = 0.0
            for term, root in enumerate((0, roots)):
                half = int(sigma[i, j] < 0)
                v = abs(float(sigma[i, j])) ** (0.5**root)
                t = (maps[term, 1, half] * v - 1) / (maps[term, 2, half] * v + 1)
                value = maps[term, 0, half] + v * np.polyval(coefficients[term, half].astype(float), t)
                if sigma[i, j] == 0:
                    value = at_duplicates[term]
                expected += value * weights[0][term, i] * weights[1][term, j]
            assert tile[i, j] == pytest.approx(expected, rel=1e-12, abs=3e-4 if dtype == np.float32 else 1e-12)
    assert (tile[:, m:] == 5).all()


@pytest.mark.parametrize("shape", [(1, 1), (16, 5), (17, 33), (40, 15)])
def test_tiles_are_stored_where_they_belong(shape):
    V = np.random.default_rng(4).normal(size=(shape[0], shape[1] + 2))
    K = np.zeros((60, 60))
    expected = K.copy()
    _fused.store_tile(V, shape, K, 3, 7)
    expected[3 : 3 + shape[0], 7 : 7 + shape[1]] = V[:, : shape[1]]
    np.testing.assert_array_equal(K, expected)
    K[:], expected[:] = 0, 0
    _fused.store_mirrored(V, shape, K, 3, 7)
    expected[3 : 3 + shape[1], 7 : 7 + shape[0]] = V[:, : shape[1]].T
    np.testing.assert_array_equal(K, expected)


def test_mirror_within_makes_a_tile_symmetric():
    V = np.arange(20.0).reshape(4, 5)
    upper = np.triu(V[:, :4])
    _fused.mirror_within(V, 4)
    np.testing.assert_array_equal(V[:, :4], upper + np.triu(upper, 1).T)
