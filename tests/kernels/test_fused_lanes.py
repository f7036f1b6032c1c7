"""Explicit registers against NumPy."""

import numpy as np
import pytest
from numba import njit

from widenet.kernels import _fused_lanes as registers
from widenet.kernels._fused_lanes import (
    any_less,
    choose,
    constant,
    exact_product,
    lanes,
    load,
    memory,
    polynomial,
    read,
    root,
    size,
    smaller,
    store,
    width,
)

_cubic = polynomial((0.5, -2.0, 0.25, 3.0), (0.5, -2.0, 0.25, 3.0))


@njit(error_model="numpy", fastmath={"contract"})
def _elementwise(a, b, table, numbers, out):
    x_data, y_data, result = memory(a), memory(b), memory(out)
    count = width(x_data)
    x, y = load(x_data, 0), load(y_data, 0)
    rows = (
        x + y,
        x - y,
        x * y,
        root(size(x)),
        smaller(x, y),
        choose(x, y, constant(x, 1.5), y),
        exact_product(x, y) - exact_product(y, x),
        read(memory(table), 2),
        read(memory(numbers), 2),
        _cubic(x, constant(x, 2.0)),
    )
    for k in range(10):
        store(result, k * count, rows[k])
    return any_less(x, y), any_less(size(x), size(x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_operations_on_registers_are_those_on_arrays(dtype: type):
    rng, count = np.random.default_rng(0), lanes(dtype)
    a, b = rng.normal(size=(2, count)).astype(dtype)
    table, numbers = rng.normal(size=(4, count)).astype(dtype), rng.normal(size=5).astype(dtype)
    out = np.empty((10, count), dtype)
    less, never = _elementwise(a, b, table, numbers, out.reshape(-1))
    expected = np.stack(
        [
            a + b,
            a - b,
            a * b,
            np.sqrt(abs(a)),
            np.minimum(a, b),
            np.where(a < b, 1.5, b),
            np.zeros(count),
            table[2],
            np.full(count, numbers[2]),
            2 * (0.5 - 2 * a + 0.25 * a**2 + 3 * a**3),
        ]
    )
    np.testing.assert_allclose(out, expected, rtol=4 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)
    assert less == (a < b).any()
    assert not never


def test_a_register_has_64_bytes():
    assert (registers.lanes(np.float32), registers.lanes(np.float64)) == (16, 8)
