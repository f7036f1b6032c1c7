"""Filters of training against mpmath at 40 digits and against steps written out."""

import mpmath
import numpy as np
import pytest
import torch

from widenet.theory.training_filters import TrainingFilter

EIGENVALUES = [0.0, 1e-14, 1e-6, 0.3, 2.0, 9.5]
TIMES = [0.0, 1e-9, 0.4, 7.0, 1e6]


@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_the_flow_has_all_digits_at_every_scale(decay):
    found = TrainingFilter(1.5, decay, "flow")
    s, t = torch.tensor(EIGENVALUES, dtype=torch.float64), torch.tensor(TIMES, dtype=torch.float64)
    learned, left = found.learned(s, t), found.left(s, t)
    with mpmath.workdps(40):
        for i, time in enumerate(TIMES):
            for j, eigenvalue in enumerate(EIGENVALUES):
                total = mpmath.mpf(eigenvalue) + mpmath.mpf(decay)
                kept = mpmath.exp(-1.5 * total * mpmath.mpf(time))
                expected = 1.5 * mpmath.mpf(time) if total == 0 else (1 - kept) / total
                assert float(learned[i, j]) == pytest.approx(float(expected), rel=4e-15, abs=0)
                assert float(left[i, j]) == pytest.approx(float(1 - eigenvalue * expected), rel=1e-12, abs=1e-35)


@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_descent_is_the_steps_written_out(decay):
    s = np.array(EIGENVALUES)  # with the rate 0.15 all factors are above -1, one is below 0
    coefficients = np.zeros_like(s)
    expected = []
    for _ in range(12):
        expected.append(coefficients.copy())
        coefficients = coefficients + 0.15 * (1 - s * coefficients - decay * coefficients)
    steps = torch.arange(12, dtype=torch.float64)
    found = TrainingFilter(0.15, decay, "descent")
    learned, left = found.learned(torch.from_numpy(s), steps), found.left(torch.from_numpy(s), steps)
    np.testing.assert_allclose(learned, np.array(expected), rtol=2e-14)
    np.testing.assert_allclose(left, 1 - s * np.array(expected), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("stepping", ["flow", "descent"])
def test_infinity_is_the_limit(stepping):
    s, t = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64), torch.tensor([np.inf], dtype=torch.float64)
    plain, decayed = TrainingFilter(0.5, 0.0, stepping), TrainingFilter(0.5, 0.1, stepping)
    np.testing.assert_allclose(plain.learned(s, t)[0], [0.0, 2.0, 0.5], rtol=1e-15)
    np.testing.assert_allclose(plain.left(s, t)[0], [1.0, 0.0, 0.0], rtol=1e-15)
    np.testing.assert_allclose(decayed.learned(s, t)[0], 1 / (np.array([0.0, 0.5, 2.0]) + 0.1), rtol=1e-15)
    np.testing.assert_allclose(decayed.left(s, t)[0], 0.1 / (np.array([0.0, 0.5, 2.0]) + 0.1), rtol=1e-15)


def test_too_large_a_rate_diverges():
    left = TrainingFilter(1.5, 0.0, "descent").left(torch.tensor([2.0]), torch.tensor([3.0, float("inf")]))
    assert left[:, 0].tolist() == [-8.0, float("inf")]
