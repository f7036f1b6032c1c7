"""The fitted temperature against a general minimiser, and its limits."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from widenet.estimators.calibration import fit_inverse_temperature, probabilities


def loss(inverse, scores, labels, weight):
    classes = scores.shape[1]
    smooth = classes / (weight.sum() + classes)
    target = np.eye(classes)[labels] * (1 - smooth) + smooth / classes
    share = np.exp(inverse * scores) / np.exp(inverse * scores).sum(axis=1, keepdims=True)
    return -(weight @ (target * np.log(share)).sum(axis=1))


@pytest.mark.parametrize("seed", range(4))
def test_the_temperature_minimises_the_smoothed_log_loss(seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(size=(60, 3)), rng.integers(3, size=60)
    scores[np.arange(60), labels] += 1.0
    weight = rng.uniform(0.5, 3.0, size=60)
    found = fit_inverse_temperature(scores, labels, weight)
    best = minimize_scalar(loss, bounds=(1e-3, 50), args=(scores, labels, weight), method="bounded").x
    assert found == pytest.approx(best, rel=1e-4)


def test_separable_scores_have_a_finite_temperature():
    labels = np.arange(20) % 2
    scores = np.eye(2)[labels]
    inverse = fit_inverse_temperature(scores, labels, np.ones(20))
    # Smoothing e = 2 / 22 makes the target of the true class 1 - e / 2 = 21 / 22, so b = log(21).
    assert inverse == pytest.approx(np.log(21), rel=1e-8)


def test_scores_that_mislead_get_flat_probabilities():
    labels = np.arange(20) % 2
    inverse = fit_inverse_temperature(-np.eye(2)[labels], labels, np.ones(20))
    assert probabilities(-np.eye(2)[labels], inverse) == pytest.approx(0.5, abs=1e-3)
