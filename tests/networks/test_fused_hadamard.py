"""The loops over tiles against explicit matrices, for parts of the tiles and for rows that fill no whole block."""

import numpy as np
import pytest
from scipy.linalg import hadamard

from widenet.kernels._fused_lanes import lanes
from widenet.networks import _fused_hadamard

SIZE, COLUMNS, ROWS, SAMPLES, OUTPUTS = 32, 20, 75, 19, 6


def _case(dtype):
    draws = np.random.default_rng(1)
    padded = -(-ROWS // SIZE) * SIZE
    signs = draws.choice([-1.0, 1.0], (3, padded)).astype(dtype)
    H = hadamard(SIZE).astype(float)
    blocks = signs.astype(float).reshape(3, -1, SIZE)
    parts = [H @ np.diag(a) @ H @ np.diag(b) @ H @ np.diag(c) for a, b, c in zip(*blocks, strict=True)]
    S = np.concatenate(parts)[:ROWS, :COLUMNS]
    T, A, bias, R = (
        draws.normal(size=shape).astype(dtype)
        for shape in ((SAMPLES, COLUMNS), (OUTPUTS, ROWS), (ROWS,), (SAMPLES, OUTPUTS))
    )
    return signs, S, T, A, bias, R


def _tiles(x, size):
    """(tiles, size, lanes), by a plain loop."""
    count = lanes(x.dtype)
    out = np.zeros((-(-len(x) // count), size, count), x.dtype)
    for i, row in enumerate(x):
        out[i // count, : len(row), i % count] = row
    return out


def _rows(tiles, columns):
    return tiles.transpose(0, 2, 1).reshape(-1, tiles.shape[1])[:SAMPLES, :columns]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products(dtype):
    signs, S, T, _, _, _ = _case(dtype)
    tolerance = {"rtol": 0, "atol": 200 * np.finfo(dtype).eps}
    tiles, out = _tiles(T, SIZE), np.full((SAMPLES, ROWS), np.nan, dtype)
    _fused_hadamard.apply(tiles, signs, dtype(1 / SIZE), out, (0, 1))
    count = lanes(dtype)
    assert np.isnan(out[count:]).all()  # the other tiles are left to other threads
    _fused_hadamard.apply(tiles, signs, dtype(1 / SIZE), out, (1, len(tiles)))
    np.testing.assert_allclose(out, T @ S.T / SIZE, **tolerance)
    back = np.full((len(tiles), SIZE, count), np.nan, dtype)
    _fused_hadamard.apply_transposed(out, signs, dtype(1 / SIZE), back, (0, len(tiles)))
    np.testing.assert_allclose(_rows(back, COLUMNS), out @ S / SIZE, rtol=0, atol=4000 * np.finfo(dtype).eps)


@pytest.mark.parametrize("biased", [True, False])
def test_readout_and_its_gradients(biased):
    signs, S, T, A, bias, R = _case(np.float64)
    bias = bias if biased else bias[:0]
    tiles, residuals = _tiles(T, SIZE), _tiles(R, OUTPUTS)
    layer = (signs, bias, A, 0.7 / SIZE)
    F, gates = np.zeros((len(tiles), OUTPUTS, 8)), np.zeros((len(tiles), ROWS), np.int16)
    _fused_hadamard.readout(tiles, layer, F, gates, (0, len(tiles)))
    units = 0.7 / SIZE * T @ S.T + (bias if biased else 0)
    np.testing.assert_allclose(_rows(F, OUTPUTS), np.maximum(units, 0) @ A.T, rtol=0, atol=1e-11)
    np.testing.assert_array_equal((gates[0, :] >> 3) & 1, units[3] > 0)
    through = (R @ A) * (units > 0)
    of_T = np.zeros((len(tiles), SIZE, 8))
    _fused_hadamard.inner_gradient(residuals, layer, gates, of_T, (0, len(tiles)))
    np.testing.assert_allclose(_rows(of_T, COLUMNS), 0.7 / SIZE * through @ S, rtol=0, atol=1e-11)
    of_bias, of_A = np.zeros(len(bias)), np.zeros((OUTPUTS, ROWS))
    for bounds in ((0, 1), (1, 3)):  # blocks of units, which threads share
        _fused_hadamard.outer_gradient(tiles, residuals, layer, gates, (of_bias, of_A), bounds)
    np.testing.assert_allclose(of_A, R.T @ np.maximum(units, 0), rtol=0, atol=1e-11)
    np.testing.assert_allclose(of_bias, through.sum(0) if biased else [], rtol=0, atol=1e-11)
    untouched = np.zeros((0, 0))
    _fused_hadamard.outer_gradient(tiles, residuals, layer, gates, (of_bias, untouched), (0, 3))
    np.testing.assert_allclose(of_bias, 2 * through.sum(0) if biased else [], rtol=0, atol=1e-11)
