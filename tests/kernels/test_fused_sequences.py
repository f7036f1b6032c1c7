"""Tables of single sequences against the recursion by hand."""

from math import asin, pi, sqrt

import numpy as np

from widenet.kernels._fused_sequences import error_tables, homogeneous_tables

INPUTS = np.array([[[0.5, 0.0]], [[-1.5, 2.0]], [[0.7, 0.3]]])  # (steps, channels, sequences); the second begins later
FIRST = np.array([0, 1])


def test_homogeneous():
    total, w, u, b, h = 0.5, 1.7, 0.8, 0.2, 0.4
    program = np.array([[0.5, 0.5, 1.0, w, u, b, h, total]])
    table, sizes, tangents = np.empty((3, 3, 8)), np.empty((3, 2)), np.empty((3, 2))
    powers = homogeneous_tables(table, sizes, tangents, INPUTS, FIRST, program)
    np.testing.assert_array_equal(powers, 0)
    for j, first in enumerate(FIRST):
        before, tangent = h, 0.0
        for s in range(first, 3):
            x = INPUTS[s, 0, j]
            variance = w * before + u * x * x + b
            expected = np.array([sqrt(w * before), sqrt(b), sqrt(u) * x]) / (2 * sqrt(variance))
            np.testing.assert_allclose(table[s, :, j], expected, rtol=1e-15)
            tangent = 1 + w * before / variance * tangent
            before = total * variance
            np.testing.assert_allclose([sizes[s, j] ** 2, tangents[s, j]], [before, tangent], rtol=1e-14)
    np.testing.assert_array_equal(table[0, :, 1], 0.0)


def test_exploding_sizes_are_kept_over_powers():
    program = np.array([[0.5, 0.5, 1.0, 2.0**21, 1.0, 0.0, 0.0, 0.5]])
    inputs = np.zeros((100, 1, 1))
    inputs[0] = 1.0
    table, sizes, tangents = np.empty((100, 3, 8)), np.empty((100, 1)), np.empty((100, 1))
    powers = homogeneous_tables(table, sizes, tangents, inputs, np.array([0]), program)
    # E h^2 = 2^(20 s - 1) at step s: over 4^(200 k).
    np.testing.assert_allclose(
        2 * np.log2(sizes[:, 0]) + 400 * powers[0], 20.0 * np.arange(100) - 1, rtol=1e-13, atol=0
    )
    assert powers[0] >= 4


def test_error_function():
    a, offset, w, u, b, h, steep = 2 / pi, 0.1, 1.3, 0.9, 0.2, 0.5, 2.0
    table, variances, tangents = np.empty((3, 2, 8)), np.empty((3, 2)), np.empty((3, 2))
    error_tables(table, variances, tangents, INPUTS, FIRST, np.array([[a, offset, 1.0, w, u, b, h, steep]]))
    for j, first in enumerate(FIRST):
        before, tangent = h, 0.0
        for s in range(first, 3):
            x = INPUTS[s, 0, j]
            variance = w * before + u * x * x + b
            ratio = steep * variance / (1 + steep * variance)
            slope = a * steep / (1 + steep * variance) / sqrt(1 - ratio**2)
            tangent = (variance + w * tangent) * slope
            before = a * asin(ratio) + offset
            np.testing.assert_allclose(table[s, :, j], [sqrt(u) * x, sqrt(steep / (1 + steep * variance))], rtol=1e-15)
            np.testing.assert_allclose([variances[s, j], tangents[s, j]], [before, tangent], rtol=1e-14)
