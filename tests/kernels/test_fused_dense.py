"""The loop of dense chains alone: one pair against the formulas by hand."""

from math import acos, pi, sqrt

import numpy as np
import pytest

from widenet.kernels._fused_dense import dense_chain


def _tables(*columns: tuple[float, float, float]) -> np.ndarray:
    return np.array(columns).reshape(len(columns), 3, 1)


@pytest.mark.parametrize("cosine", [-1.0, -0.999999, -0.3, 0.0, 0.4, 0.99, 1.0])
def test_one_relu_layer_with_random_biases(cosine: float):
    """E u^2 = 1, E v^2 = 4, biases 0.5: T = E[u v] E[step step] + E[relu relu], with the arc cosines written out."""
    x, y, bias = 1.0, 4.0, 0.25
    cross = 2 * cosine
    first = cross + bias
    u = first / sqrt((x + bias) * (y + bias))
    root = sqrt((x + bias) * (y + bias))
    second = root * (sqrt(max(1 - u * u, 0.0)) + u * (pi - acos(min(u, 1.0)))) / (2 * pi)
    expected = first * (pi - acos(min(u, 1.0))) / (2 * pi) + second
    tables = [
        _tables((sqrt(s), sqrt(s / (s + bias)), sqrt(bias / (s + bias))), (sqrt((s + bias) / 2), 1.0, 0.0))
        for s in (x, y)
    ]
    program = np.array([[0.0, 0.0, 1.0, bias], [0.25, 0.25, 1.0, 0.0]])
    units = np.array([[1.0, 0.0]]), np.array([[cosine, sqrt(1 - cosine**2)]])
    C = np.array([[cosine]])
    dense_chain(C, units, (tables[0], tables[1]), program, False)
    assert C[0, 0] == pytest.approx(expected, abs=2e-15 if abs(cosine) < 0.9 else 1e-8)


def test_the_lower_triangle_is_the_mirror_of_the_upper():
    units = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0][:, :4].copy()
    units /= np.linalg.norm(units, axis=1)[:, None]
    C = units @ units.T
    upper = np.triu(C, 1)
    C[np.tril_indices(5, -1)] = np.nan
    tables = np.ones((1, 3, 5))
    tables[:, 2] = 0
    dense_chain(C, (units, units), (tables, tables), np.array([[0.0, 0.0, 1.0, 0.0]]), True)
    np.testing.assert_allclose(C, upper + upper.T + np.eye(5), atol=2e-16)
    np.testing.assert_array_equal(C, C.T)
