"""Linear models on features: exact features give the exact kernel's accuracy, and worse ones less."""

import numpy as np
import pytest

from widenet.experiments.sketching_accuracy import accuracy_table, exact_accuracy, feature_accuracy
from widenet.experiments.sketching_data import digits
from widenet.experiments.sketching_maps import methods

TRAIN, TEST = digits(120)
METHODS = methods(1, 120, 3.0)


def test_all_landmarks_classify_as_the_exact_kernel():
    method = next(entry for entry in METHODS if entry.name == "Nystroem, pivoted")
    accuracy, seconds = exact_accuracy(method.kernel, TRAIN, TEST)
    # Kernel ridge regression with a small ridge and plain least squares, by NumPy.
    K = np.asarray(method.kernel(TRAIN.X.astype(float)))
    targets = 2.0 * (TRAIN.y[:, None] == np.arange(10)) - 1
    ridge = 1e-4 * np.trace(K) / 120
    scores = np.asarray(method.kernel(TEST.X.astype(float), TRAIN.X.astype(float))) @ np.linalg.solve(
        K + ridge * np.eye(120), targets - targets.mean(0)
    )
    expected = ((scores + targets.mean(0)).argmax(1) == TEST.y).mean()
    assert accuracy == pytest.approx(expected, abs=0.03)
    assert accuracy > 0.85
    assert seconds > 0
    features, _ = feature_accuracy((TRAIN.X, TEST.X), method, 119, 0, (TRAIN.y, TEST.y))
    assert features == pytest.approx(accuracy, abs=0.03)


def test_the_table_has_exact_kernels_and_every_map():
    table = accuracy_table(TRAIN, TEST, METHODS[:2], (64,), 2)
    assert [row[0] for row in table.rows] == ["exact NTK", METHODS[0].name, METHODS[1].name]
    assert table.rows[1][1] == 64
    assert all(50 < row[2] <= 100 for row in table.rows)
