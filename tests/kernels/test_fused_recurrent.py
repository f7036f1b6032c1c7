"""The loops over time alone: one pair against the formulas by hand."""

from math import acos, asin, pi, sqrt

import numpy as np
import pytest

from widenet.kernels._fused_recurrent import recurrent_pairs


def _set(rows: np.ndarray, first: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = np.zeros((*rows.shape, 8))
    table[:, :, 0] = rows
    return table, np.array([first]), np.ones((len(rows), 1))


@pytest.mark.parametrize("cosine", [-1.0, -0.99999, -0.3, 0.0, 0.4, 0.99, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_one_step_of_relu(cosine, share):
    """Units with the share of an unrelated state, the rest two input channels at the given angle."""
    rest = sqrt(1 - share)
    x = _set(np.array([[sqrt(share) / 2, 0.0, rest / 2, 0.0]]))
    y = _set(np.array([[sqrt(share) / 2, 0.0, rest * cosine / 2, rest * sqrt(1 - cosine**2) / 2]]))
    out = np.zeros((3, 1, 1))
    program, starts = np.array([[0.5, 0.5, 1.0]]), np.array([[0.5, 0.5, 0.5, 0.5]])
    recurrent_pairs(out, x, y, program, starts, (False, False, False))
    c = (1 - share) * cosine
    after = (sqrt(1 - c * c) + c * (pi - acos(c))) / pi  # E[phi phi] over that of a unit with itself
    near, far, tangent = out[:, 0, 0]
    exact = 1e-15 if abs(c) < 0.9 else 1e-8
    assert far - near == pytest.approx(after, abs=exact)
    assert near + far == pytest.approx(1.0, abs=1e-15)
    assert tangent == pytest.approx(c * (pi - acos(c)) / pi, abs=exact)


def test_steps_of_the_error_function_are_read_with_weights():
    """Two steps with scales k: s = c k k', value a arcsin(s) + offset, sums over the steps with weights."""
    a, offset, hidden, bias = 0.7, 0.2, 0.9, 0.1
    scales, inputs = (0.5, 0.6), (0.8, -0.4)
    x = _set(np.array([[inputs[0], scales[0]], [inputs[1], scales[1]]]))
    x[2][:] = [[2.0], [3.0]]
    program, starts = np.array([[a, offset, 1.0, hidden, 1.0, bias]]), np.array([[0.0, 0.0, 0.3, 0.0]])
    out = np.zeros((2, 1, 1))
    recurrent_pairs(out, x, x, program, starts, (True, True, False))
    value, tangent, sums = 0.3, 0.0, [0.0, 0.0]  # both begin at one step: in the related state
    for scale, unit, weight in zip(scales, inputs, (4.0, 9.0), strict=True):
        c = hidden * value + bias + unit**2
        s = c * scale**2
        tangent = (c + hidden * tangent) * a * scale**2 / sqrt(1 - s * s)
        value = a * asin(s) + offset
        sums = [sums[0] + weight * value, sums[1] + weight * tangent]
    np.testing.assert_allclose(out[:, 0, 0], sums, rtol=1e-14)


def test_a_later_sequence_meets_an_unrelated_state():
    """The second sequence begins at the second step: nothing of the first step is in the pair."""
    rows = np.array([[0.2, 0.1, 0.3], [0.3, 0.2, 0.4]])
    out, alone = np.zeros((3, 1, 1)), np.zeros((3, 1, 1))
    program, starts = np.array([[0.5, 0.5, 1.0]]), np.array([[0.5, 0.5, 0.0, 1.0]])
    recurrent_pairs(out, _set(rows), _set(rows, first=1), program, starts, (False, False, False))
    unrelated = np.array([[0.5, 0.5, 0.5, 0.5]])
    recurrent_pairs(alone, _set(rows[1:]), _set(rows[1:]), program, unrelated, (False, False, False))
    np.testing.assert_array_equal(out, alone)
