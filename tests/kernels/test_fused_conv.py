"""The activation in registers against the arc-cosine formulas at 30 digits."""

import mpmath
import numpy as np
import pytest
from numba import njit

from widenet.kernels._fused_conv import HALF, NONE, WHOLE, after, numbers_of, opposite, signed, whole
from widenet.kernels._fused_lanes import lanes, load, memory, store, width


@njit(error_model="numpy", fastmath={"contract"})
def _after(values, activation, reals, near, slope):
    data, near_data, slope_data = memory(values), memory(near), memory(slope)
    numbers = numbers_of(data, reals)
    for i in range(0, values.shape[0], width(data)):
        first, second = after(load(data, i), activation, numbers)
        store(near_data, i, first)
        store(slope_data, i, second)


def _expected(v: float, odd: float, gain: float) -> tuple[float, float]:
    """Near and gain E[phi' phi'] of sqrt(odd) z +- sqrt(even) |z|, from the angle itself."""
    with mpmath.workdps(30):
        z = mpmath.mpf(v) if v >= 0 else 1 + mpmath.mpf(v)
        t, even = 2 * mpmath.asin(mpmath.sqrt(z)), 1 - mpmath.mpf(odd)
        # E|u||v| = (2/pi)(sin t + (pi/2 - t) cos t), and E[sign u sign v] = 1 - 2 t / pi.
        cosine = odd * mpmath.cos(t) + even * (2 / mpmath.pi) * (mpmath.sin(t) + (mpmath.pi / 2 - t) * mpmath.cos(t))
        return float((1 - cosine) / 2), float(gain * (odd + even * (1 - 2 * t / mpmath.pi)))


@pytest.mark.parametrize(("dtype", "error"), [(np.float32, 2e-7), (np.float64, 4e-16)])
@pytest.mark.parametrize(("activation", "odd"), [(HALF, 0.5), (HALF, 0.0), (WHOLE, 0.5), (WHOLE, 0.8)])
def test_an_activation_keeps_the_digits_of_near(dtype: type, error: float, activation: int, odd: float):
    upper = np.concatenate([[0, 1e-14, 1e-7, 1e-3], np.linspace(0.01, 0.5, 60)])
    values = upper if activation == HALF else np.concatenate([upper, -upper[1:-1], [-1e-30, -0.25]])
    values = np.resize(values, -(-values.size // 16) * 16).astype(dtype)
    near, slope = np.empty_like(values), np.empty_like(values)
    _after(values, activation, (0.7, odd, 1 - odd, 0.0, 1.0), near, slope)
    expected = np.array([_expected(float(v), odd, 0.7) for v in values])
    # Relative to near itself: small ones are as exact as large ones.
    assert (np.abs(near - expected[:, 0]) <= 3 * error * expected[:, 0]).all()
    assert np.abs(slope - expected[:, 1]).max() <= error


@njit(error_model="numpy")
def _signs(values, out):
    data, result = memory(values), memory(out)
    v, count = load(data, 0), width(data)
    store(result, 0, whole(v))
    store(result, count, opposite(v))
    store(result, 2 * count, signed(whole(v), opposite(v)))


def test_the_sign_tells_near_from_far():
    values = np.resize(np.array([0.0, 0.3, 0.5, -0.25, -1e-30]), lanes(np.float64))
    out = np.empty((3, lanes(np.float64)))
    _signs(values, out.reshape(-1))
    np.testing.assert_array_equal(out[0], np.where(values < 0, 1 + values, values))
    np.testing.assert_array_equal(out[1], np.where(values < 0, -values, 1 - values))
    np.testing.assert_array_equal(out[2], values)


def test_without_an_activation_near_is_what_it_was():
    values = np.linspace(0, 0.5, 16)
    near, slope = np.empty_like(values), np.empty_like(values)
    _after(values, NONE, (0.7, 0.0, 1.0, 0.0, 1.0), near, slope)
    np.testing.assert_array_equal(near, values)
    np.testing.assert_array_equal(slope, 0.7)
