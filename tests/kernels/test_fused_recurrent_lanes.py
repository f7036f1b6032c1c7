"""The loop over registers of pairs in single precision: one step by hand, and the loops in double precision."""

from math import acos, pi, sqrt

import numpy as np
import pytest

from widenet.kernels._fused_recurrent import recurrent_pairs
from widenet.kernels._fused_recurrent_lanes import recurrent_registers

STARTS = np.array([0.5, 0.5, 0.0, 1.0])


def registers(x, y, program, *, same=False) -> tuple[np.ndarray, np.ndarray]:
    near, tangent = np.full((2, len(x[1]), len(y[1])), np.nan)
    recurrent_registers((near, tangent), x, y, np.array(program), STARTS, same)
    return near, tangent


@pytest.mark.parametrize("cosine", [-1.0, -0.99, -0.3, 0.0, 0.4, 0.99, 1.0])
def test_one_step_of_relu(cosine):
    """Two input channels at the given angle, a share of 0.6 of an unrelated state before them."""
    x, y = np.zeros((1, 4, 16), np.float32), np.zeros((1, 4, 16), np.float32)
    x[0, :, 0] = [sqrt(0.6) / 2, 0.0, sqrt(0.4) / 2, 0.0]
    y[0, :, 0] = [sqrt(0.6) / 2, 0.0, sqrt(0.4) * cosine / 2, sqrt(0.4 * (1 - cosine**2)) / 2]
    near, tangent = np.empty((2, 1, 1))
    start = np.array([0.5, 0.5, 0.5, 0.5])
    recurrent_registers(
        (near, tangent), (x, np.array([0])), (y, np.array([0])), np.array([0.5, 0.5, 1.0]), start, False
    )
    c = 0.4 * cosine
    after = (sqrt(1 - c * c) + c * (pi - acos(c))) / pi  # E[phi phi] over that of a unit with itself
    assert 1 - 2 * near.item() == pytest.approx(after, abs=2e-7)
    assert tangent.item() == pytest.approx(c * (pi - acos(c)) / pi, abs=2e-7)


@pytest.mark.parametrize("odd", [0.0, 0.5, 0.7])
@pytest.mark.parametrize("channels", [1, 3])
def test_sequences_of_any_lengths_against_double_precision(odd, channels):
    """Unit vectors (hidden, bias, inputs) / 2 at every step, equal, near and opposite ones among them."""
    generator = np.random.default_rng(3)
    steps, n = 60, 37
    units = generator.standard_normal((steps, 2 + channels, 48))
    units[:, :2] = np.abs(units[:, :2]) + 1.0
    units[:, :, 1] = units[:, :, 0]
    units[:, :, 2] = units[:, :, 0] + 1e-4 * units[:, :, 3]
    units[:, 2:, 4] = -units[:, 2:, 0]
    units /= 2 * np.linalg.norm(units, axis=1, keepdims=True)
    units[:, :, n:] = 0.0
    first = np.sort(generator.integers(0, 12, n))
    first[:5] = 0
    single = units.astype(np.float32)
    expected, weights = np.zeros((3, n, n)), np.ones((steps, n))
    program = np.array([[odd, 1 - odd, 1.0]])
    exact = np.ascontiguousarray(single[:, :, :40].astype(np.float64)), first, weights
    recurrent_pairs(expected, exact, exact, program, STARTS[None], (False, False, False))
    near, tangent = registers((single, first), (single, first), program[0])
    np.testing.assert_allclose(near, expected[0], atol=3e-7)
    np.testing.assert_allclose(tangent, expected[2], atol=1e-6 * np.abs(expected[2]).max())
    upper = np.triu(np.ones((n, n), bool))
    half_near, half_tangent = registers((single, first), (single, first), program[0], same=True)
    np.testing.assert_array_equal(half_near[upper], near[upper])
    np.testing.assert_array_equal(half_tangent[upper], tangent[upper])
